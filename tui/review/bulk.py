"""What concerns many outputs at once: marking them, one verdict or another category for all, and stopping that."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from storage.rows import EventSummary, Opinion
from tui.messages import Progress
from tui.screens.confirm import ConfirmScreen
from tui.widgets.event_view import VERDICT_MARKS
from tui.words import counted

if TYPE_CHECKING:
    from tui.review.session import ReviewSession
    from tui.screens.review import ReviewScreen
    from tui.widgets.virtual_table import VirtualTable

_AT_ONCE: Final = 50_000


class BulkProgress(Progress):
    """How far a judgment of many outputs is; a newer one takes the place of an older one."""


class Bulk:
    """The marks on the queue, and what is done with all that are marked.

    `finished(note, changed)` is called when that is done, with the events that are not as they were.
    """

    def __init__(
        self,
        screen: ReviewScreen,
        table: VirtualTable[EventSummary],
        session: ReviewSession,
        finished: Callable[[str, Sequence[int]], None],
    ) -> None:
        self._screen = screen
        self._table = table
        self._session = session
        self._finished = finished
        self._stop = threading.Event()
        self.marked: dict[int, None] = {}
        self.working = False

    def mark(self) -> None:
        """Mark the event under the cursor, or take its mark off, and go on."""
        current = self._table.current
        if current is None:
            return
        if current in self.marked:
            del self.marked[current]
        else:
            self.marked[current] = None
        self._table.refresh()
        self._table.cursor += 1

    def mark_all(self) -> None:
        """Mark everything that the query shows; when that is so already, take all marks off."""
        ids = self._table.ids[:]
        if len(self.marked) == len(ids) or len(ids) <= _AT_ONCE:
            self._put({} if len(self.marked) == len(ids) else dict.fromkeys(ids))
        else:
            self._screen.in_background(
                lambda: dict.fromkeys(ids), group="marks", description="marking all", then=self._put
            )

    def _put(self, marked: dict[int, None]) -> None:
        self.marked = marked
        self._table.refresh()
        self._screen.show_status("")

    def clear(self) -> bool:
        """Take all marks off; whether there were any."""
        had, self.marked = bool(self.marked), {}
        self._table.refresh()
        return had

    def stop(self) -> None:
        """Stop what is being done with many; nothing of it stays."""
        self._stop.set()

    def ask(self, kind: Opinion) -> None:
        """Ask once, then judge all that are marked."""
        ids = list(self.marked)
        _, word, _ = VERDICT_MARKS[kind]
        question = ConfirmScreen(
            f"{counted(len(ids), 'output')}: {word}?",
            "Each gets this verdict, also where it has another one. One u takes all of it back.",
            verb=f"All {word}",
        )
        self._screen.app.push_screen(question, partial(self._judge, ids, kind))

    def _judge(self, ids: Sequence[int], kind: Opinion, yes: bool | None) -> None:
        if not yes:
            return
        self.working = True
        self._stop.clear()
        self._session.judge_many(
            ids,
            kind,
            progress=lambda done, total: _post(self._screen, BulkProgress(done, total)),
            cancelled=self._stop.is_set,
            then=partial(self._judged, ids, kind),
        )
        self._screen.post_message(BulkProgress(0, len(ids)))

    def _judged(self, ids: Sequence[int], kind: Opinion, count: int) -> None:
        self.working = False
        if not count:
            self._finished("stopped: no verdict was given", ())
            return
        self.marked = {}
        glyph, word, _ = VERDICT_MARKS[kind]
        self._finished(f"{glyph} {word} on {counted(count, 'output')}; u takes it back", ids)

    def choose_category(self, current: str) -> None:
        """Ask for another category of what is marked, else of the event under the cursor."""
        from tui.screens.choose_category import ChooseCategoryScreen

        ids = list(self.marked) or [one for one in (self._table.current,) if one is not None]
        if ids:
            self._screen.app.push_screen(
                ChooseCategoryScreen(self._screen.home, current, len(ids)), partial(self._move, ids)
            )

    def _move(self, ids: Sequence[int], category: str | None) -> None:
        if category:
            self._session.move(ids, category, partial(self._moved, category))

    def _moved(self, category: str, moved: Sequence[int]) -> None:
        self.marked = {}
        whom = f"#{moved[0]}" if len(moved) == 1 else counted(len(moved), "output")
        self._finished(f"{whom} moved to {category}; u takes it back", moved)


def _post(screen: ReviewScreen, message: BulkProgress) -> None:
    if screen.is_running:
        screen.post_message(message)
