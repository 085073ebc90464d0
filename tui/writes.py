"""One thread that writes, one write after the other, so that an undo always comes after what it undoes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from textual.message_pump import MessagePump

from core.errors import BusyError
from storage.db import Store, open_store
from tui.messages import Failed, Held, Written

Result = TypeVar("Result")
Failure = Callable[[BaseException], None]


class Writer:
    """Runs writes in the order in which they were given; each result comes back as a message to `owner`.

    While another process keeps the store, writes wait for as long as it takes: what a person has said is not lost, and
    nothing overtakes it. `owner` is told when that begins and when it is over.
    """

    def __init__(self, path: Path, owner: MessagePump) -> None:
        self._path = path
        self._owner = owner
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="writes")
        self._store: Store | None = None
        self._waiting: deque[str] = deque()
        self._held = False
        self._closing = False
        self.lost: list[str] = []

    @property
    def waiting(self) -> list[str]:
        """What is being written or waits for it, in words, in order."""
        return list(self._waiting)

    def submit(
        self,
        work: Callable[[Store], Result],
        *,
        doing: str,
        then: Callable[[Result], None] | None = None,
        failed: Failure | None = None,
    ) -> None:
        """Run `work` with the thread's own store, then `then(result)` or `failed(error)` on the app's thread."""
        self._waiting.append(doing)
        self._thread.submit(self._run, work, doing, then, failed)

    def close(self) -> None:
        """Wait until every write that was given is on the disk. One that another process keeps from it until then is
        `lost`, and those after it are."""
        self._closing = True
        self._thread.submit(self._close_store)
        self._thread.shutdown(wait=True)

    def _run(
        self,
        work: Callable[[Store], Result],
        doing: str,
        then: Callable[[Result], None] | None,
        failed: Failure | None,
    ) -> None:
        try:
            if self.lost:
                self.lost.append(doing)
            else:
                self._owner.post_message(Written(self._patiently(work), then))
        except Exception as error:  # noqa: BLE001  the boundary of the writing thread
            if self._closing and isinstance(error, BusyError):
                self.lost.append(doing)
            self._owner.post_message(Failed(error, doing, failed))
        finally:
            self._waiting.popleft()

    def _patiently(self, work: Callable[[Store], Result]) -> Result:
        while True:
            before = 0
            try:
                if self._store is None:
                    self._store = open_store(self._path)
                before = self._store.connection.total_changes
                value = work(self._store)
            except BusyError:
                # What has changed something already would do it twice.
                if self._closing or (self._store is not None and self._store.connection.total_changes != before):
                    raise
                if not self._held:
                    self._held = True
                    self._owner.post_message(Held(over=False))
            else:
                if self._held:
                    self._held = False
                    self._owner.post_message(Held(over=True))
                return value

    def _close_store(self) -> None:
        if self._store is not None:
            self._store.close()
