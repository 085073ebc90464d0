"""A call after a rest that comes for certain, however short the rest is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from textual.message_pump import MessagePump
from textual.timer import Timer

LEAST_SECONDS: Final = 0.05


def once(owner: MessagePump, seconds: float, call: Callable[[], None]) -> Timer:
    """Call `call()` in `owner` after `seconds`, or LEAST_SECONDS where that is more.

    The framework drops a timer that is due before it has begun to wait, as one of microseconds always is, and one of
    milliseconds where a thread takes the interpreter at that moment. What waits for such a call would wait for ever.
    """
    return owner.set_timer(max(seconds, LEAST_SECONDS), call)
