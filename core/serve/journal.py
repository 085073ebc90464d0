"""What was answered, written down before anybody waits for the store: files of lines that outlive the process.

A segment belongs to the process that holds its lock (`flock`), which the system releases however the process ends. So
each process reads its own segments and those that a killed one left, and two that run at once keep out of each other's
way; that nothing is recorded twice is made sure in the store all the same. A segment is removed once all of it is
recorded. Until then it holds texts as they were, readable by the owner alone.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

from core.paths import Home
from core.serve.exchange import Exchange
from core.serve.remark import Remark

Entry = Exchange | Remark
LIMIT: Final = 256 * 1024 * 1024
"""The most bytes that may wait to be recorded; what comes on top is counted and dropped."""
_PATTERN: Final = "journal-*.jsonl"
_EXCHANGE: Final = frozenset(entry.name for entry in fields(Exchange))
_REMARK: Final = frozenset(entry.name for entry in fields(Remark))
_BATCH_BYTES: Final = 4_000_000
_TRIES: Final = 20


def folder_of(home: Home) -> Path:
    """Where the journal of a home folder lies."""
    return home.root / "gateway"


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


class Journal:
    """The journal of one process. Threads may share it: one appends, another takes."""

    def __init__(self, folder: Path, *, limit: int = LIMIT) -> None:
        self.folder = folder
        self.dropped = 0
        """How many entries could not be kept, because the disk or the journal was full."""
        self.problem = ""
        """Why the last one could not be kept."""
        self.wake = threading.Event()
        """Set when something was appended, or the journal closed."""
        self._limit = limit
        self._lock = threading.Lock()
        self._descriptor = -1
        self._path = folder
        self._size = 0
        self._sealed: dict[Path, int] = {}
        self._waiting: Counter[str] = Counter()
        self._count = 0
        self._closed = False
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._bytes = sum(map(_size, self.segments()))

    # -- writing

    def append(self, entry: Entry) -> bool:
        """Writes one entry down; False, with the reason in `problem`, where that was not possible.

        When the call returns the entry is with the kernel: it outlives this process, not a power cut. It takes tens of
        microseconds and never raises.
        """
        try:
            line = entry.to_json().encode() + b"\n"
            with self._lock:
                if self._closed:
                    return self._drop("the gateway is closing")
                if self._bytes + len(line) > self._limit:
                    return self._drop(f"{self._limit:,} bytes wait to be recorded already")
                self._write(line)
                self._bytes += len(line)
                self._waiting.update(_keys(entry))
                self._count += 1
        except OSError as error:
            return self._drop(error.strerror or str(error))
        except (TypeError, ValueError, RecursionError) as error:
            return self._drop(f"it cannot be written as JSON ({error})")
        self.wake.set()
        return True

    def _drop(self, why: str) -> bool:
        self.dropped += 1
        self.problem = why
        return False

    def _write(self, line: bytes) -> None:
        if self._descriptor < 0:
            self._open()
        rest = memoryview(line)
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError:
            try:
                os.ftruncate(self._descriptor, self._size)
            except OSError:  # then the torn line has to stay the last one
                self._seal()
            raise
        self._size += len(line)

    def _open(self) -> None:
        """A new segment. Who looks for left ones may lock it before its maker does; then another is made."""
        for _ in range(_TRIES):
            path = self.folder / f"journal-{time.time_ns():020d}-{os.getpid()}.jsonl"
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            try:
                descriptor = os.open(path, flags, 0o600)
            except FileExistsError:
                continue
            if _locked(descriptor):
                self._descriptor, self._path, self._size = descriptor, path, 0
                return
            os.close(descriptor)
        raise OSError(f"no file in {self.folder} could be made and locked")

    def _seal(self) -> None:
        self._sealed[self._path] = self._descriptor
        self._descriptor = -1

    # -- reading

    def segments(self) -> list[Path]:
        """The segments that are there, the oldest first, whoever holds them."""
        return sorted(self.folder.glob(_PATTERN))

    def take(self, *, skip: Iterable[Path] = ()) -> Segment | None:
        """The oldest segment that nobody else works on, or None. The caller ends with `done` or `release`.

        Raises OSError when the folder cannot be read.
        """
        left = set(skip)
        paths = self.segments()
        with self._lock:
            self._bytes = sum(_size(path) for path in paths)
        for path in paths:
            if path in left:
                continue
            with self._lock:
                if path == self._path and self._descriptor >= 0:
                    if not self._size:
                        continue
                    self._seal()
                descriptor = self._sealed.pop(path, -1)
            found = Segment(path, descriptor) if descriptor >= 0 else _claimed(path)
            if found is not None:
                return found
        return None

    def settled(self, entries: Iterable[Entry]) -> None:
        """Notes that entries are recorded; saying so twice does nothing."""
        with self._lock:
            for entry in entries:
                own, *others = _keys(entry)
                if own not in self._waiting:
                    continue
                self._count -= 1
                self._waiting.subtract((own, *others))
                for key in (own, *others):
                    if self._waiting[key] <= 0:
                        del self._waiting[key]

    def is_waiting(self, key: str) -> bool:
        """Whether an answer with this id, its own or its body's, was appended here and is not recorded yet."""
        return key in self._waiting

    @property
    def waiting(self) -> int:
        """How many entries of this process are not recorded yet."""
        return self._count

    def close(self) -> None:
        """Takes no more; what is not recorded stays for the next start."""
        with self._lock:
            self._closed = True
            if self._descriptor >= 0:
                empty = not self._size
                os.close(self._descriptor)
                self._descriptor = -1
                if empty:
                    with suppress(OSError):
                        self._path.unlink()
            for descriptor in self._sealed.values():
                os.close(descriptor)
            self._sealed.clear()
        self.wake.set()


def _keys(entry: Entry) -> list[str]:
    if isinstance(entry, Remark):
        return [f"remark of {entry.response_id} at {entry.at!r}"]
    return [entry.id, entry.body_id] if entry.body_id else [entry.id]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _locked(descriptor: int) -> bool:
    """Locks an open file, unless another does or it was removed since it was opened."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # locked by another, or a file system that knows no locks
        return False
    return os.fstat(descriptor).st_nlink > 0


def _claimed(path: Path) -> Segment | None:
    """A segment whose process is gone; an empty one is removed."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    if not _locked(descriptor):
        os.close(descriptor)
        return None
    found = Segment(path, descriptor)
    if os.fstat(descriptor).st_size:
        return found
    found.done()
    return None
