"""What would come of the form of a new run, worked out in threads while one types: its defaults, memory and data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from textual.content import Content
from textual.timer import Timer
from textual.worker import get_current_worker

from core.errors import FinetuneError
from tui.runs.base_look import BaseLook, look_at
from tui.runs.plan import DataOutlook, FormDefaults, MemoryVerdict, read_defaults, read_memory, read_selection
from tui.screens.base import BaseScreen
from tui.text import safe
from tui.widgets.outlook import data_text, fault_text, memory_text, tokens_text
from tui.widgets.run_fields import RunRequest
from tui.widgets.run_form import RunForm

if TYPE_CHECKING:
    from core.train.samples import Samples

SETTLE_SECONDS = 0.35
"""How long the form must rest before its consequences are worked out again."""

_Key = tuple[str, str, str]


class FormOutlook:
    """Keeps the form's suggestions in step with its category, base model and method, and shows below it whether the run
    fits and what it would be trained on; `fit` holds what would make it fit."""

    def __init__(self, screen: BaseScreen, form: RunForm) -> None:
        self._screen = screen
        self._form = form
        self._rest: Timer | None = None
        self._suggested: _Key | None = None
        self._look: tuple[str, BaseLook] | None = None
        self._estimated: RunRequest | None = None
        self._counted: tuple[object, ...] | None = None
        self._tokens = ""
        self.fit: Mapping[str, Any] = {}
        self.data: DataOutlook | None = None
        """What would be trained on by what the form says; None while it is counted or cannot be told."""

    def forget(self) -> None:
        """Read everything anew next time."""
        self._suggested = self._look = self._estimated = self._counted = None

    def settle(self) -> None:
        """Work it out once the form rests."""
        if self._rest is not None:
            self._rest.stop()
        self._rest = self._screen.set_timer(SETTLE_SECONDS, self.work_out)

    def is_suggested(self, request: RunRequest) -> bool:
        """Whether what the form suggests belongs to the category, base model and method that it names."""
        return self._suggested == _key(request)

    def work_out(self) -> None:
        """Work out what the form says now; an empty form, before its choices are read, says nothing."""
        request = self._form.request
        if not request.category:
            return
        if self.is_suggested(request):
            self._show_consequences(request)
        else:
            self._suggest(request)

    def _suggest(self, request: RunRequest) -> None:
        home = self._screen.home

        def put(defaults: FormDefaults) -> None:
            self._suggested = _key(request)
            self._form.offer_starts(defaults.starts)
            self._form.suggest(defaults.settings)
            self.work_out()

        self._screen.in_background(
            lambda: read_defaults(home, request.category, request.base, request.method),
            group="train.defaults",
            description="reading the default settings",
            then=put,
            failed=lambda error: self._form.show_memory(fault_text("Settings", error)),
        )

    def _show_consequences(self, request: RunRequest) -> None:
        if request != self._estimated:
            self._estimate(request)
        counted = (request.category, request.method, request.start, request.seed)
        if counted != self._counted:
            self._count(request)
            self._counted = counted

    def _estimate(self, request: RunRequest) -> None:
        form, home = self._form, self._screen.home
        self.fit = {}
        if request.faults:
            form.show_memory(safe("✗ " + " ".join(request.faults.values()), "$text-error"))
            return
        known = self._look[1] if self._look is not None and self._look[0] == request.base else None

        def read() -> tuple[BaseLook, MemoryVerdict]:
            look = known or look_at(home, request.base)
            return look, read_memory(home, request, look)

        self._screen.in_background(
            read,
            group="train.memory",
            description="estimating the memory",
            then=lambda found: self._show_memory(request, *found),
            failed=lambda error: form.show_memory(fault_text("Memory", error)),
        )

    def _show_memory(self, request: RunRequest, look: BaseLook, memory: MemoryVerdict) -> None:
        self._look = request.base, look
        self._estimated = request
        self.fit = memory.suggestion
        self._form.show_memory(memory_text(memory, self._form.more))
        self._screen.refresh_bindings()

    def _count(self, request: RunRequest) -> None:
        form, home = self._form, self._screen.home
        self.data, self._tokens = None, ""
        form.show_data(Content.styled("Data    counting what would be trained on…", "$text-muted"))

        def take(found: DataOutlook) -> None:
            self.data = found
            self._show_data(request)
            self._screen.refresh_bindings()

        self._screen.in_background(
            lambda: read_selection(home, request, _unless_cancelled()),
            group="train.data",
            description="counting what would be trained on",
            then=take,
            failed=lambda error: form.show_data(fault_text("Data", error)),
        )

    def count_tokens(self, data: DataOutlook, samples: Samples) -> None:
        """Show how many tokens there are, unless meanwhile something else would be trained on."""
        if data is self.data:
            self._tokens = tokens_text(samples)
            self._show_data(self._form.request)

    def _show_data(self, request: RunRequest) -> None:
        if self.data is not None:
            self._form.show_data(data_text(self.data, request.method, request.start, self._tokens))


def _key(request: RunRequest) -> _Key:
    return request.category, request.base, request.method


def _unless_cancelled() -> Callable[[], None]:
    """What breaks a long count off when its result is no longer wanted; to be called in the worker's thread."""
    worker = get_current_worker()

    def check() -> None:
        if worker.is_cancelled:
            raise FinetuneError("The count was broken off.", hint="Open the form again.")

    return check
