"""Which events and pairs an export takes, and the lesson that each of them holds."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, NamedTuple

from core.categories import Category
from core.select.split import is_held_out
from core.validate.feedback import current_feedback_type
from core.validate.quality import TIERS
from storage import events, judgments, pairs
from storage.db import Store
from storage.rows import EventFilter, EventRow, JudgmentRow, PairRow, Tier

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
    model that answered. `limit` keeps the best by quality, counted in rows. `balanced` keeps as many rows with a good
    as with a bad outcome, by drawing from the larger side with `seed`, or the best of each with a `limit`. `split` None
    is "train" for what trains elsewhere, so that the prompts kept for testing stay unseen, and "all" otherwise.
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

    A preference has `rejected` as well, and no event. `said` is the judgment in force, for what holds events.
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
    said: JudgmentRow | None = None


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
    refusal: Callable[[Example], str | None] = lambda _: None,
) -> Iterator[Example]:
    """The examples in the order of their events but for the first of each shape, a few hundred in memory at a time.

    `held_out` is the percentage of prompts kept for testing; `refusal` says why a format cannot hold an example, None
    when it can; `left_out` gets what the filters passed but is not written, by reason. Limit and balance count what is
    written. The same store and choice give the same examples.
    """
    split = choice.split or ("all" if kind == "events" else "train")
    if kind == "pairs":
        listed = _pairs(store, categories, choice, split, held_out, left_out=left_out)
        found = _strongest([one for one in listed if _held(one, refusal, left_out)], choice.limit, left_out)
        first = set(_first_of_each_shape((at, _shape(one.history)) for at, one in enumerate(found)))
        yield from (found[at] for at in sorted(range(len(found)), key=lambda at: (at not in first, at)))
        return
    rows: list[_Row] = []
    shapes: dict[int, frozenset[str]] = {}
    for event in _events(store, choice):
        if _on_side(event.bucket, split, held_out, left_out):
            for part, one in enumerate(_examples(event, _system(event, categories), kind, left_out)):
                if _held(one, refusal, left_out):
                    rows.append(_Row(-event.quality, event.id, part, _side(one, event)))
                    if event.history and kind != "events":
                        shapes[event.id] = _shape(event.history)
    chosen: dict[int, set[int]] = {}
    for row in _limited(rows, choice, left_out):
        chosen.setdefault(row.event, set()).add(row.part)
    first = set(_first_of_each_shape((event_id, shapes.get(event_id, frozenset())) for event_id in sorted(chosen)))
    for event in _read(store, sorted(chosen, key=lambda event_id: (event_id not in first, event_id))):
        examples = _examples(event, _system(event, categories), kind, Counter())
        said = judgments.current(store, event.id) if kind == "events" and event.verdict is not None else None
        for part, one in enumerate(examples):
            if part in chosen[event.id]:
                yield replace(one, said=said)


def _shape(history: Sequence[Mapping[str, Any]]) -> frozenset[str]:
    """Which keys the turns of a chat have beside role and content."""
    return frozenset(key for turn in history for key in turn) - {"role", "content"}


def _first_of_each_shape(shaped: Iterable[tuple[int, frozenset[str]]]) -> Iterator[int]:
    """The rows that bring a key which no row before them has: they are written first.

    The datasets library takes the columns of a file from its first 10 MB, and fails at a key that comes up later.
    """
    seen: set[str] = set()
    for row, keys in shaped:
        if not keys <= seen:
            seen |= keys
            yield row


def _held(one: Example, refusal: Callable[[Example], str | None], left_out: Counter[str]) -> bool:
    """Whether the format can hold an example; else the reason is counted."""
    reason = refusal(one)
    if reason is not None:
        left_out[reason] += 1
    return reason is None


class _Row(NamedTuple):
    """A row that could be written; sorted, the best events come first. `part` counts the rows of one event."""

    worse: float
    event: int
    part: int
    side: Outcome


def _side(one: Example, event: EventRow) -> Outcome:
    """Which side of the balance a row weighs on: its own label, else the outcome of its event."""
    if one.label is not None:
        return "positive" if one.label else "negative"
    return outcome_of(event)


def _limited(rows: Sequence[_Row], choice: Choice, left_out: Counter[str]) -> list[_Row]:
    """The best rows by quality; with balance as many of each side, the best where there is a limit, else drawn."""
    if not choice.balanced:
        kept = sorted(rows)[: choice.limit]
        left_out["beyond the limit"] += len(rows) - len(kept)
        return kept
    sides: dict[Outcome, list[_Row]] = {"positive": [], "negative": [], "none": []}
    for row in sorted(rows):
        sides[row.side].append(row)
    good, bad = sides["positive"], sides["negative"]
    left_out["without an outcome"] += len(sides["none"])
    size = min(len(good), len(bad))
    left_out["drawn away for balance"] += len(good) + len(bad) - 2 * size
    if choice.limit is not None and choice.limit // 2 < size:
        half = choice.limit // 2
        left_out["beyond the limit"] += 2 * (size - half)
        return good[:half] + bad[:half]
    draw = random.Random(choice.seed)
    return draw.sample(good, size) + draw.sample(bad, size)


def _system(event: EventRow, categories: Mapping[str, Category]) -> str:
    return event.system or (categories[event.category].system_prompt if event.category in categories else "")


def _read(store: Store, ids: Sequence[int]) -> Iterator[EventRow]:
    for start in range(0, len(ids), _CHUNK):
        yield from events.get_many(store, ids[start : start + _CHUNK])


def _events(store: Store, choice: Choice) -> Iterator[EventRow]:
    for chosen in _filters(choice):
        yield from events.iter_events(store, chosen)


def _filters(choice: Choice) -> list[EventFilter]:
    """One for each category that was named."""
    tiers = TIERS[TIERS.index(choice.min_tier) :] if choice.min_tier else ()
    return [
        EventFilter(
            category=name,
            tiers=tuple(tiers),
            min_quality=choice.min_quality,
            model=choice.model,
            since=choice.since,
            until=choice.until,
        )
        for name in dict.fromkeys(choice.categories) or (None,)
    ]


def _on_side(bucket: int, split: Split, held_out: int, left_out: Counter[str]) -> bool:
    if split == "all" or is_held_out(bucket, held_out) == (split == "test"):
        return True
    left_out["kept for testing" if split == "train" else "not kept for testing"] += 1
    return False


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
    passing = {event_id for chosen in _filters(choice) for event_id in events.event_ids(store, chosen)}
    for name in dict.fromkeys(choice.categories) or pairs.categories(store):
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
                system = _system(event, categories)
                yield Example(
                    name, pair.prompt, pair.chosen, system, event.history, None, pair.rejected, pair.margin, pair.source
                )


def _origin(pair: PairRow) -> int:
    """The event that a pair is filtered by: the better answer's, or the one that was corrected."""
    return pair.chosen_event or pair.rejected_event or 0


def _strongest(found: list[Example], limit: int | None, left_out: Counter[str]) -> list[Example]:
    if limit is None or len(found) <= limit:
        return found
    left_out["beyond the limit"] += len(found) - limit
    ranked = sorted(range(len(found)), key=lambda at: (-found[at].margin, at))[:limit]
    return [found[at] for at in sorted(ranked)]
