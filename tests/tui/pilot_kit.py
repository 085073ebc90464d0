"""Waiting, as a person would, for what the app reads and writes in threads."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable

from textual.pilot import Pilot
from textual.timer import Timer

from tui.app import FinetuneApp
from tui.screens.base import BaseScreen

PATIENCE = 30.0
"""Seconds: what never comes fails a test, what comes late on a busy machine does not."""
_QUIET = 3
_BRIEF = 0.5
"""Seconds: what waits no longer than this waits for somebody to stop typing."""


async def until(pilot: Pilot[None], condition: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Wait for something to come true; screens and widgets that are not there yet count as not yet."""
    end = time.monotonic() + seconds
    while True:
        await pilot.pause(0.02)
        try:
            if condition():
                return
        except Exception:  # noqa: BLE001  a widget that is not composed yet
            pass
        assert time.monotonic() < end, "it never came"


async def settle(pilot: Pilot[None]) -> BaseScreen:
    """Wait until nothing is read or written, no rest after typing runs, and what came of it was shown.

    Gives the screen in front, under any dialogue. What others write is told when the store is looked at next: wait for
    what shows it with `until`.
    """
    app, quiet, end = pilot.app, 0, time.monotonic() + PATIENCE
    assert isinstance(app, FinetuneApp)
    while quiet < _QUIET:
        await pilot.pause(0.02)
        quiet = 0 if at_work(app) or rests(app) else quiet + 1
        assert time.monotonic() < end, "it never came to rest"
    assert app.front is not None
    return app.front


def at_work(app: FinetuneApp) -> bool:
    """Whether something is being read or written."""
    front = app.front
    return bool(app.writing or front is None or front._tasks or any(not worker.is_finished for worker in app.workers))


def rests(app: FinetuneApp) -> bool:
    """Whether a rest after typing runs."""
    return any(_is_rest(timer) for screen in app.screen_stack for timer in screen._timers)


def _is_rest(timer: Timer) -> bool:
    """Whether it is a rest after typing that is not over: one short wait that calls a method of the app. The patience
    before a pane shows that it loads is no method, and waits for nothing."""
    call = getattr(timer._callback, "args", (None,))[0]  # what the framework puts into the queue
    brief = timer._repeat == 0 and timer._interval <= _BRIEF and timer._task is not None and not timer._task.done()
    return brief and inspect.ismethod(call) and call.__module__.startswith("tui.")
