"""kill -9 of the worker, and of the app, at bad moments."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from process_kit import (
    PATIENCE,
    Terminal,
    cli,
    command,
    end_runs,
    ended,
    fill,
    go_on,
    kill,
    pass_time,
    resume,
    start,
    until,
)
from safetensors.torch import load_file

from core.loop import LearningLoop
from core.paths import Home
from core.release.files import version_problem
from core.train.launch import is_alive
from storage import runs
from storage.rows import RunRow

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A home in which run 1 has finished undisturbed."""
    made = fill(tmp_path_factory.mktemp("kills") / "home")
    try:
        assert start(made) == 1
        assert until(made, 1, ended).status == "finished"
        yield made
    finally:
        end_runs(made)


def adapter(folder: Path) -> dict[str, torch.Tensor]:
    loaded: dict[str, torch.Tensor] = load_file(folder / "adapter_model.safetensors")
    return loaded


def version_folders(home: Home) -> list[str]:
    return sorted(path.name for path in (home.models / "demo" / "erd").iterdir())


def kill_when(home: Home, run_id: int, reached: Callable[[RunRow], bool]) -> RunRow:
    """Kills the worker at a moment, and returns the row that it left."""
    kill(until(home, run_id, reached))
    left = until(home, run_id, lambda run: not is_alive(run))
    assert left.status == "running"
    pass_time(home, run_id)
    return left


def test_a_worker_killed_in_every_stage_ends_with_the_same_weights(home: Home) -> None:
    run_id = start(home)
    left = kill_when(home, run_id, lambda run: run.stage == "training" and run.step >= 5)
    assert left.step < left.total_steps
    names = version_folders(home)
    assert "v2" not in names
    doctor = cli(home.root, "doctor")
    assert doctor.returncode == 0 and f"resume {run_id}" in doctor.stdout

    go_on(home, run_id)
    kill_when(home, run_id, lambda run: run.stage == "exporting" and run.step == run.total_steps)
    assert "v2" not in version_folders(home)
    go_on(home, run_id)
    kill_when(home, run_id, lambda run: run.stage == "proving")
    assert "v2" not in version_folders(home)
    assert any(name.startswith(".staging-") for name in version_folders(home))

    told = resume(home, run_id)
    assert (told["status"], told["stage"], told["step"]) == ("finished", "done", told["total_steps"])
    assert told["version"]["number"] == 2 and told["version"]["proved"]
    with LearningLoop(home) as loop:
        begun = [int(step) for step in re.findall(r"from step (\d+) on", "\n".join(loop.log(run_id, 2000)))]
        first, second = loop.version(told["version"]["parent_id"]), loop.version(told["version_id"])
        assert first.number == 0
        assert version_problem(home, second) is None
        undisturbed, done = home.resolve(loop.run(1).folder), home.resolve(loop.run(run_id).folder)
        assert loop.latest_test(second.id) is not None
        assert loop.run(1).dataset_id != 0 and second.metrics["n"] > 0
    assert begun[0] == 0 and 4 <= begun[1] < told["total_steps"] and begun[2:] == [told["total_steps"]] * 2
    expected, found = adapter(undisturbed / "adapter"), adapter(done / "adapter")
    assert expected.keys() == found.keys() and len(found) > 10
    for name, value in expected.items():
        assert torch.equal(value, found[name]), name
    shipped = adapter(home.models / "demo" / "erd" / "v2" / "adapter")
    assert all(torch.equal(value, shipped[name]) for name, value in expected.items())
    assert version_folders(home) == ["v0", "v1", "v2"]
    assert not (done / "merged").exists()
    assert all(path.name.startswith("step-") for path in (done / "checkpoints").iterdir())
    assert cli(home.root, "doctor", "--json").returncode == 0


def started(home: Home, run_id: int, app: Terminal) -> RunRow:
    """Waits for the second step of a run, while the app is read."""
    deadline = time.monotonic() + PATIENCE
    with LearningLoop(home) as loop:
        while time.monotonic() < deadline:
            app.read(0.05)
            found = [run for run in loop.runs() if run.id == run_id and run.step >= 2]
            if found:
                return found[0]
    raise AssertionError(app.written[-3000:])


def test_a_run_goes_on_without_the_app_that_started_it(home: Home) -> None:
    with LearningLoop(home) as loop:
        before = loop.runs()[0].id
    app = Terminal(command(home.root))
    try:
        app.until("Dashboard")
        app.press("5")
        app.until("New run")
        app.press("n")
        app.until("fits: needs")
        app.press("\x13")
        run_id = before + 1
        left = started(home, run_id, app)
        app.close()
        assert left.stage == "training" and left.step < left.total_steps
        done = until(home, run_id, ended)
        assert done.status == "finished" and done.version_id is not None, done.error
        with LearningLoop(home) as loop:
            assert loop.version(done.version_id).proved
            steps = {metric.step for metric in runs.metrics(loop.store, run_id) if metric.name == "loss"}
            assert steps == set(range(1, done.total_steps + 1))
            name = loop.version(done.version_id).name
        again = Terminal(command(home.root, "models"))
        try:
            again.until(name)
        finally:
            again.close()
    finally:
        if app.process.poll() is None:
            app.close()
