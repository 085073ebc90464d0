"""What the scoreboard and the models screen have in common: promote, roll back, undo."""

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
from storage.rows import AliasChange, VersionRow
from tui.screens.base import BaseScreen

if TYPE_CHECKING:
    from core.loop import LearningLoop

Note = Callable[[str], object]
LARGE_BYTES: Final = 256_000_000


@dataclass(frozen=True, slots=True)
class Change:
    """Something to do to what serves. `work` is given the loop, a place to tell its steps, and one for a percentage;
    `stoppable` tells whether it asks if it was stopped."""

    work: Callable[[LearningLoop, Note, Note], AliasChange | None]
    doing: str
    stoppable: bool = False


class ProductionScreen(BaseScreen):
    """A screen with a version under the cursor, which one key puts into production and another takes out again.

    Nothing asks first: every change is recorded and one key takes it back. A version that is not proved is refused by
    the registry, with the reason.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("p", "promote", "Promote", id="production.promote", tooltip="Put this version into production"),
        Binding("r", "rollback", "Roll back", id="production.rollback", tooltip="Put back the one that served before"),
        Binding("u", "undo", "Undo", id="production.undo", tooltip="Take back the last promotion or roll-back"),
        Binding(
            "x", "stop_change", "Stop", id="production.stop", tooltip="Stop giving a file to Ollama; nothing is changed"
        ),
    ]

    @property
    def subject(self) -> VersionRow | None:
        """The version that the keys act on."""
        raise NotImplementedError

    @property
    def in_production(self) -> bool:
        """Whether the subject's category has anything in production."""
        raise NotImplementedError

    def tell_change(self, text: str) -> None:
        """Show how far the change is that is under way; an empty text ends that."""
        raise NotImplementedError

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only what can be done now."""
        if action == "promote":
            return self.subject is not None
        if action in ("rollback", "undo"):
            return self.subject is not None and self.in_production
        if action == "stop_change":
            return self._under_way is not None and self._under_way.stoppable and not self._stop.is_set()
        return super().check_action(action, parameters)

    def __init__(self) -> None:
        super().__init__()
        self._changes: deque[Change] = deque()
        self._under_way: Change | None = None
        self._stop = threading.Event()

    def action_promote(self) -> None:
        """Put the version under the cursor into production."""
        version = self.subject
        if version is None:
            return
        doing = f"promoting {version.name}"
        last = self._changes[-1] if self._changes else self._under_way
        if last is not None and last.doing == doing:
            self.finetune.tell(f"{version.name} is being promoted already.")
            return

        def work(loop: LearningLoop, note: Note, show: Note) -> AliasChange:
            quarters = _quarters(note)

            def progress(done: int, total: int) -> None:
                show(f"{100 * done // max(1, total)} % given to Ollama")
                quarters(done, total)

            return loop.promote(version.id, note=note, progress=progress, cancelled=self._is_stopped)

        self._change(Change(work, doing, stoppable=True))

    def action_rollback(self) -> None:
        """Put back what served before."""
        version = self.subject
        if version is not None:
            category = version.category
            self._change(Change(lambda loop, note, _: loop.rollback(category, note=note), f"rolling back {category}"))

    def action_undo(self) -> None:
        """Take back the last promotion or roll-back of the category."""
        version = self.subject
        if version is not None:
            category = version.category
            self._change(Change(lambda loop, note, _: loop.undo(category, note=note), f"undoing in {category}"))

    def action_stop_change(self) -> None:
        """Stop what is under way, as soon as it asks."""
        self._stop.set()
        self.finetune.tell("Stopping; what Ollama is doing just now is waited for.")
        self.refresh_bindings()

    def _is_stopped(self) -> bool:
        """Whether it was stopped, or the app was left; asked in the thread that it is about."""
        return self._stop.is_set() or get_current_worker().is_cancelled

    def _change(self, change: Change) -> None:
        """One after the other, in the order of the keys: Ollama may need minutes for one of them."""
        self._changes.append(change)
        if self._under_way is None:
            self._next()

    def _next(self) -> None:
        change = self._under_way = self._changes.popleft() if self._changes else None
        self._stop.clear()
        self._show_change("")
        if change is None:
            return
        home = self.home

        def told(text: str) -> None:
            # Posting is the one thing that a thread may do here.
            self.call_later(self.finetune.tell, text)
            shown(text)

        def shown(text: str) -> None:
            self.call_later(self._show_change, text)

        def work() -> str:
            from core.loop import LearningLoop

            with LearningLoop(home) as loop:
                done = change.work(loop, told, shown)
                return "Nothing is left to take back." if done is None else _sentence(loop.store, done)

        self.in_background(
            work,
            group="production",
            description=change.doing,
            then=self._changed,
            failed=partial(self._not_changed, change.doing),
        )

    def _show_change(self, step: str) -> None:
        change = self._under_way
        self.tell_change("" if change is None else step.rstrip(".") or change.doing)
        self.refresh_bindings()

    def _changed(self, sentence: str) -> None:
        self.finetune.tell(sentence)
        self.refresh_data()
        self.call_later(self._next)  # the task holds its place until this call has returned

    def _not_changed(self, doing: str, error: BaseException) -> None:
        self.finetune.report(error, doing)
        self.refresh_data()
        self.call_later(self._next)


def _quarters(note: Note) -> Callable[[int, int], None]:
    """Tells of every quarter of a large file."""
    told = 0

    def progress(done: int, total: int) -> None:
        nonlocal told
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
