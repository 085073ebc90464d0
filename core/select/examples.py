"""Lessons as the items of a dataset: order, weights, and what augmentation adds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from statistics import fmean

from core.categories import Category
from core.config import Select
from core.select import curriculum
from core.select.lessons import Lesson
from core.select.split import SCHEME
from storage.rows import DatasetItem, EventRow, Split

_LIGHTEST, _HEAVIEST = 0.25, 3.0


def train_items(
    lessons: Sequence[Lesson],
    *,
    replayed: frozenset[int],
    difficulty: Mapping[int, float],
    variants: Mapping[int, Sequence[DatasetItem]],
    category: Category,
    seed: int,
    constants: Select,
) -> list[DatasetItem]:
    """The train split in training order: easy to hard (shuffled by `seed` within a stage), or only shuffled.

    `replayed` are the ids of older lessons; `difficulty` is calibrated, by event id. The augmented `variants` of an
    event (by its id) follow it with its weight.
    """
    by_id = {each.event.id: each for each in lessons}
    stages = {event_id: curriculum.stage_of(difficulty[event_id]) for event_id in by_id}
    order = curriculum.order(stages if constants.curriculum else dict.fromkeys(stages, "easy"), seed)
    weights = _weights(lessons, constants)
    items: list[DatasetItem] = []
    for event_id in order:
        own = replace(
            item(by_id[event_id].event, "train", by_id[event_id].target, category),
            weight=weights[event_id],
            difficulty=round(difficulty[event_id], 6),
            stage=stages[event_id],
            origin="replay" if event_id in replayed else "event",
        )
        items.append(own)
        items.extend(
            replace(each, weight=own.weight, difficulty=own.difficulty, stage=own.stage)
            for each in variants.get(event_id, ())
        )
    return items


def item(event: EventRow, split: Split, target: str, category: Category) -> DatasetItem:
    """An event as an example with that target; the category's system prompt where it has none of its own."""
    return DatasetItem(
        position=0,
        event_id=event.id,
        split=split,
        prompt=event.prompt,
        target=target,
        system=event.system or category.system_prompt,
        weight=1.0,
        difficulty=0.0,
        stage="",
        history=event.history,
    )


def numbered(items: Sequence[DatasetItem]) -> list[DatasetItem]:
    """The items with their positions."""
    return [replace(each, position=position) for position, each in enumerate(items)]


def items_hash(items: Sequence[DatasetItem]) -> str:
    """The hash of a dataset: equal items in equal order."""
    digest = hashlib.blake2b(digest_size=16)
    for each in items:
        values = asdict(each)
        # What later schemas added is left out where it is empty, so that a hash stays what it was.
        if not each.history:
            del values["history"]
        if each.origin == "event":
            del values["origin"]
        if not each.rejected:
            del values["rejected"]
        if each.desirable:
            del values["desirable"]
        digest.update(json.dumps(values, sort_keys=True).encode())
    return SCHEME + digest.hexdigest()


def mean_one(strengths: Sequence[float], *, on: bool = True) -> list[float]:
    """Weights in proportion to strengths, kept within 0.25-3 and then brought to the mean 1; all 1 unless `on`."""
    mean = fmean(strengths) if strengths else 0.0
    if not on or mean <= 0.0:
        return [1.0] * len(strengths)
    bounded = [min(_HEAVIEST, max(_LIGHTEST, each / mean)) for each in strengths]
    level = fmean(bounded)
    return [round(weight / level, 6) for weight in bounded]


def _weights(lessons: Sequence[Lesson], constants: Select) -> dict[int, float]:
    """Weights by event, after the lessons' strength.

    Age and balance are left out: an old correction is as true as a new one, and weights that decay with age leave fewer
    examples that count (one point of mean score on the shipped model).
    """
    weights = mean_one([each.strength for each in lessons], on=constants.weigh_by_reward)
    return {each.event.id: weight for each, weight in zip(lessons, weights, strict=True)}
