"""Starting the processes of runs, waiting for them, and noticing those that are gone."""

from __future__ import annotations

import time
from collections.abc import Callable

from core.errors import RunError
from core.paths import Home
from core.train.launch import LOST_AFTER, is_alive, launch, process_started, reap_lost, tail_log
from storage import runs
from storage.db import Store
from storage.rows import RunRow

POLL_SECONDS = 0.2
TEND_SECONDS = 5.0
_OVER = ("finished", "failed", "stopped", "lost")


class Dispatcher:
    """Runs go one at a time, each in a process of its own that outlives this one."""

    def __init__(self, store: Store, home: Home) -> None:
        self.store = store
        self.home = home
        self._launched: dict[int, int] = {}

    def resume(self, run_id: int) -> None:
        """Lets a stopped, failed or lost run go on. Raises RunError while it runs and when it is finished.

        Takes up to `LOST_AFTER` seconds where a process was killed just now.
        """
        before = self._launched.get(run_id)
        self._settle()
        if self._launched.get(run_id) != before:
            return  # it waited for its turn, and has just been started
        run = runs.get(self.store, run_id)
        if run.status == "finished":
            raise RunError(
                f"Run {run_id} is finished.", title="Nothing to resume", hint="Start a new run to train again."
            )
        if run.status == "running":
            raise RunError(
                f"Run {run_id} is running.", title="Nothing to resume", hint="Wait for it, or stop it first."
            )
        active = runs.active(self.store)
        if active is not None:
            raise RunError(
                f"Run {active.id} is at work, and one run goes at a time.",
                hint=f"Wait until run {active.id} has ended, then resume run {run_id}.",
            )
        self._launch(run_id)

    def _launch(self, run_id: int) -> None:
        since = time.time()
        self._launched.pop(run_id, None)
        try:
            self._launched[run_id] = launch(self.home, run_id)
        except RunError:
            ended = runs.get(self.store, run_id).finished_at
            # A worker that failed at once has written why into the row, which says more than its exit status.
            if ended is None or ended < since:
                raise

    def _settle(self) -> None:
        """Waits until a run whose process is gone counts as lost, which takes an old heartbeat too."""
        deadline = time.monotonic() + LOST_AFTER + 2 * POLL_SECONDS
        while True:
            self.tend()
            active = runs.active(self.store)
            # One that another machine or container works on is not seen here, but its heart goes on beating.
            if active is None or is_alive(active) or time.monotonic() > deadline:
                return
            time.sleep(POLL_SECONDS)

    def wait(self, run_id: int, on_progress: Callable[[RunRow], None] | None = None) -> RunRow:
        """Returns the run when it has ended, however that was; `on_progress` gets its row some times a second.

        Raises RunError when its process ends before it begins with the run.
        """
        tended = time.monotonic()
        while True:
            begun, run = self._begun(run_id)
            if on_progress is not None:
                on_progress(run)
            if begun and run.status in _OVER:
                return run
            if time.monotonic() - tended > TEND_SECONDS:
                tended = time.monotonic()
                self.tend()
            time.sleep(POLL_SECONDS)

    def _begun(self, run_id: int) -> tuple[bool, RunRow]:
        """Whether the process that this loop started for the run, if any, has claimed it; until then the row is old."""
        pid = self._launched.get(run_id)
        alive = pid is not None and process_started(pid) is not None
        run = runs.get(self.store, run_id)  # read after the process was looked at, so that its claim is not missed
        if pid is None or run.pid == pid:
            return True, run
        if alive:
            return False, run
        del self._launched[run_id]
        if runs.active(self.store) is not None and run.status == "queued":
            return True, run  # another run went first, and starts this one when it ends
        if run.status == "finished":
            return True, run
        raise RunError(
            f"The process of run {run_id} ended before it began. Its log ends with:\n"
            + "\n".join(tail_log(self.home, run, 10)),
            hint="Run `finetune-tui doctor`, then resume the run.",
        )

    def tend(self) -> list[int]:
        """Marks runs whose process is gone as lost and returns them; starts the run that waits when none is at work."""
        lost = list(reap_lost(self.store, time.time()))
        following = runs.next_queued(self.store)
        if following is not None and runs.active(self.store) is None:
            pid = self._launched.get(following)
            if pid is None or process_started(pid) is None:
                self._launch(following)
        return lost
