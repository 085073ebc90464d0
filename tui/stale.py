"""Queries that end when nobody waits for their answer any more."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from textual.worker import NoActiveWorker, get_current_worker

from storage.db import Store, open_store

_STEPS: Final = 20_000
"""SQLite's steps between two looks: a millisecond or less."""


@contextmanager
def reading(path: Path) -> Iterator[Store]:
    """The store for a worker's thread: once the worker is cancelled, as by a newer search, its query raises StoreError.

    Outside of a worker it is `open_store`.
    """
    with open_store(path) as store:
        try:
            worker = get_current_worker()
        except NoActiveWorker:
            pass
        else:
            store.connection.set_progress_handler(lambda: worker.is_cancelled, _STEPS)
        yield store
