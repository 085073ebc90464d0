"""What is known of the two versions of a test: its pairs, all sources together, strengths; blind votes and details."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Final

from textual.binding import Binding, BindingType

from storage.db import Store
from storage.rows import AbTestRow
from tui.screens.production import ProductionScreen
from tui.versions.standings import Standings, StandingsBook
from tui.widgets.verdict import VerdictPanel

if TYPE_CHECKING:
    from core.prove.voting import Sitting
    from tui.screens.ab_details import AbDetailsScreen
    from tui.screens.vote import VoteScreen
    from tui.versions.comparison import ComparisonView, Examples
    from tui.versions.views import ScoreboardView

_OPEN_SECONDS: Final = 60.0  # how old the strengths may be while answers to an open test come in


class KnowingScreen(ProductionScreen):
    """A screen with a test of two versions under the cursor.

    Its pairs are read first, then what is known beyond them, and last the strengths of all versions, which with
    hundreds of them take seconds; each is shown when it is there.
    """

    OFFERED = ProductionScreen.OFFERED | {"scoreboard.details"}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("v", "vote", "Vote", id="scoreboard.vote", tooltip="Say which answers are better, not knowing whose"),
        Binding(
            "d",
            "details",
            "Details",
            show=False,
            id="scoreboard.details",
            tooltip="By category and pattern, sources, ratings of all versions",
        ),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.view: ScoreboardView | None = None
        self._examples: tuple[int, bool, Examples] | None = None
        self._known: tuple[int, ComparisonView] | None = None
        self._book = StandingsBook()

    @property
    def test(self) -> AbTestRow | None:
        """The test under the cursor."""
        raise NotImplementedError

    def show_examples(self, examples: Examples, *, same: bool) -> None:
        """Show the pairs of the test under the cursor; `same` where it is the one that was shown before."""
        raise NotImplementedError

    def show_verdict(self) -> None:
        """Show the verdict with what is known by now."""
        raise NotImplementedError

    @property
    def examples(self) -> Examples | None:
        """The pairs of the test under the cursor, once they were read."""
        test, found = self.test, self._examples
        return found[2] if found is not None and test is not None and found[0] == test.id else None

    @property
    def compared(self) -> AbTestRow | None:
        """The test under the cursor, once its answers were read and where it has any."""
        return self.test if self.examples is not None and self.examples.pairs else None

    @property
    def known(self) -> ComparisonView | None:
        """What is known of the versions of the test under the cursor."""
        test, found = self.test, self._known
        return found[1] if found is not None and test is not None and found[0] == test.id else None

    def version_name(self, version_id: int) -> str:
        """A version's name."""
        return self.view.name(version_id) if self.view is not None else f"version {version_id}"

    # -- reading

    def read_test(self, *, anew: bool = False) -> None:
        """Read the pairs of the test under the cursor, unless they are there and nothing was added to them.

        With `anew` in any case.
        """
        test, home = self.test, self.home
        if test is None or not (anew or test.result is None or self._is_new(test)):
            return

        def read() -> tuple[AbTestRow, Examples]:
            from tui.versions.comparison import read_examples

            return test, read_examples(home, test)

        self.in_background(
            read,
            group="scoreboard.pairs",
            description="reading the examples of a test",
            then=self._take_examples,
            in_turn=True,
        )

    def _is_new(self, test: AbTestRow) -> bool:
        return self._examples is None or self._examples[:2] != (test.id, test.result is not None)

    def _take_examples(self, found: tuple[AbTestRow, Examples]) -> None:
        asked, examples = found
        test, home, view = self.test, self.home, self.view
        if test is None or view is None or test.id != asked.id:
            return
        same = self._examples is not None and self._examples[0] == test.id
        self._examples = (test.id, asked.result is not None, examples)
        self.show_examples(examples, same=same)
        self.show_verdict()
        self.refresh_bindings()
        strong = self._book.get(test.category, self._strong_by(test.category)) or Standings()

        def read() -> tuple[AbTestRow, ComparisonView]:
            from tui.versions.comparison import read_comparison

            return test, read_comparison(home, test, strong)

        self.in_background(
            read,
            group="scoreboard.known",
            description="reading what is known of two versions",
            then=self._take_known,
            in_turn=True,
        )

    def _take_known(self, found: tuple[AbTestRow, ComparisonView]) -> None:
        test = self.test
        if test is None or test.id != found[0].id:
            return
        self._known = (test.id, found[1])
        self.show_verdict()
        self.refresh_bindings()
        if not found[1].standings.ratings:
            self.in_background(
                self._strengths(test.category),
                group="scoreboard.strengths",
                description="reckoning the strengths of all versions",
                then=self._take_standings,
                in_turn=True,
            )

    def _take_standings(self, found: Standings) -> None:
        test, known = self.test, self.known
        if test is not None and known is not None and self._book.get(test.category, self._strong_by(test.category)):
            self._known = (test.id, replace(known, standings=found))
            self.show_verdict()

    def _strengths(self, category: str) -> Callable[[], Standings]:
        return partial(self._book.read, self.home, category, self._strong_by(category))

    def _strong_by(self, category: str) -> object:
        """What the strengths of a category follow from: its tests, the votes, and answers that are still coming in."""
        if self.view is None:
            return None
        own = [(test.id, test.result is not None) for test in self.view.tests if test.category == category]
        open_since = 0 if all(ended for _, ended in own) else int(time.time() // _OPEN_SECONDS)
        return own, self.view.votes, open_since

    # -- keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """There must be answers."""
        if action == "vote":
            return self.compared is not None
        if action == "details":
            return self.compared is not None and self.known is not None
        return super().check_action(action, parameters)

    def action_vote(self) -> None:
        """Vote blindly on what both versions have answered."""
        test, home = self.compared, self.home
        if test is None:
            return

        def read() -> Sitting:
            from tui.versions.comparison import read_sitting

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
            from tui.versions.comparison import settled

            settled(store, home, test)

        self.finetune.write(work, doing="weighing the votes", then=lambda _: self._weighed())

    def _weighed(self) -> None:
        self.refresh_data()
        self.read_test(anew=True)

    def action_details(self) -> None:
        """Everything that is known of the two versions."""
        test, known, home = self.compared, self.known, self.home
        if test is None or known is None:
            return
        strengths = self._strengths(test.category)

        def read() -> AbDetailsScreen:
            from tui.screens.ab_details import AbDetailsScreen
            from tui.versions.comparison import read_parts

            whole = replace(known, standings=strengths())
            return AbDetailsScreen(whole, *read_parts(home, test), self.version_name)

        self.in_background(
            read,
            group="scoreboard.details",
            description="reading the details",
            then=self._open,
            pane=self.query_one(VerdictPanel),
        )

    def _open(self, screen: AbDetailsScreen) -> None:
        self.app.push_screen(screen)
