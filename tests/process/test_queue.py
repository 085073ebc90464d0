"""Runs that wait for their turn: they need nobody who watches, and survive whoever queued them."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from process_kit import QUICK, cli, end_runs, ended, fill, kill, pass_time, start, until

from core.loop import LearningLoop
from core.paths import Home
from core.train.launch import is_alive

pytestmark = pytest.mark.process


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    made = fill(tmp_path / "home", f'{QUICK}\n[select]\nembeddings = "none"\n', count=20)
    try:
        yield made
    finally:
        end_runs(made)


def test_the_queue_goes_on_without_those_who_filled_it(home: Home) -> None:
    # Each command is a process of its own that has ended when the next begins.
    first, second, third = (start(home) for _ in range(3))
    done = cli(home.root, "train", "erd", "--base", "demo", "--hold")
    held = third + 1
    assert done.returncode == 0 and f"Run {held} is ready" in done.stdout
    assert f"resume {held}" in done.stdout and "accelerate launch --multi_gpu --num_processes 2 -m" in done.stdout

    kill(until(home, first, lambda run: run.status == "running"))
    until(home, first, lambda run: not is_alive(run))
    pass_time(home, first)
    with LearningLoop(home) as loop:
        assert [run.status for run in loop.runs()] == ["stopped", "queued", "queued", "running"]
        assert loop.dispatcher.tend() == [first]
        assert loop.run(first).status == "lost"

    running = until(home, second, lambda run: run.status == "running")
    assert running.pid is not None
    os.kill(running.pid, signal.SIGTERM)
    assert until(home, second, ended).status == "stopped"
    running = until(home, third, lambda run: run.status == "running")  # started by the one before it
    assert running.pid is not None and running.attempts == 1
    refused = cli(home.root, "resume", str(held))
    assert refused.returncode == 1 and f"Run {third} is at work" in refused.stderr
    os.kill(running.pid, signal.SIGTERM)
    assert until(home, third, ended).status == "stopped"
    with LearningLoop(home) as loop:
        assert loop.dispatcher.tend() == []
        rows = {run.id: (run.status, run.attempts) for run in loop.runs()}
    assert rows == {first: ("lost", 1), second: ("stopped", 1), third: ("stopped", 1), held: ("stopped", 0)}
