"""Recorded model outputs: adding, finding, listing, counting."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from heapq import merge
from itertools import chain, islice
from typing import Any, Literal

from storage.columns import LISTED, RowReader, clean, listed, placeholders, to_json
from storage.db import Store
from storage.errors import NotFoundError
from storage.rows import CategoryCounts, EventFilter, EventRow, EventSummary, NewEvent, Tier
from storage.search import conditions

Order = Literal["newest", "oldest", "score", "id"]

RECENT_SECONDS = 30 * 86_400.0
_CHUNK = 500
_ORDERS: dict[Order, str] = {
    "newest": "created_at DESC, id DESC",
    "oldest": "created_at, id",
    "score": "score ASC NULLS LAST, id",
    "id": "id",
}
_read = RowReader(
    EventRow,
    json_columns=("findings", "quality_parts", "sanitized", "metadata", "history"),
    boolean_columns=("valid", "generic"),
)
_summary_columns = ", ".join(
    f"substr({name}, 1, 200)" if name in ("prompt", "response") else name for name in RowReader(EventSummary).names
)
_INSERT = (
    "INSERT INTO events (created_at, category, model, prompt, response, content_hash, prompt_hash, response_hash, "
    "bucket, feedback_type, score, valid, quality, tier, generic, confidence, system, context, source, group_key, "
    "latency_ms, findings, quality_parts, sanitized, metadata, history, verdict, correction, judged_at) "
    f"VALUES ({placeholders(29)})"
)


def _values(event: NewEvent) -> tuple[Any, ...]:
    response = clean(event.response)
    return (
        event.created_at,
        event.category,
        clean(event.model),
        clean(event.prompt),
        response,
        event.content_hash,
        event.prompt_hash,
        _response_hash(response),
        event.bucket,
        event.feedback_type,
        event.score,
        event.valid,
        event.quality,
        event.tier,
        event.generic,
        event.confidence,
        clean(event.system),
        clean(event.context),
        clean(event.source),
        clean(event.group_key),
        event.latency_ms,
        to_json(list(event.findings)),
        to_json(event.quality_parts),
        to_json(event.sanitized),
        to_json(event.metadata),
        to_json(list(event.history)) if event.history else "[]",
        event.verdict,
        None if event.correction is None else clean(event.correction),
        event.judged_at,
    )


def _response_hash(response: str) -> int:
    """64 bits of the response, white space and case apart: tells copies, guards nothing."""
    plain = " ".join(response.split()).casefold()
    return int.from_bytes(blake2b(plain.encode(), digest_size=8).digest(), "big", signed=True)


def add(store: Store, event: NewEvent) -> int:
    """Stores one event and returns its id. Raises StoreError; ConflictError for a value outside its range."""
    with store.transaction():
        added = int(store.write(_INSERT, _values(event)).lastrowid or 0)
        _index(store, added, added)
    return added


def add_many(store: Store, events: Sequence[NewEvent]) -> list[int]:
    """Stores all of `events` or none, and returns their ids in order."""
    if not events:
        return []
    with store.transaction():
        # The write lock is held, so that the ids are consecutive.
        store.write_many(_INSERT, (_values(event) for event in events))
        last = int(store.value("SELECT max(id) FROM events"))
        first = last - len(events) + 1
        _index(store, first, last)
    return list(range(first, last + 1))


def set_assessment(store: Store, event_id: int, *, quality: float, tier: Tier, parts: Mapping[str, float]) -> None:
    """Keeps what the event's quality (0-1) and tier are since the last judgment, with the parts that explain them."""
    with store.transaction():
        store.write(
            "UPDATE events SET quality = ?, tier = ?, quality_parts = ? WHERE id = ?",
            (quality, tier, to_json(parts), event_id),
        )


def add_metadata(store: Store, event_id: int, values: Mapping[str, Any]) -> None:
    """Lays `values` over the event's metadata: what was done with an answer since. Raises NotFoundError."""
    with store.transaction(durable=True):
        known = get(store, event_id).metadata
        store.write("UPDATE events SET metadata = ? WHERE id = ?", (to_json({**known, **values}), event_id))


def set_assessments(store: Store, assessed: Sequence[tuple[int, float, Tier, Mapping[str, float]]]) -> None:
    """`set_assessment` of many events: id, quality, tier and parts of each."""
    with store.transaction():
        store.write_many(
            "UPDATE events SET quality = ?, tier = ?, quality_parts = ? WHERE id = ?",
            ((quality, tier, to_json(parts), event_id) for event_id, quality, tier, parts in assessed),
        )


def _index(store: Store, first: int, last: int) -> None:
    store.write(
        "INSERT INTO events_fts (rowid, prompt, response) SELECT id, prompt, response FROM events "
        "WHERE id BETWEEN ? AND ?",
        (first, last),
    )


def get(store: Store, event_id: int) -> EventRow:
    """Raises NotFoundError when there is no such event."""
    found = get_many(store, [event_id])
    if not found:
        raise NotFoundError(f"There is no event {event_id}.", hint="It may have been removed by the clean-up.")
    return found[0]


