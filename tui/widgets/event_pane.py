"""The pane that shows one event."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.widgets import Static

from tui.review_items import ReviewItem
from tui.widgets.event_view import event_content, event_title


class EventPane(VerticalScroll):
    """`show(item)` draws everything about an event, from its top."""

    def compose(self) -> ComposeResult:
        yield Static()

    def show(self, item: ReviewItem, *, now: float, has_draft: bool) -> None:
        """Draw `item`; `now` is in seconds since the epoch."""
        self.query_one(Static).update(event_content(item, now=now, has_draft=has_draft))
        self.border_title = event_title(item)
        self.scroll_home(animate=False)

    def turn(self, pages: int) -> None:
        """Scroll by pages, with two lines kept in sight."""
        self.scroll_relative(y=pages * max(1, self.size.height - 2), animate=False)
