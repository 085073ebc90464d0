"""A list of any length over ids: only the lines on the screen are read and drawn.

A hundred thousand rows open as quickly as ten: what is kept is an array of ids and a few pages of rows.
"""

from __future__ import annotations

from array import array
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import ClassVar, Generic, TypeVar

from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.style import Style
from textual.visual import Visual

from tui.ids import index_of
from tui.text import safe

Row = TypeVar("Row")

_PAGE = 64
_PAGES_KEPT = 32
_FEW = 8


class VirtualTable(ScrollView, Generic[Row], can_focus=True):
    """One line for each id. `fetch(ids)` reads rows (a few milliseconds), `draw(row, width)` makes a line of one.

    `follow()` is called at every `Moved`, but in the turn of the cursor itself: what it draws is painted with that
    line, where what comes of the message is one frame late.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {"virtual-table--cursor"}
    DEFAULT_CSS = """
    VirtualTable { height: 1fr; overflow-x: hidden; scrollbar-size-vertical: 1; }
    VirtualTable > .virtual-table--cursor { background: $panel; text-style: bold; }
    VirtualTable:focus > .virtual-table--cursor { background: $primary-muted; text-style: bold; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "move(1)", "Next", show=False, id="list.next", tooltip="One line down"),
        Binding("up,k", "move(-1)", "Previous", show=False, id="list.previous", tooltip="One line up"),
        Binding("pagedown,ctrl+d", "page(1)", "Page down", show=False, id="list.page_down", tooltip="One page down"),
        Binding("pageup,ctrl+u", "page(-1)", "Page up", show=False, id="list.page_up", tooltip="One page up"),
        Binding("home", "first", "First", show=False, id="list.first", tooltip="To the first line"),
        Binding("end,G", "last", "Last", show=False, id="list.last", tooltip="To the last line"),
        Binding("enter", "choose", "Open", show=False, id="list.open", tooltip="Open the line"),
    ]

    cursor: reactive[int] = reactive(0, repaint=False)  # the two lines that it concerns draw themselves

    class Moved(Message):
        """The cursor stands on another id."""

        def __init__(self, item_id: int, index: int) -> None:
            super().__init__()
            self.item_id = item_id
            self.index = index

    class Chosen(Message):
        """A line was opened by enter or by a click on the cursor's line."""

        def __init__(self, item_id: int) -> None:
            super().__init__()
            self.item_id = item_id

    def __init__(
        self,
        fetch: Callable[[Sequence[int]], Mapping[int, Row]],
        draw: Callable[[Row, int], Content],
        *,
        id: str | None = None,
        classes: str | None = None,
        follow: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._follow = follow
        self._fetch = fetch
        self._draw = draw
        self._ids: array[int] = array("q")
        self._pages: OrderedDict[int, Mapping[int, Row]] = OrderedDict()

    @property
    def ids(self) -> array[int]:
        """All ids in order."""
        return self._ids

    @property
    def current(self) -> int | None:
        """The id under the cursor, None in an empty list."""
        return self._ids[self.cursor] if 0 <= self.cursor < len(self._ids) else None

    def show(self, ids: array[int], *, current: int | None = None) -> None:
        """Replace the list; the cursor goes to `current` where it is in it, else to the top. Posts `Moved`."""
        self._ids = ids
        self._pages.clear()
        self.virtual_size = Size(self.virtual_size.width, len(ids))
        index = 0 if current is None else max(0, index_of(ids, current))
        if index == self.cursor:
            self._moved()
        else:
            self.cursor = index
        self.refresh()

    def extend(self, ids: Sequence[int]) -> None:
        """Add ids at the end; the cursor stays."""
        if not ids:
            return
        self._pages.pop(len(self._ids) // _PAGE, None)
        was_empty = not self._ids
        self._ids.extend(array("q", ids))
        self.virtual_size = Size(self.virtual_size.width, len(self._ids))
        self.refresh()
        if was_empty:
            self._moved()

    def replace_tail(self, start: int, ids: Sequence[int], end: int | None = None) -> None:
        """Put `ids` in place of all from index `start` on, or up to `end`.

        Raises ValueError where that is not below the cursor.
        """
        if start <= self.cursor and self._ids:
            raise ValueError(f"index {start} does not lie below the cursor at {self.cursor}")
        self._ids[start:end] = array("q", ids)
        for page in [page for page in self._pages if page >= start // _PAGE]:
            del self._pages[page]
        self.virtual_size = Size(self.virtual_size.width, len(self._ids))
        self.refresh()

    def insert(self, item_id: int) -> None:
        """Add an id where the cursor stands, and put the cursor on it."""
        self._ids.insert(self.cursor, item_id)
        self.show(self._ids, current=item_id)

    def reread(self, only: Collection[int] | None = None) -> None:
        """Read the rows on the screen again, or `only` those of these ids, and draw them."""
        if only is None or len(only) > _FEW:
            self._pages.clear()
            self.refresh()
            return
        self._pages = OrderedDict(
            (page, rows) for page, rows in self._pages.items() if all(item_id not in rows for item_id in only)
        )
        top = self.scroll_offset.y
        for index in range(top, min(top + self.size.height, len(self._ids))):
            if self._ids[index] in only:
                self.refresh_line(index)

    def go_to(self, item_id: int) -> bool:
        """Put the cursor on an id; False when it is not in the list."""
        index = index_of(self._ids, item_id)
        if index < 0:
            return False
        self.cursor = index
        return True

    def validate_cursor(self, value: int) -> int:
        return max(0, min(value, len(self._ids) - 1))

    def watch_cursor(self, before: int, after: int) -> None:
        self._scroll_to_cursor()
        self.refresh_line(before)
        self.refresh_line(after)
        self._moved()

    def _moved(self) -> None:
        if self.current is not None:
            self.post_message(self.Moved(self.current, self.cursor))
            if self._follow is not None:
                self._follow()

    def _scroll_to_cursor(self) -> None:
        self.scroll_to_region(Region(0, self.cursor, max(1, self.size.width), 1), animate=False, force=True)

    def on_resize(self) -> None:
        self._scroll_to_cursor()

    def action_move(self, lines: int) -> None:
        """Move the cursor by lines."""
        self.cursor += lines

    def action_page(self, pages: int) -> None:
        """Move the cursor by pages."""
        self.cursor += pages * max(1, self.size.height - 1)

    def action_first(self) -> None:
        """To the first line."""
        self.cursor = 0

    def action_last(self) -> None:
        """To the last line."""
        self.cursor = len(self._ids) - 1

    def action_choose(self) -> None:
        """Open the line under the cursor."""
        if self.current is not None:
            self.post_message(self.Chosen(self.current))

    def on_click(self, event: events.Click) -> None:
        index = event.y + self.scroll_offset.y
        if not 0 <= index < len(self._ids):
            return
        if index == self.cursor:
            self.action_choose()
        self.cursor = index

    def render_line(self, y: int) -> Strip:
        """The line on row `y` of the widget."""
        index = y + self.scroll_offset.y
        width = self.scrollable_content_region.width
        style = self.visual_style
        if not 0 <= index < len(self._ids):
            return Strip.blank(width, style.rich_style)
        line = self._shown_line(index, width)
        if index == self.cursor:
            style = self.get_visual_style("virtual-table--cursor")
            if self.has_focus and self.app.no_color:
                style += Style(reverse=True)  # without colour a background alone is hard to see
        strips = Visual.to_strips(self, line.truncate(width, ellipsis=True), width, 1, style, pad=True)
        return strips[0].adjust_cell_length(width, style.rich_style) if strips else Strip.blank(width, style.rich_style)

    def _shown_line(self, index: int, width: int) -> Content:
        try:
            row = self._row(index)
            return safe("(removed)", "$text-muted") if row is None else self._draw(row, width)
        except Exception as error:  # noqa: BLE001  what one row holds must not end the app
            return safe(f"✗ cannot be shown: {error}", "$text-error", one_line=True, limit=200)

    def _row(self, index: int) -> Row | None:
        page = index // _PAGE
        rows = self._pages.get(page)
        if rows is None:
            rows = self._fetch(self._ids[page * _PAGE : (page + 1) * _PAGE])
            self._pages[page] = rows
            if len(self._pages) > _PAGES_KEPT:
                self._pages.popitem(last=False)
        return rows.get(self._ids[index])
