"""A process that trains tiny models, made to be killed: `python -m benchmarks.training_child`.

It imports the heavy packages once and forks a child for every attempt, so that a restart costs a fraction of a second.
Attempts come as lines of JSON (`benchmarks.training_kills.Attempt`) on standard input; what they do goes to standard
output as it happens, one line each: `pid N`, `from N`, `begin PHASE`, `end PHASE`, `step N`, `saved N`, `files N`,
`result JSON`, `error JSON`, and `gone STATUS` when the child has ended. Needs `tests/core/train` on PYTHONPATH.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import peft  # noqa: F401  imported before the fork, as all that is slow to import
import psutil
import torch  # noqa: F401
import transformers  # noqa: F401
from training_kit import build_model, items, items_of

from core.errors import FinetuneError
from core.paths import Home
from core.train import checkpoints, trainer
from core.train.config import TrainSettings
from core.train.optimizer import has_bitsandbytes
from core.train.scoring import validation_scorer
from core.train.team import team
from core.train.trainer import Task, train
from storage.rows import DatasetItem

CHANGING: Final = frozenset({"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "shutil.rmtree"})
PHASES: Final = (
    (trainer, "with_reference", "reference"),
    (trainer, "learn", "step"),
    (trainer, "evaluate", "evaluation"),
    (trainer, "save", "checkpoint"),
    (checkpoints, "publish", "publishing"),
)


def say(text: str) -> None:
    """A line that is out before the process can be killed."""
    os.write(1, f"{text}\n".encode())


class Telling:
    """Progress that says every step at once."""

    def step(self, step: int, total_steps: int, values: Mapping[str, float]) -> None:
        if "loss" in values:
            say(f"step {step}")

    def note(self, text: str) -> None:
        if "from step " in text:
            say(f"from {text.rpartition('from step ')[2].split()[0]}")
        elif "damaged" in text:
            say(f"damaged {text}")

    def should_stop(self) -> bool:
        return False


def told(phase: str, do: Callable[..., Any], job: Mapping[str, Any]) -> Callable[..., Any]:
    """`do`, with a line before and after it, and with the kill that `kill_in` or `lose_in` of an attempt asks for."""
    begun = 0

    def doing(*given: Any, **named: Any) -> Any:
        nonlocal begun
        begun += 1
        say(f"begin {phase}")
        if job["lose_in"] == f"{phase} {begun}":
            psutil.Process().children()[0].kill()
        if job["kill_in"] == f"{phase} {begun}":
            os.kill(os.getpid(), signal.SIGKILL)
        found = do(*given, **named)
        say(f"end {phase}")
        if phase == "checkpoint":
            say(f"saved {given[0].state.step}")
        return found

    return doing


def closeness(item: DatasetItem, text: str) -> float:
    """0-100: how many characters of the known answer stand at their place."""
    same = sum(left == right for left, right in zip(text, item.target, strict=False))
    return 100.0 * same / len(item.target)


class FileEvents:
    """Counts what is done to files below a folder, and kills the process before the one of number `last`."""

    def __init__(self, folder: str, last: int) -> None:
        self._folder, self._last, self.seen = folder, last, 0

    def __call__(self, event: str, given: tuple[Any, ...]) -> None:
        if event in CHANGING and given and str(given[0]).startswith(self._folder):
            self.seen += 1
            if self.seen == self._last:
                os.kill(os.getpid(), signal.SIGKILL)


def attempt(job: Mapping[str, Any]) -> int:
    """One start of a run, to its end; the exit code."""
    if job["most_bytes"]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (job["most_bytes"], job["most_bytes"]))
    settings = TrainSettings.from_mapping(job["settings"])
    validation = items_of(settings.method, 4, "validation")
    for place, name, phase in PHASES:
        setattr(place, name, told(phase, getattr(place, name), job))
    scorer = validation_scorer(validation, closeness, max_tokens=8, prompts=2)
    assert scorer is not None
    task = Task(
        Path(job["base"]),
        items_of(settings.method, 16),
        validation,
        settings,
        Path(job["folder"]),
        resume=True,
        scorer=told("scoring", scorer, job),
        watched={"general": items(3, "validation"), "older": items(2)},
    )
    files = FileEvents(job["folder"], job["kill_at_file"])
    sys.addaudithook(files)
    try:
        with team(Home(task.folder), job["base_of_others"] or job["base"], task) as peers:
            result = train(task, Telling(), peers)
    except FinetuneError as error:
        say("error " + json.dumps([error.message, error.hint]))
        return 1
    say(f"files {files.seen}")
    kept = {name: value for name, value in asdict(result).items() if name not in ("seconds", "adapter")}
    say("result " + json.dumps(kept, sort_keys=True))
    return 0


def main() -> int:
    """Works on attempts until there are no more."""
    has_bitsandbytes()
    previous = 0
    for line in sys.stdin:
        job = json.loads(line)
        if previous:
            os.waitpid(previous, 0)
        pid = os.fork()
        if pid == 0:
            code = 2
            try:
                code = _work(job)
            except BaseException:  # noqa: BLE001  the boundary of the forked process, which must not return
                traceback.print_exc()
            finally:
                os._exit(code)
        say(f"pid {pid}")
        say(f"gone {status_of(pid)}")
        previous = pid
    return 0


def status_of(pid: int) -> int:
    """Waits for the end of a child, which stays a zombie: whoever kills it too late must not hit another process."""
    found = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert found is not None
    return found.si_status if found.si_code == os.CLD_EXITED else -found.si_status


def _work(job: Mapping[str, Any]) -> int:
    if "build" in job:
        build_model(Path(job["build"]), hidden=64, feed_forward=128)
        return 0
    return attempt(job)


if __name__ == "__main__":
    sys.exit(main())
