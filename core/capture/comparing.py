"""Comparisons that a person makes, with the preference pair that follows from each kept in step."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from core.errors import ConflictError
from core.select.preference.merge_insertion import RELATIONS
from core.select.preference.preferences import UNTOLD_MARGIN
from core.select.split import content_hash
from storage import comparisons, events, pairs
from storage.comparisons import Choice, ComparisonRow
from storage.db import Store
from storage.moves import place_pairs

_LOOKED_AT: Final = 1_000


def record_comparison(
    store: Store,
    first_event: int,
    second_event: int,
    choice: Choice,
    *,
    swapped: bool = False,
    seconds: float | None = None,
    now: float | None = None,
) -> int:
    """Adds what a person said of two answers to one prompt, and brings their pair in step; durable on return.

    `first` and `second` in `choice` name the events in the order given here, `swapped` tells whether the second one was
    shown first, `seconds` the time it took. Returns the comparison's id. Raises NotFoundError for an event that is not
    there, ConflictError when the two do not answer the same prompt.
    """
    with store.transaction(durable=True):
        one, other = events.get(store, first_event), events.get(store, second_event)
        if (one.category, one.prompt_hash) != (other.category, other.prompt_hash):
            raise ConflictError(
                f"Events {one.id} and {other.id} do not answer the same prompt.",
                title="The comparison was not kept",
                hint="Compare two answers to one prompt.",
            )
        added = comparisons.add(
            store,
            at=time.time() if now is None else now,
            category=one.category,
            first_event=one.id,
            second_event=other.id,
            choice=choice,
            swapped=swapped,
            seconds=seconds,
        )
        _follow(store, one.id, other.id)
    return added


def undo_comparison(
    store: Store, category: str, *, comparison_id: int | None = None, now: float | None = None
) -> ComparisonRow | None:
    """Takes back a comparison (without an id the newest of the category) and what followed from it; durable on return.

    Returns it, or None when there is none. Raises ConflictError when it was taken back before.
    """
    with store.transaction(durable=True):
        if comparison_id is None:
            newest = comparisons.last(store, category)
            if newest is None:
                return None
            comparison_id = newest.id
        taken = comparisons.undo(store, comparison_id, at=time.time() if now is None else now)
        _follow(store, taken.first_event, taken.second_event)
    return taken


def redo_comparison(store: Store, category: str, *, now: float | None = None) -> ComparisonRow | None:
    """Says again what was taken back last, as long as nothing else was said since; durable on return.

    Of the category's log the newest 1,000 rows are looked at. Returns what was said, under its new id, or None when
    nothing is left to be restored.
    """
    with store.transaction(durable=True):
        waiting = _taken_back(comparisons.tail(store, category, _LOOKED_AT))
        if not waiting:
            return None
        was = waiting[-1]
        added = record_comparison(
            store, was.first_event, was.second_event, _choice(was), swapped=was.swapped, seconds=was.seconds, now=now
        )
    return replace(was, id=added)


def _taken_back(log: Sequence[ComparisonRow]) -> list[ComparisonRow]:
    """What undos took back and nobody said again or otherwise since; what would be restored first stands last."""
    waiting: list[ComparisonRow] = []
    by_id: dict[int, ComparisonRow] = {}
    for row in log:
        if row.target is not None:
            # What was said before the rows that are looked at is not restored.
            waiting = [*waiting, by_id[row.target]] if row.target in by_id else []
            continue
        by_id[row.id] = row
        again = waiting and _what(row) == _what(waiting[-1])
        waiting = waiting[:-1] if again else []
    return waiting


def _what(row: ComparisonRow) -> tuple[int, int, str]:
    return row.first_event, row.second_event, row.choice


def _choice(row: ComparisonRow) -> Choice:
    assert row.choice != "undo"
    return row.choice


def _follow(store: Store, one: int, other: int) -> None:
    """The pair that the newest answer about two events makes: `ranking`, with the answer's time.

    Its margin is the score difference / 100 where the scores say the same, else 0.5. A tie makes none, nor do two equal
    texts, nor a preference that came in otherwise already. A skipped question changes nothing.
    """
    pairs.drop_compared(store, one, other)
    said = [row for row in comparisons.of_pair(store, one, other) if row.choice in RELATIONS]
    if not said or said[-1].choice not in ("first", "second"):
        return
    newest = said[-1]
    ids = (newest.first_event, newest.second_event)
    chosen, rejected = events.get_many(store, ids if newest.choice == "first" else ids[::-1])
    if content_hash("", chosen.response) == content_hash("", rejected.response):
        return
    if "ranking" in pairs.sources_between(store, chosen.id, rejected.id):
        return
    gain = 0.0 if chosen.score is None or rejected.score is None else (chosen.score - rejected.score) / 100.0
    pairs.add(
        store,
        created_at=newest.at,
        category=chosen.category,
        prompt=chosen.prompt,
        chosen=chosen.response,
        rejected=rejected.response,
        margin=gain if gain > 0.0 else UNTOLD_MARGIN,
        source="ranking",
        chosen_event=chosen.id,
        rejected_event=rejected.id,
    )
    place_pairs(store, [chosen.id, rejected.id])
