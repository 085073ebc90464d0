"""The two lists of the scoreboard: A/B tests, and the examples of one."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, Literal

from textual.content import Content

from storage.ab_votes import AbVoteRow
from storage.rows import AbPairRow, AbTestRow, Winner
from tui.text import safe
from tui.versions.pair_reading import decision
from tui.versions.views import ScoreboardView
from tui.widgets.virtual_table import VirtualTable
from tui.words import VERDICT_GLYPHS, ago, number, percent, signed

if TYPE_CHECKING:
    from tui.versions.comparison import Examples

Order = Literal["position", "losses", "votes"]
ORDERS: Final[Mapping[Order, str]] = {"position": "in order", "losses": "losses first", "votes": "votes first"}
_WIDE = 90
_OUTCOMES: Final[Mapping[Winner | None, tuple[str, str]]] = {
    "a": ("✗ lost ", "$text-error"),
    "b": ("✓ won  ", "$text-success"),
    "tie": ("= tie  ", ""),
    None: ("? open ", "$text-warning"),
}


class ComparisonTable(VirtualTable[AbTestRow]):
    """A/B tests, one line each: verdict, win rate, arms."""

    class Moved(VirtualTable.Moved):
        """The cursor stands on another test."""

    class Chosen(VirtualTable.Chosen):
        """A test was opened."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(self._found, self._line, id=id, classes="pane")
        self._view: ScoreboardView | None = None
        self._rows: dict[int, AbTestRow] = {}

    @property
    def selected(self) -> AbTestRow | None:
        """The test under the cursor."""
        return self._rows.get(self.current) if self.current is not None else None

    def load(self, view: ScoreboardView, *, follow: bool = False) -> None:
        """Show these tests; the cursor stays on its test, or with `follow` goes to one that is new."""
        if view == self._view:
            return
        keep = self.current
        if follow and view.tests and view.tests[0].id not in self._rows:
            keep = view.tests[0].id
        self._view, self._rows = view, {test.id: test for test in view.tests}
        self.show(array("q", self._rows), current=keep)

    def _found(self, ids: Sequence[int]) -> dict[int, AbTestRow]:
        return {one: self._rows[one] for one in ids if one in self._rows}

    def _line(self, test: AbTestRow, width: int) -> Content:
        view = self._view
        if view is None:
            return Content("")
        result = view.pooled.get(test.id) or test.result or {}
        verdict = str(result.get("verdict", "unfinished"))
        serves = test.version_b in view.production
        more = ("  in production" if serves else "") + ("  from shadowed requests" if test.source == "shadow" else "")
        return safe(
            f" {VERDICT_GLYPHS.get(verdict, '●')} {verdict:<15}{percent(result.get('win_rate')):>5}"
            f" {'★' if serves else ' '} {view.name(test.version_b)} against {view.name(test.version_a)}"
            f"  {ago(test.created_at)}{more if width >= _WIDE else ''}",
            one_line=True,
        )


class ExampleTable(VirtualTable[AbPairRow]):
    """The examples of a test, one line each: outcome, whether by a vote, both scores, prompt."""

    class Moved(VirtualTable.Moved):
        """The cursor stands on another example."""

    class Chosen(VirtualTable.Chosen):
        """An example was opened."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(self._found, self._line, id=id, classes="pane")
        self._rows: dict[int, AbPairRow] = {}
        self._votes: Mapping[int, Sequence[AbVoteRow]] = {}
        self.order: Order = "position"

    @property
    def shown(self) -> list[AbPairRow]:
        """The examples in the order of the list."""
        return [self._rows[position] for position in self.ids]

    def load(self, examples: Examples, *, keep_cursor: bool) -> None:
        """Show these examples."""
        keep = self.current if keep_cursor else None
        self._rows = {pair.position: pair for pair in examples.pairs}
        self._votes = examples.votes
        self._list(keep)

    def turn_round(self) -> None:
        """The next order: that of the test, the worst losses first, what was voted on first; the cursor goes up."""
        self.order = self._following
        self._list(None)

    @property
    def _following(self) -> Order:
        if self.order == "position":
            return "losses"
        return "votes" if self.order == "losses" and self._votes else "position"

    def _list(self, keep: int | None) -> None:
        places = sorted(self._rows)
        if self.order == "losses":
            places.sort(key=lambda position: self._rows[position].score_b - self._rows[position].score_a)
        elif self.order == "votes":
            places.sort(key=lambda position: position not in self._votes)
        self.show(array("q", places), current=keep)
        told = [f"f {ORDERS[self._following]}", "enter opens"]
        if self._votes:
            told.insert(0, "♦ by a vote")
        order = self.order if self._votes or self.order != "votes" else "position"
        self.border_title = Content(f"Examples, {ORDERS[order]}")
        self.border_subtitle = Content(" · ".join(told))

    def _found(self, ids: Sequence[int]) -> dict[int, AbPairRow]:
        return {one: self._rows[one] for one in ids if one in self._rows}

    def _line(self, pair: AbPairRow, width: int) -> Content:
        decided = decision(pair, self._votes.get(pair.position, ()))
        word, colour = _OUTCOMES[decided.winner]
        scores = f"{number(pair.score_a):>5} → {number(pair.score_b):>5} {signed(pair.score_b - pair.score_a):>6}"
        return Content.assemble(
            f" {pair.position + 1:>4} ",
            (word, colour),
            "♦ " if decided.voted else "  ",
            scores if pair.judged else f"{'no score':^{len(scores)}}",
            "  ",
            safe(pair.prompt, one_line=True, limit=300),
        )
