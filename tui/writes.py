"""One thread that writes, one write after the other, so that an undo always comes after what it undoes."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from textual.message_pump import MessagePump

from storage.db import Store, open_store
from tui.messages import Failed, Written

Result = TypeVar("Result")


class Writer:
    """Runs writes in the order in which they were given; each result comes back as a message to `owner`."""

    def __init__(self, path: Path, owner: MessagePump) -> None:
        self._path = path
        self._owner = owner
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="writes")
        self._store: Store | None = None

    def submit(
        self, work: Callable[[Store], Result], *, doing: str, then: Callable[[Result], None] | None = None
    ) -> None:
        """Run `work` with the writing thread's own store, then `then(result)` on the app's thread."""
        self._thread.submit(self._run, work, doing, then)

    def close(self) -> None:
        """Wait until every write that was given is on the disk."""
        self._thread.submit(self._close_store)
        self._thread.shutdown(wait=True)

    def _run(self, work: Callable[[Store], Result], doing: str, then: Callable[[Result], None] | None) -> None:
        try:
            if self._store is None:
                self._store = open_store(self._path)
            self._owner.post_message(Written(work(self._store), then))
        except Exception as error:  # noqa: BLE001  the boundary of the writing thread
            self._owner.post_message(Failed(error, doing))

    def _close_store(self) -> None:
        if self._store is not None:
            self._store.close()
