"""What is done with a run from the screen of runs: pausing it, letting it go on, taking it out of the queue."""

from __future__ import annotations

from storage import runs
from storage.rows import RESUMABLE, RunRow
from tui.screens.base import BaseScreen


class RunControl:
    """Does what is asked, and says what can be done with a run."""

    def __init__(self, screen: BaseScreen) -> None:
        self._screen = screen

    @staticmethod
    def can(action: str, run: RunRow | None) -> bool:
        """Whether `stop`, `cancel` or `resume` is something to do with this run now."""
        if run is None:
            return False
        if action == "stop":
            return run.status == "running" and not run.stop_requested
        if action == "cancel":
            return run.status == "queued" and not run.stop_requested
        return run.status in RESUMABLE

    def stop(self, run_id: int) -> None:
        """Let a run save and end at its next step, or take one that waits out of the queue."""
        self._screen.finetune.write(
            lambda store: runs.request_stop(store, run_id),
            doing=f"stopping run {run_id}",
            then=lambda _: self._screen.refresh_data(),
        )

    def resume(self, run_id: int) -> None:
        """Let it go on from its last checkpoint."""
        screen, home = self._screen, self._screen.home

        def resume() -> None:
            from core.loop import LearningLoop

            with LearningLoop(home) as loop:
                loop.resume(run_id)

        screen.in_background(
            resume,
            group="train.resume",
            description=f"resuming run {run_id}",
            then=lambda _: screen.refresh_data(),
        )
