"""The files of a journal: lines that outlive the process, each file in the hands of one process at a time."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

from core.paths import Home
from core.serve.exchange import Exchange
from core.serve.remark import Remark

Entry = Exchange | Remark
_PATTERN: Final = "journal-*.jsonl"
_EXCHANGE: Final = frozenset(entry.name for entry in fields(Exchange))
_REMARK: Final = frozenset(entry.name for entry in fields(Remark))
_BATCH_BYTES: Final = 4_000_000


def folder_of(home: Home) -> Path:
    """Where the journal of a home folder lies."""
    return home.root / "gateway"


def segments_in(folder: Path) -> list[Path]:
    """The segments of a journal's folder, the oldest first, whoever holds them; none where there is no folder."""
    return sorted(folder.glob(_PATTERN))


def stamp_of(segment: Path) -> int:
    """When a segment was begun, in nanoseconds since the epoch, as its name says; 0 where it says nothing."""
    stamp = segment.name.split("-")[1]
    return int(stamp) if stamp.isdecimal() else 0


class Segment:
    """Some lines of a journal that nobody adds to any more, locked by this process until `done` or `release`."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self.damaged = 0
        """How many whole lines, of those read last, were none of a journal's."""
        self._descriptor = descriptor

    def batches(self, most: int) -> Iterator[list[Entry]]:
        """The entries in order, at most `most` and about 4 MB at a time, from the beginning at each call.

        A last line without an end was being written when its process was killed, before the answer had gone out.
        Raises OSError.
        """
        self.damaged = 0
        batch: list[Entry] = []
        size = 0
        with self.path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    break
                entry = _entry(line)
                if entry is None:
                    self.damaged += 1
                    continue
                batch.append(entry)
                size += len(line)
                if len(batch) >= most or size >= _BATCH_BYTES:
                    yield batch
                    batch, size = [], 0
        if batch:
            yield batch

    def done(self) -> None:
        """Removes the segment: everything in it is recorded."""
        with suppress(FileNotFoundError):
            self.path.unlink()
        self.release()

    def release(self) -> None:
        """Lets go of the segment; it stays for whoever takes it next."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _entry(line: bytes) -> Entry | None:
    try:
        value: Any = json.loads(line)
        # Another version of this program may have written more than this one knows.
        if "remark" in value:
            return Remark(**{name: each for name, each in value["remark"].items() if name in _REMARK})
        return Exchange(**{name: each for name, each in value.items() if name in _EXCHANGE})
    except (ValueError, TypeError, AttributeError, RecursionError):
        return None


def size_of(path: Path) -> int:
    """Bytes of a file; 0 where there is none."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def lock(descriptor: int) -> bool:
    """Locks an open file, unless another does or it was removed since it was opened."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # locked by another, or a file system that knows no locks
        return False
    return os.fstat(descriptor).st_nlink > 0


def claim(path: Path) -> Segment | None:
    """A segment whose process is gone, or None; an empty one is removed."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    if not lock(descriptor):
        os.close(descriptor)
        return None
    found = Segment(path, descriptor)
    if os.fstat(descriptor).st_size:
        return found
    found.done()
    return None
