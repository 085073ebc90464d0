"""Turns SQLite's faults into errors a person can act on."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from storage.errors import BusyError, ConflictError, FinetuneError, StoreError

DAMAGED_HINT = (
    "Move the file aside and put the newest backup in its place (`finetune-tui backup` writes them); "
    "`finetune-tui doctor` shows what is damaged."
)


def translated(error: sqlite3.Error | UnicodeDecodeError, path: Path) -> FinetuneError:
    """The error to raise instead of `error`: what happened to the store at `path`, why, and the next step."""
    # Extended result codes keep the primary code in their lowest byte (sqlite.org/rescode.html).
    code = getattr(error, "sqlite_errorcode", None)
    primary = code & 0xFF if isinstance(code, int) else None
    match primary:
        case sqlite3.SQLITE_FULL:
            return StoreError(
                f"The disk that holds {path} is full. The change was taken back as a whole.",
                title="The disk is full",
                hint="Free some space and do it again.",
            )
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return BusyError(
                f"Another process has been writing to {path} for too long.",
                hint="Try again; if it stays so, look for another finetune-tui that hangs.",
            )
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM | sqlite3.SQLITE_AUTH:
            return StoreError(
                f"{path} or its folder may not be written by this user.",
                title="The store is read-only",
                hint="Make the file and its folder writable, or set FINETUNE_TUI_HOME to another folder.",
            )
        case sqlite3.SQLITE_CANTOPEN:
            return StoreError(
                f"{path} cannot be opened: it is a folder, is unreadable, or its folder may not be written.",
                title="The store cannot be opened",
                hint="Check the permissions of the folder, or set FINETUNE_TUI_HOME to another one.",
            )
        case sqlite3.SQLITE_NOTADB:
            return StoreError(
                f"{path} is not a SQLite file, or its beginning is damaged.", title="Not a store", hint=DAMAGED_HINT
            )
        case sqlite3.SQLITE_CORRUPT:
            return StoreError(f"{path} is damaged ({error}).", title="The store is damaged", hint=DAMAGED_HINT)
        case sqlite3.SQLITE_IOERR:
            return StoreError(
                f"Reading or writing {path} failed ({error}).",
                title="The disk reports a fault",
                hint="Check that the disk is attached and sound, then try again.",
            )
        case sqlite3.SQLITE_CONSTRAINT:
            return ConflictError(
                f"The change contradicts what the store holds ({error}).",
                hint="Read the current state and try again.",
            )
    if isinstance(error, UnicodeDecodeError):
        return StoreError(
            f"{path} is damaged: what it holds is no text.", title="The store is damaged", hint=DAMAGED_HINT
        )
    return StoreError(f"{path}: {error}", hint="Run `finetune-tui doctor`.")
