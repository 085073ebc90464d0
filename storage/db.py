"""Opens the one SQLite file, and keeps it whole: pragmas, schema, integrity, backup."""

from __future__ import annotations

import os
import secrets
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from storage.errors import StoreError
from storage.faults import translated
from storage.migrations import APPLICATION_ID, MIGRATIONS, migrate
from storage.store import Store, flush

__all__ = [
    "SCHEMA_VERSION",
    "Store",
    "backup",
    "backup_file",
    "connect_foreign",
    "file_problems",
    "flush",
    "integrity_problems",
    "lean",
    "open_store",
]

SCHEMA_VERSION = len(MIGRATIONS)
BUSY_SECONDS = 10.0


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
    kept = {name: _pragma(store.connection, name) for name in ("mmap_size", "cache_size")}
    store.connection.execute("PRAGMA mmap_size = 0")
    store.connection.execute("PRAGMA cache_size = -8000")
    try:
        yield
    finally:
        for name, value in kept.items():
            store.connection.execute(f"PRAGMA {name} = {value}")


def _prepare(connection: sqlite3.Connection) -> None:
    if _pragma(connection, "journal_mode") != "wal":
        _enter_wal(connection)
    for pragma in (
        "synchronous = NORMAL",
        "foreign_keys = ON",
        "cache_size = -64000",
        "temp_store = MEMORY",
        "mmap_size = 268435456",
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


def integrity_problems(store: Store) -> list[str]:
    """What is wrong with the store, in words; empty when all is well. Takes seconds per gigabyte."""
    problems = [f"file: {line}" for (line,) in store.rows("PRAGMA integrity_check(20)") if line != "ok"]
    problems += [
        f"{table} row {rowid} refers to a missing row of {parent}"
        for table, rowid, parent, _ in store.rows("PRAGMA foreign_key_check")[:20]
    ]
    try:
        # rank = 1 also compares the index with the texts it was made from (sqlite.org/fts5.html, 6.5).
        store.connection.execute("INSERT INTO events_fts(events_fts, rank) VALUES ('integrity-check', 1)")
    except sqlite3.DatabaseError as error:
        problems.append(f"full-text index: {error}")
    problems += [
        f"event {event}: its verdict is not what the log of judgments says"
        for (event,) in store.rows(
            "SELECT e.id FROM events e LEFT JOIN current_judgments c ON c.event_id = e.id "
            "WHERE e.verdict IS NOT c.kind OR e.correction IS NOT c.correction OR e.judged_at IS NOT c.created_at "
            "LIMIT 20"
        )
    ]
    return problems


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


def backup(store: Store, target: Path) -> None:
    """Writes a whole, checked copy of the store to `target` while others go on writing; an old copy is replaced.

    Raises StoreError when `target` is the store itself or one in use, or cannot be written.
    """
    backup_file(store.path, target)


def backup_file(source: Path, target: Path) -> None:
    """`backup` for any SQLite file of the home folder."""
    target = target.absolute()
    in_use = target.with_name(target.name + "-wal").exists()
    if in_use or target.is_dir() or (target.exists() and target.samefile(source)):
        raise StoreError(
            f"{target} is a folder or a store in use.", title="No backup was made", hint="Choose another file name."
        )
    partial = target.with_name(f".{target.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _copy(source, partial)
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


def _copy(source: Path, target: Path) -> None:
    # A connection of its own sees only what is committed, and leaves the caller's free.
    reader = _connect(source, create=False)
    try:
        writer = _connect(target, create=True)
        try:
            reader.backup(writer, pages=-1)
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
