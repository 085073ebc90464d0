"""The jobs of a benchmark, shared out among processes of one thread each, and kept as they come in."""

from __future__ import annotations

import json
import multiprocessing
import os
import time
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any, Final

RESULTS: Final = "results.jsonl"
_ENVIRONMENT: Final = {
    "OMP_NUM_THREADS": "1",
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
}

Job = tuple[str, int]
"""Name of an arm and seed."""


def done(work: Path) -> dict[Job, dict[str, Any]]:
    """What earlier calls have measured in this folder."""
    path = work / RESULTS
    if not path.exists():
        return {}
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return {(row["arm"], row["seed"]): row for row in rows}


def perform(work: Path, jobs: Sequence[Job], workers: int) -> Iterator[dict[str, Any]]:
    """Runs the jobs that are not done yet; each result is on the disk before it is handed out."""
    finished = done(work)
    left = [job for job in jobs if job not in finished]
    os.environ |= _ENVIRONMENT  # before the children start: threads are counted when torch is imported
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"), initializer=_quieten) as pool:
        worlds = [pool.submit(_prepare, work, seed) for seed in sorted({seed for _, seed in left})]
        for world in worlds:
            world.result()
        waiting = [pool.submit(_measure, work, name, seed) for name, seed in left]
        for each in as_completed(waiting):
            row = each.result()
            with (work / RESULTS).open("a", encoding="utf-8") as file:
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
            yield row


def _prepare(work: Path, seed: int) -> None:
    """Lays out the world of a seed and its labelled stores, once."""
    from benchmarks.learning import arms, measure, people, world

    path = work / f"seed-{seed}" / "world.json"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        world.save(world.make_world(seed, measure.ask), path)
    laid = world.load(path)
    for order, candidates in sorted({(arm.order, arm.candidates) for arm in arms.all_arms().values()}):
        folder = arms.store_folder(work, seed, order, candidates)
        if not (folder / people.LABELS).exists():
            people.label(laid, folder, order, measure.ask if candidates else None)


def _measure(work: Path, name: str, seed: int) -> dict[str, Any]:
    from benchmarks.learning import arms, world

    started = time.monotonic()
    laid = world.load(work / f"seed-{seed}" / "world.json")
    figures = arms.run(arms.all_arms()[name], seed, laid, work)
    return {"arm": name, "seed": seed, **figures, "seconds": round(time.monotonic() - started, 2)}


def _quieten() -> None:
    """A worker says nothing of its own."""
    from transformers.utils import logging

    warnings.simplefilter("ignore")
    logging.set_verbosity_error()
    logging.disable_progress_bar()
