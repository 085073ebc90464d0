"""What the scoreboard and the models screen have in common: promote, roll back, undo."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType

from storage import versions
from storage.db import Store
from storage.rows import AliasChange, VersionRow
from tui.screens.base import BaseScreen

if TYPE_CHECKING:
    from core.loop import LearningLoop


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

    def action_promote(self) -> None:
        """Put the version under the cursor into production."""
        version = self.subject
        if version is not None:
            self._change(lambda loop: loop.promote(version.id), f"promoting {version.name}")

    def action_rollback(self) -> None:
        """Put back what served before."""
        version = self.subject
        if version is not None:
            self._change(lambda loop: loop.rollback(version.category), f"rolling back {version.category}")

    def action_undo(self) -> None:
        """Take back the last promotion or roll-back of the category."""
        version = self.subject
        if version is not None:
            self._change(lambda loop: loop.undo(version.category), f"undoing in {version.category}")

    def _change(self, change: Callable[[LearningLoop], AliasChange | None], doing: str) -> None:
        home = self.home

        def work(store: Store) -> str:
            from core.loop import LearningLoop

            with LearningLoop(home) as loop:
                done = change(loop)
            return "Nothing is left to take back." if done is None else _sentence(store, done)

        self.finetune.write(work, doing=doing, then=self._changed)

    def _changed(self, sentence: str) -> None:
        self.finetune.tell(sentence)
        self.refresh_data()


def _sentence(store: Store, change: AliasChange) -> str:
    name = versions.get(store, change.to_version).name
    before = versions.get(store, change.from_version).name if change.from_version is not None else ""
    if change.action == "promote":
        return f"{change.alias} now answers with {name}. u takes it back."
    word = "Undone" if change.action == "undo" else "Rolled back"
    return f"{word}: {change.alias} answers with {name} again" + (f", no longer {before}." if before else ".")
