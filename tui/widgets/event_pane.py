"""The pane that shows one event."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.widgets import Static

from tui.review_items import ReviewItem
from tui.widgets.event_view import event_content, event_title

if TYPE_CHECKING:
    from core.standing import Standing


class EventPane(VerticalScroll):
    """`show(item)` draws everything about an event, from its top; the same event again stays where it was scrolled to.

    `in_full` puts the whole explanation on top.
    """

    in_full = False

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._shown: int | None = None

    def compose(self) -> ComposeResult:
        yield Static()

    def show(self, item: ReviewItem, standing: Standing | None, *, now: float, has_draft: bool) -> None:
        """Draw `item` and where it stands in its category; `now` is in seconds since the epoch."""
        content = event_content(item, standing, now=now, has_draft=has_draft, in_full=self.in_full)
        self.query_one(Static).update(content)
        self.border_title = event_title(item)
        if item.event.id != self._shown:
            self.scroll_home(animate=False)
        self._shown = item.event.id

    def turn(self, pages: int) -> None:
        """Scroll by pages, with two lines kept in sight."""
        self.scroll_relative(y=pages * max(1, self.size.height - 2), animate=False)
