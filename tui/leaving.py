"""Leaving the app: what is still at work is asked about, and a signal ends it as cleanly as the key does."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import termios
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from textual.content import Content

from tui.text import safe

if TYPE_CHECKING:
    from tui.app import FinetuneApp

SHORT_SECONDS: Final = 0.4
"""Work that ends within this is not worth a question."""
_LOOK_SECONDS: Final = 0.02
_TERMINAL_SECONDS: Final = 2.0
_GRACE_SECONDS: Final = 3.0
_SIGNALS: Final = tuple(
    found for name in ("SIGTERM", "SIGHUP", "SIGINT") if (found := getattr(signal, name, None)) is not None
)


class Threads(ThreadPoolExecutor):
    """The threads of the workers. When the app is left in spite of them their end is not waited for."""

    abandoned = False

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """As the base does it, but abandoned threads hold nobody up."""
        super().shutdown(wait=wait and not self.abandoned, cancel_futures=cancel_futures or self.abandoned)


class Leaving:
    """Knows whether the app may end now, and what its process ends with."""

    def __init__(self, app: FinetuneApp) -> None:
        self._app = app
        self._threads = Threads(thread_name_prefix="work")
        self._code = 0

    def install(self) -> None:
        """Take over the loop's threads, and the signals where the app runs in the main thread."""
        loop = asyncio.get_running_loop()
        loop.set_default_executor(self._threads)
        for number in _SIGNALS:
            with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
                loop.add_signal_handler(number, self._on_signal, number)
        if sys.__stdin__ is not None and sys.__stdin__.isatty():
            watch = threading.Thread(target=self._watch_terminal, args=(loop,), name="terminal", daemon=True)
            watch.start()

    def at_work(self) -> list[str]:
        """What the app itself is doing in threads, in words; its writes last."""
        work = [worker.description for worker in self._app.workers if worker.is_running and worker.description]
        return list(dict.fromkeys([*work, *self._app.writing]))

    async def settled(self) -> list[str]:
        """What is still at work after the moment that reads and saves need."""
        until = time.monotonic() + SHORT_SECONDS
        while (work := self.at_work()) and time.monotonic() < until:
            await asyncio.sleep(_LOOK_SECONDS)
        return work

    def ask(self, work: list[str], leave: Callable[[], None]) -> None:
        """Ask whether to leave all the same; `leave()` when the answer is yes."""
        from tui.screens.confirm import ConfirmScreen

        lines = [Content.assemble("● ", safe(doing, "bold", one_line=True)) for doing in work]
        lines.append(Content("\nLeaving ends it; nothing half done is kept. What is being saved is finished first."))

        def answered(yes: bool | None) -> None:
            if yes:
                self.abandon()
                leave()

        self._app.push_screen(
            ConfirmScreen("Still at work: leave anyway?", Content("\n").join(lines), "Leave", danger=True), answered
        )

    def abandon(self) -> None:
        """From now on no thread but the writing one is waited for."""
        self._threads.abandoned = True

    def _watch_terminal(self, loop: asyncio.AbstractEventLoop) -> None:
        """Leave when the terminal is gone. The signal that says so does not reach every process, and the framework
        would go on reading from nothing with all its might, or wait for ever until its output is taken: then the loop
        cannot end any more, and the process ends without it. What was written to the store is there all the same."""
        while not self._terminal_is_gone():
            time.sleep(_TERMINAL_SECONDS)
        with contextlib.suppress(RuntimeError):  # the loop has ended by itself
            loop.call_soon_threadsafe(self._on_signal, signal.SIGHUP)
            time.sleep(_GRACE_SECONDS)
            os._exit(128 + signal.SIGHUP)

    def _terminal_is_gone(self) -> bool:
        try:
            termios.tcgetattr(sys.__stdin__.fileno())  # type: ignore[union-attr]
        except (termios.error, OSError, ValueError):
            return True
        return False

    def _on_signal(self, number: int) -> None:
        self._code = 128 + number
        self.abandon()
        self._app.leave()

    def end_process(self) -> None:
        """After the app has ended and the terminal is as it was: end at once where a thread was left behind or a
        signal asked for it. The store is closed by then, and files appear whole or not at all."""
        busy = any(thread.is_alive() for thread in getattr(self._threads, "_threads", ()))
        if self._code or (self._threads.abandoned and busy):
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(OSError, ValueError):
                    stream.flush()
            os._exit(self._code)
