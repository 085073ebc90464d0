"""Stops, kills, damage and lack of memory."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from training_kit import Listener, items

from core.errors import RunError
from core.train import session as session_module
from core.train import sft, trainer
from core.train.config import TrainSettings
from core.train.trainer import Task, train

SETTINGS = TrainSettings(epochs=2, learning_rate=1e-2, accumulation=4, save_every=2, eval_every=3)
ROOT = Path(__file__).resolve().parents[3]


def task(base: Path, folder: Path, *, resume: bool = False, settings: TrainSettings = SETTINGS) -> Task:
    return Task(base, items(16), items(3, "validation"), settings, folder, resume)


def adapter_of(folder: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    loaded: dict[str, torch.Tensor] = load_file(folder / "adapter" / "adapter_model.safetensors")
    return loaded


def assert_same(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> None:
    assert left.keys() == right.keys()
    for name, value in left.items():
        assert torch.equal(value, right[name]), name


@pytest.fixture(scope="module")
def undisturbed(base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, torch.Tensor]:
    folder = tmp_path_factory.mktemp("undisturbed")
    train(task(base, folder), Listener())
    return adapter_of(folder)


@pytest.mark.parametrize("stop_at", [0, 1, 5, 7])
def test_stop_and_resume_give_the_same_bits(
    base: Path, tmp_path: Path, undisturbed: dict[str, torch.Tensor], stop_at: int
) -> None:
    stopped = train(task(base, tmp_path), Listener(stop_at=stop_at))
    assert (stopped.status, stopped.step, stopped.adapter) == ("stopped", stop_at, None)
    assert (tmp_path / "checkpoints" / f"step-{stop_at}" / "state.json").is_file()
    torch.manual_seed(99)
    resumed = train(task(base, tmp_path, resume=True), Listener())
    assert (resumed.status, resumed.step, resumed.total_steps) == ("finished", 8, 8)
    assert_same(adapter_of(tmp_path), undisturbed)


@pytest.mark.process
def test_kill_and_resume_give_the_same_bits(base: Path, tmp_path: Path, undisturbed: dict[str, torch.Tensor]) -> None:
    script = tmp_path / "child.py"
    script.write_text(
        textwrap.dedent("""
            import sys
            from pathlib import Path
            from test_train_resume import task
            from training_kit import Listener
            from core.train.trainer import train

            class Telling(Listener):
                def step(self, step, total_steps, values):
                    print(step, flush=True)

            train(task(Path(sys.argv[1]), Path(sys.argv[2]), resume=True), Telling())
            print("end", flush=True)
        """)
    )
    chance = random.Random(int(time.time()))
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{Path(__file__).parent}", "OMP_NUM_THREADS": "1"}
    run_folder = tmp_path / "run"
    killed = 0
    for _ in range(3):
        child = subprocess.Popen(
            [sys.executable, str(script), str(base), str(run_folder)],
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        assert child.stdout is not None
        for _line in range(chance.randint(1, 6)):
            child.stdout.readline()
        time.sleep(chance.random() * 0.05)  # into the middle of a step or of a checkpoint
        child.send_signal(signal.SIGKILL)
        child.communicate()
        killed += child.returncode == -signal.SIGKILL
    assert killed
    train(task(base, run_folder, resume=True), Listener())
    assert_same(adapter_of(run_folder), undisturbed)
    kept = {path.name for path in (run_folder / "checkpoints").iterdir()}
    assert len(kept) <= 3
    assert all(name.startswith("step-") for name in kept)


def test_a_damaged_checkpoint_is_passed_over(base: Path, tmp_path: Path, undisturbed: dict[str, torch.Tensor]) -> None:
    train(task(base, tmp_path), Listener(stop_at=6))
    damaged = tmp_path / "checkpoints" / "step-6" / "optimizer.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:-7] + b"garbage")
    listener = Listener()
    train(task(base, tmp_path, resume=True), listener)
    assert any("step 6 is damaged" in note for note in listener.notes)
    assert_same(adapter_of(tmp_path), undisturbed)


def test_what_a_kill_left_half_written_is_swept_up_also_at_the_last_step(base: Path, tmp_path: Path) -> None:
    train(task(base, tmp_path), Listener())
    for name in (".step-8.partial", ".step-2.old"):
        (tmp_path / "checkpoints" / name).mkdir()
    train(task(base, tmp_path, resume=True), Listener())
    assert all(path.name.startswith("step-") for path in (tmp_path / "checkpoints").iterdir())


def test_a_resume_with_other_settings_or_without_asking_is_refused(base: Path, tmp_path: Path) -> None:
    train(task(base, tmp_path), Listener(stop_at=2))
    with pytest.raises(RunError, match="already holds checkpoints"):
        train(task(base, tmp_path), Listener())
    with pytest.raises(RunError, match="other settings"):
        train(task(base, tmp_path, resume=True, settings=replace(SETTINGS, learning_rate=1e-3)), Listener())
    # What is done with the finished model does not change what is learned.
    train(task(base, tmp_path, resume=True, settings=replace(SETTINGS, ab_prompts=7, quantize=("f16",))), Listener())


def test_out_of_memory_halves_the_batch_and_changes_nothing_else(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(SETTINGS, dropout=0.0, batch_size=4, accumulation=1)
    roomy = Listener()
    train(task(base, tmp_path / "roomy", settings=settings), roomy)
    forward, seen = sft.answer_losses, []

    def small_memory(model: Any, batch: Any) -> torch.Tensor:
        seen.append(batch.ids.numel())
        if batch.ids.numel() > 160:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(model, batch)

    monkeypatch.setattr(sft, "answer_losses", small_memory)
    listener = Listener()
    result = train(task(base, tmp_path / "small", settings=settings), listener)
    assert result.status == "finished"
    notes = [note for note in listener.notes if "Out of memory" in note]
    assert "halved to 1024 tokens" in notes[0]
    assert "learns from 4 examples" in notes[0]
    assert max(seen[-10:]) <= 160
    for step in range(1, 9):
        assert listener.figures[step]["loss"] == pytest.approx(roomy.figures[step]["loss"], abs=1e-4)


def test_memory_for_not_even_one_example_ends_the_run(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_memory(model: Any, batch: Any) -> torch.Tensor:
        raise MemoryError

    monkeypatch.setattr(sft, "answer_losses", no_memory)
    with pytest.raises(RunError, match="not even hold one example"):
        train(task(base, tmp_path), Listener())


def test_a_loss_that_is_no_number_ends_the_run_in_words(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = sft.answer_losses
    monkeypatch.setattr(sft, "answer_losses", lambda model, batch: forward(model, batch) * torch.nan)
    with pytest.raises(RunError) as caught:
        train(Task(base, items(8), [], SETTINGS, tmp_path), Listener())
    assert "At step 1 the loss" in caught.value.message
    assert "lower learning rate" in caught.value.hint
    assert not (tmp_path / "adapter").exists()


def test_a_growing_validation_loss_ends_the_run(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forward, factors = sft.answer_losses, iter([1.0, 1.5])

    def worse(model: Any, batch: Any) -> torch.Tensor:
        losses = forward(model, batch)
        return losses if torch.is_grad_enabled() else losses * next(factors, 4.0)

    monkeypatch.setattr(sft, "answer_losses", worse)
    with pytest.raises(RunError, match=r"validation loss has grown from 5\.9\d to 2"):
        train(task(base, tmp_path), Listener())
    assert (tmp_path / "checkpoints" / "step-3").is_dir()


def test_early_stopping_and_the_best_checkpoint(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = iter([9.0, 5.0, 6.0, 7.0, 4.0])
    monkeypatch.setattr(trainer, "evaluate", lambda work, lessons: (next(values), {}))
    settings = replace(SETTINGS, eval_every=1, early_stopping_patience=2)
    result = train(task(base, tmp_path, settings=settings), Listener())
    assert (result.status, result.step, result.best_step, result.best_loss) == ("plateau", 3, 1, 5.0)
    assert (result.total_steps, result.base_loss) == (8, 9.0)
    best = (tmp_path / "checkpoints" / "step-1" / "adapter_model.safetensors").read_bytes()
    assert (tmp_path / "adapter" / "adapter_model.safetensors").read_bytes() == best


def test_a_full_disk_is_said_and_leaves_nothing_half_written(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(model: Any, place: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(session_module, "_write_config", full)
    with pytest.raises(RunError) as caught:
        train(task(base, tmp_path), Listener())
    assert "No space left" in caught.value.message
    assert "Free some space" in caught.value.hint
    assert list((tmp_path / "checkpoints").iterdir()) == []


def test_nothing_to_learn_is_said(base: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="None of the 0 training examples"):
        train(Task(base, [], [], SETTINGS, tmp_path), Listener())
