"""What the scoreboard and the models screen have in common: promote, roll back, undo."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
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
Change = Callable[["LearningLoop", Note], AliasChange | None]
LARGE_BYTES: Final = 256_000_000


class ProductionScreen(BaseScreen):
    """A screen with a version under the cursor, which one key puts into production and another takes out again.

    Nothing asks first: every change is recorded and one key takes it back. A version that is not proved is refused by
    the registry, with the reason.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("p", "promote", "Promote", id="production.promote", tooltip="Put this version into production"),
        Binding("r", "rollback", "Roll back", id="production.rollback", tooltip="Put back the one that served before"),
        Binding("u", "undo", "Undo", id="production.undo", tooltip="Take back the last promotion or roll-back"),
    ]

    @property
    def subject(self) -> VersionRow | None:
        """The version that the keys act on."""
        raise NotImplementedError

    @property
    def in_production(self) -> bool:
        """Whether the subject's category has anything in production."""
        raise NotImplementedError

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only what can be done now."""
        if action == "promote":
            return self.subject is not None
        if action in ("rollback", "undo"):
            return self.subject is not None and self.in_production
        return super().check_action(action, parameters)

    def __init__(self) -> None:
        super().__init__()
        self._changes: deque[tuple[Change, str]] = deque()
        self._changing = False

    def action_promote(self) -> None:
        """Put the version under the cursor into production."""
        version = self.subject
        if version is not None:
            self._change(
                lambda loop, note: loop.promote(
                    version.id, note=note, progress=_quarters(note), cancelled=_is_cancelled()
                ),
                f"promoting {version.name}",
            )

    def action_rollback(self) -> None:
        """Put back what served before."""
        version = self.subject
        if version is not None:
            self._change(
                lambda loop, note: loop.rollback(version.category, note=note), f"rolling back {version.category}"
            )

    def action_undo(self) -> None:
        """Take back the last promotion or roll-back of the category."""
        version = self.subject
        if version is not None:
            self._change(lambda loop, note: loop.undo(version.category, note=note), f"undoing in {version.category}")

    def _change(self, change: Change, doing: str) -> None:
        """One after the other, in the order of the keys: Ollama may need minutes for one of them."""
        self._changes.append((change, doing))
        if not self._changing:
            self._next()

    def _next(self) -> None:
        self._changing = bool(self._changes)
        if not self._changing:
            return
        (change, doing), home = self._changes.popleft(), self.home
        told = partial(self.call_later, self.finetune.tell)  # posting is the one thing that a thread may do here

        def work() -> str:
            from core.loop import LearningLoop

            with LearningLoop(home) as loop:
                done = change(loop, told)
                return "Nothing is left to take back." if done is None else _sentence(loop.store, done)

        self.in_background(
            work, group="production", description=doing, then=self._changed, failed=partial(self._not_changed, doing)
        )

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


def _is_cancelled() -> Callable[[], bool]:
    """Whether the app was left meanwhile; asked in the thread that it is about."""
    return lambda: get_current_worker().is_cancelled


def _sentence(store: Store, change: AliasChange) -> str:
    name = versions.get(store, change.to_version).name
    before = versions.get(store, change.from_version).name if change.from_version is not None else ""
    if change.action == "promote":
        return f"{change.alias} now answers with {name}. u takes it back."
    word = "Undone" if change.action == "undo" else "Rolled back"
    return f"{word}: {change.alias} answers with {name} again" + (f", no longer {before}." if before else ".")
