"""The process of one trial of a search: `python -m core.search.trial --home FOLDER --folder FOLDER --parent PID`.

It trains on the frozen dataset and lets the result answer validation prompts; no version comes of it. In its folder it
reads `task.json` and the dataset, appends its figures to `progress.jsonl`, and leaves `result.json` at its end. Killed
or stopped, the same trial goes on from its last checkpoint. It ends when the process that started it is gone.
"""

from __future__ import annotations

import argparse
import fcntl
import gc
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import replace
from io import TextIOBase
from pathlib import Path
from typing import Any, Final

from core.categories import category, load_categories
from core.errors import DivergedError, FinetuneError, RunError
from core.paths import Home, write_whole
from core.run_scoring import judge_of
from core.search.process import DATASET, LOCK, PROGRESS, RESULT, TASK
from core.search.travel import from_bytes
from core.train.checkpoints import ADAPTER
from core.train.config import TrainSettings
from core.train.loading import load_tokenizer
from core.train.memory import out_of_memory
from core.train.presets import resolve_base
from core.train.scoring import validation_scorer
from core.train.session import open_session
from core.train.team import team
from core.train.trainer import Task, train

MOST_PROMPTS: Final = 24  # answers are what a trial costs beyond its training
FEW_PROMPTS: Final = 8  # at each evaluation: enough to give a trial up


class Lines:
    """The figures of a trial as lines of JSON, and the wish to stop."""

    def __init__(self, file: TextIOBase, parent: int) -> None:
        self._file = file
        self._parent = parent
        self._stopped = False
        self.scored = False  # whether answers are scored at evaluations; where none can be judged, they score 0
        self._file.write("\n")  # a kill may have left half a line

    def step(self, step: int, total_steps: int, values: Mapping[str, float]) -> None:
        """See `core.train.reporter.Progress`."""
        told = {"eval_score": 0.0, **values} if self.scored and "eval_loss" in values else dict(values)
        self._file.write(json.dumps({"step": step, "total": total_steps, "values": told}) + "\n")
        self._file.flush()

    def note(self, text: str) -> None:
        """A line of the log, which is standard output."""
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()

    def stop(self) -> None:
        """Asks for an end at the next step; for signal handlers."""
        self._stopped = True

    def should_stop(self) -> bool:
        """Whether somebody asked for a stop, or nobody waits for the result any more."""
        return self._stopped or os.getppid() != self._parent


def perform(home: Home, folder: Path, lines: Lines) -> dict[str, Any]:
    """Trains and answers; what becomes `result.json`. Raises FinetuneError."""
    told = json.loads((folder / TASK).read_text(encoding="utf-8"))
    settings = TrainSettings.from_mapping(told["settings"])
    settings = replace(settings, score_prompts=min(settings.score_prompts, FEW_PROMPTS))
    base = resolve_base(told["base"], home)
    data = from_bytes((folder / DATASET).read_bytes())
    train_items = [item for item in data.items if item.split == "train"]
    judged = [item for item in data.validation if item.desirable]
    judge = judge_of(category(load_categories(home), told["category"]), data.known)
    at_times, at_last = (
        validation_scorer(judged, judge, max_tokens=told["max_tokens"], prompts=prompts)
        for prompts in (settings.score_prompts, MOST_PROMPTS)
    )
    lines.scored = at_times is not None
    task = Task(base.path, train_items, data.validation, settings, folder, resume=True, scorer=at_times)
    with team(home, told["base"], task) as peers:
        result = train(task, lines, peers)
    if result.status == "stopped" or result.adapter is None:
        return {"status": "stopped"}
    if result.base_loss is None or result.best_loss is None:
        raise RunError(
            "No validation example fits the maximum length, so trials cannot be compared.",
            hint="Raise the maximum length, and begin another search.",
        )
    gc.collect()
    score = None
    if at_last is not None:
        session = open_session(base.path, settings, load_tokenizer(base.path), start=result.adapter / ADAPTER)
        score = at_last(session, lines.should_stop)
    if lines.should_stop():
        return {"status": "stopped"}
    return {"status": "finished", "score": score, "loss": result.best_loss, "base_loss": result.base_loss}


def _outcome(home: Home, folder: Path, lines: Lines) -> dict[str, Any]:
    """What `perform` gives, or its error in words."""
    try:
        return perform(home, folder, lines)
    except FinetuneError as error:
        lines.note(f"{error.title}: {error}")
        ended = "diverged" if isinstance(error, DivergedError) else "failed"
        return {"status": ended, "message": error.message}
    except Exception as error:  # noqa: BLE001  the boundary of the process: whatever it is, the search must hear of it
        lines.note(traceback.format_exc())
        what = "The memory did not suffice." if out_of_memory(error) else f"Unexpected {type(error).__name__}: {error}"
        return {"status": "failed", "message": what}


def main(arguments: Sequence[str] | None = None) -> int:
    """The entry point of the process."""
    parser = argparse.ArgumentParser(prog="core.search.trial")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--parent", type=int, required=True)
    given = parser.parse_args(arguments)
    started = time.monotonic()
    folder: Path = given.folder
    with (folder / LOCK).open("a") as lock, (folder / PROGRESS).open("a", encoding="utf-8") as file:
        # The process of a killed search may still be at the step that it ends after.
        fcntl.flock(lock, fcntl.LOCK_EX)
        lines = Lines(file, given.parent)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: lines.stop())
        outcome = _outcome(Home(given.home), folder, lines)
        write_whole(folder / RESULT, json.dumps({**outcome, "seconds": time.monotonic() - started}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
