"""`finetune-tui worker` as a process: one at a time, stopped and killed, and a whole automatic round with its hooks."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from process_kit import PATIENCE, QUICK, cli, command, end_runs, ended, environment, fill, seed_lines, until

from benchmarks.soak import soak
from core.loop import LearningLoop
from core.only_one import lock_of
from core.paths import Home
from storage import outbox
from storage.rows import RunRow

pytestmark = pytest.mark.process

SETTINGS = f"""{QUICK}
[select]
embeddings = "none"
max_retests = 5
[ab]
min_tests = 1
min_win_rate = 0.0
evidence = 1
latency_ratio = 100
success_margin = 1.0
[loop]
auto_promote = true
settle_seconds = 1
"""
EAR = """
[hooks.ear]
on = "*"
command = ["sh", "-c", 'cat >> "$0"; echo >> "$0"', "{heard}"]
"""
READY_SECONDS = 0.05


class WorkerProcess:
    """`finetune-tui worker --json` and what it has said so far."""

    def __init__(self, home: Home, log: Path) -> None:
        self._home = home
        self._log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                command(home.root, "worker", "--json"),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment(),
            )
        self.wait_for(self._holds_the_lock)

    def _holds_the_lock(self) -> bool:
        lock = lock_of(self._home, "worker")
        return lock.exists() and lock.read_text(encoding="utf-8").strip() == str(self.process.pid)

    def wait_for(self, reached: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not reached():
            assert self.process.poll() is None and time.monotonic() < deadline, self._log.read_text(encoding="utf-8")
            time.sleep(READY_SECONDS)

    def did(self, what: str) -> list[dict[str, Any]]:
        lines = self._log.read_text(encoding="utf-8").splitlines()
        return [step for line in lines for step in json.loads(line)["did"] if step["what"] == what]

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(timeout=PATIENCE)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[Home], WorkerProcess]]:
    """Starts workers; neither they nor the runs that they started outlive the test."""
    begun: list[WorkerProcess] = []
    homes: list[Home] = []

    def begin(home: Home) -> WorkerProcess:
        homes.append(home)
        begun.append(WorkerProcess(home, tmp_path / f"worker-{len(begun)}.txt"))
        return begun[-1]

    yield begin
    for one in begun:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()
    for home in homes:
        end_runs(home)


def test_one_worker_at_a_time_and_a_killed_one_is_replaced_at_once(
    home: Home, start: Callable[[Home], WorkerProcess]
) -> None:
    first = start(home)
    refused = cli(home.root, "worker", "--once", "--json")
    assert refused.returncode == 1
    assert f"process {first.process.pid}" in json.loads(refused.stdout)["error"]["message"]
    assert first.end(signal.SIGKILL) == -signal.SIGKILL
    assert cli(home.root, "worker", "--once", "--json").returncode == 0
    assert start(home).end() == 0


def heard_events(heard: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in heard.read_text(encoding="utf-8").splitlines()] if heard.exists() else []


def is_training(run: RunRow) -> bool:
    return run.stage == "training" and run.step >= 1


def test_an_automatic_round_outlives_its_worker_and_is_told_in_order(
    tmp_path: Path, start: Callable[[Home], WorkerProcess]
) -> None:
    heard = tmp_path / "heard.txt"
    made = fill(tmp_path / "home", SETTINGS + EAR.format(heard=heard), count=2)
    worker = start(made)
    # What other processes record is noticed, and is enough for one batch but not for two.
    lines = seed_lines(42).splitlines()[2:]
    for part in (lines[:20], lines[20:]):
        done = cli(made.root, "record", "--category", "erd", "--model", "demo", stdin="\n".join(part))
        assert done.returncode == 0, done.stderr
    worker.wait_for(lambda: bool(worker.did("started")))
    until(made, 1, is_training)
    assert worker.end() == 0
    with LearningLoop(made) as loop:
        assert loop.run(1).status == "running"

    second = start(made)
    done_run = until(made, 1, ended)
    assert done_run.status == "finished", done_run.error
    assert (done_run.origin, done_run.attempts, done_run.start_version) == ("adaptive", 1, None)
    with LearningLoop(made) as loop:
        published = outbox.since(loop.store, 0)
        names = [event.name for event in published]
        middle = ("fine_tuning.ready_for_promotion", "fine_tuning.promoted")
        assert names in (
            ["ab_test.completed", *middle, "fine_tuning.completed"],
            ["ab_test.completed", "fine_tuning.completed"],  # where the new version is not better
        )
        second.wait_for(lambda: len({event["id"] for event in heard_events(heard)}) >= len(published))
        known = dict.fromkeys(event["id"] for event in heard_events(heard))
        assert list(known) == [event.payload["id"] for event in published]
        told = {event["event"]: event["data"] for event in heard_events(heard)}
        assert told["fine_tuning.completed"]["version_id"] == done_run.version_id
        assert told["fine_tuning.completed"]["origin"] == "adaptive"
        assert len(loop.runs()) == 1
    assert second.end() == 0
    again = json.loads(cli(made.root, "worker", "--once", "--json").stdout)
    assert again["did"] == []
    assert " of 20 fresh examples" in again["waiting"][0]["text"]


def test_a_small_soak_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    made = Home(tmp_path / "home")
    try:
        found = soak(made, 300, 2, 40.0, 0)
    finally:
        end_runs(made)
    assert found.problems == ()
    assert found.fed == found.stored == 300
    assert found.killed_workers == 2
    assert found.versions == found.runs
    # What a run learns from depends on when it began; one in ten does not pass its proof, and then must end as failed.
    assert found.finished >= 1 and found.finished + found.unproved == found.runs
