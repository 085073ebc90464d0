"""Opens the one SQLite file, and keeps it whole: pragmas, schema, integrity, backup."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from storage.errors import StoreError
from storage.faults import translated
from storage.files import flush, partial_of
from storage.integrity import integrity_problems
from storage.migrations import APPLICATION_ID, MIGRATIONS, migrate
from storage.store import Store

__all__ = [
    "SCHEMA_VERSION",
    "Store",
    "backup",
    "backup_file",
    "connect_foreign",
    "file_problems",
    "integrity_problems",
    "lean",
    "long_way_forward",
    "open_store",
]

SCHEMA_VERSION = len(MIGRATIONS)
BUSY_SECONDS = 10.0
Progress = Callable[[int, int], None]
_PAGES_AT_ONCE = 2_048
_LONG_BYTES = 100_000_000
_CACHE = -32_000
"""Kilobytes of the file that each connection keeps, at most (negative: SQLite's sign for that unit). Half as much makes
the long lists of a store of a million events slower, twice as much and mapping the file into memory none quicker."""


def open_store(path: Path, *, create: bool = True) -> Store:
    """Opens the store at `path`, bringing an older schema forward; `create` makes a missing one.

    Raises StoreError, always with a next step, when the file is missing (with `create=False`), is damaged, belongs to
    another program or to a newer finetune-tui, may not be written, or the disk is full.
    """
    path = path.absolute()
    if create:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"The folder {path.parent} cannot be made: {error.strerror}.",
                hint="Set FINETUNE_TUI_HOME to a folder that you may write to.",
            ) from error
    elif not path.exists():
        raise StoreError(
            f"There is no store at {path}.",
            title="No store yet",
            hint="Record or import something first, or set FINETUNE_TUI_HOME to the folder that holds the store.",
        )
    connection: sqlite3.Connection | None = None
    try:
        connection = _connect(path, create=create)
        _recognise(connection, path)
        _prepare(connection)
        migrate(connection, now=time.time())
    except (sqlite3.Error, UnicodeDecodeError) as error:  # SQLite may quote damaged bytes when it says what is wrong
        if connection is not None:
            connection.close()
        raise translated(error, path) from error
    except StoreError:
        if connection is not None:
            connection.close()
        raise
    return Store(path, connection)


def long_way_forward(path: Path) -> int:
    """The bytes of a store whose older schema `open_store` brings forward in more than a moment, else 0.

    Half a minute for a gigabyte; what is less than a tenth of that is not told.
    """
    try:
        with path.open("rb") as file:
            header = file.read(64)
        size = path.stat().st_size
    except OSError:
        return 0
    # The version stands at byte 60 (sqlite.org/fileformat2.html, 1.3). A new file has none yet.
    version = int.from_bytes(header[60:64], "big")
    return size if 0 < version < SCHEMA_VERSION and size >= _LONG_BYTES else 0


def connect_foreign(path: Path) -> sqlite3.Connection:
    """A connection that can only read a database of another program. Raises sqlite3.Error."""
    path = path.absolute()
    with path.open("rb") as file:
        header = file.read(20)
    # Reading in WAL mode writes beside the file, unless it is declared unchanging; without a log nobody has it open.
    # Byte 18 is 2 in WAL mode (sqlite.org/fileformat2.html, 1.3).
    still = header[18:19] == b"\x02" and not path.with_name(path.name + "-wal").exists()
    return _open(path, "ro&immutable=1" if still else "ro")


def _connect(path: Path, *, create: bool) -> sqlite3.Connection:
    return _open(path, "rwc" if create else "rw")


def _open(path: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.as_uri()}?mode={mode}",
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
    )


def _pragma(connection: sqlite3.Connection, name: str) -> Any:
    return connection.execute(f"PRAGMA {name}").fetchone()[0]


def _recognise(connection: sqlite3.Connection, path: Path) -> None:
    """Refuses another program's database and a newer schema before anything is changed in the file."""
    application, version = _pragma(connection, "application_id"), _pragma(connection, "user_version")
    empty = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0] == 0
    if application != APPLICATION_ID and not (application == 0 and version == 0 and empty):
        raise StoreError(
            f"{path} is a database of another program.",
            title="Not a store",
            hint="Set FINETUNE_TUI_HOME to another folder, or move that file away.",
        )
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"{path} was written by a newer finetune-tui (schema {version}; this one knows up to {SCHEMA_VERSION}).",
            title="The store is newer than the program",
            hint="Update finetune-tui; the store has not been touched.",
        )


