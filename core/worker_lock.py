"""One worker for a store."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from core.errors import ConflictError
from core.paths import Home

LOCK: Final = "worker.lock"


@contextmanager
def only_worker(home: Home) -> Iterator[None]:
    """Holds the lock of the one worker of a store; the system releases it when the process ends, however it ends.

    Raises ConflictError when another process holds it.
    """
    path = home.root / LOCK
    with path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.seek(0)
            raise ConflictError(
                f"A worker is at work already (process {file.read().strip() or 'unknown'}).",
                title="One worker at a time",
                hint="Stop that one first, or leave everything to it.",
            ) from error
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield
