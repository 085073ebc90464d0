"""Sums over all events, for statistics."""

from __future__ import annotations

from storage.db import Store


def by_source(store: Store) -> dict[str, int]:
    """Events by the way they came in, the most common first."""
    return {
        str(name): int(n) for name, n in store.rows("SELECT source, count(*) FROM events GROUP BY 1 ORDER BY 2 DESC, 1")
    }


def by_feedback_type(store: Store) -> dict[str, int]:
    """Events by the feedback type that they were recorded with, the most common first."""
    rows = store.rows("SELECT feedback_type, count(*) FROM events GROUP BY 1 ORDER BY 2 DESC, 1")
    return {str(name): int(n) for name, n in rows}


def with_context(store: Store) -> int:
    """Events whose model was given a retrieval context."""
    return int(store.value("SELECT count(*) FROM events WHERE context <> ''"))


def datasets(store: Store) -> int:
    """Frozen datasets."""
    return int(store.value("SELECT count(*) FROM datasets"))


def runs_by_status(store: Store) -> dict[str, int]:
    """Runs by status."""
    return {str(name): int(n) for name, n in store.rows("SELECT status, count(*) FROM runs GROUP BY 1 ORDER BY 1")}


def pairs(store: Store) -> int:
    """Preference pairs."""
    return int(store.value("SELECT count(*) FROM pairs"))
