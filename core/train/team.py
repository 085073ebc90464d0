"""The processes that train one run together: how they are gathered, what they are told, and how they are let go.

Either a launcher has started all of them (`accelerate launch -m core.pipeline`, on one machine or several), or the
process of the run starts the others itself, on its own machine, when `processes` says so. The first process alone has
the store and the folder of the run; the others need the base model, and are told the rest.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import torch
import torch.distributed as dist

from core.errors import FinetuneError, RunError
from core.paths import Home
from core.train.config import TrainSettings
from core.train.launch import child_environment
from core.train.parallel import ALONE, Group, Peers, left, rank_here, size_here
from core.train.presets import resolve_base
from core.train.trainer import Task, train
from storage.rows import DatasetItem

if TYPE_CHECKING:
    from torch.distributed import Store  # type: ignore[attr-defined]

_SECONDS_TO_LEAVE: Final = 10.0
_SECONDS_TO_COME: Final = 600.0  # a slow disk may take minutes to give out the packages
_LOOK_SECONDS: Final = 0.05
_HERE: Final = "127.0.0.1"


@contextmanager
def team(home: Home, base: str, task: Task) -> Iterator[Peers]:
    """The processes that work on a task with this one, which is the first; they begin at once.

    `base` is the name by which the others find the base model. Raises RunError where one of them does not come.
    """
    launched, processes = size_here() > 1, task.settings.processes
    if not launched and processes == 1:
        yield ALONE
        return
    others: list[subprocess.Popen[bytes]] = []
    with nullcontext() if launched else _share_of_cores(processes):
        try:
            peers = Group() if launched else _gathered(home, processes, others)
            peers.share(_told(base, task))
            peers.share_bytes(task.start.read_bytes() if task.start else b"")
            yield peers
            peers.share(None)
            for one in others:
                with suppress(subprocess.TimeoutExpired):
                    one.wait(_SECONDS_TO_LEAVE)
        finally:
            left()
            for one in others:
                one.kill()
                one.wait()
                if one.stdin is not None:
                    one.stdin.close()


def dismiss() -> None:
    """Lets processes go that a launcher started and that were never needed, since there was nothing to train."""
    if size_here() > 1 and rank_here() == 0:
        Group().share(None)
        left()


def follow(home: Home, store: Store | None = None) -> int:
    """The work of a process that is not the first: takes part in training until it is let go; its exit code.

    It ends when the first one tells it, or is gone; what a terminal or a launcher asks for is for the first to hear.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    try:
        peers = Group(store)
        while (told := peers.share()) is not None:
            start = peers.share_bytes()
            with tempfile.TemporaryDirectory(prefix="finetune-follower-") as folder:
                train(_task(told, start, home, Path(folder)), Silent(), peers)
    finally:
        left()
    return 0


def follow_parent(home: Home) -> int:
    """`follow` in a process that the first one has started itself, and that does not outlive it."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    store = dist.TCPStore(  # type: ignore[attr-defined]
        _HERE, int(os.environ["MASTER_PORT"]), is_master=False, wait_for_workers=False
    )
    store.set(_here(rank_here()), "1")
    return follow(home, store)


def _end_with_parent() -> None:
    """Standard input is a pipe that nobody writes to: it ends with the process that holds its other end."""
    # Not by `sys.stdin`, whose lock would still be held when the interpreter ends in order.
    os.read(0, 1)
    os._exit(1)


def _here(rank: int) -> str:
    return f"here/{rank}"


class Silent:
    """Progress of a process that is not the first: the first one tells."""

    def step(self, step: int, total_steps: int, values: Mapping[str, float]) -> None:
        """See `core.train.reporter.Progress`."""

    def note(self, text: str) -> None:
        """See `core.train.reporter.Progress`."""

    def should_stop(self) -> bool:
        """Only the first process hears of a stop."""
        return False


def _gathered(home: Home, processes: int, others: list[subprocess.Popen[bytes]]) -> Peers:
    """Starts the others, makes this process the first of them, and waits until they are there.

    They are put into `others` as they start, so that the caller can end them whatever happens.
    """
    store = dist.TCPStore(  # type: ignore[attr-defined]
        _HERE, 0, is_master=True, wait_for_workers=False, timeout=timedelta(seconds=_SECONDS_TO_COME)
    )
    place = {"WORLD_SIZE": str(processes), "MASTER_ADDR": _HERE, "MASTER_PORT": str(store.port)}
    command = [sys.executable, "-P", "-m", "core.train.follower", "--home", str(home.root)]
    for rank in range(1, processes):
        own = {"RANK": str(rank), "LOCAL_RANK": str(rank)}
        others.append(
            subprocess.Popen(
                command, stdin=subprocess.PIPE, env={**child_environment(), **place, **own}, close_fds=True
            )
        )
    _wait_for(others, store)
    os.environ.update({**place, "RANK": "0", "LOCAL_RANK": "0"})
    return Group(store)


@contextmanager
def _share_of_cores(processes: int) -> Iterator[None]:
    """Threads for each of the processes on this machine; as many as are set by OMP_NUM_THREADS, if it is."""
    if os.environ.get("OMP_NUM_THREADS"):
        yield
        return
    before = torch.get_num_threads()
    own = max(1, (os.cpu_count() or 1) // processes)
    os.environ["OMP_NUM_THREADS"] = str(own)
    torch.set_num_threads(own)
    try:
        yield
    finally:
        del os.environ["OMP_NUM_THREADS"]
        torch.set_num_threads(before)


def _wait_for(others: Sequence[subprocess.Popen[bytes]], store: Store) -> None:
    deadline = time.monotonic() + _SECONDS_TO_COME
    while not store.check([_here(rank) for rank in range(1, len(others) + 1)]):
        gone = next((rank for rank, one in enumerate(others, 1) if one.poll() is not None), None)
        if gone is not None or time.monotonic() > deadline:
            what = "did not begin" if gone is None else f"ended at once with status {others[gone - 1].returncode}"
            raise RunError(
                f"A process that should take part in the training {what}.",
                hint="The log of the run says why. With `processes` = 1 a run needs no other.",
            )
        time.sleep(_LOOK_SECONDS)


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
