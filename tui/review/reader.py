"""What stands in the pane of the review: the event under the cursor, with the next ones read ahead."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from textual.timer import Timer

from storage.rows import EventSummary
from tui.review.drafts import begun
from tui.review.items import ReadItems, ReviewItem, count_answers, read_items
from tui.review.standing_loader import StandingLoader
from tui.widgets.event_pane import EventPane

if TYPE_CHECKING:
    from tui.review.session import ReviewSession
    from tui.screens.base import BaseScreen
    from tui.widgets.virtual_table import VirtualTable

_AHEAD: Final = 3
SETTLE_SECONDS: Final = 0.6


class Reader:
    """Keeps the pane on the event under the cursor; `shown()` is called when one has come on the screen."""

    def __init__(
        self,
        screen: BaseScreen,
        table: VirtualTable[EventSummary],
        session: ReviewSession,
        shown: Callable[[], None],
    ) -> None:
        self._screen = screen
        self._table = table
        self._session = session
        self._shown = shown
        self._items = ReadItems()
        self._answers: tuple[int | None, int] = (None, 0)
        self._timer: Timer | None = None
        self._standing = StandingLoader(screen, self.show)

    @property
    def item(self) -> ReviewItem | None:
        """The event under the cursor, None while it is being read."""
        return self._items.get(self._table.current)

    @property
    def answers(self) -> int:
        """How many answers there are to the prompt of the event under the cursor, 0 while that is not known."""
        event_id, count = self._answers
        return count if event_id == self._table.current else 0

    @property
    def pane(self) -> EventPane:
        """Where it is shown."""
        return self._screen.query_one(EventPane)

    def read_ahead(self) -> None:
        """Read the event under the cursor and those after it, where that was not done yet."""
        at, home = self._table.cursor, self._screen.home
        wanted = self._items.missing(self._table.ids[at : at + _AHEAD])
        if wanted:
            self._screen.in_background(
                lambda: read_items(home, wanted),
                group="item",
                description="reading the event",
                then=self._keep,
            )

    def _keep(self, items: Sequence[ReviewItem]) -> None:
        self._items.keep(items)
        if any(item.event.id == self._table.current for item in items):
            self.show()
            self._shown()

    def show(self) -> None:
        """Paint the event under the cursor as far as it is known."""
        item = self.item
        if item is not None:
            event = item.event
            has_draft, blind = begun(self._screen.finetune, event.id) is not None, self._session.blind.get(event.id)
            self.pane.show(item, self._standing.of(event), now=time.time(), has_draft=has_draft, blind=blind)
            self._standing.want(event.category)
            self._count_answers(event.id)

    def _count_answers(self, event_id: int) -> None:
        """Once it has stood there for a moment: in a large store that is not found at once."""
        if self._answers[0] == event_id:
            return
        self._answers = (event_id, 0)
        if self._timer is not None:
            self._timer.stop()
        home = self._screen.home
        self._timer = self._screen.set_timer(
            SETTLE_SECONDS,
            lambda: self._screen.in_background(
                lambda: count_answers(home, event_id),
                group="answers",
                description="looking for other answers",
                then=partial(self._counted, event_id),
                in_turn=True,
            ),
        )

    def _counted(self, event_id: int, count: int) -> None:
        if self._answers[0] == event_id:
            self._answers = (event_id, count)
            self._shown()

    def changed(self, event_ids: Iterable[int]) -> None:
        """What was known of events is out of date."""
        changed = list(event_ids)
        self._items.forget(changed)
        self._table.reread(changed)
        self.read_ahead()
