"""The prompts that are kept for testing: never trained on, the same at every asking, stable as the data grows."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TypeVar

from core.config import Select
from core.select.split import is_held_out, is_validation, prompt_hash
from storage import datasets, events
from storage.db import Store
from storage.rows import EventFilter, EventRow

SMALLEST_SPLIT = 5
"""A category with fewer events trains on all of them and keeps none for testing."""
_VALIDATION_NEEDS = 20

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Sides:
    """The events of a category, by id, with the side of the split that each stands on.

    `test` (one event a prompt) is what versions are tested on; `kept` are all events that no training may see;
    `trained_prompts` are the hashes of the prompts that a run, by whatever method, has started to learn from.
    """

    considered: list[EventRow]
    test: list[EventRow]
    kept: frozenset[int]
    trained_prompts: frozenset[str]


def sides_of(store: Store, category_name: str, constants: Select) -> Sides:
    """Which side each event of the category stands on; the same store gives the same answer at any time of asking."""
    percent = constants.held_out_percent
    considered = list(events.iter_events(store, EventFilter(category=category_name)))
    trained = _trained_prompts(store, category_name, considered)
    test = held_out_from(considered, trained, limit=constants.max_test, percent=percent)
    kept = frozenset(event.id for event in considered if keeps_test(event, len(considered), trained, percent))
    return Sides(considered, test, kept, trained)


def keeps_test(event: EventRow, total: int, trained_prompts: Collection[str], percent: int = 20) -> bool:
    """Whether an event of a category with `total` events is kept for testing.

    A prompt that was once trained on (while the category was small) is never counted as held out.
    """
    return total >= SMALLEST_SPLIT and is_held_out(event.bucket, percent) and event.prompt_hash not in trained_prompts


def held_out_from(
    considered: Sequence[EventRow], trained_prompts: Collection[str], *, limit: int, percent: int = 20
) -> list[EventRow]:
    """One event for each held-out prompt, at most `limit`, in the order of the prompts' hashes.

    Of several events with the same prompt it is a corrected one, else one with an expected answer, else the first.
    A prompt that a person rejected as such is left out.
    """
    best: dict[str, EventRow] = {}
    for event in considered:
        if event.verdict == "reject" or not keeps_test(event, len(considered), trained_prompts, percent):
            continue
        known = best.get(event.prompt_hash)
        if known is None or _preference(event) < _preference(known):
            best[event.prompt_hash] = event
    return [best[key] for key in sorted(best)[:limit]]


def held_out_events(store: Store, category_name: str, *, limit: int, held_out_percent: int = 20) -> list[EventRow]:
    """The events whose prompts test every version of the category, at most `limit`; distinct prompts, stable order."""
    return sides_of(store, category_name, Select(max_test=limit, held_out_percent=held_out_percent)).test


def parted(
    items: Sequence[Item], place: Callable[[Item], tuple[int, str]], trained_prompts: Collection[str], constants: Select
) -> tuple[list[Item], list[Item]]:
    """Train and validation, each in the order given; `place` tells the bucket and the hash of an item's prompt.

    A small category needs every example for training; a large one watches `max_validation`. What was trained on once,
    while the category was small, does not watch: its loss would tell what is remembered.
    """
    if len(items) < _VALIDATION_NEEDS:
        return list(items), []
    watched = {
        key
        for bucket, key in map(place, items)
        if is_validation(bucket, constants.held_out_percent) and key not in trained_prompts
    }
    counts = sorted(key for _, key in map(place, items) if key in watched)
    # Cut between two prompts, never between two answers to one.
    last = counts[: constants.max_validation][-1] if counts else ""
    watched = {key for key in watched if key <= last}
    return (
        [each for each in items if place(each)[1] not in watched],
        [each for each in items if place(each)[1] in watched],
    )


def _trained_prompts(store: Store, category_name: str, considered: Sequence[EventRow]) -> frozenset[str]:
    trained = datasets.trained_event_ids(store, category_name)
    learned = {event.prompt_hash for event in considered if event.id in trained}
    return frozenset(learned | {prompt_hash(text) for text in datasets.trained_without_event(store, category_name)})


def _preference(event: EventRow) -> tuple[bool, bool, int]:
    return event.correction is None, "expected" not in event.metadata, event.id
