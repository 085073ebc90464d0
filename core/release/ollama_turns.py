"""One process at a time changes what Ollama holds; the system ends a turn when its process ends, however it ends."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Literal

from core.errors import ConflictError
from core.paths import Home

_POLL_SECONDS: Final = 0.05
_LONG_SECONDS: Final = 2.0

Kind = Literal["giving", "pointing"]


@contextmanager
def turn(
    home: Home,
    kind: Kind,
    *,
    patient: bool = True,
    waiting: Callable[[], object] = lambda: None,
    check: Callable[[], object] = lambda: None,
) -> Iterator[None]:
    """Holds the turn of giving versions to Ollama, or of pointing its aliases; both may be held at once.

    Without `patient` a turn that is taken raises ConflictError at once. `waiting` is called once where the wait gets
    long; what `check`, called twenty times a second, raises ends the wait.
    """
    with (home.root / f"ollama-{kind}.lock").open("a", encoding="utf-8") as file:
        begun, told = time.monotonic(), False
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                if not patient:
                    raise ConflictError(
                        "Another process is at Ollama's models just now.", hint="Try again in a moment."
                    ) from error
            check()
            if not told and time.monotonic() > begun + _LONG_SECONDS:
                told = True
                waiting()
            time.sleep(_POLL_SECONDS)
        yield
