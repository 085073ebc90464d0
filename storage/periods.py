"""Figures of the events of a period, for reports: sums by time, by finding and by verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from storage.columns import RowReader
from storage.db import Store
from storage.rows import EventFilter
from storage.search import conditions


@dataclass(frozen=True, slots=True)
class Slice:
    """The events of one slice of time, the `number`-th since the period's start. Scores are 0-100."""

    number: int
    total: int
    scored: int
    mean_score: float | None
    gold: int
    silver: int
    bronze: int
    rejected: int


@dataclass(frozen=True, slots=True)
class Judged:
    """What people said in a period: judgments in force by verdict, and the median seconds that one took."""

    by_verdict: dict[str, int]
    median_seconds: float | None

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self.by_verdict.values())


_read = RowReader(Slice)


def extent(store: Store, chosen: EventFilter) -> tuple[float, float] | None:
    """When the first and the last of the events were made, None where there is none."""
    where, params = conditions(chosen)
    first, last = store.rows(f"SELECT min(created_at), max(created_at) FROM events WHERE {where}", params)[0]
    return None if first is None else (float(first), float(last))


def slices(store: Store, chosen: EventFilter, *, start: float, seconds: float) -> list[Slice]:
    """The events slice by slice, each `seconds` long; slices without events are left out."""
    where, params = conditions(chosen)
    rows = store.rows(
        "SELECT CAST((created_at - ?) / ? AS INTEGER) AS number, count(*), count(score), avg(score), "
        "sum(tier = 'gold'), sum(tier = 'silver'), sum(tier = 'bronze'), sum(tier = 'rejected') "
        f"FROM events WHERE {where} GROUP BY number ORDER BY number",
        (start, seconds, *params),
    )
    return [_read(row) for row in rows]


def findings(store: Store, chosen: EventFilter, limit: int = 12) -> list[tuple[str, int]]:
    """The kinds of findings that are no mere information, with the events that have them, the most common first."""
    where, params = conditions(chosen)
    rows = store.rows(
        "SELECT json_extract(found.value, '$.kind') AS kind, count(DISTINCT events.id) AS n "
        f"FROM events, json_each(events.findings) AS found WHERE {where} "
        "AND coalesce(json_extract(found.value, '$.severity'), '') <> 'info' "
        "AND kind IS NOT NULL GROUP BY kind ORDER BY n DESC, kind LIMIT ?",
        (*params, limit),
    )
    return [(str(kind), int(n)) for kind, n in rows]


def judged(store: Store, *, category: str | None, since: float, until: float) -> Judged:
    """The judgments in force that were made from `since` (inclusive) to `until` (exclusive; infinite for no end)."""
    rows: Sequence[tuple[str, float | None]] = store.rows(
        "SELECT j.kind, j.seconds FROM effective_judgments j JOIN events e ON e.id = j.event_id "
        "WHERE j.created_at >= ? AND j.created_at < ? AND (? IS NULL OR e.category = ?)",
        (since, until, category, category),
    )
    counts: dict[str, int] = {}
    for kind, _ in rows:
        counts[kind] = counts.get(kind, 0) + 1
    times = [seconds for _, seconds in rows if seconds is not None]
    return Judged(dict(sorted(counts.items())), median(times) if times else None)
