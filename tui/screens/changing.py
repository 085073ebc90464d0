"""What carries out changes of what serves: one after the other in a thread, each step told, and a key that stops."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Final

from textual.binding import Binding, BindingType
from textual.worker import get_current_worker

from storage import versions
from storage.db import Store
from storage.rows import AliasChange
from tui.screens.base import BaseScreen
from tui.widgets.served_line import ServedLine

if TYPE_CHECKING:
    from core.loop import LearningLoop

Note = Callable[[str], object]
LARGE_BYTES: Final = 256_000_000


@dataclass(frozen=True, slots=True)
class Change:
    """Something to do to what serves. `work` is given the loop, a place to tell its steps, and one for a percentage."""

    work: Callable[[LearningLoop, Note, Note], AliasChange | None]
    doing: str


class ChangingScreen(BaseScreen):
    """A screen with a `ServedLine`, which says how far a change is."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "x",
            "stop_change",
            "Stop",
            id="production.stop",
            tooltip="Stop giving a file to Ollama; a promotion then changes nothing",
        ),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._changes: deque[Change] = deque()
        self._under_way: Change | None = None
        self._stop = threading.Event()

    @property
    def changing(self) -> str:
        """What the newest change does that is not done yet, empty where there is none."""
        last = self._changes[-1] if self._changes else self._under_way
        return last.doing if last is not None else ""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """There must be something to stop."""
        if action == "stop_change":
            return self._under_way is not None and not self._stop.is_set()
        return super().check_action(action, parameters)

    def action_stop_change(self) -> None:
        """Stop what is under way, as soon as it asks."""
        self._stop.set()
        self._show_change("Stopping; what Ollama is doing just now is waited for")
        self.refresh_bindings()

    def is_stopped(self) -> bool:
        """Whether it was stopped, or the app was left; asked in the thread that it is about."""
        return self._stop.is_set() or get_current_worker().is_cancelled

    def change(self, change: Change) -> None:
        """One after the other, in the order of the keys: Ollama may need minutes for one of them."""
        self._changes.append(change)
        if self._under_way is None:
            self._next()

    def _next(self) -> None:
        change = self._under_way = self._changes.popleft() if self._changes else None
        self._stop.clear()
        self._show_change("")
        self.refresh_bindings()
        if change is None:
            return
        home = self.home

        def told(text: str) -> None:
            # Posting is the one thing that a thread may do here.
            self.call_later(self.finetune.tell, text)
            shown(text)

        def shown(text: str) -> None:
            self.call_later(self._show_change, text)

        def work() -> str | Exception:
            from core.loop import LearningLoop

            try:
                with LearningLoop(home) as loop:
                    done = change.work(loop, told, shown)
                    return "Nothing is left to take back." if done is None else _sentence(loop.store, done)
            except Exception as error:  # noqa: BLE001  handed over, and reported there
                return error

        self.in_background(
            work, group="production", description=change.doing, then=partial(self._changed, change.doing)
        )

    def _show_change(self, step: str) -> None:
        change = self._under_way
        told = "" if change is None else step.rstrip(".") or change.doing
        if change is not None and self._changes:
            told += f", then {self._changes[0].doing}"
        self.query_one(ServedLine).tell(f"{told} · x stops" if told and not self._stop.is_set() else told)

    def _changed(self, doing: str, done: str | Exception) -> None:
        if isinstance(done, str):
            self.finetune.tell(done)
        else:
            self.finetune.report(done, doing)
        self.refresh_data()
        self.call_later(self._next)  # the task holds its place until this call has returned


def given(note: Note, show: Note) -> Callable[[int, int], None]:
    """Shows how much of a file was given to Ollama, and tells of every quarter of a large one."""
    told = 0

    def progress(done: int, total: int) -> None:
        nonlocal told
        show(f"{100 * done // max(1, total)} % given to Ollama")
        quarter = 4 * done // total if total >= LARGE_BYTES else 0
        if quarter > told:
            told = quarter
            note(f"{25 * quarter} % of the file are given to Ollama.")

    return progress


def _sentence(store: Store, change: AliasChange) -> str:
    name = versions.get(store, change.to_version).name
    before = versions.get(store, change.from_version).name if change.from_version is not None else ""
    if change.action == "promote":
        return f"{change.alias} now answers with {name}. u takes it back."
    word = "Undone" if change.action == "undo" else "Rolled back"
    return f"{word}: {change.alias} answers with {name} again" + (f", no longer {before}." if before else ".")
