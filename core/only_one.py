"""One worker for a store, and one gateway."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

from core.errors import ConflictError
from core.paths import Home

Kind = Literal["worker", "gateway"]

# What is there already, and what to do about it.
_SAID: Final[Mapping[Kind, tuple[str, str]]] = {
    "worker": ("A worker is at work already", "Stop that one first, or leave everything to it."),
    "gateway": ("A gateway serves this store already", "Stop that one first, or use it."),
}


def lock_of(home: Home, kind: Kind) -> Path:
    """The file whose lock the process holds; it names that process."""
    return home.root / f"{kind}.lock"


@contextmanager
def only_one(home: Home, kind: Kind) -> Iterator[None]:
    """Holds the lock of the one process of its kind; the system releases it when the process ends, however it ends.

    Raises ConflictError when another process holds it.
    """
    with lock_of(home, kind).open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.seek(0)
            there, hint = _SAID[kind]
            raise ConflictError(
                f"{there} (process {file.read().strip() or 'unknown'}).", title=f"One {kind} at a time", hint=hint
            ) from error
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield
