"""Several processes, each with its own home folder, on one search; trials only pretend to train, kills are real."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from process_kit import PATIENCE, ROOT, environment, seed_lines, wait

from core.loop import LearningLoop
from core.paths import Home
from core.search.study import Overview, overview

pytestmark = pytest.mark.process
WORKER = """
import json, sys, time
from pathlib import Path
from core.loop import LearningLoop
from core.paths import Home
from core.search import places, search, tries

home, storage, log, trials, seconds, grace = sys.argv[1], sys.argv[2], Path(sys.argv[3]), *map(float, sys.argv[4:])
places.BEAT_SECONDS, places.GRACE_SECONDS = 1, grace

class Pretended:
    def __init__(self, home, folder):
        self.folder = folder
    def start(self, task, dataset):
        self.folder.mkdir(exist_ok=True)
        self.rate, self.end = task["settings"]["learning_rate"], time.monotonic() + seconds
        with log.open("a") as file:
            file.write(json.dumps([home, self.folder.name, task["settings"], len(dataset)]) + "\\n")
    def alive(self):
        return time.monotonic() < self.end
    def figures(self):
        return iter(())
    def stop(self):
        self.end = 0.0
    def result(self):
        return {"status": "finished", "score": 50 + self.rate, "loss": 1.0, "base_loss": 2.0, "seconds": seconds}
    def last_words(self):
        return ""
    def remove(self):
        if self.folder.exists():
            self.folder.rmdir()

search.TrialProcess = tries.TrialProcess = Pretended
with LearningLoop(Home(Path(home))) as loop:
    asked = search.Search(loop, "erd", "demo", trials=int(trials), storage=storage)
    asked.run(lambda moment: print(moment.kind, moment.trial, moment.text, flush=True))
"""


def home_at(folder: Path, examples: int = 0) -> Home:
    home = Home(folder)
    home.ensure()
    home.config.write_text('[select]\nembeddings = "none"\n', encoding="utf-8")
    with LearningLoop(home) as loop:
        if examples:
            rows = [json.loads(line) for line in seed_lines(examples).splitlines()]
            loop.record_many({**row, "category": "erd", "model": "demo"} for row in rows)
    return home


@pytest.fixture(params=["journal", "sqlite"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    shared = tmp_path / "shared"
    shared.mkdir()
    return {"journal": f"journal:{shared}/search.log", "sqlite": f"sqlite:///{shared}/search.db"}[request.param]


class Workers:
    def __init__(self, tmp_path: Path, storage: str) -> None:
        self.storage = storage
        self.log = tmp_path / "started.jsonl"
        self.said: dict[int, Path] = {}
        self.all: list[subprocess.Popen[bytes]] = []

    def begin(self, home: Home, trials: int, seconds: float, *, grace: float = 60.0) -> subprocess.Popen[bytes]:
        """A process whose trials take `seconds` each; one that is silent for `grace` seconds is gone in its eyes."""
        said = home.root / "said.txt"
        arguments = [str(home.root), self.storage, str(self.log), *map(str, (trials, seconds, grace))]
        with said.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, "-c", WORKER, *arguments],
                stdout=file,
                stderr=subprocess.STDOUT,
                env=environment(),
                cwd=ROOT,
            )
        self.said[process.pid] = said
        self.all.append(process)
        return process

    def end(self, process: subprocess.Popen[bytes]) -> None:
        assert process.wait(timeout=PATIENCE) == 0, self.said[process.pid].read_text(encoding="utf-8")

    def started(self) -> list[list[Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()] if self.log.exists() else []


@pytest.fixture
def workers(tmp_path: Path, storage: str) -> Iterator[Workers]:
    made = Workers(tmp_path, storage)
    yield made
    for process in made.all:
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
        process.wait()


def seen(home: Home, storage: str) -> Overview:
    found = overview(home, "erd", "demo", storage)
    assert found is not None
    return found


def test_two_processes_do_one_search_together(tmp_path: Path, storage: str, workers: Workers) -> None:
    first, second = home_at(tmp_path / "one", examples=60), home_at(tmp_path / "two")
    one = workers.begin(first, 8, 3.0)  # so slow that the other comes before it has done them all
    wait(lambda: bool(workers.started()))
    two = workers.begin(second, 8, 0.4)
    workers.end(one)
    workers.end(two)
    found = seen(second, storage)
    assert found.done == 8 and [trial.state for trial in found.trials] == ["complete"] * 8
    assert len({json.dumps(settings) for _, _, settings, _ in workers.started()}) == len(workers.started()) == 8
    assert {home for home, *_ in workers.started()} == {str(first.root), str(second.root)}
    assert len({size for *_, size in workers.started()}) == 1
    assert seen(first, storage) == found and overview(first, "erd", "demo") is None
    assert not list(first.runs.iterdir()) and not list(second.runs.iterdir())


def test_two_that_begin_at_the_same_moment_make_one_search(tmp_path: Path, storage: str, workers: Workers) -> None:
    homes = [home_at(tmp_path / name, examples=60) for name in ("one", "two")]
    for process in [workers.begin(home, 5, 0.1) for home in homes]:
        workers.end(process)
    assert seen(homes[0], storage).done == 5
    assert len({json.dumps(settings) for _, _, settings, _ in workers.started()}) == len(workers.started()) == 5


def test_what_a_killed_process_was_at_is_done_by_the_other(tmp_path: Path, storage: str, workers: Workers) -> None:
    first, second = home_at(tmp_path / "one", examples=60), home_at(tmp_path / "two")
    killed = workers.begin(first, 3, 600.0, grace=4.0)  # at its first trial for ever
    wait(lambda: bool(workers.started()))
    other = workers.begin(second, 3, 0.3, grace=4.0)
    wait(lambda: len(workers.started()) >= 3)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    workers.end(other)
    found = seen(second, storage)
    assert [trial.state for trial in found.trials].count("complete") == found.done == 3
    assert found.trials[0].state == "failed"
    again = [settings for home, folder, settings, _ in workers.started() if folder.endswith("-0")]
    assert len(again) == 2 and again[0] == again[1] and len(workers.started()) == 4
    assert [folder.name for folder in first.runs.iterdir()] and not list(second.runs.iterdir())


@contextmanager
def suspended(process: subprocess.Popen[bytes]) -> Iterator[None]:
    os.kill(process.pid, signal.SIGSTOP)
    yield
    os.kill(process.pid, signal.SIGCONT)


def test_a_process_that_was_asleep_leaves_its_trial_to_the_other(
    tmp_path: Path, storage: str, workers: Workers
) -> None:
    first, second = home_at(tmp_path / "one", examples=60), home_at(tmp_path / "two")
    sleeper = workers.begin(first, 2, 3.0, grace=4.0)
    wait(lambda: bool(workers.started()))
    with suspended(sleeper):
        other = workers.begin(second, 2, 0.3, grace=4.0)
        workers.end(other)
    workers.end(sleeper)
    found = seen(first, storage)
    assert found.done == 2 and [trial.state for trial in found.trials].count("complete") == 2
    assert "another process has it" in workers.said[sleeper.pid].read_text(encoding="utf-8")
    assert not list(first.runs.iterdir())
