"""What the scoreboard and the models screen have in common: promote, roll back, undo, and what served when."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from textual.binding import ActiveBinding, Binding, BindingType
from textual.command import Provider
from textual.content import Content

from storage.rows import AliasChange, VersionRow
from tui.screens.changing import Change, ChangingScreen, Note, given
from tui.widgets.served_line import ServedLine

if TYPE_CHECKING:
    from core.loop import LearningLoop
    from tui.versions.served import Served


def _more_commands() -> type[Provider]:
    from tui.more_commands import MoreCommands

    return MoreCommands


class ProductionScreen(ChangingScreen):
    """A screen with a version under the cursor, which one key puts into production and another takes out again.

    Nothing asks first: every change is recorded and one key takes it back. A version that is not proved is refused by
    the registry, with the reason. The `ServedLine` says what the keys would do. `OFFERED` are the ids of keys that the
    footer has no room for and the palette offers all the same.
    """

    OFFERED: ClassVar[frozenset[str]] = frozenset({"production.history"})
    COMMANDS: ClassVar[set[type[Provider] | Callable[[], type[Provider]]]] = {_more_commands}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("p", "promote", "Promote", id="production.promote", tooltip="Put this version into production"),
        Binding("r", "rollback", "Roll back", id="production.rollback", tooltip="Put back the one that served before"),
        Binding("u", "undo", "Undo", id="production.undo", tooltip="Take back the last promotion or roll-back"),
        Binding("h", "history", "History", show=False, id="production.history", tooltip="What served when, and why"),
    ]

    @property
    def subject(self) -> VersionRow | None:
        """The version that the keys act on."""
        raise NotImplementedError

    @property
    def served(self) -> Served | None:
        """What serves the category of that version, None while nothing does."""
        raise NotImplementedError

    @property
    def active_bindings(self) -> dict[str, ActiveBinding]:
        """The keys, each with what it would do just now: the footer, the help and the palette say it."""
        return {
            key: active._replace(binding=replace(active.binding, tooltip=told), tooltip=told)
            if active.node is self and (told := self.key_told(active.binding.action))
            else active
            for key, active in super().active_bindings.items()
        }

    def key_told(self, action: str) -> str:
        """What a key would do just now, where that can be said more exactly than its binding says it."""
        version, served = self.subject, self.served
        if action == "promote" and version is not None:
            return f"Put {version.name} into production" + (f", in place of {served.serves.name}" if served else "")
        if action == "rollback" and served is not None:
            return served.roll_back_told()
        if action == "undo" and served is not None:
            return served.undo_told(time.time())
        return ""

    def show_served(self) -> None:
        """Show what serves the category of the version under the cursor."""
        version = self.subject
        self.query_one(ServedLine).show(self.served, version.category if version is not None else "")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only what can be done now. While a change is under way others may be put behind it."""
        served = self.served
        if action == "promote":
            return self.subject is not None
        if action == "rollback":
            return served is not None and (served.before is not None or bool(self.changing))
        if action == "undo":
            return served is not None and (served.can_undo or bool(self.changing))
        return super().check_action(action, parameters)

    def action_promote(self) -> None:
        """Put the version under the cursor into production."""
        version = self.subject
        if version is None:
            return
        doing = f"promoting {version.name}"
        if self.changing == doing:
            self.finetune.tell(f"{version.name} is being promoted already.")
            return

        def work(loop: LearningLoop, note: Note, show: Note) -> AliasChange:
            return loop.promote(version.id, note=note, progress=given(note, show), cancelled=self.is_stopped)

        self.change(Change(work, doing))

    def action_rollback(self) -> None:
        """Put back what served before."""
        version = self.subject
        if version is not None:
            category = version.category

            def work(loop: LearningLoop, note: Note, show: Note) -> AliasChange | None:
                return loop.rollback(category, note=note, progress=given(note, show), cancelled=self.is_stopped)

            self.change(Change(work, f"rolling back {category}"))

    def action_undo(self) -> None:
        """Take back the last promotion or roll-back of the category."""
        version = self.subject
        if version is not None:
            category = version.category

            def work(loop: LearningLoop, note: Note, show: Note) -> AliasChange | None:
                return loop.undo(category, note=note, progress=given(note, show), cancelled=self.is_stopped)

            self.change(Change(work, f"undoing in {category}"))

    def action_history(self) -> None:
        """What served when in every category, and what spoke for it."""
        home = self.home

        def read() -> Content:
            from tui.versions.views import read_models
            from tui.widgets.timeline import MOST_READ, timeline

            return timeline(read_models(home), now=time.time(), most=MOST_READ)

        self.in_background(
            read, group="production.history", description="reading what served when", then=self._show_history
        )

    def _show_history(self, content: Content) -> None:
        from tui.screens.reading import ReadingScreen

        told = content if content.plain else Content("Nothing was promoted yet. p promotes the version that won.")
        self.app.push_screen(ReadingScreen("What served when", lambda _: told))
