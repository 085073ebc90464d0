"""The processes that train one run together: how they are gathered, what they are told, and how they are let go.

Either a launcher has started all of them (`accelerate launch -m core.pipeline`, on one machine or several), or the
process of the run starts the others itself, on its own machine, when `processes` says so. The first process alone has
the store and the folder of the run; the others need the base model, and are told the rest.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from core.errors import FinetuneError
from core.paths import Home
from core.train.config import TrainSettings
from core.train.launch import child_environment
from core.train.parallel import ALONE, Group, Peers, left, rank_here, size_here
from core.train.presets import resolve_base
from core.train.trainer import Task, train
from storage.rows import DatasetItem

_SECONDS_TO_LEAVE: Final = 10.0
_HERE: Final = "127.0.0.1"


@contextmanager
def team(home: Home, base: str, task: Task) -> Iterator[Peers]:
    """The processes that work on a task with this one, which is the first; they begin at once.

    `base` is the name by which the others find the base model.
    """
    others: list[subprocess.Popen[bytes]] = []
    if size_here() == 1 and task.settings.processes > 1:
        others = _started(home, task.settings.processes)
    if size_here() == 1:
        yield ALONE
        return
    peers = Group()
    try:
        peers.share(_told(base, task))
        peers.share_bytes(task.start.read_bytes() if task.start else b"")
        yield peers
        peers.share(None)
        for one in others:
            one.wait(_SECONDS_TO_LEAVE)
    finally:
        left()
        for one in others:
            one.kill()
            one.wait()


def dismiss() -> None:
    """Lets processes go that a launcher started and that were never needed, since there was nothing to train."""
    if size_here() > 1 and rank_here() == 0:
        Group().share(None)
        left()


def follow(home: Home) -> int:
    """The work of a process that is not the first: takes part in training until it is let go; its exit code."""
    peers = Group()
    try:
        while (told := peers.share()) is not None:
            start = peers.share_bytes()
            with tempfile.TemporaryDirectory(prefix="finetune-follower-") as folder:
                train(_task(told, start, home, Path(folder)), Silent(), peers)
    finally:
        left()
    return 0


class Silent:
    """Progress of a process that is not the first: the first one tells."""

    def step(self, step: int, total_steps: int, values: Mapping[str, float]) -> None:
        """See `core.train.reporter.Progress`."""

    def note(self, text: str) -> None:
        """See `core.train.reporter.Progress`."""

    def should_stop(self) -> bool:
        """Only the first process hears of a stop."""
        return False


def _started(home: Home, processes: int) -> list[subprocess.Popen[bytes]]:
    """Starts the others, and makes this process the first of them."""
    with socket.socket() as free:
        free.bind((_HERE, 0))
        port = free.getsockname()[1]
    place = {"WORLD_SIZE": str(processes), "MASTER_ADDR": _HERE, "MASTER_PORT": str(port)}
    command = [sys.executable, "-P", "-m", "core.train.follower", "--home", str(home.root)]
    others = [
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            env={**child_environment(), **place, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            close_fds=True,
        )
        for rank in range(1, processes)
    ]
    os.environ.update({**place, "RANK": "0", "LOCAL_RANK": "0"})
    return others


def _told(base: str, task: Task) -> dict[str, Any]:
    return {
        "base": base,
        "settings": task.settings.to_mapping(),
        "train": [asdict(item) for item in task.train],
        "validation": [asdict(item) for item in task.validation],
        "watched": {name: [asdict(item) for item in items] for name, items in task.watched.items()},
        "scored": task.scorer is not None,
    }


def _task(told: Mapping[str, Any], start: bytes, home: Home, folder: Path) -> Task:
    adapter = folder / "start.safetensors" if start else None
    if adapter is not None:
        adapter.write_bytes(start)
    return Task(
        base=resolve_base(told["base"], home).path,
        train=_items(told["train"]),
        validation=_items(told["validation"]),
        settings=TrainSettings.from_mapping(told["settings"]),
        folder=folder,
        start=adapter,
        scorer=_never if told["scored"] else None,
        watched={name: _items(items) for name, items in told["watched"].items()},
    )


def _items(told: Sequence[Mapping[str, Any]]) -> list[DatasetItem]:
    return [DatasetItem(**values) for values in told]


def _never(*_: Any) -> float | None:
    raise FinetuneError("Only the first process of a run lets the model answer.")
