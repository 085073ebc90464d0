"""A soak of the worker: feedback is fed over the API while the worker runs and is killed at random.

python -m benchmarks.soak [--events 20000] [--kills 10] [--seconds 600]

Afterwards every event must be accounted for, trainings must never have overlapped, and no run may have made two
versions. What was found is printed and kept in `results/soak.jsonl`; the exit code is 1 when something does not hold.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import islice, pairwise
from pathlib import Path

from assets.demo import corpus
from benchmarks.record import append
from core.categories import load_categories, select_of
from core.loop import LearningLoop
from core.paths import Home
from core.select.eligible import eligible
from storage import datasets, events, runs, versions
from storage.db import integrity_problems
from storage.rows import EventFilter

CATEGORY = "erd"
CONFIG = """
[train]
epochs = 1
quantize = ["q8_0"]
ab_prompts = 20
[select]
embeddings = "none"
max_retests = 10
[loop]
settle_seconds = 1
backoff_seconds = 5
"""
PATIENCE = 300.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is left after a soak; `problems` is empty when everything holds."""

    fed: int
    stored: int
    trainable: int
    held_back: int
    kept_for_testing: int
    killed_workers: int
    killed_runs: int
    runs: int
    finished: int
    attempts: int
    versions: int
    unproved: int
    seconds: float
    problems: tuple[str, ...]


def soak(home: Home, count: int, kills: int, seconds: float, seed: int) -> Outcome:
    """Feeds `count` events in about `seconds` and kills the worker `kills` times, every other time its run as well."""
    home.ensure()
    home.config.write_text(CONFIG, encoding="utf-8")
    rng = random.Random(seed)
    moments = sorted(rng.uniform(0.05, 0.95) * count for _ in range(kills))
    started, killed_runs = time.monotonic(), 0
    worker = start_worker(home)
    fed = 0
    with LearningLoop(home) as loop:
        for at, (system, prompt, response) in enumerate(islice(corpus.examples(seed), count)):
            ahead = seconds * at / count - (time.monotonic() - started)
            if ahead > 0:
                time.sleep(ahead)
            if moments and at >= moments[0]:
                moments.pop(0)
                killed_runs += kill(worker, loop if len(moments) % 2 else None)
                worker = start_worker(home)
            fed += 1
            loop.record_feedback(
                f"{prompt} Ticket {at}.", response, CATEGORY, "demo", system=system, created_at=time.time()
            )
        wait_until_quiet(loop)
        worker.send_signal(signal.SIGTERM)
        ended = worker.wait(timeout=PATIENCE)
        found = outcome(loop, fed, kills, killed_runs, time.monotonic() - started)
    if ended != 0:
        found = Outcome(**{**asdict(found), "problems": (*found.problems, f"the worker ended with {ended}")})
    return found


def start_worker(home: Home) -> subprocess.Popen[bytes]:
    """`finetune-tui worker` in a process of its own."""
    log = (home.logs / "worker.txt").open("ab")
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(Path(__file__).parents[1])}
    with log:
        return subprocess.Popen(
            [sys.executable, "-m", "tui", "--home", str(home.root), "worker", "--json"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
        )


def kill(worker: subprocess.Popen[bytes], loop: LearningLoop | None) -> int:
    """kill -9 of the worker, and with a loop of the run that is at work; how many runs that were."""
    worker.kill()
    worker.wait()
    run = runs.active(loop.store) if loop is not None else None
    if run is None or run.pid is None:
        return 0
    try:
        os.kill(run.pid, signal.SIGKILL)
    except ProcessLookupError:
        return 0
    return 1


def wait_until_quiet(loop: LearningLoop) -> None:
    """Until no run is open and the worker has had time to start another one. Raises TimeoutError."""
    deadline, quiet_since = time.monotonic() + 10 * PATIENCE, time.monotonic()
    while time.monotonic() - quiet_since < 20.0:
        newest = loop.runs(CATEGORY)[:1]
        if newest and newest[0].status != "finished":
            quiet_since = time.monotonic()
        if time.monotonic() > deadline:
            raise TimeoutError(f"The worker does not come to rest: {newest}")
        time.sleep(0.5)


def outcome(loop: LearningLoop, fed: int, kills: int, killed_runs: int, seconds: float) -> Outcome:
    """Counts what is there, and looks for what may not be."""
    store = loop.store
    own = load_categories(loop.home)[CATEGORY]
    found = eligible(store, own, now=time.time(), constants=select_of(own, loop.config))
    stored = events.count(store, EventFilter(category=CATEGORY))
    kept = sum(each.kind == "held out" for each in found.held.values())
    held = len(found.held) - kept
    made = [version for version in versions.list_versions(store, CATEGORY) if version.number > 0]
    all_runs = list(reversed(loop.runs(CATEGORY)))
    problems = list(integrity_problems(store))
    if stored != fed:
        problems.append(f"{fed} events were acknowledged, {stored} are stored")
    if found.count + held + kept != stored:
        problems.append("an event is neither trainable nor held back")
    spans = sorted((run.started_at, run.finished_at) for run in all_runs if run.started_at and run.finished_at)
    if any(later[0] < earlier[1] for earlier, later in pairwise(spans)):
        problems.append("two trainings overlapped")
    if len({version.run_id for version in made}) != len(made):
        problems.append("a run made two versions")
    if [version.number for version in made] != list(range(1, len(made) + 1)):
        problems.append(f"the versions are numbered {[version.number for version in made]}")
    folders = {path.name for path in (loop.home.models / "demo" / CATEGORY).glob("v*")}
    if folders != {f"v{number}" for number in range(len(made) + 1)}:
        problems.append(f"the folders are {sorted(folders)}")
    # A version that does not pass its proof ends its run as failed, and must: nobody may serve it.
    unproved = {version.run_id for version in made if not version.proved}
    problems += [
        f"run {run.id} is {run.status}: {run.error}"
        for run in all_runs
        if run.status != "finished" and run.id not in unproved
    ]
    for run in all_runs:
        known = datasets.learned_event_ids(store, run.start_version) if run.start_version is not None else set()
        new = {item.event_id for item in datasets.items(store, run.dataset_id, "train") if item.origin == "event"}
        if new & known:
            problems.append(f"run {run.id} learned as new what its start had learned")
    return Outcome(
        fed=fed,
        stored=stored,
        trainable=found.count,
        held_back=held,
        kept_for_testing=kept,
        killed_workers=kills,
        killed_runs=killed_runs,
        runs=len(all_runs),
        finished=sum(run.status == "finished" for run in all_runs),
        attempts=sum(run.attempts for run in all_runs),
        versions=len(made),
        unproved=len(unproved),
        seconds=round(seconds, 1),
        problems=tuple(problems),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the soak in a temporary home."""
    parser = argparse.ArgumentParser(prog="benchmarks.soak", description=__doc__)
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="finetune-soak-") as folder:
        found = soak(Home(Path(folder) / "home"), given.events, given.kills, given.seconds, given.seed)
    for name, value in asdict(found).items():
        print(f"{name:18} {value}")
    append("soak", f"python -m benchmarks.soak --events {given.events} --kills {given.kills}", asdict(found))
    return 1 if found.problems else 0


if __name__ == "__main__":
    sys.exit(main())
