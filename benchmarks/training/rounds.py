"""Both sides at work in processes of their own, taking turns: a machine that slows down slows every side alike."""

from __future__ import annotations

import multiprocessing
import os
import resource
import traceback
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any, Final

from benchmarks.record import spread
from benchmarks.training.workload import Job

OFFLINE: Final = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}

GPU_LIMIT: Final = "BENCHMARK_GPU_LIMIT_MB"  # the most that a side may take of the GPU, where it is set


class Side:
    """One side in a process of its own, which trains a pass when asked to."""

    def __init__(self, job: Job) -> None:
        self.job = job
        context = multiprocessing.get_context("spawn")
        self._line, other = context.Pipe()
        self._process = context.Process(target=_child, args=(job, other), daemon=True)
        self._process.start()
        other.close()
        self._ready = False

    def one_pass(self) -> float:
        """Seconds of one pass over all items; the first call waits until all is loaded."""
        if not self._ready:
            self._expect("ready")
            self._ready = True
        self._line.send("go")
        return float(self._expect("seconds"))

    def end(self) -> dict[str, Any]:
        """What the side has to say in the end, with its peak memory in MiB."""
        found: dict[str, Any] = self._expect("done")
        self._process.join()
        return found

    def stop(self) -> None:
        """Ends the process if it is still there."""
        self._process.terminate()
        self._process.join()

    def _expect(self, kind: str) -> Any:
        try:
            told, value = self._line.recv()
        except EOFError:
            told, value = "failed", "its process has ended"
        if told != kind:
            log = (Path(self.job.folder) / "log.txt").read_text(encoding="utf-8", errors="replace")
            raise SystemExit(f"{self.job.variant}, {self.job.method}: {value}\n{log[-2_000:]}")
        return value


def _child(job: Job, line: Connection) -> None:
    """What a side's process does; what it prints goes to a log."""
    Path(job.folder).mkdir(parents=True, exist_ok=True)
    log = os.open(Path(job.folder) / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    if os.environ.get(GPU_LIMIT):
        _limit_gpu(float(os.environ[GPU_LIMIT]))
    ready = False

    def wait() -> None:
        nonlocal ready
        if not ready:
            ready = True
            line.send(("ready", None))
        line.recv()

    try:
        if job.variant == "ours":
            from benchmarks.training.ours import work
        else:
            from benchmarks.training.theirs import work
        found = work(job, wait, lambda seconds: line.send(("seconds", seconds)))
        line.send(("done", {**found, "peak_mb": round(_peak_mb(), 1)}))
    except Exception as error:  # noqa: BLE001  the boundary of the process: the parent must hear of it
        traceback.print_exc()
        line.send(("failed", f"{type(error).__name__}: {error}"))


def _limit_gpu(megabytes: float) -> None:
    import torch

    total = torch.cuda.get_device_properties(0).total_memory / 2**20
    torch.cuda.set_per_process_memory_fraction(min(1.0, megabytes / total))


def _peak_mb() -> float:
    """The most memory this process ever had: reserved on the GPU, else resident."""
    import torch

    if torch.cuda.is_available():
        return float(torch.cuda.max_memory_reserved()) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@contextmanager
def environment(threads: int, **more: str) -> Iterator[None]:
    """Inside it processes start with so many threads (0: as they come), no network, and `more` variables."""
    before = dict(os.environ)
    os.environ.update({**OFFLINE, **more})
    if threads:
        os.environ["OMP_NUM_THREADS"] = str(threads)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def compare(jobs: Sequence[Job], threads: int) -> dict[str, Any]:
    """Real tokens per second of each job (the first must be ours), and how many times as fast ours is.

    The first pass of each warms up; then all take turns, the order reversed every other round. The ratio is the median
    over the rounds of ours by theirs.
    """
    seconds: dict[str, list[float]] = {job.variant: [] for job in jobs}
    with environment(threads), ExitStack() as stack:
        sides = [Side(job) for job in jobs]
        for side in sides:
            stack.callback(side.stop)
            side.one_pass()
        for number in range(jobs[0].passes - 1):
            for side in sides if number % 2 == 0 else reversed(sides):
                seconds[side.job.variant].append(side.one_pass())
        ends = {side.job.variant: side.end() for side in sides}
    for job in jobs:
        found = ends[job.variant].get("tokens", job.tokens)
        passes = job.passes if job.variant == "ours" else 1
        if found != job.tokens * passes:
            raise SystemExit(f"{job.variant} learns from {found / passes:.0f} tokens, not from {job.tokens}.")
    ours = seconds[jobs[0].variant]
    return {
        job.variant: {
            "tokens_per_second": spread([round(job.tokens / one, 1) for one in seconds[job.variant]]),
            "ours_is_times_as_fast": round(median(b / a for a, b in zip(ours, seconds[job.variant], strict=True)), 3),
            "peak_mb": ends[job.variant]["peak_mb"],
        }
        for job in jobs
    }
