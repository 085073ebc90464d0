"""Tells the hooks what happened, beside the worker: a slow hook may take minutes."""

from __future__ import annotations

import threading
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Final

from core.errors import FinetuneError
from core.hooks.delivery import deliver_due
from core.hooks.message import Delivery
from core.loop import LearningLoop
from core.paths import Home
from core.worker_report import Step
from storage.db import open_store

HOOK_SECONDS: Final = 5.0
CLOSE_SECONDS: Final = 2.0


class Teller:
    """A thread, with a store of its own, that delivers what is due every few seconds until `stop` is set."""

    def __init__(self, home: Home, stop: threading.Event) -> None:
        self._home = home
        self._stop = stop
        self._told: SimpleQueue[Step] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="hooks", daemon=True)
        self._thread.start()

    def heard(self) -> list[Step]:
        """What was delivered since the last call."""
        found: list[Step] = []
        with suppress(Empty):
            while True:
                found.append(self._told.get_nowait())
        return found

    def close(self) -> None:
        """Waits a moment for the thread; a hook at work does not keep the process."""
        self._thread.join(CLOSE_SECONDS)

    def _work(self) -> None:
        """A lasting fault is said once."""
        faults: set[str] = set()
        while not self._stop.wait(HOOK_SECONDS):
            try:
                with open_store(self._home.store) as store:
                    for one in deliver_due(store, self._home):
                        self._told.put(delivered(one))
            except Exception as error:  # noqa: BLE001 - the boundary of the thread: it says what it is, and goes on
                said = f"{error.message} {error.hint}" if isinstance(error, FinetuneError) else repr(error)
                if said not in faults:
                    faults.add(said)
                    self._told.put(Step("refused", f"hooks: {said}"))


def tell_hooks(loop: LearningLoop) -> list[Step]:
    """Delivers what hooks and callbacks are owed now; a fault in their settings is said, not raised."""
    try:
        return [delivered(one) for one in loop.tell()]
    except FinetuneError as error:
        return [Step("refused", f"hooks: {error.message} {error.hint}")]


def delivered(one: Delivery) -> Step:
    """A delivery as a step of the worker."""
    return Step("delivered", f"{one.event} to {one.hook}: {one.state}, {one.said}", one.category)
