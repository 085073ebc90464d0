"""Files that are written beside their place first, so that they are there whole or not at all."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path


def flush(path: Path) -> None:
    """Flushes a file or folder to the disk (fsync). Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def partial_of(path: Path) -> Path:
    """A new name beside `path`, in the same folder, to write to before the file is renamed to `path`.

    What processes that were killed while they wrote the same file have left there is removed, as far as that can be
    done; what one that still runs is writing stays.
    """
    left = re.compile(rf"\.{re.escape(path.name)}\.(\d{{1,9}})\.[0-9a-f]{{8}}\.tmp(-journal|-wal|-shm)?")
    with suppress(OSError):
        for entry in path.parent.iterdir():
            if (of := left.fullmatch(entry.name)) and not _runs(int(of[1])):
                entry.unlink()
    return path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}.tmp")


def _runs(pid: int) -> bool:
    import psutil  # not at the top: the app's first frame would wait for it, and there is hardly ever one to ask about

    return bool(psutil.pid_exists(pid))
