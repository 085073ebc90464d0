"""The two lists of the scoreboard: A/B tests, and the examples of one."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

from textual.content import Content

from storage.rows import AbPairRow, AbTestRow
from tui.text import safe
from tui.views import ScoreboardView
from tui.widgets.virtual_table import VirtualTable
from tui.words import VERDICT_GLYPHS, ago, number, percent, signed

_WIDE = 90
_OUTCOMES = {"a": "✗ lost", "b": "✓ won ", "tie": "= tie "}


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
    """The examples of a test, one line each: outcome, both scores, prompt. In order, or the worst losses first."""

    class Moved(VirtualTable.Moved):
        """The cursor stands on another example."""

    class Chosen(VirtualTable.Chosen):
        """An example was opened."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(self._found, _example_line, id=id, classes="pane")
        self._rows: dict[int, AbPairRow] = {}
        self.losses_first = False

    @property
    def shown(self) -> list[AbPairRow]:
        """The examples in the order of the list."""
        return [self._rows[position] for position in self.ids]

    def load(self, pairs: Sequence[AbPairRow], *, keep_cursor: bool) -> None:
        """Show these examples."""
        keep = self.current if keep_cursor else None
        self._rows = {pair.position: pair for pair in pairs}
        self._list(keep)

    def turn_round(self) -> None:
        """Change between the order of the test and the worst losses first; the cursor goes to the top."""
        self.losses_first = not self.losses_first
        self._list(None)

    def _list(self, keep: int | None) -> None:
        order = sorted(self._rows)
        if self.losses_first:
            order.sort(key=lambda position: self._rows[position].score_b - self._rows[position].score_a)
        self.show(array("q", order), current=keep)
        self.border_subtitle = "losses first · enter opens" if self.losses_first else "enter opens"

    def _found(self, ids: Sequence[int]) -> dict[int, AbPairRow]:
        return {one: self._rows[one] for one in ids if one in self._rows}


def _example_line(pair: AbPairRow, width: int) -> Content:
    outcome = _OUTCOMES.get(pair.winner, "")
    return Content.assemble(
        f" {pair.position + 1:>4} {outcome} {number(pair.score_a):>5} → {number(pair.score_b):>5}"
        f" {signed(pair.score_b - pair.score_a):>6}  ",
        safe(pair.prompt, one_line=True, limit=300),
    )
