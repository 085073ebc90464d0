"""A trial's process as the search sees it: started, followed, stopped, and its result read."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from core.paths import Home, write_whole
from core.train.launch import process_started, start

TASK: Final = "task.json"
DATASET: Final = "dataset.z"
PROGRESS: Final = "progress.jsonl"
RESULT: Final = "result.json"
LOCK: Final = "lock"
LOG: Final = "log.txt"
STOP_SECONDS: Final = 60.0  # a step and a checkpoint of a large model; then it is killed, and loses the step
_POLL_SECONDS: Final = 0.1


@dataclass(frozen=True, slots=True)
class Figures:
    """What a trial told after a step: figures by name (`storage.rows.Metric`)."""

    step: int
    total: int
    values: Mapping[str, float]


class TrialProcess:
    """The process of one trial in its folder, `runs/search-<search>-<number>`. It dies with this one."""

    def __init__(self, home: Home, folder: Path) -> None:
        self.folder = folder
        self._home = home
        self._process: tuple[int, float | None] | None = None
        self._read = 0

    def start(self, task: Mapping[str, Any], dataset: bytes) -> None:
        """Starts it, or lets it go on from its last checkpoint. Raises RunError when it cannot be started.

        `dataset` is what `core.search.travel` made of it.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        write_whole(self.folder / DATASET, dataset)
        (self.folder / RESULT).unlink(missing_ok=True)
        write_whole(self.folder / TASK, json.dumps(task))
        command = [sys.executable, "-P", "-m", "core.search.trial", "--home", str(self._home.root)]
        command += ["--folder", str(self.folder), "--parent", str(os.getpid())]
        pid = start(command, self.folder / LOG, cwd=self._home.root)
        self._process = pid, process_started(pid)

    def alive(self) -> bool:
        """Whether it is at work."""
        if self._process is None or self._process[1] is None:
            return False
        return process_started(self._process[0]) == self._process[1]

    def figures(self) -> Iterator[Figures]:
        """What it told since this was asked last, also before it was stopped and went on."""
        with suppress(FileNotFoundError), (self.folder / PROGRESS).open("rb") as file:
            file.seek(self._read)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self._read += len(line)
                with suppress(ValueError, KeyError):  # a line that a kill cut short
                    told = json.loads(line)
                    yield Figures(told["step"], told["total"], told["values"])

    def stop(self) -> None:
        """Lets it save and end, and waits for that; one that does not end in time is killed."""
        self._signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        while self.alive() and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        self._signal(signal.SIGKILL)
        while self.alive():
            time.sleep(_POLL_SECONDS)

    def _signal(self, number: int) -> None:
        if self._process is not None and self.alive():
            with suppress(ProcessLookupError):
                os.kill(self._process[0], number)

    def result(self) -> dict[str, Any] | None:
        """What it left at its end; None where it was killed."""
        try:
            told: dict[str, Any] = json.loads((self.folder / RESULT).read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return None
        return told

    def last_words(self) -> str:
        """The last line of its log."""
        try:
            lines = (self.folder / LOG).read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return ""
        return next((line for line in reversed(lines) if line.strip()), "")

    def remove(self) -> None:
        """Removes its folder."""
        shutil.rmtree(self.folder, ignore_errors=True)