def get_many(store: Store, ids: Sequence[int]) -> list[EventRow]:
    """The events in the order given; ids that do not exist are left out."""
    return [_read(values) for values in _by_ids(store, _read.columns, ids)]


def texts(store: Store, ids: Sequence[int]) -> dict[int, tuple[str, str]]:
    """Prompt and response of each of these events that is there."""
    return {event_id: (prompt, response) for event_id, prompt, response in _by_ids(store, "id, prompt, response", ids)}


def summaries(store: Store, ids: Sequence[int]) -> list[EventSummary]:
    """One line for each event in the order given; ids that do not exist are left out."""
    return [EventSummary(*values) for values in _by_ids(store, _summary_columns, ids)]


def _by_ids(store: Store, columns: str, ids: Sequence[int]) -> Iterator[tuple[Any, ...]]:
    for start in range(0, len(ids), _CHUNK):
        chunk = ids[start : start + _CHUNK]
        sql = f"SELECT {columns} FROM events WHERE id IN {LISTED}"
        found = {values[0]: values for values in store.rows(sql, (listed(chunk),))}
        yield from (found[event_id] for event_id in chunk if event_id in found)


def find_by_hash(store: Store, category: str, content_hash: str) -> int | None:
    """The oldest event with this content, or None."""
    found = store.value("SELECT min(id) FROM events WHERE category = ? AND content_hash = ?", (category, content_hash))
    return None if found is None else int(found)


def ids_by_hash(store: Store, category: str, hashes: Sequence[str]) -> dict[str, int]:
    """The oldest event with each of these contents, for those that are there."""
    sql = (
        "SELECT content_hash, min(id) FROM events WHERE category = ? "
        f"AND content_hash IN {LISTED} GROUP BY content_hash"
    )
    return dict(store.rows(sql, (category, listed(hashes))))


def event_ids(store: Store, chosen: EventFilter, *, order: Order = "newest") -> array[int]:
    """The ids (signed 64 bit) of all events that pass; `score` puts the lowest first and the unscored last."""
    where, params = conditions(chosen)
    with store.reading(f"SELECT id FROM events WHERE {where} ORDER BY {_ORDERS[order]}", params) as rows:
        return array("q", chain.from_iterable(rows))


def first_ids(store: Store, chosen: EventFilter, limit: int, *, order: Literal["newest", "score"]) -> array[int]:
    """The first `limit` of `event_ids`; without words to look for they are found without sorting all that pass."""
    if chosen.text or chosen.terms:
        return event_ids(store, chosen, order=order)[:limit]
    where, params = conditions(chosen)
    # Each category is sorted by time and by score in an index; all of them together are not.
    key = "-created_at, -id" if order == "newest" else "score IS NULL, score, id"
    each = (
        store.rows(
            f"SELECT {key}, id FROM events WHERE category = ? AND {where} ORDER BY {_ORDERS[order]} LIMIT ?",
            (name, *params, limit),
        )
        for name in category_names(store)
    )
    return array("q", (row[-1] for row in islice(merge(*each), limit)))


def count(store: Store, chosen: EventFilter) -> int:
    """How many events pass."""
    where, params = conditions(chosen)
    return int(store.value(f"SELECT count(*) FROM events WHERE {where}", params))


def iter_events(store: Store, chosen: EventFilter, *, batch: int = 500) -> Iterator[EventRow]:
    """The events that pass when the iteration begins, by id, `batch` of them in memory at a time.

    Another transaction may write between two batches; an event removed meanwhile is left out.
    """
    ids = event_ids(store, chosen, order="id")
    for start in range(0, len(ids), batch):
        yield from get_many(store, ids[start : start + batch])


def category_counts(store: Store, *, now: float) -> list[CategoryCounts]:
    """The figures of every category that has events, by name; `now` ends the 30 days of `recent`. Some milliseconds,
    however many events there are."""
    rows = store.rows(
        "SELECT category, total, gold, silver, bronze, rejected, judged, corrected, total - judged, "
        "(SELECT count(*) FROM events e WHERE e.category = t.category AND e.created_at >= ?), "
        "scores / 1e6 / nullif(scored, 0), qualities / 1e6 / total, "
        "(SELECT max(created_at) FROM events e WHERE e.category = t.category) "
        "FROM category_totals t WHERE total > 0 ORDER BY category",
        (now - RECENT_SECONDS,),
    )
    return [CategoryCounts(*values) for values in rows]


def category_names(store: Store) -> list[str]:
    """The categories that have events, by name."""
    return [name for (name,) in store.rows("SELECT category FROM category_totals WHERE total > 0 ORDER BY category")]


def recent_count(store: Store, category: str, since: float) -> int:
    """How many events of the category are not older than `since`."""
    return int(store.value("SELECT count(*) FROM events WHERE category = ? AND created_at >= ?", (category, since)))
