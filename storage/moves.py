"""Moves of events to another category: what each category makes of an event, and putting it in place."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from storage import near
from storage.columns import LISTED, listed, to_json
from storage.db import Store
from storage.rows import FeedbackType, Tier


@dataclass(frozen=True, slots=True)
class Placed:
    """What an event is in a category. `near_keys` are the keys by which its near-duplicates there find it."""

    category: str
    score: float | None
    valid: bool
    feedback_type: FeedbackType
    findings: Sequence[Any]
    quality: float
    tier: Tier
    quality_parts: dict[str, float]
    near_keys: Sequence[int]


@dataclass(frozen=True, slots=True)
class Move:
    """An event on its way from one category to another."""

    event_id: int
    before: Placed
    after: Placed


def keep(store: Store, moves: Sequence[tuple[int, Move]]) -> None:
    """Keeps each move under its row of the log of judgments; call it inside a transaction."""
    store.write_many(
        "INSERT INTO moves (judgment, from_category, to_category, before, after) VALUES (?, ?, ?, ?, ?)",
        (
            (row, one.before.category, one.after.category, to_json(asdict(one.before)), to_json(asdict(one.after)))
            for row, one in moves
        ),
    )


def of(store: Store, rows: Sequence[int]) -> list[Move]:
    """The moves of these rows of the log, by row; other rows have none."""
    found = store.rows(
        "SELECT j.event_id, m.before, m.after FROM moves m JOIN judgments j ON j.id = m.judgment "
        f"WHERE m.judgment IN {LISTED} ORDER BY m.judgment",
        (listed(rows),),
    )
    return [Move(event, Placed(**json.loads(before)), Placed(**json.loads(after))) for event, before, after in found]


def place(store: Store, moves: Sequence[Move], *, back: bool = False) -> None:
    """Puts the events where they were moved to, or with `back` where they were before; call it inside a transaction.

    Pairs and comparisons follow their events, and say nothing while these stand in different categories.
    """
    if not moves:
        return
    ways = [(one.event_id, one.after, one.before) if back else (one.event_id, one.before, one.after) for one in moves]
    store.write_many(
        "UPDATE events SET category = ?, score = ?, valid = ?, feedback_type = ?, findings = ?, quality = ?, tier = ?, "
        "quality_parts = ? WHERE id = ?",
        (
            (
                to.category,
                to.score,
                to.valid,
                to.feedback_type,
                to_json(to.findings),
                to.quality,
                to.tier,
                to_json(to.quality_parts),
                event_id,
            )
            for event_id, _, to in ways
        ),
    )
    near.drop(store, {event_id: left.near_keys for event_id, left, _ in ways})
    near.add(store, {event_id: to.near_keys for event_id, _, to in ways})
    place_pairs(store, [one.event_id for one in moves])


def place_pairs(store: Store, event_ids: Sequence[int]) -> None:
    """Gives the pairs and comparisons of these events the category of their two events, none where these differ."""
    with store.transaction():
        for table, one, other in (
            ("pairs", "chosen_event", "rejected_event"),
            ("comparisons", "first_event", "second_event"),
        ):
            first, second = (f"(SELECT category FROM events WHERE id = {table}.{side})" for side in (one, other))
            for side in (one, other):
                store.write(
                    f"UPDATE {table} SET category = CASE WHEN {first} <> {second} THEN '' "
                    f"ELSE coalesce({first}, {second}) END WHERE {side} IN {LISTED}",
                    (listed(event_ids),),
                )
