"""Frozen selections of events. A dataset never changes once it is stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from storage.columns import RowReader, clean, placeholders, to_json
from storage.db import Store
from storage.errors import NotFoundError
from storage.rows import DatasetItem, DatasetRow, Split

_read = RowReader(DatasetRow, json_columns=("settings", "counts"))
_read_item = RowReader(DatasetItem, json_columns=("history",), boolean_columns=("desirable",))
_selected = _read_item.columns.replace("event_id", "coalesce(event_id, 0)")


def add(
    store: Store,
    *,
    created_at: float,
    category: str,
    hash: str,
    seed: int,
    settings: Mapping[str, Any],
    counts: Mapping[str, Any],
    items: Sequence[DatasetItem],
) -> int:
    """Stores a selection whole and returns its id; where the category has one with this hash, that one's id.

    Raises ConflictError when an item names an event that is not in the store.
    """
    with store.transaction():
        known = store.value("SELECT id FROM datasets WHERE category = ? AND hash = ?", (category, hash))
        if known is not None:
            return int(known)
        values = (created_at, category, hash, seed, to_json(settings), to_json(counts))
        dataset_id = int(
            store.write(
                "INSERT INTO datasets (created_at, category, hash, seed, settings, counts) VALUES (?, ?, ?, ?, ?, ?)",
                values,
            ).lastrowid
            or 0
        )
        store.write_many(
            f"INSERT INTO dataset_items (dataset_id, {_read_item.columns}) VALUES ({placeholders(14)})",
            ((dataset_id, *_item_values(item)) for item in items),
        )
    return dataset_id


def _item_values(item: DatasetItem) -> tuple[Any, ...]:
    return (
        item.position,
        item.event_id or None,
        item.split,
        clean(item.prompt),
        clean(item.target),
        clean(item.system),
        item.weight,
        item.difficulty,
        item.stage,
        to_json(list(item.history)),
        item.origin,
        clean(item.rejected),
        item.desirable,
    )


def get(store: Store, dataset_id: int) -> DatasetRow:
    """Raises NotFoundError when there is no such dataset."""
    row = store.row(f"SELECT {_read.columns} FROM datasets WHERE id = ?", (dataset_id,))
    if row is None:
        raise NotFoundError(f"There is no dataset {dataset_id}.")
    return _read(row)


def items(store: Store, dataset_id: int, split: Split | None = None) -> list[DatasetItem]:
    """The examples by position, of one split or of all."""
    rows = store.rows(
        f"SELECT {_selected} FROM dataset_items WHERE dataset_id = ? AND split = coalesce(?, split) ORDER BY position",
        (dataset_id, split),
    )
    return [_read_item(row) for row in rows]


def event_ids(store: Store, dataset_id: int, split: Split) -> set[int]:
    """The events of one split of a dataset."""
    rows = store.rows(
        "SELECT event_id FROM dataset_items WHERE dataset_id = ? AND split = ? AND event_id IS NOT NULL",
        (dataset_id, split),
    )
    return {event_id for (event_id,) in rows}


def trained_event_ids(store: Store, category: str) -> set[int]:
    """The events in the train split of every dataset that a run of the category, by any method, has started on."""
    rows = store.rows(
        "SELECT event_id FROM dataset_items WHERE split = 'train' AND event_id IS NOT NULL AND dataset_id IN "
        "(SELECT dataset_id FROM runs WHERE category = ? AND started_at IS NOT NULL)",
        (category,),
    )
    return {event_id for (event_id,) in rows}


def trained_without_event(store: Store, category: str) -> set[str]:
    """The prompts of what a run of the category has started to train on though it comes from no event."""
    rows = store.rows(
        "SELECT DISTINCT prompt FROM dataset_items WHERE split = 'train' AND event_id IS NULL AND dataset_id IN "
        "(SELECT dataset_id FROM runs WHERE category = ? AND started_at IS NOT NULL)",
        (category,),
    )
    return {prompt for (prompt,) in rows}


def taken_event_ids(store: Store, category: str, base_model: str, *, method: str = "sft") -> set[int]:
    """The events in the train split of every run of the category on that base model, also of those that wait.

    Only runs of one `method` count: an answer that was weighed against another has not been taken as a lesson.
    """
    rows = store.rows(
        "SELECT event_id FROM dataset_items WHERE split = 'train' AND event_id IS NOT NULL AND dataset_id IN "
        "(SELECT dataset_id FROM runs WHERE category = ? AND base_model = ? AND method = ?)",
        (category, base_model, method),
    )
    return {event_id for (event_id,) in rows}


_LEARNED = (
    "WITH RECURSIVE line (version) AS (SELECT ? UNION SELECT r.start_version FROM line "
    "JOIN versions v ON v.id = line.version JOIN runs r ON r.id = v.run_id WHERE r.start_version IS NOT NULL) "
    "SELECT DISTINCT {columns} FROM dataset_items i JOIN versions v ON v.dataset_id = i.dataset_id "
    "JOIN line ON line.version = v.id LEFT JOIN runs r ON r.id = v.run_id "
    "WHERE i.split = 'train' AND coalesce(r.method, 'sft') = ?"
)
"""What a version, and those whose adapters it went on from, were trained on by one method."""


def learned_event_ids(store: Store, version_id: int) -> set[int]:
    """The events that a version, and those whose adapters it went on from, learned as lessons (by `sft`)."""
    sql = _LEARNED.format(columns="i.event_id") + " AND i.event_id IS NOT NULL"
    return {event_id for (event_id,) in store.rows(sql, (version_id, "sft"))}


class Learned(NamedTuple):
    """The texts of an example, by which it is known again: a pair may be gone, and another may have its id."""

    prompt: str
    target: str
    rejected: str
    desirable: bool


def learned_texts(store: Store, version_id: int, method: str) -> set[Learned]:
    """The examples that a version, and those whose adapters it went on from, learned by that method."""
    sql = _LEARNED.format(columns="i.prompt, i.target, i.rejected, i.desirable")
    rows = store.rows(sql, (version_id, method))
    return {Learned(prompt, target, rejected, bool(liked)) for prompt, target, rejected, liked in rows}
