"""How often a screen reads again while somebody goes on writing: at once where that is quick, else with rests."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from textual.message_pump import MessagePump
from textual.timer import Timer

from tui.once import once

REST: Final = 4.0
"""The rest after a reading, in times of what it took: so it keeps a fifth of a core busy at most."""
QUICK_SECONDS: Final = 0.05
"""What takes no longer needs no rest: changes are told at most every 0.4 s."""


class Pace:
    """Calls `again()` when something has changed, but not before the last reading has ended and its rest is over.

    `again` begins a reading; whoever reads calls `ended` when that is over. All changes that come meanwhile are seen by
    the one reading that follows. `clock` tells seconds.
    """

    def __init__(
        self, owner: MessagePump, again: Callable[[], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._owner = owner
        self._again = again
        self._clock = clock
        self._began: float | None = None
        self._rest_until = 0.0
        self._waits = False
        self._timer: Timer | None = None

    def changed(self) -> None:
        """Something has changed."""
        if self._began is not None:
            self._waits = True
        elif (left := self._rest_until - self._clock()) > 0.0:
            if self._timer is None:
                self._timer = once(self._owner, left, self._rested)
        else:
            self._began = self._clock()
            self._again()

    def ended(self) -> None:
        """The reading that `again` began is over."""
        if self._began is None:
            return
        now = self._clock()
        took = now - self._began
        self._began, waits = None, self._waits
        self._waits = False
        self._rest_until = now + REST * took if took > QUICK_SECONDS else 0.0
        if waits:
            self.changed()

    def forget(self) -> None:
        """Nobody looks any more: call no more for what has changed until now."""
        self._waits = False
        if self._timer is not None:
            self._timer.stop()
            self._timer = None

    def _rested(self) -> None:
        self._timer = None
        self._rest_until = 0.0
        self.changed()
