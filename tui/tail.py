"""Watches the store for changes that anybody makes, and for runs whose process has died."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from textual.message_pump import MessagePump

from storage.db import Store, open_store
from tui.messages import Failed, StoreChanged

POLL_SECONDS = 0.4
REAP_SECONDS = 10.0


class StoreTail:
    """A thread that posts `StoreChanged` at most once per poll. Reading the version costs some 5 µs."""

    def __init__(self, path: Path, owner: MessagePump) -> None:
        self._path = path
        self._owner = owner
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="store-tail", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; it is given a second."""
        self._end.set()
        if self._thread.is_alive():
            self._thread.join(timeout=1.0)

    def _watch(self) -> None:
        try:
            with open_store(self._path) as store:
                self._loop(store)
        except Exception as error:  # noqa: BLE001  the boundary of the watching thread
            self._owner.post_message(Failed(error, "watching the store for changes"))

    def _loop(self, store: Store) -> None:
        seen = store.data_version()
        reap_at = 0.0
        while not self._end.wait(POLL_SECONDS):
            changed = False
            if time.monotonic() >= reap_at:
                reap_at = time.monotonic() + REAP_SECONDS
                changed = _reap(store)
            version = store.data_version()
            if changed or version != seen:
                seen = version
                self._owner.post_message(StoreChanged())


def _reap(store: Store) -> bool:
    from core.train.launch import reap_lost

    return bool(reap_lost(store, time.time()))
