"""A sitting at the review: what was judged in it, how fast, and the writes, one after the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar

from core.categories import load_categories
from core.config import load_config
from core.paths import Home
from storage import events
from storage.db import Store
from storage.rows import Opinion, Tier, Verdict
from tui.review.drafts import keep_draft

if TYPE_CHECKING:
    from core.capture.judging import Judge
    from storage.judgments import Turned

Result = TypeVar("Result")
Progress = Callable[[int, int], None]
ENOUGH_REPEATS = 5
"""Questions asked again before anything is said of agreement with oneself."""


@dataclass(frozen=True, slots=True)
class Figures:
    """The sitting: judgments in force made in it, how many a minute, the seconds that the queue will still take (None
    when unknown), and of the events `asked` about again how many were judged the `same`, over all sittings."""

    count: int = 0
    per_minute: float = 0.0
    seconds_left: float | None = None
    same: int = 0
    asked: int = 0


@dataclass(frozen=True, slots=True)
class Again:
    """An event to be asked about again, with the tier that it would have without its verdict."""

    event_id: int
    tier: Tier


class Writes(Protocol):
    """Who runs a write in the writing thread and hands its result to `then`."""

    def write(
        self,
        work: Callable[[Store], Result],
        *,
        doing: str,
        then: Callable[[Result], None] | None = None,
        failed: Callable[[BaseException], None] | None = None,
    ) -> None:
        """Run `work` after every write given before."""


class ReviewSession:
    """Judgments since the app was started. `judged` holds the events that were judged since `begin_queue`, `blind`
    those that are asked about again, with the tier that they would have without their first verdict.
    """

    def __init__(self, writes: Writes, home: Home) -> None:
        self._writes = writes
        self._home = home
        self._since = time.time()
        self._shown_at = time.monotonic()
        self.figures = Figures()
        self.judged: set[int] = set()
        self.blind: dict[int, Tier] = {}

    def begin_queue(self) -> None:
        """Another queue is shown: what was judged before is no longer passed over in it."""
        self.judged.clear()
        self.blind.clear()

    def ask_again(self, again: Again) -> None:
        """An event that was judged is asked about again, blind."""
        self.judged.discard(again.event_id)
        self.blind[again.event_id] = again.tier

    def shown(self) -> None:
        """An event has come on the screen; the time to its judgment is counted from here."""
        self._shown_at = time.monotonic()

    def next_open(self, ids: Sequence[int], at: int) -> int | None:
        """The place of the next event after `at`, else of the first one, that was not judged yet."""
        places = chain(range(at + 1, len(ids)), range(min(at, len(ids))))
        return next((place for place in places if ids[place] not in self.judged), None)

    def judge(
        self,
        event_id: int,
        kind: Verdict,
        correction: str | None,
        *,
        category: str,
        still_open: int,
        then: Callable[[Again | None], None],
    ) -> None:
        """Record a judgment, then call `then` with the event of the `category` to ask about again, or with None.

        `still_open` is how many events of the queue are not judged yet.
        """
        seconds, home, again = time.monotonic() - self._shown_at, self._home, event_id in self.blind
        since = self._since

        def work(store: Store) -> tuple[Figures, Again | None]:
            judge = _judge(store, home)
            judge.judge(event_id, kind, correction=correction, seconds=seconds, repeat=again)
            if correction is not None:
                keep_draft(store, event_id, None)
            return _figures(store, since, still_open), _again(judge, category)

        def done(result: tuple[Figures, Again | None]) -> None:
            self.figures, due = result
            then(due)

        def failed(_: BaseException) -> None:
            self.judged.discard(event_id)

        self.judged.add(event_id)
        self.blind.pop(event_id, None)
        self._writes.write(work, doing=f"recording a judgment on #{event_id}", then=done, failed=failed)

    def judge_many(
        self,
        event_ids: Sequence[int],
        kind: Opinion,
        *,
        progress: Progress,
        cancelled: Callable[[], bool],
        then: Callable[[int], None],
    ) -> None:
        """Judge many events alike, then call `then` with how many were: all of them, or none when it was stopped.

        `progress` and `cancelled` are called in the writing thread.
        """
        home, ids = self._home, list(event_ids)

        def work(store: Store) -> int:
            return _judge(store, home).judge_many(ids, kind, progress=progress, cancelled=cancelled)

        def done(count: int) -> None:
            if count:
                self.judged.update(ids)
                for event_id in ids:
                    self.blind.pop(event_id, None)
            then(count)

        self._writes.write(work, doing=f"judging {len(ids)} outputs", then=done)

    def move(self, event_ids: Sequence[int], category: str, then: Callable[[tuple[int, ...]], None]) -> None:
        """Move events to another category, then call `then` with those that were moved."""
        home, ids = self._home, list(event_ids)
        self._writes.write(
            lambda store: _judge(store, home).move(ids, category), doing="changing the category", then=then
        )

    def undo(self, then: Callable[[Turned | None], None]) -> None:
        """Take back what was said last of what is in force, then call `then` with it, or with None."""
        self._turn("undo", self.judged.difference_update, then)

    def redo(self, then: Callable[[Turned | None], None]) -> None:
        """Restore what was taken back last, then call `then` with it, or with None."""
        self._turn("redo", self.judged.update, then)

    def _turn(
        self,
        turn: Literal["undo", "redo"],
        mark: Callable[[Sequence[int]], None],
        then: Callable[[Turned | None], None],
    ) -> None:
        home, since = self._home, self._since

        def work(store: Store) -> tuple[Turned | None, Figures]:
            judge = _judge(store, home)
            return judge.undo() if turn == "undo" else judge.redo(), _figures(store, since, 0)

        def done(result: tuple[Turned | None, Figures]) -> None:
            turned, self.figures = result
            if turned is not None and turned.kind != "move":
                mark(turned.event_ids)
            then(turned)

        self._writes.write(work, doing="undoing a judgment" if turn == "undo" else "redoing a judgment", then=done)

    def keep_draft(self, event_id: int, text: str | None, then: Callable[[], None]) -> None:
        """Keep a correction that was begun, or forget it with None."""
        self._writes.write(
            lambda store: keep_draft(store, event_id, text), doing="keeping the draft", then=lambda _: then()
        )


def _judge(store: Store, home: Home) -> Judge:
    # Imported where it is needed, in the writing thread: similarity brings numpy along.
    from core.capture.judging import Judge

    return Judge(store, load_config(home), load_categories(home))


def _again(judge: Judge, category: str) -> Again | None:
    from core.capture.session import repeat_due
    from core.validate.quality import assess_event

    due = repeat_due(judge.store, category, judge.config.review, now=time.time())
    own = judge.categories.get(category)
    if due is None or own is None:
        return None
    event = replace(events.get(judge.store, due), verdict=None, correction=None, judged_at=None)
    return Again(due, assess_event(event, own).tier)


def _figures(store: Store, since: float, still_open: int) -> Figures:
    from core.capture.session import agreement, session_figures

    found, said = session_figures(store, since=since, open_events=still_open), agreement(store)
    return Figures(found.count, found.per_minute, found.seconds_left if still_open else None, said.same, said.asked)
