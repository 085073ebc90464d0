"""What can be done with what is known of two versions: vote blindly on their answers, and look at all of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType

from storage.db import Store
from storage.rows import AbTestRow
from tui.screens.production import ProductionScreen
from tui.text import safe
from tui.widgets.verdict import VerdictPanel

if TYPE_CHECKING:
    from core.prove.voting import Sitting
    from tui.comparison import ComparisonView
    from tui.screens.ab_details import AbDetailsScreen
    from tui.screens.vote import VoteScreen


class KnowingScreen(ProductionScreen):
    """A screen with a comparison of two versions under the cursor."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("v", "vote", "Vote", id="scoreboard.vote", tooltip="Say which answers are better, not knowing whose"),
        Binding(
            "d",
            "details",
            "Details",
            show=False,
            id="scoreboard.details",
            tooltip="Sources, patterns, ratings of all versions",
        ),
    ]

    @property
    def compared(self) -> AbTestRow | None:
        """The comparison that the keys act on."""
        raise NotImplementedError

    @property
    def known(self) -> ComparisonView | None:
        """What is known of it."""
        raise NotImplementedError

    def version_name(self, version_id: int) -> str:
        """A version's name."""
        raise NotImplementedError

    def read_again(self) -> None:
        """Read everything again."""
        raise NotImplementedError

    def tell_change(self, text: str) -> None:
        """Beside the verdict that it follows from."""
        title = f"Verdict · {text}" if text else "Verdict"
        self.query_one(VerdictPanel).border_title = safe(title, one_line=True)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """There must be answers."""
        if action in ("vote", "details"):
            return self.compared is not None
        return super().check_action(action, parameters)

    def action_vote(self) -> None:
        """Vote blindly on what both versions have answered."""
        test, home = self.compared, self.home
        if test is None:
            return

        def read() -> Sitting:
            from tui.comparison import read_sitting

            return read_sitting(home, test)

        self.in_background(
            read, group="scoreboard.vote", description="reading the pairs", then=lambda found: self._vote(test, found)
        )

    def _vote(self, test: AbTestRow, found: Sitting) -> None:
        from tui.screens.vote import VoteScreen

        screen: VoteScreen = VoteScreen(
            found, {each: self.version_name(each) for each in (test.version_a, test.version_b)}
        )
        self.app.push_screen(screen, lambda _: self._voted(test))

    def _voted(self, test: AbTestRow) -> None:
        home = self.home

        def work(store: Store) -> None:
            from tui.comparison import settled

            settled(store, home, test)

        self.finetune.write(work, doing="weighing the votes", then=lambda _: self.read_again())

    def action_details(self) -> None:
        """Everything that is known of the two versions."""
        test, known, home = self.compared, self.known, self.home
        if test is None or known is None:
            return

        def read() -> AbDetailsScreen:
            from tui.comparison import read_parts
            from tui.screens.ab_details import AbDetailsScreen

            return AbDetailsScreen(known, *read_parts(home, test), self.version_name)

        self.in_background(read, group="scoreboard.details", description="reading the details", then=self._open)

    def _open(self, screen: AbDetailsScreen) -> None:
        self.app.push_screen(screen)
