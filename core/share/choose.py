"""Which events and pairs an export takes, and the lesson that each of them holds."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from core.categories import Category
from core.select.split import is_held_out
from core.validate.feedback import current_feedback_type
from core.validate.quality import TIERS
from storage import events, pairs
from storage.db import Store
from storage.rows import EventFilter, EventRow, PairRow, Tier

Kind = Literal["lessons", "outcomes", "pairs", "events"]
"""What a format holds: answers to imitate, answers with a thumb, preferences, or events as they are."""

Split = Literal["train", "test", "all"]
Outcome = Literal["positive", "negative", "none"]
_POSITIVE: Final = frozenset({"success", "explicit_positive", "user_correction"})
_CHUNK: Final = 500
_NEGATIVE: Final = frozenset({"validation_failure", "explicit_negative"})


@dataclass(frozen=True, slots=True)
class Choice:
    """The filters of an export; None and empty mean no filter.

    `min_tier` and `min_quality` (0-1) are floors, `since` and `until` seconds since the epoch, `model` the name of the
    model that answered. `limit` keeps the best by quality. `balanced` keeps as many positive as negative outcomes by
    drawing from the larger side with `seed`. `split` None is "train" for what trains elsewhere, so that the prompts
    kept for testing stay unseen, and "all" otherwise.
    """

    categories: tuple[str, ...] = ()
    min_tier: Tier | None = None
    min_quality: float | None = None
    model: str | None = None
    since: float | None = None
    until: float | None = None
    limit: int | None = None
    balanced: bool = False
    split: Split | None = None
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Example:
    """One line of an export. `target` is the answer to imitate or to label, `label` the thumb, `event` its origin.

    A preference has `rejected` as well, and no event.
    """

    category: str
    prompt: str
    target: str
    system: str = ""
    history: Sequence[Mapping[str, Any]] = ()
    label: bool | None = None
    rejected: str = ""
    margin: float = 0.0
    source: str = ""
    event: EventRow | None = None


def outcome_of(event: EventRow) -> Outcome:
    """Whether the model did well, as far as it is known."""
    kind = current_feedback_type(event)
    if kind in _POSITIVE:
        return "positive"
    return "negative" if kind in _NEGATIVE else "none"


def choose(
    store: Store,
    categories: Mapping[str, Category],
    choice: Choice,
    kind: Kind,
    *,
    held_out: int,
    left_out: Counter[str],
) -> Iterator[Example]:
    """The examples in the order of their events, a few hundred in memory at a time.

    `held_out` is the percentage of prompts kept for testing; `left_out` gets what the filters passed but the format
    cannot hold, by reason. The same store and choice give the same examples.
    """
    split = choice.split or ("all" if kind == "events" else "train")
    if kind == "pairs":
        found = list(_pairs(store, categories, choice, split, held_out, left_out=left_out))
        yield from _strongest(found, choice.limit)
        return
    for event in _read(store, _chosen_ids(store, choice, split, held_out, left_out)):
        system = event.system or (categories[event.category].system_prompt if event.category in categories else "")
        yield from _examples(event, system, kind, left_out)


def _chosen_ids(store: Store, choice: Choice, split: Split, held_out: int, left_out: Counter[str]) -> list[int]:
    passed: list[tuple[float, int]] = []
    sides: dict[Outcome, list[int]] = {"positive": [], "negative": [], "none": []}
    for event in _events(store, choice):
        if _on_side(event.bucket, split, held_out, left_out):
            passed.append((-event.quality, event.id))
            sides[outcome_of(event)].append(event.id)
    if choice.balanced:
        kept = _balanced(sides, choice.seed, left_out)
        passed = [each for each in passed if each[1] in kept]
    if choice.limit is not None:
        left_out["beyond the limit"] += max(0, len(passed) - choice.limit)
        passed = _limited(sorted(passed), choice, sides)
    return sorted(event_id for _, event_id in passed)


def _limited(
    ranked: list[tuple[float, int]], choice: Choice, sides: Mapping[Outcome, list[int]]
) -> list[tuple[float, int]]:
    """The best by quality; with balance half of each side."""
    assert choice.limit is not None
    if not choice.balanced:
        return ranked[: choice.limit]
    positive = set(sides["positive"])
    half = choice.limit // 2
    good = [each for each in ranked if each[1] in positive][:half]
    bad = [each for each in ranked if each[1] not in positive][:half]
    return good + bad


def _read(store: Store, ids: Sequence[int]) -> Iterator[EventRow]:
    for start in range(0, len(ids), _CHUNK):
        yield from events.get_many(store, ids[start : start + _CHUNK])


def _events(store: Store, choice: Choice) -> Iterator[EventRow]:
    tiers = TIERS[TIERS.index(choice.min_tier) :] if choice.min_tier else ()
    for name in choice.categories or (None,):
        yield from events.iter_events(
            store,
            EventFilter(
                category=name,
                tiers=tuple(tiers),
                min_quality=choice.min_quality,
                model=choice.model,
                since=choice.since,
                until=choice.until,
            ),
        )


def _on_side(bucket: int, split: Split, held_out: int, left_out: Counter[str]) -> bool:
    if split == "all" or is_held_out(bucket, held_out) == (split == "test"):
        return True
    left_out["kept for testing" if split == "train" else "not kept for testing"] += 1
    return False


def _balanced(sides: Mapping[Outcome, Sequence[int]], seed: int, left_out: Counter[str]) -> set[int]:
    size = min(len(sides["positive"]), len(sides["negative"]))
    draw = random.Random(seed)
    kept = {*draw.sample(sorted(sides["positive"]), size), *draw.sample(sorted(sides["negative"]), size)}
    left_out["without an outcome"] += len(sides["none"])
    left_out["drawn away for balance"] += len(sides["positive"]) + len(sides["negative"]) - 2 * size
    return kept


def _examples(event: EventRow, system: str, kind: Kind, left_out: Counter[str]) -> Iterator[Example]:
    def example(target: str, label: bool | None) -> Example:
        return Example(event.category, event.prompt, target, system, event.history, label, event=event)

    if kind == "events":
        yield example(event.correction or event.response, None)
    elif kind == "lessons":
        if event.correction is not None:
            yield example(event.correction, True)
        elif outcome_of(event) == "negative":
            left_out["a bad answer, which is no lesson"] += 1
        else:
            yield example(event.response, None)
    elif event.correction is not None:
        yield example(event.correction, True)
        yield example(event.response, False)
    elif (outcome := outcome_of(event)) == "none":
        left_out["without an outcome"] += 1
    else:
        yield example(event.response, outcome == "positive")


def _pairs(
    store: Store,
    categories: Mapping[str, Category],
    choice: Choice,
    split: Split,
    held_out: int,
    *,
    left_out: Counter[str],
) -> Iterator[Example]:
    passing = {event.id for event in _events(store, choice)}
    for name in choice.categories or pairs.categories(store):
        listed = pairs.list_pairs(store, name)
        origins = sorted({_origin(pair) for pair in listed})
        known = {event.id: event for event in _read(store, [each for each in origins if each in passing])}
        for pair in listed:
            event = known.get(_origin(pair))
            if event is None:
                left_out["kept out by the filters"] += 1
            elif pair.chosen == pair.rejected:
                left_out["both sides are equal"] += 1
            elif _on_side(event.bucket, split, held_out, left_out):
                system = event.system or (categories[name].system_prompt if name in categories else "")
                yield Example(
                    name, pair.prompt, pair.chosen, system, event.history, None, pair.rejected, pair.margin, pair.source
                )


def _origin(pair: PairRow) -> int:
    """The event that a pair is filtered by: the better answer's, or the one that was corrected."""
    return pair.chosen_event or pair.rejected_event or 0


def _strongest(found: list[Example], limit: int | None) -> list[Example]:
    if limit is None or len(found) <= limit:
        return found
    ranked = sorted(range(len(found)), key=lambda at: (-found[at].margin, at))[:limit]
    return [found[at] for at in sorted(ranked)]
