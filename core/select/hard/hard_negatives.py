"""Hard negatives: the events on which a model failed, how hard each one is, and what became of it since.

A failure is a score below 60, a person's "bad", or a prompt on which the newer arm lost an A/B test. A person's word
comes before a score: what was called good is no failure, and what was rejected as an example is none either.

Nothing is stored but facts. A failure is `open` until a version passes its prompt in a re-test (`solved`), and
`reopened` when one fails again after that. Versions are re-tested by core/prove/retest.py after each training.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from core.categories import Category
from core.config import Select
from core.select.difficulty import difficulty
from core.select.hard.parts import HardParts
from core.select.held_out import SMALLEST_SPLIT
from core.select.lessons import Lesson, lessons_from
from core.select.split import is_held_out
from core.validate.feedback import FAILURE_BELOW
from storage import events, hard_tests, retention
from storage.db import Store
from storage.hard_tests import FailureRow, HardTestRow

State = Literal["open", "solved", "reopened"]
Reason = Literal["low score", "thumbs down", "lost A/B"]

STATES: Final[tuple[State, ...]] = ("open", "reopened", "solved")
TO_DO: Final[tuple[State, ...]] = ("open", "reopened")
_UNKNOWN_SCORE: Final = 50.0


@dataclass(frozen=True, slots=True)
class Life:
    """What re-tests have made of a failure. `since` (seconds) is when the state began, None from the failure on.

    `failed` counts the re-tests that it failed; `last_version` and `last_score` (0-100) are those of the newest one.
    """

    state: State = "open"
    since: float | None = None
    failed: int = 0
    last_version: int | None = None
    last_tested: float | None = None
    last_score: float | None = None


_UNTESTED: Final = Life()


@dataclass(frozen=True, slots=True)
class HardNegative:
    """An event on which a model failed; `difficulty` 0-1 is how badly, and `parts` why.

    `score` is the event's own (0-100), `since` when its state began (seconds). `held_out`: kept for testing.
    """

    event_id: int
    prompt_hash: str
    reasons: tuple[Reason, ...]
    state: State
    since: float
    score: float | None
    difficulty: float
    failed: int
    last_version: int | None
    last_tested: float | None
    last_score: float | None
    corrected: bool
    held_out: bool
    parts: HardParts

    @property
    def own_failure(self) -> bool:
        """Whether the event's own answer failed, and not only the one that a version gave in an A/B test."""
        return self.reasons != ("lost A/B",)


@dataclass(frozen=True, slots=True)
class Target:
    """What a hard negative can teach. `waits` is why it cannot be trained on yet, empty when it can.

    `sibling` is an event with a good answer to the same prompt: the two make a preference pair.
    """

    negative: HardNegative
    waits: str
    sibling: int | None

    @property
    def trainable(self) -> bool:
        """Whether it may be trained on as an example."""
        return not self.waits


def hard_negatives(
    store: Store,
    category: Category,
    *,
    constants: Select,
    states: Collection[State] = TO_DO,
    ignore_version: int | None = None,
) -> list[HardNegative]:
    """The hard negatives of a category in these states, worst first, ties by event id.

    `ignore_version` leaves the re-tests of one version out: the states as they were before it was tested.
    """
    rows = hard_tests.failures(store, category.name, below=FAILURE_BELOW)
    found = _judged(store, category, rows, constants, ignore_version=ignore_version)
    return [each for each in found if each.state in states]


def worst_negatives(
    store: Store, category: Category, *, constants: Select, limit: int
) -> tuple[list[HardNegative], int]:
    """The worst hard negatives of a category, worst first, and how many there are in all.

    At most `limit` of those that are to do, and as many of the others. Of half a million events a hundred thousand may
    have failed, which nobody goes through.
    """
    rows = hard_tests.failures(store, category.name, below=FAILURE_BELOW)
    return _judged(store, category, rows, constants, limit=limit), len(rows)


def _judged(
    store: Store,
    category: Category,
    rows: Sequence[FailureRow],
    constants: Select,
    *,
    ignore_version: int | None = None,
    limit: int | None = None,
) -> list[HardNegative]:
    tests = [each for each in hard_tests.tests(store, category.name) if each.version_id != ignore_version]
    total = retention.total(store, category.name)
    percent = constants.held_out_percent if total >= SMALLEST_SPLIT else 0
    trained = hard_tests.trained_prompts(store, category.name)
    return judged(rows, tests, category.complexity, percent, trained, limit=limit)


