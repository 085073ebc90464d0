"""One answer of two, drawn row by row: only what is on the screen is wrapped into lines and styled."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache

from rich.cells import cell_len
from textual.content import Content
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.visual import Visual

from tui.rank.diff import Line

Rows = Sequence[tuple[Line | None, Line | None]]

_GUTTER = 2
_GLYPHS = {"same": "  ", "changed": "≠ ", "alone": "+ "}
_NOWHERE = "╌"


class Half(ScrollView, can_focus=False):
    """One side (0 left, 1 right) of rows that both sides share.

    `≠` stands before a line with marked words, `+` before one that the other answer has not, `╌` where it is missing.
    """

    DEFAULT_CSS = """
    Half { overflow-x: hidden; scrollbar-size-vertical: 1; }
    """

    class Resized(Message):
        """There is another width to wrap to."""

    def __init__(self, side: int, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self.side = side
        self._rows: Rows = ()
        self._tops = array("q", [0])
        self._wrap = 0
        self._following = False
        self.partner: Half | None = None

    @property
    def text_width(self) -> int:
        """The cells that a line of text may take, a scrollbar reckoned with; below 1 before there is a size."""
        # A scrollbar that is not shown yet takes no cell, and nobody tells when it comes.
        return self.container_size.width - self.styles.scrollbar_size_vertical - _GUTTER

    def lay_out(self, rows: Rows, tops: array[int], width: int) -> None:
        """Show these rows: row `n` begins at line `tops[n]`, its text wrapped to `width` cells."""
        self._rows, self._tops, self._wrap = rows, tops, width
        self.virtual_size = Size(0, tops[-1])
        self.refresh()

    def follow(self, y: float) -> None:
        """Go to a line that the other side has gone to."""
        # At once and without an echo: the other side may be on its way further already, or end a line later.
        self._following = True
        self.scroll_to(y=y, animate=False, force=True)
        self._following = False

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        if self.partner is not None and not self._following:
            self.partner.follow(new_value)

    def on_resize(self) -> None:
        self.post_message(self.Resized())

    def difference(self, step: int) -> int | None:
        """The line on which the next difference below (`step` 1) or above (−1) begins, None where there is none."""
        at = bisect_right(self._tops, round(self.scroll_y)) - 1
        inside = _differs(self._rows, at)
        index = at + step
        while 0 <= index < len(self._rows):
            here = _differs(self._rows, index)
            if here and not (inside if step > 0 else _differs(self._rows, index - 1)):
                return self._tops[index]
            inside = here
            index += step
        return None

    def text(self) -> str:
        """All lines of this side as they are shown, without the marks."""
        return "\n".join(row[self.side].text for row in self._rows if row[self.side] is not None)  # type: ignore[union-attr]

    def render_line(self, y: int) -> Strip:
        """The line on row `y` of the widget."""
        width, style = self.scrollable_content_region.width, self.visual_style
        line = y + round(self.scroll_y)
        if not 0 <= line < self._tops[-1]:
            return Strip.blank(width, style.rich_style)
        row = bisect_right(self._tops, line) - 1
        drawn = self._drawn(self._rows[row][self.side], line - self._tops[row])
        strips = Visual.to_strips(self, drawn.truncate(width), width, 1, style, pad=True)
        return strips[0].adjust_cell_length(width, style.rich_style) if strips else Strip.blank(width, style.rich_style)

    def _drawn(self, line: Line | None, part: int) -> Content:
        if line is None:
            return Content.styled(_NOWHERE * (self._wrap + _GUTTER), "$text-disabled")
        if not line.text and len(self._rows) == 1:
            return Content.styled("  (an empty answer)", "$text-muted")
        ends = breaks(line.text, self._wrap)
        if part >= len(ends):
            return Content("")
        start, end = (ends[part - 1] if part else 0), ends[part]
        gutter = Content.styled(_GLYPHS[line.kind] if part == 0 else "  ", "$text-warning bold")
        text = Content(line.text[start:end])
        if line.kind == "alone":
            text = text.stylize("$text-warning")
        for first, last in line.marked:
            if first < end and last > start:
                text = text.stylize("$text-warning bold underline", max(first, start) - start, min(last, end) - start)
        return gutter + text


def heights(rows: Rows, width: int) -> array[int]:
    """The line on which each row begins, and last how many lines there are, at `width` cells of text."""
    tops, at = array("q", [0]), 0
    for left, right in rows:
        lines = 1
        for side in (left, right):
            if side is not None and (len(side.text) > width or not side.text.isascii()):
                lines = max(lines, len(breaks(side.text, width)))
        at += lines
        tops.append(at)
    return tops


def _differs(rows: Rows, at: int) -> bool:
    if not 0 <= at < len(rows):
        return False
    left, right = rows[at]
    return left is None or right is None or left.kind != "same"


@lru_cache(maxsize=8_192)
def breaks(text: str, width: int) -> tuple[int, ...]:
    """Where the lines end into which `text` is wrapped at `width` cells: after a space where there is one."""
    if text.isascii():
        return _ascii_breaks(text, width)
    ends: list[int] = []
    start = used = 0
    space = -1
    for at, character in enumerate(text):
        cells = 1 if character.isascii() else cell_len(character)
        while used + cells > width and at > start:
            start = space + 1 if space >= start else at
            ends.append(start)
            used = cell_len(text[start:at])
        used += cells
        if character == " ":
            space = at
    return (*ends, len(text))


def _ascii_breaks(text: str, width: int) -> tuple[int, ...]:
    ends: list[int] = []
    start = 0
    while len(text) - start > width:
        space = text.rfind(" ", start, start + width + 1)
        start = space + 1 if space > start else start + width
        ends.append(start)
    return (*ends, len(text))
