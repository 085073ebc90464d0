"""A sitting at the review: what was judged in it, how fast, and the writes, one after the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, TypeVar

from core.categories import load_categories
from core.config import load_config
from core.paths import Home
from storage import judgments, ui_state
from storage.db import Store
from storage.rows import JudgmentRow, Verdict

if TYPE_CHECKING:
    from core.capture.judging import Judge

Result = TypeVar("Result")
_DRAFTS: Final = "review.drafts"
_DRAFTS_KEPT: Final = 20


@dataclass(frozen=True, slots=True)
class Figures:
    """The session: judgments in force made in it, and how many a minute."""

    count: int
    per_minute: float


class Writes(Protocol):
    """Who runs a write in the writing thread and hands its result to `then`."""

    def write(
        self, work: Callable[[Store], Result], *, doing: str, then: Callable[[Result], None] | None = None
    ) -> None:
        """Run `work` after every write given before."""


class ReviewSession:
    """Judgments since the app was started. `judged` holds the events that were judged since `begin_queue`."""

    def __init__(self, writes: Writes, home: Home) -> None:
        self._writes = writes
        self._home = home
        self._since = time.time()
        self._shown_at = time.monotonic()
        self.figures = Figures(0, 0.0)
        self.judged: set[int] = set()

    def begin_queue(self) -> None:
        """Another queue is shown: what was judged before is no longer passed over in it."""
        self.judged.clear()

    def shown(self) -> None:
        """An event has come on the screen; the time to its judgment is counted from here."""
        self._shown_at = time.monotonic()

    def next_open(self, ids: Sequence[int], at: int) -> int | None:
        """The place of the next event after `at`, else of the first one, that was not judged yet."""
        places = [*range(at + 1, len(ids)), *range(min(at, len(ids)))]
        return next((place for place in places if ids[place] not in self.judged), None)

    def judge(self, event_id: int, kind: Verdict, correction: str | None, then: Callable[[int], None]) -> None:
        """Record a judgment, then call `then(event_id)`."""
        seconds, home = time.monotonic() - self._shown_at, self._home

        def work(store: Store) -> Figures:
            _judge(store, home).judge(event_id, kind, correction=correction, seconds=seconds)
            if correction is not None:
                keep_draft(store, event_id, None)
            return _figures(store, self._since)

        def done(figures: Figures) -> None:
            self.figures = figures
            then(event_id)

        self.judged.add(event_id)
        self._writes.write(work, doing=f"recording a judgment on #{event_id}", then=done)

    def undo(self, then: Callable[[JudgmentRow | None], None]) -> None:
        """Take back the last judgment in force, then call `then` with it, or with None when there is none."""
        self._turn("undo", self.judged.discard, "undoing a judgment", then)

    def redo(self, then: Callable[[JudgmentRow | None], None]) -> None:
        """Restore the judgment that was taken back last, then call `then` with it, or with None."""
        self._turn("redo", self.judged.add, "redoing a judgment", then)

    def _turn(
        self,
        turn: Literal["undo", "redo"],
        mark: Callable[[int], None],
        doing: str,
        then: Callable[[JudgmentRow | None], None],
    ) -> None:
        home = self._home

        def work(store: Store) -> tuple[JudgmentRow | None, Figures]:
            judge = _judge(store, home)
            return judge.undo() if turn == "undo" else judge.redo(), _figures(store, self._since)

        def done(result: tuple[JudgmentRow | None, Figures]) -> None:
            judgment, self.figures = result
            if judgment is not None:
                mark(judgment.event_id)
            then(judgment)

        self._writes.write(work, doing=doing, then=done)

    def keep_draft(self, event_id: int, text: str | None, then: Callable[[], None]) -> None:
        """Keep a correction that was begun, or forget it with None."""
        self._writes.write(
            lambda store: keep_draft(store, event_id, text), doing="keeping the draft", then=lambda _: then()
        )


def _judge(store: Store, home: Home) -> Judge:
    # Imported where it is needed, in the writing thread: similarity brings numpy along.
    from core.capture.judging import Judge

    return Judge(store, load_config(home), load_categories(home))


def _figures(store: Store, since: float) -> Figures:
    found = judgments.session_figures(store, since=since)
    return Figures(int(found["count"]), found["per_minute"])


def load_draft(store: Store, event_id: int) -> str | None:
    """A correction that was begun and not saved."""
    found = _drafts(store).get(str(event_id))
    return found if isinstance(found, str) else None


def keep_draft(store: Store, event_id: int, text: str | None) -> None:
    """Keep a correction that was begun, or forget it with None. The newest 20 are kept."""
    drafts = _drafts(store)
    known = drafts.pop(str(event_id), None)
    if text is not None:
        drafts[str(event_id)] = text
    if text != known:
        ui_state.save(store, _DRAFTS, dict(list(drafts.items())[-_DRAFTS_KEPT:]))


def _drafts(store: Store) -> dict[str, Any]:
    drafts = ui_state.load(store, _DRAFTS, {})
    return drafts if isinstance(drafts, dict) else {}
