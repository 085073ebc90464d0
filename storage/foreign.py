"""Reads the databases of other programs, without ever writing to them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from storage.db import connect_foreign
from storage.errors import StoreError


@dataclass(frozen=True, slots=True)
class Foreign:
    """Another program's database, open for reading."""

    path: Path
    connection: sqlite3.Connection

    def tables(self) -> tuple[str, ...]:
        """The tables that hold rows of their own, by name: no views, no virtual tables and none of their parts."""
        try:
            found: list[tuple[str, str]] = self.connection.execute(
                "SELECT name, coalesce(sql, '') FROM sqlite_schema WHERE type = 'table' "
                "AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name"
            ).fetchall()
        except sqlite3.Error as error:
            raise _unreadable(self.path, error) from error
        virtual = {name for name, sql in found if sql.upper().startswith("CREATE VIRTUAL")}
        hidden = tuple(f"{name}_" for name in virtual)
        return tuple(name for name, _ in found if name not in virtual and not name.startswith(hidden))

    def rows(self, table: str) -> Iterator[dict[str, Any]]:
        """The table's rows, one held at a time; text that is not UTF-8 comes with lone surrogates in it."""
        quoted = table.replace('"', '""')
        try:
            with closing(self.connection.execute(f'SELECT * FROM "{quoted}"')) as cursor:
                names = [column[0] for column in cursor.description]
                for values in cursor:
                    yield dict(zip(names, values, strict=True))
        except sqlite3.Error as error:
            raise _unreadable(self.path, error) from error


@contextmanager
def open_foreign(path: Path) -> Iterator[Foreign]:
    """Opens another program's SQLite file for reading. Raises StoreError when it is none or cannot be read."""
    try:
        connection = connect_foreign(path)
    except (sqlite3.Error, OSError) as error:
        raise _unreadable(path, error) from error
    with closing(connection):
        connection.text_factory = lambda data: data.decode("utf-8", "surrogateescape")
        try:
            # What a stranger wrote into the schema must not be able to run anything.
            connection.execute("PRAGMA trusted_schema = OFF")
            connection.execute("PRAGMA query_only = ON")
            connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        except sqlite3.Error as error:
            raise _unreadable(path, error) from error
        yield Foreign(path, connection)


def _unreadable(path: Path, error: Exception) -> StoreError:
    return StoreError(
        f"{path.name} cannot be read as a SQLite database: {error}.",
        title="The database was not read",
        hint="Close the program that uses it, or copy the file with its -wal file somewhere else and import the copy.",
    )
