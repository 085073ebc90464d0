"""Which of the eligible lessons a run trains on: the most informative, a share of hard ones, and replay of older ones.

What a person asked for comes first, also where it was learned before. A batch of n then takes up to `hard_share` × n
lessons on which the model had failed. The rest is filled by active selection
in the curriculum's mix of stages; every choice counts against what was chosen before it. A version that goes on from an
older one also replays some of what that one has learned, so that `replay_share` of all examples are old ones: rehearsal
keeps what was learned from being forgotten (Robins 1995, "Catastrophic forgetting, rehearsal and pseudorehearsal").
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from core.config import Select
from core.select import curriculum
from core.select.active import Candidate, choose
from core.select.alike.vectors import Embed
from core.select.lessons import Lesson
from core.validate.quality import TIERS


@dataclass(frozen=True, slots=True)
class TrainingBatch:
    """Lessons in the order of choice: `fresh` ones and `replayed` ones.

    Of the fresh ones `hard` are failures of the model, and `pinned` were asked for by a person.
    """

    fresh: list[Lesson]
    replayed: list[Lesson]
    hard: int
    pinned: int = 0


def choose_batch(
    lessons: Sequence[Lesson],
    *,
    limit: int | None,
    level: int | None,
    learned: Collection[int],
    failures: Collection[int],
    seed: int,
    constants: Select,
    embed: Embed,
    pinned: Collection[int] = (),
) -> TrainingBatch:
    """At most `limit` lessons (None: all) that are not `learned` (event ids) yet, and replay of some that are.

    `failures` are the events on which the model failed, that a person corrected and no version has passed since.
    `pinned` events were asked for by a person: they are chosen first, and again where they are learned already.
    `level` (0-3) sets the curriculum's mix of stages; None takes any. Calibrated among the lessons given; the same
    input in any order gives the same batch.
    """
    wanted = set(pinned)
    known_ids = set(learned) - wanted
    fresh = [each for each in lessons if each.event.id not in known_ids]
    chosen = (
        fresh
        if limit is None or limit >= len(fresh)
        else _chosen(fresh, limit, level, pinned=wanted, failures=failures, constants=constants, embed=embed)
    )
    known = [each for each in lessons if each.event.id in known_ids]
    return TrainingBatch(
        chosen,
        _replayed(known, len(chosen), seed, constants.replay_share),
        sum(each.event.id in failures for each in chosen),
        sum(each.event.id in wanted for each in chosen),
    )


def hard_quota(limit: int, hard: int, others: int, share: float) -> int:
    """How many of `limit` examples are hard ones, when there are `hard` of them and `others` that are not.

    `share` × limit, rounded half up; more where the others do not fill the rest, never more than there are.
    """
    wanted = min(hard, int(share * limit + 0.5))
    return min(hard, max(wanted, limit - others))


def calibrated_difficulty(lessons: Sequence[Lesson]) -> dict[int, float]:
    """Difficulty by event as a quantile 0-1 among these lessons."""
    return curriculum.calibrate({each.event.id: each.difficulty for each in lessons})


def candidate_of(lesson: Lesson) -> Candidate:
    """A lesson as active selection looks at it."""
    event = lesson.event
    return Candidate(
        event.id, event.category, event.prompt, lesson.target, event.score, lesson.feedback_type, lesson.quality
    )


def _chosen(
    fresh: Sequence[Lesson],
    limit: int,
    level: int | None,
    *,
    pinned: Collection[int],
    failures: Collection[int],
    constants: Select,
    embed: Embed,
) -> list[Lesson]:
    picked = _best([each for each in fresh if each.event.id in pinned], limit, [], constants, embed)
    others = [each for each in fresh if each.event.id not in pinned]
    if constants.hard_negatives:
        hard = [each for each in others if each.event.id in failures]
        others = [each for each in others if each.event.id not in failures]
        # What was asked for counts towards the share of hard ones.
        asked = sum(each.event.id in failures for each in picked)
        whole = hard_quota(limit, asked + len(hard), len(picked) - asked + len(others), constants.hard_share)
        quota = min(max(0, whole - asked), limit - len(picked))
        picked = picked + _best(hard, quota, picked, constants, embed)
    left = limit - len(picked)
    if level is None:
        return picked + _best(others, left, picked, constants, embed)
    difficulty = calibrated_difficulty(fresh)
    stages: dict[curriculum.Stage, list[Lesson]] = {stage: [] for stage in curriculum.STAGES}
    for each in others:
        stages[curriculum.stage_of(difficulty[each.event.id])].append(each)
    sizes = curriculum.quotas({stage: len(members) for stage, members in stages.items()}, level, left)
    for stage, members in stages.items():
        picked = picked + _best(members, sizes[stage], picked, constants, embed)
    return picked


def _best(
    pool: Sequence[Lesson], count: int, before: Sequence[Lesson], constants: Select, embed: Embed
) -> list[Lesson]:
    """`count` of the pool by active selection, or by worth when that is off."""
    if not constants.active:
        return sorted(pool, key=lambda each: (-each.reward.raw, each.event.id))[:count]
    by_id = {each.event.id: each for each in pool}
    ranked = choose(
        [candidate_of(each) for each in pool],
        count,
        constants=constants,
        embed=embed,
        against=[candidate_of(each) for each in before],
    )
    return [by_id[event_id] for event_id in ranked]


def _replayed(known: Sequence[Lesson], fresh: int, seed: int, share: float) -> list[Lesson]:
    """The best tiers first, drawn by `seed` inside a tier."""
    count = int(fresh * share / (1.0 - share) + 0.5)

    def key(each: Lesson) -> tuple[int, bytes]:
        drawn = hashlib.blake2b(f"{seed}:{each.event.content_hash}".encode(), digest_size=8).digest()
        return -TIERS.index(each.tier), drawn

    return sorted(known, key=key)[:count]
