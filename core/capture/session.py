"""A sitting at the review in figures: pace, what is left of it, and agreement of the person with oneself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from statistics import median
from typing import Final

from core.config import Review
from core.prove.stats import wilson
from storage import labelling
from storage.db import Store

PAUSE_SECONDS: Final = 120.0
REPEAT_AFTER: Final = 50
_REPEAT_AFTER_SECONDS: Final = 86_400.0
_CANDIDATES: Final = 200


@dataclass(frozen=True, slots=True)
class SessionFigures:
    """`count` judgments in force, `per_minute` of active time (0 without any), the median of their seconds and the
    seconds that what is open will take at that pace (both None where nothing was judged)."""

    count: int
    per_minute: float
    active_seconds: float
    median_seconds: float | None
    seconds_left: float | None


@dataclass(frozen=True, slots=True)
class Agreement:
    """Of the questions `asked` again, blind, the same verdict was given to `same`. `interval` is the 95 % interval of
    that share (Wilson 1927), None where nothing was asked."""

    same: int
    asked: int
    interval: tuple[float, float] | None

    @property
    def share(self) -> float | None:
        """0-1, None where nothing was asked."""
        return self.same / self.asked if self.asked else None


def session_figures(store: Store, *, since: float, open_events: int = 0) -> SessionFigures:
    """Figures over the judgments that a person made one by one since a moment (seconds since the epoch).

    Active time runs from each judgment to the next. A pause of more than two minutes does not count: instead of it the
    time that the judgment after it took, at most two minutes. So does the first judgment.
    """
    made = labelling.timed(store, since=since)
    seconds = [took for _, took in made]
    active = _active(made)
    usual = median(seconds) if seconds else None
    return SessionFigures(
        count=len(made),
        per_minute=60.0 * len(made) / active if active > 0.0 else 0.0,
        active_seconds=active,
        median_seconds=usual,
        seconds_left=None if usual is None else usual * open_events,
    )


def _active(made: Sequence[tuple[float, float]]) -> float:
    total, before = 0.0, float("-inf")
    for at, took in made:
        gap = at - before
        total += gap if gap <= PAUSE_SECONDS else min(took, PAUSE_SECONDS)
        before = at
    return total


def repeat_due(store: Store, category: str, review: Review, *, now: float) -> int | None:
    """The event of the category to ask about again, blind; None while none is due.

    One is due after every `review.repeat_every` verdicts. It is chosen by a hash, so the same at every asking until it
    is answered, among the 200 judged first of those judged at least 50 verdicts or a day ago. Events that were
    corrected are not asked about: their text would be lost to a quick answer.
    """
    every = review.repeat_every
    if every == 0 or labelling.since_last_repeat(store, category, every) < every:
        return None
    found = labelling.repeatable(
        store, category, before=now - _REPEAT_AFTER_SECONDS, passed=REPEAT_AFTER, limit=_CANDIDATES
    )
    return min(found, key=_draw, default=None)


def _draw(event_id: int) -> bytes:
    return blake2b(str(event_id).encode(), digest_size=8).digest()


def agreement(store: Store, category: str | None = None) -> Agreement:
    """How often a person said the same of an event when asked again: good, bad, correct or reject.

    A skip says nothing, so that it is not counted as asked. Without a category over all of them.
    """
    answers = labelling.repeated(store, category)
    same = sum(first == second for first, second in answers)
    return Agreement(same, len(answers), wilson(same, len(answers)) if answers else None)
