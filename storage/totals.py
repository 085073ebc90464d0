"""Sums over all events, for statistics and trends."""

from __future__ import annotations

from math import inf

from storage.db import Store

_SCORED = "INDEXED BY events_by_category WHERE category = ? AND score IS NOT NULL AND (created_at, id) > (?, ?)"


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


def score_trend(store: Store, category: str, *, buckets: int = 20) -> list[float]:
    """Mean scores of at most `buckets` consecutive slices of equal count, oldest first, without the unscored."""
    scored = int(store.value("SELECT scored FROM category_totals WHERE category = ?", (category,)) or 0)
    size, more = divmod(scored, buckets)
    means: list[float] = []
    after: tuple[float, int] = (-inf, 0)
    for number in range(min(buckets, scored)):
        # Numbering all of them takes three times as long as finding where each slice ends and taking its mean.
        last = store.row(
            f"SELECT created_at, id FROM events {_SCORED} ORDER BY created_at, id LIMIT 1 OFFSET ?",
            (category, *after, size + (number < more) - 1),
        )
        if last is None:
            break  # some went meanwhile
        means.append(store.value(f"SELECT avg(score) FROM events {_SCORED} AND (created_at, id) <= (?, ?)",
                                 (category, *after, *last)))  # fmt: skip
        after = (last[0], last[1])
    return means


def common_responses(store: Store, category: str, limit: int = 20) -> list[tuple[str, int]]:
    """Responses given at least 3 times (white space and case apart) with their counts, the most common first."""
    rows = store.rows(
        "SELECT (SELECT response FROM events WHERE id = first), copies FROM "
        "(SELECT min(id) AS first, count(*) AS copies FROM events WHERE category = ? "
        "GROUP BY response_hash HAVING copies >= 3 ORDER BY copies DESC, first LIMIT ?)",
        (category, limit),
    )
    return [(text, copies) for text, copies in rows]
