"""The half of the review that finds: the query, its chips, the line that searches, and the queue that comes of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from textual.widgets import Input

from storage.rows import EventSummary
from tui.review.queue import START, Choice, asked_text, choose, following
from tui.review.queue_loader import QueueLoader
from tui.screens.base import BaseScreen
from tui.widgets.empty import Empty
from tui.widgets.query_chips import QueryChips
from tui.widgets.review_status import nothing_here
from tui.widgets.search_line import SearchLine
from tui.widgets.virtual_table import VirtualTable


class FindingScreen(BaseScreen):
    """A screen on a queue that a query chooses. A subclass makes `queue` in its `on_mount`."""

    queue: QueueLoader

    def __init__(self) -> None:
        super().__init__()
        self._first: tuple[str, int | None] = (START, None)
        self._before: tuple[str, int | None] = ("", None)

    @property
    def table(self) -> VirtualTable[EventSummary]:
        """The queue on the screen."""
        return self.query_one(VirtualTable)

    def show_status(self, note: str | None = None) -> None:
        """Draw the line that tells where one stands; a `note` replaces the last one."""
        raise NotImplementedError

    def begin_queue(self) -> None:
        """Another queue comes: forget what was kept about the one before."""
        raise NotImplementedError

    def state(self) -> Mapping[str, Any]:
        """The query without its words, which would hide the queue the next time, and the event."""
        if self.queue.choice is None:
            return {}
        return {"query": self.queue.choice.query.without_words(), "current": self.table.current}

    def restore(self, state: Mapping[str, Any]) -> None:
        text, current = state.get("query"), state.get("current")
        self._first = (text if isinstance(text, str) else START, current if isinstance(current, int) else None)

    def refresh_data(self) -> None:
        """Show what has changed, and what another screen asks for."""
        asked, choice = self.take_asked(), self.queue.choice
        event = asked.get("event")
        text = asked_text(asked, choice.query if choice else None, self.table.ids)
        if text is not None or choice is None:
            start, current = self._first
            self.load(choose(start if text is None else text), event if isinstance(event, int) else current)
        else:
            if isinstance(event, int):
                self.table.go_to(event)
            self.queue.refresh()

    def load(self, choice: Choice, current: int | None = None) -> None:
        """Show another queue, with the cursor on the event `current`, else where it is; a search begins at its top."""
        self.begin_queue()
        self.queue.load(choice, self.table.current if current is None and not choice.typing else current)
        self.query_one(QueryChips).show(choice.query, choice.order)
        self.show_status(f"⚠ {choice.query.errors[0]}" if choice.query.errors and not choice.typing else "")

    def show_queue(self) -> None:
        """The list has changed."""
        empty, choice = not self.table.ids, self.queue.choice
        if self.has_class("-empty") and not empty and not self.searching:
            self.set_focus(self.table)  # while it was hidden the focus went elsewhere
        self.set_class(empty, "-empty")
        if empty and choice is not None:
            said = nothing_here(choice, anything=self.queue.anything, complete=self.queue.complete)
            self.query_one("#nothing", Empty).show(*said)
        self.show_status()
        self.refresh_bindings()

    def show_failure(self, error: BaseException) -> None:
        """The list cannot be read."""
        self.set_class(True, "-empty")
        self.query_one("#nothing", Empty).show("The queue cannot be read.", [("", str(error)), ("f", "tries another")])

    # The chips, and the keys that go through their values.

    def action_next(self, what: str) -> None:
        """The next filter, order or category."""
        if self.queue.choice is not None:
            self.load(choose(following(self.queue.choice.query, what, self.store)))

    def on_query_chips_cycled(self, event: QueryChips.Cycled) -> None:
        self.action_next(event.what)

    def on_query_chips_removed(self, event: QueryChips.Removed) -> None:
        if self.queue.choice is not None:
            self.load(choose(self.queue.choice.query.without(event.term)))

    # The line that searches.

    @property
    def searching(self) -> bool:
        """Whether a query is being typed."""
        return self.has_class("-searching")

    def action_search(self) -> None:
        """Open the line on the query, to write on at its end."""
        text = self.queue.choice.query.text if self.queue.choice is not None else ""
        self._before = (text, self.table.current)
        line = self.query_one(SearchLine)
        line.load(f"{text} " if text else "")
        self.set_class(True, "-searching")
        self.set_focus(line)

    def on_search_line_typed(self, event: SearchLine.Typed) -> None:
        choice = choose(event.raw, typing=True)
        if self.searching and (self.queue.choice is None or choice.query.text != self.queue.choice.query.text):
            self.load(choice)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self._close_search(event.value.strip())

    def step_back(self) -> None:
        """Out of the search as if nothing had been typed, else without the words that are looked for."""
        query = self.queue.choice.query if self.queue.choice is not None else None
        if self.searching:
            self._close_search(*self._before)
        elif query is not None and (query.searches_text or query.errors):
            self.load(choose(query.without_words()))

    def _close_search(self, text: str, current: int | None = None) -> None:
        self.set_class(False, "-searching")
        self.query_one(SearchLine).load("")
        self.set_focus(self.table)
        choice = self.queue.choice
        if choice is None or choice.typing or choice.query.text != text:
            self.load(choose(text), current)