@contextmanager
def lean(store: Store) -> Iterator[None]:
    """Holds less of the file in memory, about 8 MB, while a bulk load passes through that nobody reads again."""
    store.connection.execute("PRAGMA cache_size = -8000")
    try:
        yield
    finally:
        store.connection.execute(f"PRAGMA cache_size = {_CACHE}")


def _prepare(connection: sqlite3.Connection) -> None:
    if _pragma(connection, "journal_mode") != "wal":
        _enter_wal(connection)
    for pragma in (
        "synchronous = NORMAL",
        "foreign_keys = ON",
        f"cache_size = {_CACHE}",
        "temp_store = MEMORY",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _enter_wal(connection: sqlite3.Connection) -> None:
    # SQLite does not wait by itself when two processes change the journal mode of a new file at once.
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL").fetchone()
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def file_problems(path: Path) -> list[str]:
    """What is wrong with a SQLite file of another program, in words; nothing in it is changed. Raises OSError."""
    try:
        connection = connect_foreign(path)
        try:
            return [line for (line,) in connection.execute("PRAGMA integrity_check(20)") if line != "ok"]
        finally:
            connection.close()
    except sqlite3.Error as error:
        return [str(error)]


def backup(store: Store, target: Path, *, progress: Progress | None = None) -> None:
    """Writes a whole, checked copy of the store to `target` while others go on writing; an old copy is replaced.

    `progress(done, total)` hears of its pages, and ends the copy by raising. Raises StoreError when `target` is the
    store itself or one in use, or cannot be written.
    """
    backup_file(store.path, target, progress=progress)


def backup_file(source: Path, target: Path, *, progress: Progress | None = None) -> None:
    """`backup` for any SQLite file of the home folder."""
    target = target.absolute()
    in_use = target.with_name(target.name + "-wal").exists()
    if in_use or target.is_dir() or (target.exists() and target.samefile(source)):
        raise StoreError(
            f"{target} is a folder or a store in use.", title="No backup was made", hint="Choose another file name."
        )
    partial = partial_of(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _copy(source, partial, progress)
        flush(partial)
        partial.replace(target)
        flush(target.parent)
    except sqlite3.Error as error:
        raise translated(error, target) from error
    except OSError as error:
        raise StoreError(
            f"{target} cannot be written: {error.strerror}.",
            title="No backup was made",
            hint="Choose a folder that exists, may be written and has room.",
        ) from error
    finally:
        for suffix in ("", "-journal", "-wal", "-shm"):
            with suppress(OSError):
                partial.with_name(partial.name + suffix).unlink()


def _copy(source: Path, target: Path, progress: Progress | None) -> None:
    # A connection of its own sees only what is committed, and leaves the caller's free.
    reader = _connect(source, create=False)
    try:
        writer = _connect(target, create=True)
        try:
            # What is read stays as it is from here on: without that each write of others would start the copy anew.
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM sqlite_master").fetchone()
            told = None if progress is None else lambda _, left, total: progress(total - left, total)
            reader.backup(writer, pages=_PAGES_AT_ONCE, progress=told)
            reader.execute("ROLLBACK")
            # One plain file: a copy in WAL mode could not be opened from a read-only medium.
            writer.execute("PRAGMA journal_mode = DELETE").fetchone()
            verdict = _pragma(writer, "quick_check(1)")
        finally:
            writer.close()
    finally:
        reader.close()
    if verdict != "ok":
        raise StoreError(
            f"{source.name} itself is damaged ({verdict}), so its copy was thrown away.",
            title="No backup was made",
            hint="Run `finetune-tui doctor`.",
        )
