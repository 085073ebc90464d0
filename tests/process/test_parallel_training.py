"""Several processes that share a run: the same weights, and one end for all of them, however it comes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from process_kit import PATIENCE, QUICK, ROOT, cli, end_runs, ended, environment, fill, go_on, start, until, wait
from safetensors.torch import load_file

from benchmarks.training_kills import CASES, Attempt, Course, Trainer, trainer
from core.errors import RunError
from core.loop import LearningLoop
from core.paths import Home
from core.train.config import TrainSettings
from core.train.launch import process_started
from core.train.team import team
from core.train.trainer import Task
from storage.rows import RunRow

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc"),
]
CLOSE = 1e-4
"""How far weights may lie apart that were summed up in another order."""
SETTINGS = f"""{QUICK.replace("epochs = 2", "epochs = 1")}
dropout = 0.0
score_prompts = 2
[select]
embeddings = "none"
max_retests = 0
"""


def followers(place: Path) -> list[int]:
    """Living processes that work on the training of a home, its first one and launchers included."""
    found = []
    for words in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            given = words.read_bytes().split(b"\0")
        except OSError:
            continue
        helps = b"core.train.follower" in given or b"core.pipeline" in given
        if helps and str(place).encode() in given:
            found.append(int(words.parent.name))
    return [pid for pid in found if process_started(pid) is not None]


def adapter(folder: Path) -> dict[str, torch.Tensor]:
    loaded: dict[str, torch.Tensor] = load_file(folder / "adapter" / "adapter_model.safetensors")
    return loaded


def assert_close(left: Path, right: Path) -> None:
    one, other = adapter(left), adapter(right)
    assert one.keys() == other.keys() and len(one) > 10
    for name, value in one.items():
        assert torch.allclose(value, other[name], rtol=0.0, atol=CLOSE), name
    assert max(float(value.abs().max()) for value in one.values()) > 100 * CLOSE


# -- the trainer alone


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trainer]:
    with trainer(tmp_path_factory.mktemp("parallel")) as made:
        yield made


def attempt(process: Trainer, folder: Path, method: str, processes: int) -> Attempt:
    settings = {**CASES[method], "dropout": 0.0, "learning_rate": 1e-3, "processes": processes}
    return Attempt(str(process.base), str(folder), settings)


def figures(course: Course) -> dict[str, float]:
    """What a run has told of itself, as plain numbers."""
    assert course.status == 0, course.error
    told = json.loads(course.result)
    watched = {f"{name} {at}": value for name, pair in told.pop("watched").items() for at, value in enumerate(pair)}
    numbers = {name: value for name, value in told.items() if isinstance(value, int | float)}
    assert len(numbers) == 9 and len(watched) == 4
    return numbers | watched


def test_two_processes_learn_what_one_does_also_when_one_is_lost(process: Trainer, tmp_path: Path) -> None:
    alone, shared = tmp_path / "alone", tmp_path / "shared"
    expected = figures(process.to_end(attempt(process, alone, "sft", 1)))
    course = process.to_end(replace(attempt(process, shared, "sft", 2), lose_in="step 6"))
    assert course.status == 1 and "is gone" in course.error[0] and "esume the run" in course.error[1]
    course = process.to_end(attempt(process, shared, "sft", 2))
    assert course.began == 4
    assert figures(course) == pytest.approx(expected, abs=1e-2)
    assert_close(alone, shared)
    assert not followers(shared)


def test_one_process_goes_on_with_what_two_have_begun(process: Trainer, tmp_path: Path) -> None:
    """With the reference of DPO computed by both; the second does not outlive the first."""
    alone, shared = tmp_path / "alone", tmp_path / "shared"
    expected = figures(process.to_end(attempt(process, alone, "dpo", 1)))
    course = process.to_end(replace(attempt(process, shared, "dpo", 2), kill_in="step 8"))
    assert course.status == -signal.SIGKILL
    wait(lambda: not followers(shared), 20.0)
    course = process.to_end(attempt(process, shared, "dpo", 1))
    assert course.began == 6
    assert figures(course) == pytest.approx(expected, abs=1e-2)
    assert_close(alone, shared)


def test_one_that_finds_no_base_model_is_not_waited_for(process: Trainer, tmp_path: Path) -> None:
    course = process.to_end(replace(attempt(process, tmp_path, "sft", 2), base_of_others="/nowhere"))
    assert course.status == 1 and "is gone" in course.error[0]
    assert not followers(tmp_path)


def test_one_that_does_not_even_begin_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    task = Task(tmp_path, [], [], TrainSettings(processes=3), tmp_path)
    with pytest.raises(RunError, match="ended at once with status 1") as caught, team(Home(tmp_path), "demo", task):
        raise AssertionError("there is nobody to work with")
    assert "log" in caught.value.hint
    assert not {"WORLD_SIZE", "RANK", "OMP_NUM_THREADS"} & {*os.environ}


# -- whole runs


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    made = fill(tmp_path_factory.mktemp("parallel") / "home", SETTINGS, count=40)
    try:
        yield made
    finally:
        end_runs(made)


def launched(home: Home, run_id: int) -> subprocess.Popen[bytes]:
    """The processes of a run, as `accelerate launch` starts them on a machine with several devices."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--multi_gpu", "--num_processes", "2", "--num_machines", "1", "--mixed_precision", "no"]
    options += ["--dynamo_backend", "no", "--main_process_port", str(port)]
    command = ["-m", "core.pipeline", "--home", str(home.root), "--run", str(run_id)]
    with (home.runs / f"launched-{run_id}.txt").open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "accelerate.commands.launch", *options, *command],
            stdout=output,
            stderr=output,
            env=environment(),
            cwd=ROOT,
        )


