"""What a version has answered in production, and what is known of each answer.

An answer that went through the gateway is a row of `responses`, also where an earlier event has the same text; any
other is an event that names the version as its model. A look costs the same in a small store and a large one: indexes
lead to the answers, and at most `SCANNED` events of other models are passed over on the way.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from storage.columns import LISTED, listed
from storage.db import Store
from storage.rows import Verdict

SCANNED: Final = 50_000
CANDIDATE: Final = "candidate"
"""The source of answers that were made on demand, several to one prompt: no production."""
_KNOWN: Final = "(e.score IS NOT NULL OR e.verdict IN ('good', 'bad', 'correct', 'reject'))"


@dataclass(frozen=True, slots=True)
class ServedAnswer:
    """One answer. `key` tells it from all others of a store and never changes; `score` is 0-100 or None."""

    key: str
    at: float
    score: float | None
    verdict: Verdict | None


@dataclass(frozen=True, slots=True)
class Served:
    """Whose answers, and from when: `models` are the names that events give it, `since` is inclusive, `until` not.

    Without `held_out_below` all count, else those alone whose prompt's bucket (0-99) is below it.
    """

    category: str
    version_id: int
    models: Sequence[str]
    since: float = -math.inf
    until: float = math.inf
    held_out_below: int = 100


def first_answers(store: Store, served: Served, limit: int) -> list[ServedAnswer]:
    """The first answers of a period that have a score or a person's verdict, oldest first, at most `limit`."""
    found = [*_passed_on(store, served, "ASC", limit), *_recorded(store, served, "ASC", limit)]
    return sorted(found, key=lambda one: (one.at, one.key))[:limit]


def last_answers(store: Store, served: Served, limit: int) -> list[ServedAnswer]:
    """The last answers of a period that have a score or a person's verdict, newest first, at most `limit`."""
    found = [*_passed_on(store, served, "DESC", limit), *_recorded(store, served, "DESC", limit)]
    return sorted(found, key=lambda one: (-one.at, one.key))[:limit]


def has_at_least(store: Store, category: str, count: int) -> bool:
    """Whether a category has at least `count` events."""
    sql = "SELECT count(*) FROM (SELECT 1 FROM events WHERE category = ? LIMIT ?)"
    return int(store.value(sql, (category, count))) >= count


def _passed_on(store: Store, served: Served, order: str, limit: int) -> list[ServedAnswer]:
    """Answers that went through the gateway."""
    return _answers(store, *passed_on_query(served, order, limit))


def passed_on_query(served: Served, order: str, limit: int) -> tuple[str, list[Any]]:
    """`(sql, params)` of the gateway's answers."""
    sql = (
        "SELECT r.id, r.at, e.score, e.verdict FROM responses r CROSS JOIN events e ON e.id = r.event_id "
        "WHERE r.version_id = ? AND r.at >= ? AND r.at < ? AND r.category = ? AND e.category = r.category "
        "AND e.bucket < ? "
        f"AND {_KNOWN} ORDER BY r.at {order} LIMIT ?"
    )
    period = [served.since, served.until]
    return sql, [served.version_id, *period, served.category, served.held_out_below, limit]


def _recorded(store: Store, served: Served, order: str, limit: int) -> list[ServedAnswer]:
    """Answers that were recorded by other ways."""
    low, high = served.since, served.until
    edge = store.value(
        "SELECT created_at FROM events INDEXED BY events_by_category WHERE category = ? AND created_at >= ? "
        f"AND created_at < ? ORDER BY created_at {order}, id {order} LIMIT 1 OFFSET ?",
        (served.category, low, high, SCANNED),
    )
    if edge is not None:
        low, high = (low, edge) if order == "ASC" else (edge, high)
    return _answers(store, *recorded_query(served, order, limit, low=low, high=high))


def recorded_query(served: Served, order: str, limit: int, *, low: float, high: float) -> tuple[str, list[Any]]:
    """`(sql, params)` of the answers that were recorded by other ways between two moments."""
    sql = (
        "SELECT 'e' || e.id, e.created_at, e.score, e.verdict FROM events e INDEXED BY events_by_category "
        "WHERE e.category = ? AND e.created_at >= ? AND e.created_at < ? "
        f"AND {_KNOWN} AND e.model IN {LISTED} AND e.source <> '{CANDIDATE}' AND e.bucket < ? "
        "AND NOT EXISTS (SELECT 1 FROM responses r WHERE r.event_id = e.id AND r.version_id = ?) "
        f"ORDER BY e.created_at {order}, e.id {order} LIMIT ?"
    )
    names = listed(list(served.models))
    return sql, [served.category, low, high, names, served.held_out_below, served.version_id, limit]


def _answers(store: Store, sql: str, params: Sequence[Any]) -> list[ServedAnswer]:
    return [ServedAnswer(*row) for row in store.rows(sql, params)]
