"""Imports: how far each came, so that one that was broken off goes on where it was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from storage.columns import RowReader, clean, to_json
from storage.db import Store


@dataclass(frozen=True, slots=True)
class ImportRow:
    """One import. `position` maps each source to the rows done, `counts` holds the figures so far."""

    id: int
    key: str
    path: str
    started_at: float
    finished_at: float | None
    position: Mapping[str, int]
    counts: Mapping[str, Any]


_read = RowReader(ImportRow, json_columns=("position", "counts"))


def begin(store: Store, *, key: str, path: str, now: float) -> ImportRow:
    """The unfinished import under `key`, or a new one that takes the place of a finished one."""
    with store.transaction():
        row = store.row(f"SELECT {_read.columns} FROM imports WHERE key = ? AND finished_at IS NULL", (key,))
        if row is None:
            store.write("DELETE FROM imports WHERE key = ?", (key,))
            store.write("INSERT INTO imports (key, path, started_at) VALUES (?, ?, ?)", (key, clean(path), now))
            row = store.row(f"SELECT {_read.columns} FROM imports WHERE key = ?", (key,))
        assert row is not None
        return _read(row)


def advance(store: Store, import_id: int, *, position: Mapping[str, int], counts: Mapping[str, Any]) -> None:
    """Keeps how far an import came; call it in the transaction that stores what it read."""
    with store.transaction():
        store.write(
            "UPDATE imports SET position = ?, counts = ? WHERE id = ?", (to_json(position), to_json(counts), import_id)
        )


def finish(store: Store, import_id: int, *, now: float) -> None:
    """Marks an import as done, on the disk when the call returns."""
    with store.transaction(durable=True):
        store.write("UPDATE imports SET finished_at = ? WHERE id = ?", (now, import_id))
