"""The prompts that are kept for testing: never trained on, the same at every asking, stable as the data grows."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from core.select.split import is_held_out
from storage import datasets, events
from storage.db import Store
from storage.rows import EventFilter, EventRow

SMALLEST_SPLIT = 5
"""A category with fewer events trains on all of them and keeps none for testing."""


def keeps_test(event: EventRow, total: int, trained_prompts: Collection[str], percent: int = 20) -> bool:
    """Whether an event of a category with `total` events is kept for testing.

    A prompt that was once trained on (while the category was small) is never counted as held out.
    """
    return total >= SMALLEST_SPLIT and is_held_out(event.bucket, percent) and event.prompt_hash not in trained_prompts


def held_out_from(
    considered: Sequence[EventRow], trained: Collection[int], *, limit: int, percent: int = 20
) -> list[EventRow]:
    """One event for each held-out prompt, at most `limit`, in the order of the prompts' hashes.

    Of several events with the same prompt it is a corrected one, else one with an expected answer, else the first.
    A prompt that a person rejected as such is left out.
    """
    trained_prompts = {event.prompt_hash for event in considered if event.id in trained}
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
    considered = list(events.iter_events(store, EventFilter(category=category_name)))
    trained = datasets.trained_event_ids(store, category_name)
    return held_out_from(considered, trained, limit=limit, percent=held_out_percent)


def _preference(event: EventRow) -> tuple[bool, bool, int]:
    return event.correction is None, "expected" not in event.metadata, event.id
