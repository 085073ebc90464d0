"""The terms of the query as chips: what the queue shows, each with what takes it out again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.style import Style
from textual.widget import Widget

from core.query import Query, Term
from tui.text import safe

_CUT = 40
_CYCLED = {"is": ("f", "filter"), "category": ("a", "category"), "sort": ("o", "order")}


class QueryChips(Widget, can_focus=True):
    """`show(query, order)` draws one chip for each term. Posts `Removed`, or `Cycled` for a click on what a key goes
    through."""

    DEFAULT_CSS = """
    QueryChips { height: 1; padding: 0 1; }
    QueryChips:focus { background: $panel; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "step(-1)", "Previous", show=False, id="chips.previous", tooltip="The chip before"),
        Binding("right,l", "step(1)", "Next", show=False, id="chips.next", tooltip="The chip after"),
        Binding(
            "delete,backspace,enter,x", "remove", "Take out", show=False, id="chips.remove", tooltip="Search without it"
        ),
    ]

    class Removed(Message):
        """A term is to be taken out."""

        def __init__(self, term: Term) -> None:
            super().__init__()
            self.term = term

    class Cycled(Message):
        """The next `what` (filter, order, category) is wanted."""

        def __init__(self, what: str) -> None:
            super().__init__()
            self.what = what

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._query: Query | None = None
        self._order = ""
        self._at = 0

    def show(self, query: Query, order: str) -> None:
        """Draw the terms; `order` is the one that holds, whether the query says so or not."""
        self._query, self._order = query, order
        self._at = max(0, min(self._at, len(query.terms) - 1))
        self.refresh()

    @property
    def text(self) -> str:
        """What is drawn, without styles."""
        return self.render().plain

    def render(self) -> Content:
        if self._query is None:
            return Content("")
        parts = [
            self._term(index, term) if term is not None else self._unsaid(field)
            for field, index, term in _slots(self._query)
        ]
        return Content("  ").join(parts)

    def _term(self, index: int, term: Term) -> Content:
        assert self._query is not None
        key, what = _CYCLED.get(term.field, ("", "")) if not term.negated else ("", "")
        style = "$text-error" if term.problem else "$text-primary" if term.field else "$text-success"
        marked = self.has_focus and index == self._marked
        said = safe(
            self._query.said(term), f"{style} reverse" if marked else style, one_line=True, limit=_CUT
        )  # the mark on the focused chip must be seen without colours
        label = Content.assemble((f"{key} ", "$text-accent") if key else "", "⚠ " if term.problem else "", said)
        if what:
            label = label.stylize(_click(f"cycle('{what}')"))
        return Content.assemble(label, Content.styled(" ×", "$text-muted").stylize(_click(f"take_out({index})")))

    def _unsaid(self, field: str) -> Content:
        key, what = _CYCLED[field]
        word = {"is": "all", "category": "all categories", "sort": self._order}[field]
        return Content.assemble((f"{key} ", "$text-accent"), word).stylize(_click(f"cycle('{what}')"))

    def on_focus(self) -> None:
        self.refresh()

    def on_blur(self) -> None:
        self.refresh()

    def on_click(self, event: events.Click) -> None:
        event.stop()

    @property
    def _marked(self) -> int:
        """The place in the query of the chip that the keys act on, -1 where there is none."""
        places = [index for _, index, term in _slots(self._query) if term is not None] if self._query else []
        return places[min(self._at, len(places) - 1)] if places else -1

    def action_step(self, chips: int) -> None:
        """Mark the chip before or after."""
        if self._query is not None and self._query.terms:
            self._at = (self._at + chips) % len(self._query.terms)
            self.refresh()

    def action_remove(self) -> None:
        """Take the marked chip out."""
        self.action_take_out(self._marked)

    def action_take_out(self, index: int) -> None:
        """Take a chip out, by its place."""
        if self._query is not None and 0 <= index < len(self._query.terms):
            self.post_message(self.Removed(self._query.terms[index]))

    def action_cycle(self, what: str) -> None:
        """The next filter, order or category."""
        self.post_message(self.Cycled(what))


def _slots(query: Query) -> Sequence[tuple[str, int, Term | None]]:
    """Verdict, category and order in this order, said or not, then the other terms as they stand."""
    cycled: dict[str, tuple[str, int, Term | None]] = {field: (field, -1, None) for field in _CYCLED}
    others: list[tuple[str, int, Term | None]] = []
    for index, term in enumerate(query.terms):
        if term.field in cycled and not term.negated and not term.problem and cycled[term.field][2] is None:
            cycled[term.field] = (term.field, index, term)
        else:
            others.append((term.field, index, term))
    return [*cycled.values(), *others]


def _click(action: str) -> Style:
    return Style.from_meta({"@click": action})
