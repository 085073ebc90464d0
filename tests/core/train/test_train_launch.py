"""The process of a run: started, watched, reaped; and what it tells the store."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from core.errors import RunError, StoreError
from core.paths import Home
from core.train import launch as launch_module
from core.train import reporter as reporter_module
from core.train.launch import is_alive, launch, process_started, reap_lost, start, tail_log
from core.train.reporter import Reporter
from storage import datasets, runs
from storage.db import Store, open_store

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.ensure()
    return home


@pytest.fixture
def store(home: Home) -> Iterator[Store]:
    with open_store(home.store) as store:
        yield store


@pytest.fixture
def run(store: Store) -> int:
    dataset = datasets.add(store, created_at=1.0, category="erd", hash="b2:1", seed=0, settings={}, counts={}, items=[])
    return runs.enqueue(
        store,
        created_at=1.0,
        category="erd",
        base_model="demo",
        method="sft",
        settings={},
        dataset_id=dataset,
        parent_version=None,
    )


def claimed(store: Store, run: int, *, pid: int = 1, started: float = 0.5, now: float = 100.0) -> None:
    assert runs.claim(store, run, pid=pid, pid_started=started, now=now)


def eventually(holds: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.process
def test_a_started_process_is_its_own_session_and_is_told_from_a_later_one(home: Home, store: Store, run: int) -> None:
    pid = start(SLEEP, home.runs / "1" / "log.txt", cwd=home.root)
    try:
        assert os.getsid(pid) == pid != os.getsid(0)
        began = process_started(pid)
        assert began is not None
        claimed(store, run, pid=pid, started=began)
        row = runs.get(store, run)
        assert is_alive(row)
        assert not is_alive(replace(row, pid_started=began + 1))
        assert reap_lost(store, now=1e6) == []
    finally:
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: process_started(pid) is None)
    assert not is_alive(row)
    assert reap_lost(store, now=120.0) == []
    assert reap_lost(store, now=131.0) == [run]
    assert runs.get(store, run).status == "lost"
    assert reap_lost(store, now=1e6) == []


@pytest.mark.process
def test_a_zombie_is_dead() -> None:
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    eventually(lambda: process_started(child.pid) is None)
    assert child.returncode is None
    child.wait()


@pytest.mark.process
def test_the_child_finds_the_package_from_any_folder_and_reaches_no_hub(home: Home) -> None:
    (home.root / "core").mkdir()
    (home.root / "core" / "__init__.py").write_text("raise SystemExit('a stranger')")
    log = home.runs / "7" / "log.txt"
    tell = "import os, sys, core.paths; print('offline', os.environ['HF_HUB_OFFLINE'], repr(sys.stdin.read()))"
    start([sys.executable, "-P", "-c", tell], log, cwd=home.root)
    eventually(lambda: "offline 1 ''" in log.read_text())


@pytest.mark.process
def test_a_process_that_dies_at_once_is_said(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch_module, "_FIRST_LOOK", 20.0)
    with pytest.raises(RunError, match="status 3: out of luck"):
        start([sys.executable, "-c", "print('out of luck'); raise SystemExit(3)"], home.runs / "log", cwd=home.root)
    with pytest.raises(RunError, match="cannot be started"):
        start(["/nowhere/python"], home.runs / "log", cwd=home.root)


def test_launch_starts_the_pipeline_of_the_run(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[list[str], Path, Path]] = []

    def remember(command: list[str], log: Path, *, cwd: Path) -> int:
        calls.append((command, log, cwd))
        return 4711

    monkeypatch.setattr(launch_module, "start", remember)
    assert launch(home, 12) == 4711
    (command, log, cwd) = calls[0]
    assert command[1:] == ["-P", "-m", "core.pipeline", "--home", str(home.root), "--run", "12"]
    assert (log, cwd) == (home.runs / "12" / "log.txt", home.root)


def test_the_tail_of_a_log(home: Home, store: Store, run: int) -> None:
    row = runs.get(store, run)
    assert tail_log(home, row, 5) == []
    log = home.resolve(row.folder) / "log.txt"
    log.parent.mkdir()
    log.write_bytes(b"x" * 500_000 + b"\nfirst\nbroken \xff\nlast\n")
    assert tail_log(home, row, 2) == ["broken �", "last"]
    assert len(tail_log(home, row, 100)[0]) < 300_000


def test_a_reporter_writes_figures_beats_and_hears_the_stop(
    store: Store, run: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reporter_module, "FLUSH_SECONDS", 0.01)
    claimed(store, run)
    with Reporter(store, run, clock=lambda: 555.0) as reporter:
        reporter.step(1, 10, {"loss": 2.5, "learning_rate": 1e-4})
        eventually(lambda: runs.get(store, run).step == 1)
        eventually(lambda: runs.get(store, run).heartbeat == 555.0)
        assert not reporter.should_stop()
        runs.request_stop(store, run)
        eventually(reporter.should_stop)
        reporter.step(2, 10, {"loss": 2.0})
    row = runs.get(store, run)
    assert (row.step, row.total_steps) == (2, 10)
    assert [(figure.step, figure.name, figure.value) for figure in runs.metrics(store, run)] == [
        (1, "learning_rate", 1e-4),
        (1, "loss", 2.5),
        (2, "loss", 2.0),
    ]


def test_a_reporter_never_waits_for_a_busy_store_and_loses_nothing(
    store: Store, run: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(reporter_module, "FLUSH_SECONDS", 0.01)
    claimed(store, run)
    add_metrics, failures = runs.add_metrics, iter([True, True])

    def busy(*arguments: object) -> None:
        if next(failures, False):
            raise StoreError("The store is busy.")
        add_metrics(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(runs, "add_metrics", busy)
    with Reporter(store, run) as reporter:
        reporter.step(1, 10, {"loss": 2.5})
        eventually(lambda: len(runs.metrics(store, run)) == 1)
    assert capsys.readouterr().out.count("The store is busy.") == 1


def test_a_reporter_stops_when_the_run_was_taken_away(store: Store, run: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reporter_module, "FLUSH_SECONDS", 0.01)
    claimed(store, run)
    with Reporter(store, run) as reporter:
        runs.finish(store, run, "finished", now=200.0)
        reporter.step(5, 10, {"loss": 1.0})
        eventually(reporter.should_stop)
    assert runs.get(store, run).step == 0
    assert runs.metrics(store, run) == []


def test_what_ended_the_run_is_not_hidden_by_its_last_figures(
    store: Store, run: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    claimed(store, run)

    def full(*arguments: object) -> None:
        raise StoreError("The disk is full.")

    monkeypatch.setattr(runs, "add_metrics", full)
    with pytest.raises(RunError, match="diverged"), Reporter(store, run) as reporter:
        reporter.step(1, 10, {"loss": 1.0})
        raise RunError("It diverged.")
    with pytest.raises(StoreError, match="full"), Reporter(store, run) as reporter:
        reporter.step(1, 10, {"loss": 1.0})
