"""What would come of the form of a new run, worked out in threads while one types: memory and data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from textual.content import Content
from textual.timer import Timer

from tui.run_plan import MemoryVerdict, read_memory, read_selection
from tui.screens.base import BaseScreen
from tui.text import safe
from tui.widgets.outlook import data_text, fault_text, memory_text
from tui.widgets.run_form import RunForm, RunRequest

SETTLE_SECONDS = 0.35
"""How long the form must rest before its consequences are worked out again."""


class FormOutlook:
    """Shows below the form whether the run fits and what it would be trained on; `fit` holds what would make it fit."""

    def __init__(self, screen: BaseScreen, form: RunForm) -> None:
        self._screen = screen
        self._form = form
        self._counted: tuple[str, int] | None = None
        self._rest: Timer | None = None
        self.fit: Mapping[str, Any] = {}

    def forget(self) -> None:
        """Count the data anew next time."""
        self._counted = None

    def settle(self) -> None:
        """Work it out once the form rests."""
        if self._rest is not None:
            self._rest.stop()
        self._rest = self._screen.set_timer(SETTLE_SECONDS, self.work_out)

    def work_out(self) -> None:
        """Work out what the form says now; an empty form, before its choices are read, says nothing."""
        request = self._form.request
        if not request.category:
            return
        self._estimate(request)
        if (request.category, request.seed) != self._counted:
            self._count(request)

    def _estimate(self, request: RunRequest) -> None:
        form, home = self._form, self._screen.home
        if request.faults:
            form.show_memory(safe("✗ " + " ".join(request.faults.values()), "$text-error"))
            return
        self._screen.in_background(
            lambda: read_memory(home, request),
            group="train.memory",
            description="estimating the memory",
            then=self._show_memory,
            failed=lambda error: form.show_memory(fault_text("Memory", error)),
        )

    def _show_memory(self, memory: MemoryVerdict) -> None:
        self.fit = memory.suggestion
        self._form.show_memory(memory_text(memory))
        self._screen.refresh_bindings()

    def _count(self, request: RunRequest) -> None:
        form, home = self._form, self._screen.home
        self._counted = (request.category, request.seed)
        form.show_data(Content.styled("Data    counting what would be trained on…", "$text-muted"))
        self._screen.in_background(
            lambda: read_selection(home, request.category, request.seed),
            group="train.data",
            description="counting what would be trained on",
            then=lambda found: form.show_data(data_text(*found)),
            failed=lambda error: form.show_data(fault_text("Data", error)),
        )
