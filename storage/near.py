"""The keys by which near-duplicates find each other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from storage.columns import LISTED, listed
from storage.db import Store

PER_KEY = 8
"""Events looked at under one key: a key that very many share (a stock answer) tells little more with more of them."""


def add(store: Store, keys: Mapping[int, Sequence[int]]) -> None:
    """Keeps the keys (signed 64 bit) of events, by event id."""
    # In the order of the key, so that a bulk load touches each page of the tree once.
    rows = sorted((key, event_id) for event_id, own in keys.items() for key in own)
    with store.transaction():
        store.write_many("INSERT OR IGNORE INTO near_keys (key, event_id) VALUES (?, ?)", rows)


def drop(store: Store, keys: Mapping[int, Sequence[int]]) -> None:
    """Forgets these keys of events, by event id."""
    with store.transaction():
        store.write_many(
            "DELETE FROM near_keys WHERE key = ? AND event_id = ?",
            sorted((key, event_id) for event_id, own in keys.items() for key in own),
        )


def sharing(store: Store, keys: Iterable[int]) -> dict[int, list[int]]:
    """For each of these keys that is known: the oldest events that have it, at most 8."""
    found: dict[int, list[int]] = {}
    sql = f"SELECT key, event_id FROM near_keys WHERE key IN {LISTED} ORDER BY key, event_id"
    with store.reading(sql, (listed(sorted(set(keys))),)) as rows:
        for key, event_id in rows:
            own = found.setdefault(key, [])
            if len(own) < PER_KEY:
                own.append(event_id)
    return found


def shared_keys(store: Store, category: str) -> list[tuple[int, int]]:
    """Every `(key, event id)` of the category whose key another event has too, by key."""
    return store.rows(
        "SELECT k.key, k.event_id FROM near_keys k JOIN events e ON e.id = k.event_id WHERE e.category = ? "
        "AND k.key IN (SELECT key FROM near_keys GROUP BY key HAVING count(*) > 1) ORDER BY k.key, k.event_id",
        (category,),
    )


def without_keys(store: Store, after: int, limit: int) -> list[int]:
    """Events that have no keys yet, by id, from the one after `after`: those of an older schema."""
    rows = store.rows(
        "SELECT id FROM events WHERE id > ? AND id NOT IN (SELECT event_id FROM near_keys) ORDER BY id LIMIT ?",
        (after, limit),
    )
    return [event_id for (event_id,) in rows]


def drop_orphans(store: Store) -> int:
    """Removes the keys of events that are gone; how many."""
    with store.transaction():
        return store.write("DELETE FROM near_keys WHERE event_id NOT IN (SELECT id FROM events)").rowcount
