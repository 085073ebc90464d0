"""Prepares feedback in processes beside the one that stores it: judging takes most of an import's time.

Each process is this module started anew, so that a script without a main guard can import too. What crosses the pipes
are pickles of our own values, written and read by nobody else.
"""

from __future__ import annotations

import gc
import os
import pickle
import struct
import subprocess
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import Any, BinaryIO, Final, Self, TypeVar

from core.capture.incoming import Incoming
from core.capture.judged import Judged
from core.capture.prepare import Preparer
from core.errors import FinetuneError

Batch = Sequence[Sequence[Incoming]]
Prepared = list[list["Judged | FinetuneError"]]
Tag = TypeVar("Tag")
_LENGTH: Final = struct.Struct("<Q")
_MOST: Final = 8


def prepare_rows(preparer: Preparer, rows: Batch, now: float) -> Prepared:
    """Every output of every row judged, or the reason why it cannot be taken."""

    def one(incoming: Incoming) -> Judged | FinetuneError:
        try:
            return preparer.prepare(incoming, now)
        except FinetuneError as error:
            return error

    return [[one(incoming) for incoming in row] for row in rows]


@contextmanager
def rare_collection() -> Iterator[None]:
    """Looks for garbage in cycles fifty times more rarely: a batch makes many objects and no cycles, and looking took a
    third of the time of storing it."""
    before = gc.get_threshold()
    gc.set_threshold(before[0] * 50, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def useful_processes() -> int:
    """How many processes an import may use: one for each core that this process may use, at most 8."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(_MOST, cores) if cores > 1 else 0


class Preparers:
    """Judges batches in `processes` children, in the order given; with 0 of them in this process.

    A child that dies (killed, out of memory) is not missed: its batch is judged here.
    """

    def __init__(self, preparer: Preparer, now: float, processes: int) -> None:
        self._preparer = preparer
        self._now = now
        self._children: SimpleQueue[subprocess.Popen[bytes] | None] = SimpleQueue()
        self._count = processes
        self._pool = ThreadPoolExecutor(max(1, processes), thread_name_prefix="prepare")
        for _ in range(processes):
            self._children.put(None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        while not self._children.empty():
            child = self._children.get()
            if child is not None:
                _end(child)

    def map(self, batches: Iterable[tuple[Tag, Batch]]) -> Iterator[tuple[Tag, Prepared]]:
        """Each batch with its outcome. The first goes through this process: a small import needs no children."""
        waiting: deque[tuple[Tag, Future[Prepared]]] = deque()
        for number, (tag, rows) in enumerate(batches):
            if number == 0 or not self._count:
                yield tag, prepare_rows(self._preparer, rows, self._now)
                continue
            waiting.append((tag, self._pool.submit(self._beside, rows)))
            if len(waiting) > self._count:
                done, future = waiting.popleft()
                yield done, future.result()
        while waiting:
            done, future = waiting.popleft()
            yield done, future.result()

    def _beside(self, rows: Batch) -> Prepared:
        child = self._children.get()
        try:
            if child is None:
                child = _start(self._preparer, self._now)
            assert child.stdin is not None and child.stdout is not None
            _send(child.stdin, rows)
            result: Prepared = _receive(child.stdout)
        except (OSError, EOFError):
            if child is not None:
                _end(child)
            child = None
            result = prepare_rows(self._preparer, rows, self._now)
        finally:
            self._children.put(child)
        return result


def _start(preparer: Preparer, now: float) -> subprocess.Popen[bytes]:
    root = str(Path(__file__).resolve().parents[2])
    paths = [root, *(path for path in [os.environ.get("PYTHONPATH", "")] if path)]
    child = subprocess.Popen(
        [sys.executable, "-c", "from core.capture.workers import serve; serve()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"},
        start_new_session=True,  # Ctrl-C ends the import, which then ends its children
    )
    assert child.stdin is not None
    _send(child.stdin, (preparer, now))
    return child


def _end(child: subprocess.Popen[bytes]) -> None:
    """Closes the child's pipes, which ends it."""
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            try:
                pipe.close()
            except OSError:  # what was still to be written goes nowhere
                continue
    try:
        child.wait(timeout=5.0)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def serve() -> None:
    """What a child does: takes its preparer, then batch after batch, until its input ends."""
    source, sink = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    # What a plug-in prints must not mix with the answers.
    os.dup2(2, 1)
    try:
        preparer, now = _receive(source)
        with rare_collection():
            while True:
                _send(sink, prepare_rows(preparer, _receive(source), now))
    except (EOFError, BrokenPipeError):
        return


def _send(sink: BinaryIO | Any, value: object) -> None:
    data = pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
    sink.write(_LENGTH.pack(len(data)))
    sink.write(data)
    sink.flush()


def _receive(source: BinaryIO | Any) -> Any:
    header = source.read(_LENGTH.size)
    if len(header) < _LENGTH.size:
        raise EOFError
    (length,) = _LENGTH.unpack(header)
    data = source.read(length)
    if len(data) < length:
        raise EOFError
    return pickle.loads(data)
