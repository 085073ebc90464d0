"""A plain SQLite file of one table, for other programs to read (Datasette, a notebook, the sqlite3 shell)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from storage.faults import translated


def write_table(
    path: Path, table: str, rows: Iterable[Mapping[str, Any]], *, key: str, searched: Sequence[str]
) -> None:
    """Writes `rows` to a new file, a few hundred in memory at a time, with a full-text index over `searched`.

    Columns are those of the first rows; lists and objects become JSON. Raises StoreError when the file cannot be
    written.
    """
    import sqlite3

    from sqlite_utils import Database

    database = Database(path)
    try:
        written = database[table]
        written.insert_all(({**row} for row in rows), pk=key, batch_size=500, alter=True)
        if written.exists():
            written.enable_fts(list(searched), tokenize="unicode61")
            database.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.Error as error:
        raise translated(error, path) from error
    finally:
        database.close()
