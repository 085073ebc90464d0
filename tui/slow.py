"""For those who work on the app: which handlers keep the screen from answering. Only where TEXTUAL=debug is set."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tui.session_log import SessionLog

SLOW_SECONDS: Final = 0.05


class _Slow(logging.Handler):
    def __init__(self, log: SessionLog) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        self._log.add("warning", "A slow handler", record.getMessage())


def tell_slow(log: SessionLog) -> None:
    """Every step of the running loop that takes longer than SLOW_SECONDS goes into the log."""
    loop = asyncio.get_running_loop()
    loop.set_debug(True)
    loop.slow_callback_duration = SLOW_SECONDS
    watched = logging.getLogger("asyncio")
    watched.handlers = [_Slow(log)]
    watched.propagate = False
