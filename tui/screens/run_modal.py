"""What the dialogues about runs have in common: they fill the window, work in threads, and say what went wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar, cast

from textual.screen import ModalScreen, ScreenResultType
from textual.worker import Worker, WorkerState, get_current_worker

from core.errors import FinetuneError
from tui.screens.base import BaseScreen

Result = TypeVar("Result")


class RunModal(ModalScreen[ScreenResultType], Generic[ScreenResultType]):
    """A dialogue over the screen of runs; `in_background` is what screens have, cut down to one task a group."""

    HORIZONTAL_BREAKPOINTS = BaseScreen.HORIZONTAL_BREAKPOINTS
    DEFAULT_CSS = """
    RunModal { background: $background; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._then: dict[str, tuple[Worker[Any], Callable[[Any], None], Callable[[BaseException], None]]] = {}

    def in_background(
        self,
        work: Callable[[], Result],
        *,
        group: str,
        then: Callable[[Result], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        """Run `work` in a thread, then one of the two here. A newer task of the group makes the older one void."""
        worker = self.run_worker(work, group=group, exit_on_error=False, exclusive=True, thread=True)
        self._then[group] = (worker, then, failed)

    def at_work(self, group: str) -> bool:
        """Whether a task of the group has not come to its end."""
        return group in self._then

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """Hand on what came of a task."""
        event.stop()
        worker = event.worker
        task = self._then.get(worker.group)
        if task is None or task[0] is not worker:
            return
        if event.state in (WorkerState.SUCCESS, WorkerState.ERROR, WorkerState.CANCELLED):
            del self._then[worker.group]
        if event.state is WorkerState.SUCCESS:
            task[1](worker.result)
        elif event.state is WorkerState.ERROR and worker.error is not None:
            cast("Any", self.app).report(worker.error, worker.group, toast=False)
            task[2](worker.error)


def unless_cancelled() -> Callable[[], None]:
    """What breaks long work off when its result is no longer wanted; to be called in the worker's thread."""
    worker = get_current_worker()

    def check() -> None:
        if worker.is_cancelled:
            raise FinetuneError("This was broken off.", hint="Open it again.")

    return check
