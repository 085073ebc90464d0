"""The process of one trial of a search: `python -m core.search.trial --home FOLDER --folder FOLDER --parent PID`.

It trains on the frozen dataset and lets the result answer validation prompts; no version comes of it. In its folder it
reads `task.json`, appends its figures to `progress.jsonl`, and leaves `result.json` at its end. Killed or stopped, the
same trial goes on from its last checkpoint. It ends when the process that started it is gone.
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
from io import TextIOBase
from pathlib import Path
from typing import Any

from core.categories import category, load_categories
from core.config import load_config
from core.errors import FinetuneError, RunError
from core.paths import Home, write_whole
from core.run_scoring import category_scorer
from core.search.process import LOCK, PROGRESS, RESULT, TASK
from core.train.checkpoints import ADAPTER
from core.train.config import TrainSettings
from core.train.loading import load_tokenizer
from core.train.memory import out_of_memory
from core.train.presets import resolve_base
from core.train.session import open_session
from core.train.trainer import Task, train
from storage import datasets
from storage.db import open_store

MOST_PROMPTS = 24  # answers are what a trial costs beyond its training


class Lines:
    """The figures of a trial as lines of JSON, and the wish to stop."""

    def __init__(self, file: TextIOBase, parent: int) -> None:
        self._file = file
        self._parent = parent
        self._stopped = False
        self._file.write("\n")  # a kill may have left half a line

    def step(self, step: int, total_steps: int, values: Mapping[str, float]) -> None:
        """See `core.train.reporter.Progress`."""
        self._file.write(json.dumps({"step": step, "total": total_steps, "values": dict(values)}) + "\n")
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
    base = resolve_base(told["base"], home)
    with open_store(home.store, create=False) as store:
        items = datasets.items(store, told["dataset_id"])
        validation = [item for item in items if item.split == "validation"]
        scorer = category_scorer(
            store,
            category(load_categories(home), told["category"]),
            validation,
            max_tokens=load_config(home).publish.max_tokens,
            prompts=MOST_PROMPTS,
        )
    result = train(
        Task(base.path, [item for item in items if item.split == "train"], validation, settings, folder, resume=True),
        lines,
    )
    if result.status == "stopped" or result.adapter is None:
        return {"status": "stopped"}
    if result.base_loss is None or result.best_loss is None:
        raise RunError(
            "No validation example fits the maximum length, so trials cannot be compared.",
            hint="Raise the maximum length, and begin another search.",
        )
    gc.collect()
    score = None
    if scorer is not None:
        session = open_session(base.path, settings, load_tokenizer(base.path), start=result.adapter / ADAPTER)
        score = scorer(session, lines.should_stop)
    if lines.should_stop():
        return {"status": "stopped"}
    return {"status": "finished", "score": score, "loss": result.best_loss, "base_loss": result.base_loss}


def _outcome(home: Home, folder: Path, lines: Lines) -> dict[str, Any]:
    """What `perform` gives, or its error in words."""
    try:
        return perform(home, folder, lines)
    except FinetuneError as error:
        lines.note(f"{error.title}: {error}")
        return {"status": "failed", "title": error.title, "message": error.message, "hint": error.hint}
    except Exception as error:  # noqa: BLE001  the boundary of the process: whatever it is, the search must hear of it
        lines.note(traceback.format_exc())
        what = "The memory did not suffice." if out_of_memory(error) else f"Unexpected {type(error).__name__}: {error}"
        return {"status": "failed", "title": "The trial failed", "message": what, "hint": f"See {folder / 'log.txt'}."}


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
