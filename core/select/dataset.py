"""From all events of a category to the frozen dataset that a run trains on, with a reason for each that stays out."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import fmean

from core.categories import Category
from core.config import Config, Select
from core.errors import RunError
from core.paths import Home
from core.select import curriculum
from core.select.active import Candidate, choose
from core.select.held_out import held_out_from, keeps_test
from core.select.lessons import Lesson, common_outputs, lessons_from
from core.select.similarity import near_duplicates
from core.select.split import SCHEME, is_validation
from core.validate.gate import Held
from storage import datasets, events
from storage.db import Store
from storage.rows import DatasetItem, EventFilter, EventRow, Split

_LIGHTEST, _HEAVIEST = 0.25, 3.0
_VALIDATION_NEEDS = 20


@dataclass(frozen=True, slots=True)
class Selection:
    """A selection before it is frozen. `items` stand in training order, then validation, then test.

    `counts`: considered, eligible, train, validation, test, corrections (numbers), held_back (kind → number),
    reasons (kind → up to three examples), stages and tiers (name → number, of the train split).
    """

    category: str
    seed: int
    items: list[DatasetItem]
    hash: str
    counts: Mapping[str, object]

    @property
    def summary(self) -> str:
        """In words: "erd: 31 of 50 eligible; 12 held back as near-duplicates, 7 for a low score"."""
        return describe(self.category, self.counts)


_HELD_WORDS: Mapping[str, str] = {
    "near-duplicate": "as near-duplicates",
    "near test": "as near-copies of what is kept for testing",
    "tools": "for using tools",
    "held out": "kept for testing",
    "low score": "for a low score",
    "no score": "for want of a score",
    "low tier": "for a low tier",
    "low reward": "for a low reward",
    "generic": "as generic",
    "rejected by a human": "rejected by a human",
    "invalid correction": "for an invalid correction",
}


def describe(category: str, counts: Mapping[str, object]) -> str:
    """One sentence about the counts of a selection or a stored dataset."""
    held = counts.get("held_back")
    numbers = sorted(held.items(), key=lambda each: (-each[1], each[0])) if isinstance(held, Mapping) else []
    text = f"{category}: {counts.get('eligible', 0)} of {counts.get('considered', 0)} eligible"
    if not numbers:
        return text
    (kind, number), *rest = numbers
    parts = [
        f"{number} held back {_HELD_WORDS.get(kind, kind)}" if kind != "held out" else f"{number} kept for testing"
    ]
    parts += [f"{number} {_HELD_WORDS.get(kind, kind)}" for kind, number in rest]
    return f"{text}; {', '.join(parts)}"


def select_dataset(
    store: Store,
    home: Home,
    category: Category,
    *,
    now: float,
    seed: int,
    limit: int | None = None,
    config: Config,
    level: int | None = None,
) -> Selection:
    """What a run of `category` would train on: everything eligible, or the `limit` examples that teach most.

    With a `limit`, `level` (0-3) sets the curriculum's mix of stages; None takes the most informative of any stage.
    The same store, seed and limit give the same selection at any time of asking.
    """
    constants = config.select
    considered = list(events.iter_events(store, EventFilter(category=category.name)))
    trained = datasets.trained_event_ids(store, category.name)
    test = held_out_from(considered, trained, limit=constants.max_test, percent=constants.held_out_percent)
    lessons, held = _eligible(considered, trained, test, category, now=now, constants=constants)
    train, validation = _parts(lessons, constants)
    eligible = len(lessons)
    calibrated = curriculum.calibrate({lesson.event.id: lesson.difficulty for lesson in train})
    if limit is not None:
        train = _most_informative(train, limit, level, calibrated, constants)
    items = _items(
        train=train,
        validation=validation,
        test=test,
        calibrated=calibrated,
        category=category,
        seed=seed,
        constants=constants,
    )
    counts = _counts(considered, held, eligible, items, train)
    return Selection(category.name, seed, items, _hash(items), counts)


def freeze(store: Store, selection: Selection, *, now: float, config: Config) -> int:
    """Stores a selection for good and returns the id of the dataset; an equal one keeps its id.

    Raises RunError when there is nothing to train on.
    """
    if not selection.counts.get("train"):
        raise RunError(
            f"There is nothing to train on yet. {selection.summary}.",
            title="No examples",
            hint="Review some outputs: what you confirm or correct becomes an example.",
        )
    return datasets.add(
        store,
        created_at=now,
        category=selection.category,
        hash=selection.hash,
        seed=selection.seed,
        settings=asdict(config.select),
        counts=selection.counts,
        items=selection.items,
    )


def _eligible(
    considered: Sequence[EventRow],
    trained: set[int],
    test: Sequence[EventRow],
    category: Category,
    *,
    now: float,
    constants: Select,
) -> tuple[list[Lesson], list[Held]]:
    """The lessons that pass the gate, none a near-duplicate of a better one or of what is kept for testing; and what
    was held back."""
    held: list[Held] = []
    trainable: list[EventRow] = []
    trained_prompts = {event.prompt_hash for event in considered if event.id in trained}
    for event in considered:
        if keeps_test(event, len(considered), trained_prompts, constants.held_out_percent):
            held.append(Held("held out", "kept for testing"))
        else:
            trainable.append(event)
    common = common_outputs(considered)
    recent = sum(event.created_at >= now - events.RECENT_SECONDS for event in considered)
    passed: list[Lesson] = []
    for found in lessons_from(trainable, category, now=now, recent=recent, common=common, constants=constants):
        if isinstance(found, Held):
            held.append(found)
        else:
            passed.append(found)
    # A correction before any answer, then the better lesson, then the newer one.
    passed.sort(key=lambda each: (not each.corrected, -each.strength, -each.event.created_at, each.event.id))
    # What is tested on comes first: a lesson that nearly repeats it would teach the answers of the test.
    prompts = [event.prompt for event in test] + [each.event.prompt for each in passed]
    outputs = [event.correction or event.response for event in test] + [each.target for each in passed]
    kept: list[Lesson] = []
    repeated = near_duplicates(prompts, outputs, constants.near_duplicate)
    for index, each in enumerate(passed, len(test)):
        other = repeated.get(index)
        if other is None:
            kept.append(each)
        elif other < len(test):
            held.append(Held("near test", f"near-copy of event {test[other].id}, which is kept for testing"))
        else:
            held.append(Held("near-duplicate", f"near-copy of event {passed[other - len(test)].event.id}"))
    return sorted(kept, key=lambda each: each.event.id), held


def _parts(lessons: Sequence[Lesson], constants: Select) -> tuple[list[Lesson], list[Lesson]]:
    """Train and validation. A small category needs every example for training; a large one watches `max_validation`."""
    if len(lessons) < _VALIDATION_NEEDS:
        return list(lessons), []
    watching = [each for each in lessons if is_validation(each.event.bucket, constants.held_out_percent)]
    watching.sort(key=lambda each: (each.event.prompt_hash, each.event.id))
    last = watching[: constants.max_validation][-1].event.prompt_hash if watching else ""
    # Cut between two prompts, never between two answers to one.
    watched = {each.event.id for each in watching if each.event.prompt_hash <= last}
    ordered = sorted(lessons, key=lambda each: each.event.id)
    return (
        [each for each in ordered if each.event.id not in watched],
        [each for each in ordered if each.event.id in watched],
    )


def _most_informative(
    lessons: Sequence[Lesson], limit: int, level: int | None, calibrated: Mapping[int, float], constants: Select
) -> list[Lesson]:
    """The first `limit` lessons by active selection (or by worth, when it is off), in the mix of `level`."""
    by_id = {each.event.id: each for each in lessons}
    if constants.active:
        wanted = limit if level is None else len(lessons)
        ranked = choose([_candidate(each) for each in lessons], wanted, constants=constants)
    else:
        ranked = sorted(by_id, key=lambda event: (-by_id[event].reward.raw, event))
    if level is not None:
        stages: dict[curriculum.Stage, list[int]] = {stage: [] for stage in curriculum.STAGES}
        for event in ranked:
            stages[curriculum.stage_of(calibrated[event])].append(event)
        ranked = curriculum.compose(stages, level, limit)
    return [by_id[event] for event in ranked[:limit]]


def _candidate(lesson: Lesson) -> Candidate:
    event = lesson.event
    return Candidate(
        event.id, event.category, event.prompt, lesson.target, event.score, lesson.feedback_type, lesson.quality
    )


def _items(
    *,
    train: Sequence[Lesson],
    validation: Sequence[Lesson],
    test: Sequence[EventRow],
    calibrated: Mapping[int, float],
    category: Category,
    seed: int,
    constants: Select,
) -> list[DatasetItem]:
    by_id = {each.event.id: each for each in train}
    stages = {event: curriculum.stage_of(calibrated[event]) for event in by_id}
    order = curriculum.order(stages if constants.curriculum else dict.fromkeys(stages, "easy"), seed)
    weights = _weights(train, constants)
    items = [
        replace(_item(by_id[event].event, "train", by_id[event].target, category),
                weight=weights[event], difficulty=round(calibrated[event], 6), stage=stages[event])
        for event in order
    ]  # fmt: skip
    items += [_item(each.event, "validation", each.target, category) for each in validation]
    items += [_item(event, "test", event.correction or event.response, category) for event in test]
    return [replace(item, position=position) for position, item in enumerate(items)]


def _item(event: EventRow, split: Split, target: str, category: Category) -> DatasetItem:
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


def _weights(train: Sequence[Lesson], constants: Select) -> dict[int, float]:
    """Weights by event, mean 1: the raw reward over its mean, kept within 0.25-3.

    Age decays all of them alike, so that the weights, and with them the dataset's hash, do not depend on the moment.
    """
    if not constants.weigh_by_reward or not train:
        return {each.event.id: 1.0 for each in train}
    mean = fmean(each.reward.raw for each in train)
    if mean <= 0.0:
        return {each.event.id: 1.0 for each in train}
    bounded = {each.event.id: min(_HEAVIEST, max(_LIGHTEST, each.reward.raw / mean)) for each in train}
    level = fmean(bounded.values())
    return {event: round(weight / level, 6) for event, weight in bounded.items()}


def _counts(
    considered: Sequence[EventRow],
    held: Sequence[Held],
    eligible: int,
    items: Sequence[DatasetItem],
    train: Sequence[Lesson],
) -> dict[str, object]:
    examples: dict[str, list[str]] = {}
    for each in held:
        known = examples.setdefault(each.kind, [])
        if each.reason not in known and len(known) < 3:
            known.append(each.reason)
    splits = Counter(item.split for item in items)
    return {
        "considered": len(considered),
        "eligible": eligible,
        "train": splits["train"],
        "validation": splits["validation"],
        "test": splits["test"],
        "corrections": sum(each.corrected for each in train),
        "held_back": dict(Counter(each.kind for each in held).most_common()),
        "reasons": examples,
        "stages": dict(Counter(item.stage for item in items if item.split == "train")),
        "tiers": dict(Counter(each.tier for each in train)),
    }


def _hash(items: Sequence[DatasetItem]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for item in items:
        values = asdict(item)
        if not item.history:
            del values["history"]  # the hash of a dataset without chats is that of the first schema
        if item.origin == "event":
            del values["origin"]
        digest.update(json.dumps(values, sort_keys=True).encode())
    return SCHEME + digest.hexdigest()
