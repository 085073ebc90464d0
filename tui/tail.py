"""Watches the store for changes that anybody makes, and tends the runs: marks the dead, starts what waits."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from textual.message_pump import MessagePump

from storage.db import Store, open_store
from tui.messages import Failed, StoreChanged

if TYPE_CHECKING:
    from core.paths import Home

POLL_SECONDS = 0.4
TEND_SECONDS = 10.0


class StoreTail:
    """A thread that posts `StoreChanged` at most once per poll. Reading the version costs some 5 µs.

    `store` is the one of the app's own thread. Made before the first screen reads, the tail also tells what was
    written between that reading and the thread's first look.
    """

    def __init__(self, home: Home, owner: MessagePump, store: Store) -> None:
        self._home = home
        self._owner = owner
        self._store = store
        self._first = store.data_version()
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
            with open_store(self._home.store) as store:
                self._loop(store)
        except Exception as error:  # noqa: BLE001  the boundary of the watching thread
            self._owner.post_message(Failed(error, "watching the store for changes"))

    def _compare(self) -> None:
        """In the app's thread, once the other one watches: a version means something to its own connection only."""
        if not self._end.is_set() and self._store.data_version() != self._first:
            self._owner.post_message(StoreChanged())

    def _loop(self, store: Store) -> None:
        seen = store.data_version()
        self._owner.call_later(self._compare)
        if self._end.wait(POLL_SECONDS):
            return
        # Imported here and not before, so that neither the first frame nor the first figures wait for it.
        from core.dispatch import Dispatcher

        dispatcher = Dispatcher(store, self._home)
        tend_at = 0.0
        while not self._end.wait(POLL_SECONDS):
            changed = False
            if time.monotonic() >= tend_at:
                tend_at = time.monotonic() + TEND_SECONDS
                changed = bool(dispatcher.tend())
            version = store.data_version()
            if changed or version != seen:
                seen = version
                self._owner.post_message(StoreChanged())