def judged(
    rows: Sequence[FailureRow],
    tests: Sequence[HardTestRow],
    complexity: float,
    held_out_percent: int,
    trained_prompts: Collection[str],
    *,
    limit: int | None = None,
) -> list[HardNegative]:
    """Every failure with its state and difficulty, worst first; `tests` of one event stand oldest first.

    `complexity` (0-1) is the category's. A prompt that was trained on once is not held out any more. With a `limit`
    only so many of those that are to do, and as many of the others.
    """
    by_event: dict[int, list[HardTestRow]] = {}
    for test in tests:
        by_event.setdefault(test.event_id, []).append(test)
    lives = {event_id: life_of(told) for event_id, told in by_event.items()}
    requests = [difficulty(complexity, row.prompt_chars, row.context_chars) for row in rows]
    ranked = [
        (row, lives.get(row.id, _UNTESTED), request) for row, request in zip(rows, quantiles(requests), strict=True)
    ]
    ranked.sort(key=lambda each: (-difficulty_of(*each), each[0].id))
    room = {to_do: len(rows) if limit is None else limit for to_do in (True, False)}
    found = []
    for row, life, request in ranked:
        to_do = life.state in TO_DO
        if not room[to_do]:
            continue
        room[to_do] -= 1
        held_out = is_held_out(row.bucket, held_out_percent) and row.prompt_hash not in trained_prompts
        parts = parts_of(row, life, request)
        found.append(
            HardNegative(
                event_id=row.id,
                prompt_hash=row.prompt_hash,
                reasons=reasons_of(row),
                state=life.state,
                since=life.since if life.since is not None else _failed_at(row),
                score=row.score,
                difficulty=parts.value,
                failed=life.failed,
                last_version=life.last_version,
                last_tested=life.last_tested,
                last_score=life.last_score,
                corrected=row.corrected,
                held_out=held_out,
                parts=parts,
            )
        )
    return found


def life_of(tests: Sequence[HardTestRow]) -> Life:
    """What re-tests, oldest first, make of a failure; one that nobody could judge changes nothing."""
    told = [test for test in tests if test.score is not None]
    if not told:
        return Life()
    state: State = "open"
    since: float | None = None
    for test in told:
        following: State = "solved" if test.passed else "open" if state == "open" else "reopened"
        if following != state:
            state, since = following, test.at
    last = told[-1]
    return Life(state, since, sum(not test.passed for test in told), last.version_id, last.at, last.score)


def difficulty_of(row: FailureRow, life: Life, request: float) -> float:
    """How hard a failure is, 0-1: see `HardParts`."""
    return parts_of(row, life, request).value


def parts_of(row: FailureRow, life: Life, request: float) -> HardParts:
    """What makes a failure hard; `request` is the quantile (0-1) of what was asked."""
    score = life.last_score
    if score is None:
        own = [row.score] if row.score is not None and (row.low or row.bad_at is not None) else []
        lost = [row.lost_score] if row.lost_score is not None else []
        score = min([*own, *lost], default=_UNKNOWN_SCORE)
    return HardParts(
        missed=1.0 - score / 100.0,
        repeated=1.0 - 0.5**life.failed,
        said=float(row.bad_at is not None),
        request=request,
    )


def quantiles(values: Sequence[float]) -> list[float]:
    """Each value's mid-rank among all of them, 0-1; equal values have equal ranks."""
    ranked = sorted(values)
    return [(bisect_left(ranked, value) + bisect_right(ranked, value)) / (2 * len(ranked)) for value in values]


def reasons_of(row: FailureRow) -> tuple[Reason, ...]:
    """Why the event is a failure, in a fixed order."""
    why: Mapping[Reason, bool] = {
        "low score": row.low,
        "thumbs down": row.bad_at is not None,
        "lost A/B": row.lost_at is not None,
    }
    return tuple(reason for reason, holds in why.items() if holds)


def _failed_at(row: FailureRow) -> float:
    times = [row.created_at if row.low else None, row.bad_at, row.lost_at]
    return min((at for at in times if at is not None), default=row.created_at)


def targets(
    store: Store,
    category: Category,
    negatives: Sequence[HardNegative],
    *,
    constants: Select,
    siblings: Mapping[int, int] | None = None,
) -> list[Target]:
    """What each hard negative can teach, in the order given; `siblings_of` them are looked for unless given.

    An answer that failed is never an example itself: it waits for a correction, which has to pass the same gate as
    every other lesson. The corrections of events that are not kept for testing are validated anew.
    """
    ready = [each.event_id for each in negatives if not each.held_out and (each.corrected or not each.own_failure)]
    asked = events.get_many(store, ready)
    gated = lessons_from(asked, category, now=0.0, recent=1, common=(), constants=constants)
    held = {event.id: "" if isinstance(each, Lesson) else each.reason for event, each in zip(asked, gated, strict=True)}
    good = siblings_of(store, category, negatives) if siblings is None else siblings
    return [Target(each, _waits(each, held), good.get(each.event_id)) for each in negatives]


def siblings_of(store: Store, category: Category, negatives: Sequence[HardNegative]) -> dict[int, int]:
    """By event the one with a good answer to the same prompt, where there is one. Looks through the whole category."""
    failed = [each.event_id for each in negatives if each.own_failure and not each.held_out]
    return hard_tests.passing_siblings(store, category.name, failed, least=category.success_score)


def _waits(negative: HardNegative, held: Mapping[int, str]) -> str:
    if negative.held_out:
        return "kept for testing"
    if negative.own_failure and not negative.corrected:
        return "waits for a correction"
    return held.get(negative.event_id, "removed meanwhile")
