"""An open store: queries, changing statements, and transactions that nest."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from storage.errors import StoreError
from storage.faults import translated
from storage.files import flush

Params = Sequence[Any]


class Store:
    """An open store. One thread at a time may use it; every thread and process opens its own."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self.connection = connection
        self._depth = 0
        self._sync_due = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection; closing twice does nothing."""
        self.connection.close()

    def data_version(self) -> int:
        """A number that changes when *another* connection, of any process, has committed a change."""
        row = self.row("PRAGMA data_version")
        return int(row[0]) if row else 0

    @contextmanager
    def reading(self, sql: str, params: Params = ()) -> Iterator[sqlite3.Cursor]:
        """The rows of a query as they come, for long lists; use them inside the block."""
        try:
            yield self.connection.execute(sql, params)
        except sqlite3.Error as error:
            raise translated(error, self.path) from error

    def rows(self, sql: str, params: Params = ()) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        with self.reading(sql, params) as cursor:
            return cursor.fetchall()

    def row(self, sql: str, params: Params = ()) -> tuple[Any, ...] | None:
        """The first row of a query, or None."""
        with self.reading(sql, params) as cursor:
            found: tuple[Any, ...] | None = cursor.fetchone()
        return found

    def value(self, sql: str, params: Params = ()) -> Any:
        """The first column of the first row, or None."""
        found = self.row(sql, params)
        return found[0] if found else None

    def write(self, sql: str, params: Params = ()) -> sqlite3.Cursor:
        """Runs one changing statement; call it inside `transaction()`."""
        try:
            return self.connection.execute(sql, params)
        except sqlite3.Error as error:
            raise translated(error, self.path) from error

    def write_many(self, sql: str, params: Iterable[Params]) -> None:
        """Runs one changing statement for each of `params`; call it inside `transaction()`."""
        try:
            self.connection.executemany(sql, params)
        except sqlite3.Error as error:
            raise translated(error, self.path) from error

    @contextmanager
    def transaction(self, *, durable: bool = False) -> Iterator[None]:
        """All or nothing. With `durable` the data is on the disk, not only with the kernel, when the block ends.

        Inside another transaction the block becomes part of it: an exception takes back this block alone, and the
        commit happens at the end of the outermost one, which is then durable if any block in it asked for that.

        Raises StoreError when the disk is full, or another process keeps the store locked.
        """
        if self._depth:
            self._sync_due |= durable
            with self._nested():
                yield
            return
        try:
            self.connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            self.connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            raise translated(error, self.path) from error
        self._sync_due = False
        self._depth = 1
        try:
            yield
            if not self.connection.in_transaction:
                raise StoreError(
                    "SQLite had to take the whole transaction back.", hint="Check the free disk space and do it again."
                )
            self.connection.execute("COMMIT")
        except BaseException as error:
            if self.connection.in_transaction:
                with suppress(sqlite3.Error):
                    self.connection.execute("ROLLBACK")
            if isinstance(error, sqlite3.Error):
                raise translated(error, self.path) from error
            raise
        finally:
            self._depth = 0
        if self._sync_due and not durable:
            self._sync_log()

    @contextmanager
    def _nested(self) -> Iterator[None]:
        name = f"level_{self._depth}"
        self.write(f"SAVEPOINT {name}")
        self._depth += 1
        try:
            yield
            self.write(f"RELEASE {name}")
        except BaseException:
            # A full disk makes SQLite roll the whole transaction back by itself; then no savepoint is left.
            if self.connection.in_transaction:
                with suppress(sqlite3.Error):
                    self.connection.execute(f"ROLLBACK TO {name}")
                    self.connection.execute(f"RELEASE {name}")
            raise
        finally:
            self._depth -= 1

    def _sync_log(self) -> None:
        """Flushes the write-ahead log: `synchronous` cannot be raised once the outer transaction has begun.

        A log that a checkpoint has emptied meanwhile was flushed by that checkpoint.
        """
        log = self.path.with_name(self.path.name + "-wal")
        try:
            flush(log)
        except FileNotFoundError:
            return
        except OSError as error:
            raise StoreError(
                f"{log} could not be flushed to the disk: {error.strerror}.",
                title="The disk reports a fault",
                hint="Check the disk; the last change may be lost if the machine goes off now.",
            ) from error
