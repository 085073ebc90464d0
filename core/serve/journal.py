"""What was answered, written down before anybody waits for the store: files of lines that outlive the process.

A segment belongs to the process that holds its lock (`flock`), which the system releases however the process ends. So
each process reads its own segments and those that a killed one left, and two that run at once keep out of each other's
way; that nothing is recorded twice is made sure in the store all the same. A segment is removed once all of it is
recorded. Until then it holds texts as they were, readable by the owner alone.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from core.serve.remark import Remark
from core.serve.segments import Entry, Segment, claim, folder_of, lock, segments_in, size_of, stamp_of

__all__ = ["Entry", "Journal", "Segment", "folder_of"]

LIMIT: Final = 256 * 1024 * 1024
"""The most bytes that may wait to be recorded; what comes on top is counted and dropped."""
_TRIES: Final = 20


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
        left = self.segments()
        self._bytes = sum(map(size_of, left))
        self._stamp = max(map(stamp_of, left), default=0)

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
            # Names rise, whatever the clock does: what is said of an answer must come after it.
            self._stamp = max(time.time_ns(), self._stamp + 1)
            path = self.folder / f"journal-{self._stamp:020d}-{os.getpid()}.jsonl"
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            try:
                descriptor = os.open(path, flags, 0o600)
            except FileExistsError:
                continue
            if lock(descriptor):
                self._descriptor, self._path, self._size = descriptor, path, 0
                return
            os.close(descriptor)
            with suppress(OSError):
                path.unlink()
        raise OSError(f"no file in {self.folder} could be made and locked")

    def _seal(self) -> None:
        self._sealed[self._path] = self._descriptor
        self._descriptor = -1

    # -- reading

    def segments(self) -> list[Path]:
        """The segments that are there, the oldest first, whoever holds them."""
        return segments_in(self.folder)

    def take(self, *, skip: Iterable[Path] = ()) -> Segment | None:
        """The oldest segment that nobody else works on, or None. The caller ends with `done` or `release`.

        Raises OSError when the folder cannot be read.
        """
        left = set(skip)
        paths = self.segments()
        with self._lock:
            self._bytes = sum(size_of(path) for path in paths)
        for path in paths:
            if path in left:
                continue
            with self._lock:
                if path == self._path and self._descriptor >= 0:
                    if not self._size:
                        continue
                    self._seal()
                descriptor = self._sealed.pop(path, -1)
            found = Segment(path, descriptor) if descriptor >= 0 else claim(path)
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
