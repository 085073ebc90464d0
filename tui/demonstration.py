"""Loading the feedback that ships, in a thread of the dashboard, with its progress."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from textual.worker import get_current_worker

from tui.messages import Progress

if TYPE_CHECKING:
    from core.paths import Home


class SeedProgress(Progress):
    """How much of the demonstration's feedback has been recorded."""


class _Left(Exception):
    """The app is closing; what was recorded until then stays."""


def load_demonstration(home: Home, tell: Callable[[SeedProgress], object]) -> int:
    """Record the shipped feedback into a home; how many outputs. Called in a worker's thread. Raises FinetuneError."""
    from core.demo import load_seed

    worker = get_current_worker()

    def progress(done: int, total: int) -> None:
        if worker.is_cancelled:
            raise _Left
        tell(SeedProgress(done, total))

    return load_seed(home, progress)
