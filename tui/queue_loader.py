"""Keeps the list of a review queue: reads it in a thread, adds what is new, and puts what was not reached yet in a
better order as labels come in. Nothing above the cursor, or close below it, ever moves."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Collection
from dataclasses import replace
from functools import partial

from textual.timer import Timer

from storage.rows import EventSummary
from tui.review_queue import Choice, load_choice, read_order, read_queue, total, with_order
from tui.screens.base import BaseScreen
from tui.widgets.virtual_table import VirtualTable

STAY_BELOW = 3
"""Places below the cursor that keep what they hold: those events are read ahead, and one is painted next."""
LABELS_UNTIL_ORDERED = 10
SECONDS_UNTIL_ORDERED = 5.0
_LABELLED_KEPT = 300


class QueueLoader:
    """Fills `table` for `screen` with what `choice` wants.

    `shown()` is called whenever the list has changed, `failed(error)` when it cannot be read. `judged` holds the events
    of this queue that were judged already: their places stay theirs.
    """

    def __init__(
        self,
        screen: BaseScreen,
        table: VirtualTable[EventSummary],
        shown: Callable[[], None],
        failed: Callable[[BaseException], None],
        judged: Collection[int] = frozenset(),
    ) -> None:
        self._screen = screen
        self._table = table
        self._shown = shown
        self._failed = failed
        self._judged = judged
        self._complete = False
        self._total = -1
        self._labelled: dict[int, None] = {}
        self._since_ordered = 0
        self._timer: Timer | None = None
        self.choice: Choice | None = None

    @property
    def anything(self) -> bool:
        """Whether the store holds events at all."""
        return self._total > 0

    def refresh(self, category: str | None) -> None:
        """Read what is new; the first time, or when another `category` is wanted, the whole queue."""
        count = total(self._screen.store)
        changed, self._total = count != self._total, count
        if self.choice is None:
            choice, current = load_choice(self._screen.store)
            self.load(choice if category is None else choice.for_category(category), current)
        elif category is not None and category != self.choice.category:
            self.load(self.choice.for_category(category), None)
        elif changed:
            self._read_news(replace(self.choice, order="newest"))
        else:
            self._table.reread()

    def load(self, choice: Choice, current: int | None) -> None:
        """Read another queue; the cursor stays on `current` where that is in it."""
        self.choice = choice
        self._complete = False
        self._forget_order()
        home, labelled = self._screen.home, list(self._labelled)
        self._screen.in_background(
            lambda: read_queue(home, choice, labelled),
            group="queue",
            description="reading the review queue",
            then=partial(self._show, current),
            failed=self._failed,
            pane=None if self._table.ids else self._table,
        )

    def _show(self, current: int | None, ids: array[int]) -> None:
        self._complete = True
        self._table.show(ids, current=current)
        self._shown()
        if self._total < 0:
            self.refresh(None)

    def _read_news(self, choice: Choice) -> None:
        home = self._screen.home
        self._screen.in_background(
            lambda: read_queue(home, choice),
            group="news",
            description="reading new events",
            then=partial(self._append, choice),
            in_turn=True,
        )

    def _append(self, choice: Choice, ids: array[int]) -> None:
        """New events go to the end, whatever the order, so that nothing moves under the reader's eyes."""
        if self.choice is None or choice != replace(self.choice, order="newest") or not self._complete:
            self._total = -1  # another queue is on its way: news are looked for again after it
            return
        known = set(self._table.ids)
        self._table.extend([event_id for event_id in ids if event_id not in known])
        self._shown()

    # The order of what was not reached yet.

    def labelled(self, event_id: int) -> None:
        """An event was labelled: what is like it teaches less now. The order follows after ten labels or five
        seconds."""
        self._labelled.pop(event_id, None)
        self._labelled[event_id] = None
        while len(self._labelled) > _LABELLED_KEPT:
            del self._labelled[next(iter(self._labelled))]
        self._order_soon()

    def unlabelled(self, event_id: int) -> None:
        """The label of an event was taken back."""
        if event_id in self._labelled:
            del self._labelled[event_id]
            self._order_soon()

    def _order_soon(self) -> None:
        self._since_ordered += 1
        if self._since_ordered >= LABELS_UNTIL_ORDERED:
            self._order()
        elif self._timer is None:
            self._timer = self._screen.set_timer(SECONDS_UNTIL_ORDERED, self._order)

    def _forget_order(self) -> None:
        self._since_ordered = 0
        if self._timer is not None:
            self._timer.stop()
            self._timer = None

    def _order(self) -> None:
        self._forget_order()
        choice, start = self.choice, self._first_free
        if choice is None or not self._complete or choice.order != "informative" or choice.text:
            return
        ids = [event_id for event_id in self._table.ids[start:] if event_id not in self._judged]
        if len(ids) < 2:
            return
        # What stays below the cursor is labelled next, and so counts as if it were.
        home, labelled = self._screen.home, [*self._labelled, *self._table.ids[self._table.cursor : start]]
        self._screen.in_background(
            lambda: read_order(home, ids, labelled),
            group="order",
            description="ordering the review queue",
            then=partial(self._put_in_order, choice),
            in_turn=True,
        )

    @property
    def _first_free(self) -> int:
        return self._table.cursor + 1 + STAY_BELOW

    def _put_in_order(self, choice: Choice, order: array[int]) -> None:
        """The cursor may have moved meanwhile, and events may have been judged or have come in."""
        if choice is not self.choice or not self._complete:
            return
        start = self._first_free
        if start < len(self._table.ids):
            self._table.replace_tail(start, with_order(self._table.ids, order, start, self._judged))
