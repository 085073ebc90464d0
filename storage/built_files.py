"""What the dataset builder has read of each file, so that what has not changed is not read again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from storage.columns import RowReader, clean, placeholders
from storage.db import Store

_CHUNK = 500


@dataclass(frozen=True, slots=True)
class BuiltFile:
    """A file as far as it was read for a category. `hash` is that of the part that was read, `read_at` in seconds since
    the epoch; `examples` and `refused` count what came of that part."""

    category: str
    path: str
    hash: str
    read_at: float
    examples: int
    refused: int


_read = RowReader(BuiltFile)


def of_path(store: Store, category: str, path: str) -> BuiltFile | None:
    """What is known of the file at an absolute path, or None."""
    row = store.row(f"SELECT {_read.columns} FROM built_files WHERE category = ? AND path = ?", (category, clean(path)))
    return None if row is None else _read(row)


def paths_by_hash(store: Store, category: str) -> dict[str, str]:
    """For each hash one path that has it."""
    return dict(store.rows("SELECT hash, min(path) FROM built_files WHERE category = ? GROUP BY hash", (category,)))


def put(store: Store, row: BuiltFile) -> None:
    """Keeps how far a file was read; call it in the transaction that stores what came of it."""
    with store.transaction():
        store.write(
            "INSERT INTO built_files (category, path, hash, read_at, examples, refused) VALUES (?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (category, path) DO UPDATE SET hash = excluded.hash, read_at = excluded.read_at, "
            "examples = excluded.examples, refused = excluded.refused",
            (row.category, clean(row.path), row.hash, row.read_at, row.examples, row.refused),
        )


def forget(store: Store, category: str, paths: Sequence[str]) -> int:
    """Forgets that these files were read; how many were known."""
    gone = 0
    with store.transaction():
        for start in range(0, len(paths), _CHUNK):
            chunk = [clean(path) for path in paths[start : start + _CHUNK]]
            sql = f"DELETE FROM built_files WHERE category = ? AND path IN ({placeholders(len(chunk))})"
            gone += store.write(sql, (category, *chunk)).rowcount
    return gone
