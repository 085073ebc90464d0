"""Whether the store's path still leads to the file that was opened: one put in its place would not be written to."""

from __future__ import annotations

from pathlib import Path

Identity = tuple[int, int] | None


def identity(path: Path) -> Identity:
    """Device and inode of the file at a path; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
