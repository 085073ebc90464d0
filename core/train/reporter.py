"""How a training process tells the store what it does, without ever waiting for it."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Final, Protocol, Self

from core.errors import ConflictError, FinetuneError
from storage import runs
from storage.db import Store, open_store
from storage.rows import Metric

FLUSH_SECONDS: Final = 0.5
HEARTBEAT_SECONDS: Final = 5.0


class Stopped(Exception):
    """Somebody asked the run to stop; what is done is kept."""


class Progress(Protocol):
    """Who listens to a recipe."""

    def step(self, step: int, total_steps: int, values: Mapping[str, float]) -> None:
        """`step` of `total_steps` optimizer steps are done; `values` are figures by name (`storage.rows.Metric`)."""
        ...

    def note(self, text: str) -> None:
        """A sentence for the log of the run."""
        ...

    def should_stop(self) -> bool:
        """Whether to save and end at the next step."""
        ...


class Reporter:
    """Writes metrics and heartbeats of one running run, and hears its stop flag.

    A thread with its own connection writes what has gathered every half second: training never waits for the disk,
    and the heart beats also while a long step computes. A store that is busy or full is tried again; what could not be
    written is kept. Use it as a context manager: leaving it writes the rest, and raises StoreError when that fails.
    """

    def __init__(self, store: Store, run_id: int, *, clock: Callable[[], float] = time.time) -> None:
        self._path = store.path
        self._run_id = run_id
        self._clock = clock
        self._lock = threading.Lock()
        self._metrics: list[Metric] = []
        self._progress: tuple[int, int] | None = None
        self._beat_due = 0.0
        self._problem = ""
        self._stop = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name=f"reporter of run {run_id}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._thread.join()
        try:
            with open_store(self._path, create=False) as store:
                self._flush(store)
        except FinetuneError as problem:
            if error is None:
                raise
            # What ended the run matters more than its last figures.
            self.note(f"The last figures were not written: {problem}")

    def step(self, step: int, total_steps: int, values: Mapping[str, float]) -> None:
        """See `Progress`. Returns at once."""
        now = self._clock()
        with self._lock:
            self._metrics.extend(Metric(step, name, float(value), now) for name, value in values.items())
            self._progress = (step, total_steps)

    def note(self, text: str) -> None:
        """Writes a dated line to standard output, which is the log file of the run."""
        stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self._clock()))
        sys.stdout.write(f"{stamp}  {text}\n")
        sys.stdout.flush()

    def stop(self) -> None:
        """Asks for an end at the next step, as the stop flag in the store does; for signal handlers."""
        self._stop.set()

    def should_stop(self) -> bool:
        """Whether somebody asked for a stop, or the run was taken from this process."""
        return self._stop.is_set()

    def _work(self) -> None:
        store: Store | None = None
        try:
            while not self._closing.wait(FLUSH_SECONDS):
                try:
                    store = store or open_store(self._path, create=False)
                    self._tick(store)
                    self._problem = ""
                except (FinetuneError, MemoryError) as error:
                    if str(error) != self._problem:
                        self._problem = str(error)
                        self.note(f"Progress cannot be written and is kept for later: {error}")
        finally:
            if store is not None:
                store.close()

    def _tick(self, store: Store) -> None:
        self._flush(store)
        if runs.stop_requested(store, self._run_id):
            self._stop.set()
        if time.monotonic() >= self._beat_due:
            if not runs.heartbeat(store, self._run_id, self._clock()):
                self._stop.set()
            self._beat_due = time.monotonic() + HEARTBEAT_SECONDS

    def _flush(self, store: Store) -> None:
        with self._lock:
            metrics, progress = list(self._metrics), self._progress
        try:
            if metrics:
                runs.add_metrics(store, self._run_id, metrics)
            if progress is not None:
                runs.progress(store, self._run_id, step=progress[0], total_steps=progress[1])
        except ConflictError:  # the run was taken from this process: nothing more of it may be written
            self._stop.set()
        with self._lock:
            del self._metrics[: len(metrics)]
            if self._progress == progress:
                self._progress = None
