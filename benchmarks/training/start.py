"""From the start of a process to the end of its first training step."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.record import spread
from benchmarks.training.rounds import environment
from benchmarks.training.workload import Job


def compare(job: Job, repeat: int, threads: int) -> dict[str, Any]:
    """Seconds of ours and of TRL's script, in turn, and the share of TRL's time that ours takes."""
    sides = {"ours": "benchmarks.training.ours", "padding-free": "benchmarks.training.theirs"}
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    with environment(threads):
        for number in range(-1, repeat):  # the first of each only warms the disk's cache
            for name, module in sides.items():
                folder = Path(job.folder) / f"{name}-{number}"
                took = _one(module, replace(job, variant=name, folder=str(folder)))
                if number >= 0:
                    seconds[name].append(took)
    ratios = [a / b for a, b in zip(seconds["ours"], seconds["padding-free"], strict=True)]
    return {
        "ours_s": spread([round(one, 2) for one in seconds["ours"]]),
        "trl_s": spread([round(one, 2) for one in seconds["padding-free"]]),
        "ours_share": round(median(ratios), 3),
    }


def _one(module: str, job: Job) -> float:
    folder = Path(job.folder)
    folder.mkdir(parents=True)
    told = folder / "job.json"
    told.write_text(json.dumps(asdict(job)), encoding="utf-8")
    with (folder / "log.txt").open("w", encoding="utf-8") as log:
        started = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", module, str(told)], stdout=subprocess.PIPE, stderr=log, encoding="utf-8"
        )
        assert process.stdout is not None
        found = next((time.perf_counter() - started for line in process.stdout if line.strip() == "stepped"), None)
        process.kill()
        process.wait()
    if found is None:
        raise SystemExit(
            f"{module} ended before its first step:\n{(folder / 'log.txt').read_text(encoding='utf-8')[-2000:]}"
        )
    return found
