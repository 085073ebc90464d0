"""How much production traffic there is, for work that must only be done when nobody waits."""

from __future__ import annotations

import time
from collections.abc import Callable


class Traffic:
    """Counts requests in flight. `on_begin` hears of each request as it comes, in the thread of the gateway."""

    def __init__(self) -> None:
        self.in_flight = 0
        self.answered = 0
        self.on_begin: list[Callable[[], None]] = []
        self._quiet_since = time.monotonic()

    def begin(self) -> None:
        """A request has come."""
        self.in_flight += 1
        for hear in self.on_begin:
            hear()

    def end(self) -> None:
        """A request has ended, however it did."""
        self.in_flight -= 1
        self.answered += 1
        self._quiet_since = time.monotonic()

    @property
    def quiet_seconds(self) -> float:
        """For how long no request was in flight; 0 while one is."""
        return 0.0 if self.in_flight else time.monotonic() - self._quiet_since
