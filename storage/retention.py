"""Finding and removing the events that a category has too many of.

Nothing here removes an event that another table refers to: a judgment, a dataset, a pair or an A/B test keeps it. Only
what is deleted together with its event (ON DELETE CASCADE), or merely forgets it (ON DELETE SET NULL), does not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from storage.db import Store
from storage.rows import Tier

TIERS: Final[tuple[Tier, ...]] = ("rejected", "bronze", "silver", "gold")
"""The order in which events go."""


class Removable(NamedTuple):
    """An event that may go; `created_at` in seconds since the epoch."""

    created_at: float
    id: int


START: Final = Removable(float("-inf"), 0)


def totals(store: Store) -> dict[str, int]:
    """How many events each category has, by name."""
    return dict(store.rows("SELECT category, total FROM category_totals WHERE total > 0 ORDER BY category"))


def total(store: Store, category: str) -> int:
    """How many events the category has."""
    return int(store.value("SELECT total FROM category_totals WHERE category = ?", (category,)) or 0)


def trainable(store: Store, category: str, *, held_out_percent: int) -> int:
    """How many events of the category are not held out for testing."""
    return int(
        store.value("SELECT count(*) FROM events WHERE category = ? AND bucket >= ?", (category, held_out_percent))
    )


def removable(
    store: Store, category: str, tier: Tier, *, held_out_percent: int, after: Removable = START, limit: int
) -> list[Removable]:
    """The oldest events of a tier that nothing protects, from the one after `after`, at most `limit`.

    Events in the buckets below `held_out_percent` (0-100) are kept for testing.
    """
    rows = store.rows(
        "SELECT e.created_at, e.id FROM events e INDEXED BY events_by_category WHERE e.category = ? AND e.tier = ? "
        f"AND (e.created_at, e.id) > (?, ?) AND e.bucket >= ? AND {_unreferred(store)} "
        "ORDER BY e.created_at, e.id LIMIT ?",
        (category, tier, after.created_at, after.id, held_out_percent, limit),
    )
    return [Removable(*row) for row in rows]


def remove(store: Store, ids: Sequence[int], near_keys: Sequence[tuple[int, int]]) -> None:
    """Removes events for good, with their `(key, event id)` of near-duplicates.

    Raises ConflictError, and removes none, when another table refers to one of them.
    """
    with store.transaction():
        store.write_many("DELETE FROM near_keys WHERE key = ? AND event_id = ?", sorted(near_keys))
        # The trigger on the table takes them out of the full-text index.
        store.write_many("DELETE FROM events WHERE id = ?", ((event_id,) for event_id in ids))


def protected(store: Store, category: str, *, held_out_percent: int) -> Mapping[str, int]:
    """How many events of the category are kept, by what keeps them; an event may count more than once.

    The reasons are "held out" and the names of the tables that refer to events.
    """
    counts = {"held out": "SELECT count(*) FROM events WHERE category = ? AND bucket < ?"}
    for table, columns in _referring(store).items():
        ids = " UNION ".join(f"SELECT DISTINCT {column} FROM {table} WHERE {column} IS NOT NULL" for column in columns)
        counts[table] = f"SELECT count(*) FROM ({ids}) r JOIN events e ON e.id = r.{columns[0]} WHERE e.category = ?"
    found = {
        reason: int(store.value(sql, (category, held_out_percent) if reason == "held out" else (category,)))
        for reason, sql in counts.items()
    }
    return {reason: count for reason, count in found.items() if count}


def _unreferred(store: Store) -> str:
    """The condition that no table refers to event `e`."""
    parts = [
        f"NOT EXISTS (SELECT 1 FROM {table} r WHERE r.{column} = e.id)"
        if (table, column) in _indexed(store, table)
        # A list made once for the whole query, where there is no index to ask for each event.
        else f"e.id NOT IN (SELECT {column} FROM {table} WHERE {column} IS NOT NULL)"
        for table, columns in _referring(store).items()
        for column in columns
    ]
    return " AND ".join(parts)


def _referring(store: Store) -> dict[str, list[str]]:
    """The tables with the columns by which they keep events, as the schema has them."""
    found: dict[str, list[str]] = {}
    for table, column in store.rows(
        'SELECT m.name, f."from" FROM sqlite_schema m, pragma_foreign_key_list(m.name) f '
        "WHERE m.type = 'table' AND f.\"table\" = 'events' AND f.on_delete NOT IN ('CASCADE', 'SET NULL') "
        'ORDER BY m.name, f."from"'
    ):
        found.setdefault(table, []).append(column)
    return found


def _indexed(store: Store, table: str) -> set[tuple[str, str]]:
    """The columns of a table that an index begins with."""
    rows = store.rows(
        "SELECT c.name FROM pragma_index_list(?) i, pragma_index_info(i.name) c WHERE c.seqno = 0", (table,)
    )
    return {(table, column) for (column,) in rows}
