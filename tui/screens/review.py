"""Judging outputs: the queue, one event with its reasons, one key for each verdict, and the next one is there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container
from textual.content import Content
from textual.widgets import Static

from core.categories import load_categories
from storage import events
from storage.rows import EventSummary, Verdict
from tui.review.bulk import Bulk, BulkProgress
from tui.review.finding import FindingScreen
from tui.review.judging import Judging
from tui.review.keys import REVIEW
from tui.review.queue_loader import QueueLoader
from tui.review.reader import Reader
from tui.review.session import ReviewSession
from tui.widgets.empty import Empty
from tui.widgets.event_pane import EventPane
from tui.widgets.event_view import queue_line
from tui.widgets.query_chips import QueryChips
from tui.widgets.review_status import Place, status_line
from tui.widgets.search_line import SearchLine
from tui.widgets.virtual_table import VirtualTable

_NEEDS_EVENT = frozenset(
    {"judge", "correct", "outside", "scroll", "why", "mark", "mark_all", "move", "guidelines", "prompt", "step"}
)


class ReviewScreen(FindingScreen):
    """The queue on the left or on top, the event beside or below it."""

    MODE = "review"
    HELP = "review"
    BINDINGS: ClassVar[list[BindingType]] = REVIEW
    DEFAULT_CSS = """
    ReviewScreen #panes { height: 1fr; layout: horizontal; }
    ReviewScreen #list, ReviewScreen #event {
        height: 1fr; border: round $foreground 25%; border-title-color: $text-muted; padding: 0 1;
    }
    ReviewScreen #list { width: 2fr; }
    ReviewScreen #event { width: 3fr; scrollbar-size-vertical: 1; }
    ReviewScreen #list:focus, ReviewScreen #event:focus {
        border: heavy $accent; border-title-color: $text; border-title-style: bold;
    }
    ReviewScreen.-narrow #panes { layout: vertical; }
    ReviewScreen.-narrow #list { width: 1fr; height: 4; border: none; border-top: solid $foreground 25%; padding: 0; }
    ReviewScreen.-narrow #event { width: 1fr; border: none; border-top: solid $foreground 25%; }
    ReviewScreen.-narrow #list:focus, ReviewScreen.-narrow #event:focus { border: none; border-top: heavy $accent; }
    ReviewScreen.-narrow.-reading #list { display: none; }
    ReviewScreen #search { display: none; }
    ReviewScreen.-searching #search { display: block; }
    ReviewScreen.-searching #chips { display: none; }
    ReviewScreen #status { height: 1; padding: 0 1; text-wrap: nowrap; text-overflow: ellipsis; }
    ReviewScreen #nothing { display: none; }
    ReviewScreen.-empty #panes { display: none; }
    ReviewScreen.-empty #nothing { display: block; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._note = ""

    def compose_body(self) -> ComposeResult:
        yield QueryChips(id="chips")
        yield SearchLine(placeholder="words, or is: score:<60 finding: model: age:<7d …; enter keeps, esc", id="search")
        yield Static(id="status")
        with Container(id="panes"):
            yield VirtualTable(self._fetch, self._line, id="list", follow=self._follow)
            yield EventPane(id="event")
        yield Empty(id="nothing")

    def on_mount(self) -> None:
        table = self.table
        self._session = ReviewSession(self.finetune, self.home)
        self.queue = QueueLoader(self, table, self.show_queue, self.show_failure, self._session.judged)
        self._reader = Reader(self, table, self._session, self.show_status)
        self._judging = Judging(self, self._session, self._reader)
        self._bulk = Bulk(self, table, self._session, self._judging.after_many)
        table.border_title = "Queue"
        table.focus()

    def on_unmount(self) -> None:
        self._bulk.stop()

    def _fetch(self, ids: Sequence[int]) -> Mapping[int, EventSummary]:
        return {row.id: row for row in events.summaries(self.store, ids)}

    def _line(self, row: EventSummary, width: int) -> Content:
        return queue_line(row, width, marked=row.id in self._bulk.marked, blind=self._session.blind.get(row.id))

    def begin_queue(self) -> None:
        """What was judged and marked is no longer passed over or kept."""
        self._session.begin_queue()
        self._bulk.clear()

    def refresh_data(self) -> None:
        """Show what has changed, and what another screen asks for."""
        super().refresh_data()
        self._reader.show()

    def show_status(self, note: str | None = None) -> None:
        """Draw the status line; a `note` replaces the last one."""
        self._note = self._note if note is None else note
        table = self.table
        place = Place(table.cursor, len(table.ids), self.queue.partial, len(self._bulk.marked), self._reader.answers)
        self.query_one("#status", Static).update(status_line(place, self._session.figures, self._note), layout=False)

    def _follow(self) -> None:
        self._session.shown()
        self.show_status()
        self._reader.show()
        if self._reader.item is None:
            self._reader.read_ahead()
        else:
            self.call_after_refresh(self._reader.read_ahead)  # it would only take the time of the frame

    # Judging.

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if not self.is_mounted:
            return action not in _NEEDS_EVENT and action != "rank"
        if action in _NEEDS_EVENT:
            return self.table.current is not None
        if action == "search":
            return not isinstance(self.focused, SearchLine)
        if action == "rank":
            return self._reader.answers > 1
        return True

    def action_judge(self, kind: Verdict) -> None:
        """Record a verdict and go on to the next event; of all that are marked, where some are."""
        item = self._reader.item
        if self._bulk.working:
            self.show_status("many outputs are being judged; esc stops it")
        elif self._bulk.marked and kind != "correct":
            self._bulk.ask(kind)
        elif item is not None:
            self._judging.judge(item.event, kind)

    def action_undo(self) -> None:
        """Take back what was said last, and go to its event."""
        self._judging.undo()

    def action_redo(self) -> None:
        """Restore what was taken back last, and go to its event."""
        self._judging.redo()

    def action_correct(self) -> None:
        """Open the editor on the response, or on the draft that was begun."""
        self._judging.correct()

    def action_outside(self) -> None:
        """The same in the person's own editor."""
        self._judging.outside()

    def action_mark(self) -> None:
        """Mark the event, or take its mark off."""
        self._bulk.mark()
        self.show_status("")

    def action_mark_all(self) -> None:
        """Mark all that the query shows, or none."""
        self._bulk.mark_all()
        self.show_status("")

    def action_move(self) -> None:
        """Ask for another category."""
        item = self._reader.item
        self._bulk.choose_category(item.event.category if item is not None and not self._bulk.marked else "")

    def on_bulk_progress(self, event: BulkProgress) -> None:
        if self._bulk.working:
            share = 100 * event.done // max(1, event.total)
            self.show_status(f"judging {len(self._bulk.marked):,} outputs: {share} %; esc stops it")

    # Reading.

    def action_back(self) -> None:
        """One step back: stop what works, leave the search or the event, take off the marks, then the words."""
        if self._bulk.working:
            self._bulk.stop()
        elif self.searching:
            self.step_back()
        elif self.focused is not self.table and not self.has_class("-empty"):
            self.set_focus(self.table)
        elif self._bulk.clear():
            self.show_status("")
        else:
            self.step_back()

    def on_virtual_table_chosen(self) -> None:
        self._reader.pane.focus()

    def on_descendant_focus(self) -> None:
        self.set_class(isinstance(self.focused, EventPane), "-reading")

    def action_step(self, events: int) -> None:
        """The next event or the one before, without a verdict."""
        self.table.cursor += events

    def action_scroll(self, pages: int) -> None:
        """Read on in the event."""
        self._reader.pane.turn(pages)

    def action_why(self) -> None:
        """All the reasons above the event, or only the main ones below it."""
        self._reader.pane.in_full = not self._reader.pane.in_full
        self._reader.pane.redraw()

    def action_prompt(self) -> None:
        """A long prompt to its end, or cut."""
        self._reader.pane.whole_prompt = not self._reader.pane.whole_prompt
        self._reader.pane.redraw()

    def action_guidelines(self) -> None:
        """What the category asks of an answer."""
        from tui.screens.guidelines import GuidelinesScreen

        item = self._reader.item
        if item is not None:
            own = load_categories(self.home).get(item.event.category)
            text = own.guidelines if own is not None else ""
            self.app.push_screen(GuidelinesScreen(item.event.category, text, self.home.config))

    def action_rank(self) -> None:
        """Compare the answers to this prompt."""
        item = self._reader.item
        if item is not None:
            self.finetune.open("rank", category=item.event.category, prompt_event=item.event.id)

    def copyable(self) -> str:
        """The answer in front, as corrected where it was."""
        item = self._reader.item
        return "" if item is None else item.event.correction or item.event.response
