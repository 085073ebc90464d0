"""How the first generation chose: 50 at random of what a bucketed reward lets through. Components can be laid on it."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final, Literal

from benchmarks.learning.people import NOW
from core.capture.candidates import SOURCE
from core.categories import Category
from core.config import Select
from core.paths import Home
from core.select import curriculum
from core.select.alike.meaning import PLAIN
from core.select.alike.similarity import near_duplicates
from core.select.difficulty import lesson_difficulty
from core.select.examples import numbered, train_items
from core.select.lessons import Lesson, common_outputs, lessons_from
from core.select.preference.preferences import adjacent_pairs, ranked
from core.select.reward import reward
from core.select.training_batch import calibrated_difficulty, choose_batch, hard_quota
from core.select.variants import variants_of
from core.validate.feedback import FAILURE_BELOW, current_feedback_type
from core.validate.quality import assess_event
from core.validate.registry import validated, validator_for
from storage.rows import DatasetItem, EventRow

Component = Literal["gate", "dedup", "reward", "weights", "active", "hard", "curriculum", "augmentation", "candidates"]

BUCKETS: Final = Select(reward="bucket", decay_per_day=1.0, difficulty_weight=0.0)
"""The reward of the first generation: a bucket of the score and a bonus, nothing else."""
DEFAULTS: Final = Select()


def chosen(
    log: Sequence[EventRow], category: Category, home: Home, on: Collection[Component], *, limit: int, seed: int
) -> list[DatasetItem]:
    """The batch of the first generation with the components `on` switched on, in training order.

    Answers that were made as candidates only count with the component of that name: the best of each prompt, where the
    product would choose it in a pair.
    """
    log = [*(each for each in log if each.source != SOURCE), *(_preferred(log) if "candidates" in on else ())]
    lessons = list(_gated(log, category, on) if "gate" in on else _worthy(log, category, on))
    if "dedup" in on:
        lessons = _distinct(lessons)
    if len(lessons) > limit:
        lessons = _drawn(lessons, on, limit, seed)
    variants: Mapping[int, Sequence[DatasetItem]] = {}
    if "augmentation" in on:
        variants, _ = variants_of(lessons, [], category, home, constants=DEFAULTS, meaning=PLAIN, seed=seed)
    items = train_items(
        lessons,
        replayed=frozenset(),
        difficulty=calibrated_difficulty(lessons),
        variants=variants,
        category=category,
        seed=seed,
        constants=replace(DEFAULTS, curriculum="curriculum" in on, weigh_by_reward="weights" in on),
    )
    return numbered(items)


def _worthy(log: Sequence[EventRow], category: Category, on: Collection[Component]) -> Iterator[Lesson]:
    constants = DEFAULTS if "reward" in on else BUCKETS
    validator = validator_for(category)
    for event in log:
        target = event.correction or event.response
        score = event.score
        if event.correction:
            score = validated(validator, event.correction, event.prompt, event.metadata).score
        kind = current_feedback_type(event)
        hardness = lesson_difficulty(
            category.complexity, prompt_chars=len(event.prompt), target_chars=len(target), score=event.score
        )
        age = (NOW - event.created_at) / 86_400.0
        worth = reward(score, kind, age_days=age, difficulty=hardness, recent=0, constants=constants)
        if worth.value >= constants.min_reward:
            assessed = assess_event(event, category)
            corrected = event.correction is not None
            yield Lesson(event, target, corrected, kind, assessed.tier, assessed.quality, worth, hardness)


def _gated(log: Sequence[EventRow], category: Category, on: Collection[Component]) -> Iterator[Lesson]:
    constants = DEFAULTS if "reward" in on else BUCKETS
    found = lessons_from(log, category, now=NOW, recent=0, common=common_outputs(log), constants=constants)
    return (each for each in found if isinstance(each, Lesson))


def _distinct(lessons: Sequence[Lesson]) -> list[Lesson]:
    """The better one of near-copies, as the product chooses it."""
    best = sorted(lessons, key=lambda each: (not each.corrected, -each.strength, -each.event.created_at, each.event.id))
    repeated = near_duplicates(
        [each.event.prompt for each in best], [each.target for each in best], DEFAULTS.near_duplicate
    )
    return [each for at, each in enumerate(best) if at not in repeated]


def _drawn(lessons: Sequence[Lesson], on: Collection[Component], limit: int, seed: int) -> list[Lesson]:
    chance = random.Random(f"first:{seed}")
    failures = {each.event.id for each in lessons if _is_failure(each.event)}
    if "active" in on:
        constants = replace(DEFAULTS, hard_negatives="hard" in on)
        batch = choose_batch(
            lessons,
            limit=limit,
            level=None,
            learned=(),
            failures=failures,
            seed=seed,
            constants=constants,
            embed=PLAIN.embed,
        )
        return batch.fresh
    ordered = sorted(lessons, key=lambda each: each.event.id)
    if "hard" not in on:
        return chance.sample(ordered, limit)
    hard = [each for each in ordered if each.event.id in failures]
    others = [each for each in ordered if each.event.id not in failures]
    quota = hard_quota(limit, len(hard), len(others), DEFAULTS.hard_share)
    return chance.sample(hard, quota) + chance.sample(others, limit - quota)


def _is_failure(event: EventRow) -> bool:
    return event.verdict == "bad" or (event.score is not None and event.score < FAILURE_BELOW)


def _preferred(log: Sequence[EventRow]) -> Iterator[EventRow]:
    groups: dict[str, list[EventRow]] = {}
    for event in log:
        if event.source == SOURCE:
            groups.setdefault(event.group_key, []).append(event)
    for group in groups.values():
        pairs = adjacent_pairs([ranked(event) for event in group], DEFAULTS.min_margin)
        if pairs:
            yield next(event for event in group if event.id == pairs[0].chosen_event)


def reversed_order(items: Sequence[DatasetItem]) -> list[DatasetItem]:
    """Hard before easy: the control of the curriculum."""
    place = {stage: at for at, stage in enumerate(reversed(curriculum.STAGES))}
    return numbered(sorted(items, key=lambda each: place[each.stage]))  # type: ignore[index]
