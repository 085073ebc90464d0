"""Keeps the list of a review queue: reads it in a thread, and adds what is new without moving anything."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from storage.rows import EventSummary
from tui.review_queue import Choice, load_choice, read_queue, total
from tui.screens.base import BaseScreen
from tui.widgets.virtual_table import VirtualTable


class QueueLoader:
    """Fills `table` for `screen` with what `choice` wants.

    `shown()` is called whenever the list has changed, `failed(error)` when it cannot be read.
    """

    def __init__(
        self,
        screen: BaseScreen,
        table: VirtualTable[EventSummary],
        shown: Callable[[], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        self._screen = screen
        self._table = table
        self._shown = shown
        self._failed = failed
        self._complete = False
        self._total = -1
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
        home = self._screen.home
        self._screen.in_background(
            lambda: read_queue(home, choice),
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
