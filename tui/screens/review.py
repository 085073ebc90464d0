"""Judging outputs: the queue, one event with its reasons, one key for each verdict, and the next one is there."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container
from textual.widgets import Static

from storage import events
from storage.rows import EventSummary, JudgmentRow, Verdict
from tui import review_queue as queue
from tui.bindings import REVIEW
from tui.queue_loader import QueueLoader
from tui.review_items import ReadItems, ReviewItem, checker, read_items
from tui.review_queue import Choice
from tui.review_session import ReviewSession, load_draft
from tui.screens.base import BaseScreen
from tui.standing_loader import StandingLoader
from tui.widgets.empty import Empty
from tui.widgets.event_pane import EventPane
from tui.widgets.event_view import queue_line, turned_note
from tui.widgets.review_status import nothing_here, status_line
from tui.widgets.search_line import SearchLine
from tui.widgets.virtual_table import VirtualTable

if TYPE_CHECKING:
    from tui.screens.edit import Edited

_AHEAD = 3


class ReviewScreen(BaseScreen):
    """The queue on the left or on top, the event beside or below it."""

    MODE = "review"
    HELP = "review"
    BINDINGS: ClassVar[list[BindingType]] = REVIEW

    def __init__(self) -> None:
        super().__init__()
        self._items = ReadItems()
        self._note = ""

    def compose_body(self) -> ComposeResult:
        yield Static(id="status")
        yield SearchLine(placeholder="words in prompt or response; enter keeps, esc clears", id="search")
        with Container(id="panes"):
            yield VirtualTable(self._fetch, queue_line, id="list", classes="pane")
            yield EventPane(id="event", classes="pane")
        yield Empty(id="nothing")

    def on_mount(self) -> None:
        self._session = ReviewSession(self.finetune, self.home)
        self._queue = QueueLoader(self, self._table, self._show_emptiness, self._show_failure, self._session.judged)
        self._standing = StandingLoader(self, self._show_current)
        self._table.border_title = "Queue"
        self._table.focus()

    @property
    def _table(self) -> VirtualTable[EventSummary]:
        return self.query_one(VirtualTable)

    def _fetch(self, ids: Sequence[int]) -> Mapping[int, EventSummary]:
        return {row.id: row for row in events.summaries(self.store, ids)}

    # The queue.

    def refresh_data(self) -> None:
        """Show what has changed, and the category that the dashboard asks for."""
        category, self.finetune.review_category = self.finetune.review_category, None
        self._queue.refresh(category)
        self._show_current()

    def _load(self, choice: Choice) -> None:
        self._session.begin_queue()
        self._queue.load(choice, self._table.current)
        self._show_status()

    def _show_emptiness(self) -> None:
        empty = not self._table.ids
        self.set_class(empty, "-empty")
        if empty and self._queue.choice is not None:
            self.query_one("#nothing", Empty).show(*nothing_here(self._queue.choice, anything=self._queue.anything))
        self._show_status()
        self.refresh_bindings()

    def _show_failure(self, error: BaseException) -> None:
        self.set_class(True, "-empty")
        self.query_one("#nothing", Empty).show("The queue cannot be read.", [("", str(error)), ("f", "tries another")])

    def _show_status(self, note: str | None = None) -> None:
        self._note = self._note if note is None else note
        if self._queue.choice is not None:
            table = self._table
            line = status_line(self._queue.choice, table.cursor, len(table.ids), self._session.figures, self._note)
            self.query_one("#status", Static).update(line, layout=False)

    # One event, with the next ones read ahead.

    def on_virtual_table_moved(self, event: VirtualTable.Moved) -> None:
        self._session.shown()
        self._show_status()
        self._show_current()
        self._read_items()

    def _read_items(self) -> None:
        at, home = self._table.cursor, self.home
        wanted = self._items.missing(self._table.ids[at : at + _AHEAD])
        if wanted:
            self.in_background(
                lambda: read_items(home, wanted),
                group="item",
                description="reading the event",
                then=self._keep_items,
            )

    def _keep_items(self, items: Sequence[ReviewItem]) -> None:
        self._items.keep(items)
        if any(item.event.id == self._table.current for item in items):
            self._show_current()

    def _show_current(self) -> None:
        item = self._items.get(self._table.current)
        if item is not None:
            self._show_item(item)

    def _show_item(self, item: ReviewItem) -> None:
        has_draft = load_draft(self.store, item.event.id) is not None
        standing = self._standing.of(item.event)
        self.query_one(EventPane).show(item, standing, now=time.time(), has_draft=has_draft)
        self._standing.want(item.event.category)

    def _changed(self, event_id: int) -> None:
        """What was known of an event is out of date."""
        self._items.forget(event_id)
        self._table.reread()
        self._read_items()
        self._show_status()

    # Judging.

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in ("judge", "correct", "scroll", "why"):
            return self.is_mounted and self._table.current is not None
        if action == "search":
            return not isinstance(self.focused, SearchLine)
        return True

    def action_judge(self, kind: Verdict) -> None:
        """Record a verdict and go on to the next event."""
        if self._table.current is not None:
            self._judge(self._table.current, kind, None)

    def _judge(self, event_id: int, kind: Verdict, correction: str | None) -> None:
        self._session.judge(event_id, kind, correction, self._changed)
        following = self._session.next_open(self._table.ids, self._table.cursor)
        self._show_status("" if following is not None else "✓ all of this queue is judged")
        if following is not None:
            self._table.cursor = following
        if kind != "skip":
            self._queue.labelled(event_id)

    def action_undo(self) -> None:
        """Take back the last judgment in force, and go to its event."""
        self._session.undo(partial(self._turned, "undone"))

    def action_redo(self) -> None:
        """Restore the judgment that was taken back last, and go to its event."""
        self._session.redo(partial(self._turned, "redone"))

    def _turned(self, word: str, judgment: JudgmentRow | None) -> None:
        if judgment is None:
            self._show_status(f"nothing left to be {word}")
            return
        if word == "redone" and judgment.kind != "skip":
            self._queue.labelled(judgment.event_id)
        else:
            self._queue.unlabelled(judgment.event_id)
        if not self._table.go_to(judgment.event_id):
            self._table.insert(judgment.event_id)
            self._show_emptiness()
        self._show_status(turned_note(word, judgment))
        self._changed(judgment.event_id)

    def action_correct(self) -> None:
        """Open the editor on the response, or on the draft that was begun."""
        item = self._items.get(self._table.current)
        if item is not None:
            from tui.screens.edit import EditScreen

            draft = load_draft(self.store, item.event.id)
            screen = EditScreen(item.event, draft, checker(self.home, item.event))
            self.app.push_screen(screen, partial(self._on_edited, item.event.id))

    def _on_edited(self, event_id: int, edited: Edited | None) -> None:
        if edited is None:
            return
        if edited.save:
            self._judge(event_id, "correct", edited.text)
        else:
            self._session.keep_draft(event_id, edited.text, partial(self._changed, event_id))

    # Finding.

    def action_next(self, what: str) -> None:
        """The next filter, order or category."""
        if self._queue.choice is not None:
            self._load(queue.following(self._queue.choice, what, self.store))

    def action_search(self) -> None:
        """Open the line that searches."""
        line = self.query_one(SearchLine)
        line.display = True
        self.set_focus(line)

    def on_search_line_typed(self, event: SearchLine.Typed) -> None:
        if self._queue.choice is not None and self._queue.choice.text != event.text:
            self._load(replace(self._queue.choice, text=event.text))

    def on_input_submitted(self) -> None:
        self.set_focus(self._table)

    def action_back(self) -> None:
        """From the search or the event back to the queue."""
        line = self.query_one(SearchLine)
        line.value = ""
        self.set_focus(self._table)
        line.display = False

    def on_virtual_table_chosen(self) -> None:
        self.query_one(EventPane).focus()

    def action_scroll(self, pages: int) -> None:
        """Read on in the event."""
        self.query_one(EventPane).turn(pages)

    def action_why(self) -> None:
        """All the reasons above the event, or only the main ones below it."""
        pane = self.query_one(EventPane)
        pane.in_full = not pane.in_full
        self._show_current()
        pane.scroll_home(animate=False)

    def on_screen_suspend(self) -> None:
        if self._queue.choice is not None:
            choice, current = self._queue.choice, self._table.current
            self.finetune.write(
                lambda store: queue.save_choice(store, choice, current), doing="remembering the review queue"
            )
