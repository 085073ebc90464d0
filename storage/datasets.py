"""Frozen selections of events. A dataset never changes once it is stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from storage.columns import RowReader, clean, placeholders, to_json
from storage.db import Store
from storage.errors import NotFoundError
from storage.rows import DatasetItem, DatasetRow, Split

_read = RowReader(DatasetRow, json_columns=("settings", "counts"))
_read_item = RowReader(DatasetItem, json_columns=("history",))


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
            f"INSERT INTO dataset_items (dataset_id, {_read_item.columns}) VALUES ({placeholders(12)})",
            ((dataset_id, *_item_values(item)) for item in items),
        )
    return dataset_id


def _item_values(item: DatasetItem) -> tuple[Any, ...]:
    return (
        item.position,
        item.event_id,
        item.split,
        clean(item.prompt),
        clean(item.target),
        clean(item.system),
        item.weight,
        item.difficulty,
        item.stage,
        to_json(list(item.history)),
        item.origin,
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
        f"SELECT {_read_item.columns} FROM dataset_items WHERE dataset_id = ? AND split = coalesce(?, split) "
        "ORDER BY position",
        (dataset_id, split),
    )
    return [_read_item(row) for row in rows]


def trained_event_ids(store: Store, category: str) -> set[int]:
    """The events in the train split of every dataset that a run of the category has started on."""
    rows = store.rows(
        "SELECT event_id FROM dataset_items WHERE split = 'train' AND dataset_id IN "
        "(SELECT dataset_id FROM runs WHERE category = ? AND started_at IS NOT NULL)",
        (category,),
    )
    return {event_id for (event_id,) in rows}


def taken_event_ids(store: Store, category: str, base_model: str) -> set[int]:
    """The events in the train split of every run of the category on that base model, also of those that wait."""
    rows = store.rows(
        "SELECT event_id FROM dataset_items WHERE split = 'train' AND dataset_id IN "
        "(SELECT dataset_id FROM runs WHERE category = ? AND base_model = ?)",
        (category, base_model),
    )
    return {event_id for (event_id,) in rows}


def learned_event_ids(store: Store, version_id: int) -> set[int]:
    """The events that a version, and those whose adapters it went on from, were trained on."""
    rows = store.rows(
        "WITH RECURSIVE line (version) AS (SELECT ? UNION SELECT r.start_version FROM line "
        "JOIN versions v ON v.id = line.version JOIN runs r ON r.id = v.run_id WHERE r.start_version IS NOT NULL) "
        "SELECT DISTINCT i.event_id FROM dataset_items i JOIN versions v ON v.dataset_id = i.dataset_id "
        "JOIN line ON line.version = v.id WHERE i.split = 'train'",
        (version_id,),
    )
    return {event_id for (event_id,) in rows}
