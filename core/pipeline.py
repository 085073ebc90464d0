"""The worker of one run, a process of its own: `python -m core.pipeline --home FOLDER --run N`.

Only this process writes what becomes of the run. When it ends it starts the run that waits longest.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from core.errors import ConflictError, FinetuneError
from core.hooks.delivery import deliver_due
from core.paths import Home
from core.release.registry import version_of_run
from core.train.launch import launch, process_started
from core.train.memory import out_of_memory
from core.train.reporter import Reporter, Stopped
from storage import runs
from storage.db import Store, open_store


def perform(home: Home, run_id: int) -> int:
    """Claims a run and works on it to its end; exit code 0 also where another run goes first, else 1."""
    with open_store(home.store, create=False) as store:
        pid = os.getpid()
        if not runs.claim(store, run_id, pid=pid, pid_started=process_started(pid) or 0.0, now=time.time()):
            run = runs.get(store, run_id)
            active = runs.active(store)
            if active is None or active.id == run_id:
                _say(f"Run {run_id} is {run.status}.")
            elif run.status == "queued":
                _say(f"Run {run_id} waits for run {active.id}.")
                return 0
            else:
                _say(f"Run {active.id} is at work, and one run goes at a time; run {run_id} is {run.status}.")
            return 1
        code = _ended(store, home, run_id)
        following = runs.next_queued(store)
        if following is not None:
            launch(home, following)
        _tell(store, home)
        return code


def _tell(store: Store, home: Home) -> None:
    """Tells the hooks what this run has brought about; whoever polls next tells what could not be told now."""
    try:
        for one in deliver_due(store, home):
            _say(f"{one.event} to {one.hook}: {one.state}, {one.said}")
    except FinetuneError as error:
        _say(f"{error.title}: {error}")


def _ended(store: Store, home: Home, run_id: int) -> int:
    """Works on a claimed run; however that ends, the row says so."""
    status: Literal["finished", "stopped", "failed"] = "failed"
    error = hint = ""
    reporter = Reporter(store, run_id)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: reporter.stop())
    try:
        with reporter:
            run = runs.get(store, run_id)
            reporter.note(f"Run {run_id} for {run.category} on {run.base_model}, process {os.getpid()}.")
            # Only after the claim: the stages bring much along, and whoever waits should see that the run goes on.
            from core.stages import Stages

            Stages(store, home, run, reporter).work()
        status = "finished"
    except Stopped:
        status = "stopped"
        reporter.note("Stopped as asked; resume goes on from here.")
    except FinetuneError as problem:
        error, hint = problem.message, problem.hint
        reporter.note(f"{problem.title}: {problem}")
    except Exception as problem:  # noqa: BLE001  the boundary of the process: whatever it is, the row must say so
        if out_of_memory(problem):
            error = "The memory did not suffice."
            hint = "Close other programs and resume the run, or start one with a smaller base model or maximum length."
        else:
            log = home.resolve(runs.get(store, run_id).folder) / "log.txt"
            error = f"Unexpected {type(problem).__name__}: {problem}"
            hint = f"The whole story stands in {log}; resume tries again."
        reporter.note(f"{error}\n{traceback.format_exc()}")
    try:
        version = version_of_run(store, runs.get(store, run_id).category, run_id)
        version_id = version.id if version else None
        runs.finish(store, run_id, status, now=time.time(), error=error, hint=hint, version_id=version_id)
    except ConflictError:
        reporter.note("The run was taken from this process meanwhile; its end is not recorded.")
        return 1
    reporter.note(f"Run {run_id} is {status}.")
    return 1 if status == "failed" else 0


def _say(text: str) -> None:
    """A line for the log of the run, which is this process's standard output."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """The entry point of the worker process."""
    parser = argparse.ArgumentParser(prog="core.pipeline")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--run", type=int, required=True)
    given = parser.parse_args(arguments)
    home = Home(given.home.absolute())
    try:
        if int(os.environ.get("WORLD_SIZE", "1")) == 1:
            return perform(home, given.run)
        # A launcher has started several processes: the first has the run, the others help with its training.
        from core.train.team import dismiss, follow

        if int(os.environ["RANK"]):
            return follow(home)
        try:
            return perform(home, given.run)
        finally:
            dismiss()
    except FinetuneError as error:
        _say(f"{error.title}: {error}")
        return 1


if __name__ == "__main__":
    sys.exit(main())
