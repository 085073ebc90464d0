"""Keeps the list of a review queue: reads it in a thread, adds what is new, and puts what was not reached yet in a
better order as labels come in. Nothing above the cursor, or close below it, ever moves."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Collection
from functools import partial

from textual.timer import Timer

from storage.rows import EventSummary
from storage.search import last_id
from tui.once import once
from tui.review.queue import (
    FIRST,
    NEAR,
    ORDERED,
    Choice,
    Rest,
    read_first,
    read_news,
    read_order,
    read_queue,
    read_rest,
    with_order,
)
from tui.screens.base import BaseScreen
from tui.widgets.virtual_table import VirtualTable

STAY_BELOW = 3
"""Places below the cursor that keep what they hold: those events are read ahead, and one is painted next."""
LABELS_UNTIL_ORDERED = 10
SECONDS_UNTIL_ORDERED = 5.0
SECONDS_UNTIL_REST = 0.4
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
        self._last = -1
        self._labelled: dict[int, None] = {}
        self._since_ordered = 0
        self._timer: Timer | None = None
        self._rest: Timer | None = None
        self._partial = False
        self._appended = False
        self.choice: Choice | None = None

    @property
    def anything(self) -> bool:
        """Whether the store holds events at all."""
        return last_id(self._screen.store) > 0

    @property
    def complete(self) -> bool:
        """Whether the list holds all that the query finds."""
        return self._complete

    @property
    def partial(self) -> bool:
        """Whether the first of it are shown and the rest is on its way."""
        return self._partial

    def refresh(self) -> None:
        """Read what is new."""
        if not self._read_news():
            self._table.reread()

    def load(self, choice: Choice, current: int | None) -> None:
        """Read another queue; the cursor stays on `current` where that is in it."""
        self.choice = choice
        self._complete = self._partial = self._appended = False
        self._last = last_id(self._screen.store)
        self._forget_order()
        if self._rest is not None:
            self._rest.stop()
        home, labelled = self._screen.home, list(self._labelled)
        # Weighing what teaches most takes seconds in a large store: the newest stand there meanwhile.
        in_steps = choice.in_steps or (choice.order == "informative" and self._last > NEAR)
        self._screen.in_background(
            lambda: read_first(home, choice) if in_steps else (read_queue(home, choice, labelled), True),
            group="queue",
            description="reading the review queue",
            then=partial(self._show, current),
            failed=self._failed,
            pane=None if self._table.ids else self._table,
        )

    def _show(self, current: int | None, found: tuple[array[int], bool]) -> None:
        ids, all_of_them = found
        ordered = self.choice is None or self.choice.order != "informative" or self._last <= NEAR
        self._complete = all_of_them and ordered
        self._partial = not self._complete
        self._table.show(ids, current=current)
        self._shown()
        if self._complete:
            self._read_news()
        else:
            self._rest = once(
                self._screen, SECONDS_UNTIL_REST if len(ids) >= FIRST and ordered else 0.0, self._read_rest
            )

    def _read_rest(self) -> None:
        choice, home, labelled = self.choice, self._screen.home, list(self._labelled)
        if choice is not None:
            first = self._table.ids[:]
            self._screen.in_background(
                lambda: read_rest(home, choice, labelled, first),
                group="rest",
                description="reading the rest of the review queue",
                then=partial(self._show_rest, choice),
            )

    def _show_rest(self, choice: Choice, rest: Rest) -> None:
        if choice is not self.choice:
            return
        self._complete, self._partial = True, False
        start = self._first_free
        if choice.order == "informative" and start < len(self._table.ids):
            self._table.replace_tail(start, rest.after(self._table.ids[:start]))
        else:
            self._table.extend(rest.after(self._table.ids))
        self._shown()

    def _read_news(self) -> bool:
        """Look for events that came in since; whether there are any."""
        home, choice, known, last = self._screen.home, self.choice, self._last, last_id(self._screen.store)
        if choice is None or not self._complete or last <= known:
            return False
        # The list was read after the last id was: once, what came in between has to be told from what came later.
        shown = None if self._appended else self._table.ids[:]
        self._screen.in_background(
            lambda: read_news(home, choice, known, shown),
            group="news",
            description="reading new events",
            then=partial(self._append, choice, last),
            in_turn=True,
        )
        return True

    def _append(self, choice: Choice, last: int, ids: array[int]) -> None:
        """New events go to the end, whatever the order, so that nothing moves under the reader's eyes."""
        if choice is self.choice and self._complete:
            # It may have read more than there was when it was asked for.
            self._last, self._appended = max(last, *ids[-1:]), True
            self._table.extend(ids)
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
        if choice is None or not self._complete or choice.order != "informative":
            return
        ids = [event_id for event_id in self._table.ids[start : start + ORDERED] if event_id not in self._judged]
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
            near = self._table.ids[: start + ORDERED]
            self._table.replace_tail(start, with_order(near, order, start, self._judged), len(near))
