"""This project's side: `core.train.trainer.train` as the worker of a run calls it."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.training.workload import Job


class Gate:
    """A listener of a run that lets it begin a pass only when told, and says how long the pass took."""

    def __init__(self, steps: int, wait: Callable[[], None], tell: Callable[[float], None]) -> None:
        self._steps, self._wait, self._tell = steps, wait, tell
        self._started = 0.0

    def begin(self) -> None:
        """Waits for the word to go on."""
        self._wait()
        self._started = time.perf_counter()

    def step(self, step: int, total: int, values: Mapping[str, float]) -> None:
        """See `core.train.reporter.Progress`."""
        if not step or step % self._steps:
            return
        self._tell(time.perf_counter() - self._started)
        if step < total:
            self.begin()

    def note(self, text: str) -> None:
        """See `core.train.reporter.Progress`; the first note comes when all is loaded."""
        print(text, file=sys.stderr)
        if not self._started:
            self.begin()

    def should_stop(self) -> bool:
        """See `core.train.reporter.Progress`."""
        return False


def work(job: Job, wait: Callable[[], None], tell: Callable[[float], None]) -> dict[str, Any]:
    """Trains, pass by pass; `wait` returns when the next may begin, `tell` hears its seconds."""
    from core.train.config import TrainSettings
    from core.train.trainer import Task, train

    settings = TrainSettings.from_mapping(
        {
            "method": job.method,
            "epochs": job.passes,
            "batch_size": job.batch,
            "accumulation": job.accumulation,
            "max_length": job.max_length,
            "save_every": 1_000_000,
            **(job.settings or {}),
        }
    )
    gate = Gate(settings.steps_per_epoch(len(job.items)), wait, tell)
    task = Task(Path(job.base), job.dataset(), (), settings, Path(job.folder))
    result = train(task, gate)
    return {"loss": result.final_loss, "tokens": result.tokens}


def first_step(job: Job) -> None:
    """Prints a line when the first step is done, in a process that has imported what the worker of a run does."""
    import core.pipeline
    import core.stages  # noqa: F401

    def tell(_: float) -> None:
        print("stepped", flush=True)

    gate = Gate(1, lambda: None, tell)
    from core.train.config import TrainSettings
    from core.train.trainer import Task, train

    settings = replace(TrainSettings(), batch_size=job.batch, accumulation=job.accumulation, max_length=job.max_length)
    train(Task(Path(job.base), job.dataset(), (), settings, Path(job.folder)), gate)


if __name__ == "__main__":
    first_step(Job(**json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))))