def learns(run: RunRow) -> bool:
    return run.stage == "training" and run.step >= 2


def held(home: Home) -> int:
    done = cli(home.root, "train", "erd", "--base", "demo", "--hold", "--json")
    assert done.returncode == 0, done.stdout
    return int(json.loads(done.stdout)["id"])


@pytest.fixture(scope="module")
def alone(home: Home) -> int:
    """A run of one process."""
    run_id = start(home)
    trained(home, run_id)
    return run_id


def trained(home: Home, run_id: int) -> None:
    """Waits for the adapter of a run, and stops it there: its export is nothing new."""
    until(home, run_id, lambda run: run.status == "running" and (home.runs / str(run_id) / "adapter").exists())
    with LearningLoop(home) as loop:
        loop.stop(run_id)
    assert until(home, run_id, ended).status == "stopped"
    wait(lambda: not followers(home.root), 60.0)


def test_a_run_of_two_processes_stops_and_goes_on_like_any_other(home: Home, alone: int) -> None:
    shared = start(home, "--processes", "2")
    with LearningLoop(home) as loop:
        worker = until(home, shared, learns).pid
        assert len({*followers(home.root)} - {worker}) == 1
        loop.stop(shared)
        left = until(home, shared, ended)
        # On a quick machine the stop is heard after the last step only: then the adapter is what is left to do.
        assert left.status == "stopped", left.error
        wait(lambda: not followers(home.root), 60.0)
        go_on(home, shared)
        trained(home, shared)
        said = "\n".join(loop.log(shared, 500))
    assert f"from step {left.step} on" in said and "Traceback" not in said and "Fatal" not in said
    assert_close(home.runs / str(alone), home.runs / str(shared))


def test_a_run_under_a_launcher_loses_a_process_and_is_launched_again(home: Home, alone: int) -> None:
    run_id = held(home)
    with LearningLoop(home) as loop:
        assert loop.dispatcher.tend() == [] and loop.run(run_id).status == "stopped"
        process = launched(home, run_id)
        try:
            wait(lambda: learns(loop.run(run_id)) or process.poll() is not None)
            os.kill(next(pid for pid in followers(home.root) if rank(pid) == 1), signal.SIGKILL)
            assert process.wait(PATIENCE) != 0
            left = loop.run(run_id)
            assert left.status == "failed" and "took part in the training is gone" in left.error, left.error
            assert "esume the run" in left.hint and not followers(home.root)

            process = launched(home, run_id)
            assert process.wait(PATIENCE) == 0
            done = loop.run(run_id)
            assert done.status == "finished" and done.version_id is not None, done.error
            assert loop.version(done.version_id).proved

            process = launched(home, run_id)  # nothing is left to train: nobody waits for anything
            assert process.wait(PATIENCE) != 0
            assert not followers(home.root)
        finally:
            process.terminate()
    said = (home.runs / f"launched-{run_id}.txt").read_text(encoding="utf-8")
    assert f"Run {run_id} is finished." in said
    assert_close(home.runs / str(alone), home.runs / str(run_id))


def rank(pid: int) -> int:
    """Which of its run a launched process is; -1 for the launcher."""
    words = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return next((int(word[5:]) for word in words if word.startswith(b"RANK=")), -1)
