"""How a run ends, which checkpoint it calls the best, and what it does when memory or sense runs out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from training_kit import Listener, adapter_of, items, items_of, opened

from core.errors import RunError
from core.train import recipe, step, trainer
from core.train import session as session_module
from core.train.config import Method, TrainSettings
from core.train.parallel import ALONE
from core.train.session import Session, load_adapter
from core.train.sft import Sft
from core.train.trainer import Task, TrainResult, train

SETTINGS = TrainSettings(epochs=2, learning_rate=1e-2, accumulation=4, save_every=2, eval_every=2)


def task(base: Path, folder: Path, *, resume: bool = False, settings: TrainSettings = SETTINGS, **more: Any) -> Task:
    method = settings.method
    return Task(base, items_of(method, 16), items_of(method, 3, "validation"), settings, folder, resume, **more)


def saying(scores: Iterable[float | None]) -> Callable[[Session, Callable[[], bool]], float | None]:
    told = iter(scores)
    return lambda session, should_stop: next(told)


def broken_off(
    scores: Sequence[float], step: int, listener: Listener
) -> Callable[[Session, Callable[[], bool]], float | None]:
    """A scorer that is asked to stop while it is at work after `step` steps."""

    def score(session: Session, should_stop: Callable[[], bool]) -> float | None:
        if session.state.step == step:
            listener.stop_at = 0
        return None if should_stop() else scores[session.state.step // 2]

    return score


def published(folder: Path, step: int) -> bool:
    name = "adapter_model.safetensors"
    return (folder / "adapter" / name).read_bytes() == (folder / "checkpoints" / f"step-{step}" / name).read_bytes()


def losses(monkeypatch: pytest.MonkeyPatch, values: Iterable[float]) -> None:
    told = iter(values)
    monkeypatch.setattr(trainer, "evaluate", lambda work, lessons: (next(told), {}))


def test_the_best_checkpoint_is_that_of_the_highest_score(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses(monkeypatch, [6.0, 5.0, 4.0, 3.0, 2.0])
    listener = Listener()
    result = train(task(base, tmp_path, scorer=saying([10.0, 40.0, 90.0, 60.0, 85.0])), listener)
    assert (result.status, result.best_step, result.best_score, result.best_loss) == ("finished", 4, 90.0, 4.0)
    assert (result.base_score, result.base_loss) == (10.0, 6.0)
    assert [listener.figures[at]["eval_score"] for at in (0, 2, 4, 6, 8)] == [10.0, 40.0, 90.0, 60.0, 85.0]
    assert published(tmp_path, 4)


def test_between_equal_scores_the_loss_decides(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    losses(monkeypatch, [6.0, 5.0, 3.0, 4.0, 3.5])
    result = train(task(base, tmp_path, scorer=saying([0.0, 70.0, 70.0, 70.0, 70.0])), Listener())
    assert result.best_step == 4


def test_where_nothing_can_be_judged_the_loss_decides(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses(monkeypatch, [6.0, 5.0, 5.5, 2.0, 4.0])
    listener = Listener()
    result = train(task(base, tmp_path, scorer=saying([None] * 5)), listener)
    assert (result.best_step, result.best_score, result.base_score) == (6, None, None)
    assert all("eval_score" not in figures for figures in listener.figures.values())


@pytest.mark.parametrize("silent", [0, 2])
def test_a_model_that_cannot_be_judged_for_once_is_worse_than_one_with_a_score(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, silent: int
) -> None:
    losses(monkeypatch, [6.0, 5.0, 1.0, 3.0, 4.0])
    scores: list[float | None] = [20.0, 30.0, 25.0, 55.0, 40.0]
    scores[silent] = None
    assert train(task(base, tmp_path, scorer=saying(scores)), Listener()).best_step == 6


def test_the_best_checkpoint_outlives_the_newer_ones(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses(monkeypatch, [6.0, 2.0, 5.0, 5.0, 5.0])
    result = train(task(base, tmp_path), Listener())
    assert result.best_step == 2
    names = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert names == ["step-2", "step-6", "step-8"]
    assert published(tmp_path, 2)


def test_a_plateau_of_the_score_ends_the_run_although_the_loss_falls(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses(monkeypatch, [6.0, 5.9, 5.8, 5.7, 5.6])
    settings = replace(SETTINGS, early_stopping_patience=2)
    listener = Listener()
    result = train(task(base, tmp_path, settings=settings, scorer=saying([10.0, 80.0, 70.0, 60.0, 99.0])), listener)
    assert (result.status, result.step, result.total_steps, result.best_step) == ("plateau", 6, 8, 2)
    assert published(tmp_path, 2)
    # Asked to go on, a run that has ended stays ended.
    again = train(task(base, tmp_path, settings=settings, resume=True, scorer=saying([])), Listener())
    assert (again.status, again.step, again.best_step) == ("plateau", 6, 2)


def test_a_better_model_takes_the_count_of_worse_ones_back(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses(monkeypatch, [9.0, 5.0, 6.0, 4.0, 4.5, 3.0, 3.5, 2.0, 2.5])
    settings = replace(SETTINGS, eval_every=1, early_stopping_patience=2)
    result = train(task(base, tmp_path, settings=settings), Listener())
    assert (result.status, result.step, result.best_step) == ("finished", 8, 7)


def test_what_must_not_be_forgotten_is_measured_on_the_best_model(base: Path, tmp_path: Path) -> None:
    older = items(3)
    watched = task(base, tmp_path, scorer=saying([0.0, 90.0, 10.0, 10.0, 10.0]), watched={"older": older})
    result = train(watched, Listener())
    assert result.best_step == 2
    session, lessons = opened(base, replace(SETTINGS, dropout=0.0), older)
    found = []
    for name in ("checkpoints/step-2", "checkpoints/step-8"):
        load_adapter(session, (tmp_path / name / "adapter_model.safetensors").read_bytes())
        found.append(step.evaluate(step.Work(session, Sft(), ALONE, print), lessons)[0])
    assert result.watched["older"][1] == pytest.approx(found[0], abs=1e-6)
    assert abs(found[0] - found[1]) > 1e-3


def test_a_stop_while_the_model_answers_changes_nothing_in_the_end(base: Path, tmp_path: Path) -> None:
    """Whenever it comes: what was not scored to the end is scored after the resume."""
    scores = [10.0, 40.0, 90.0, 60.0, 95.0]
    whole = train(task(base, tmp_path / "whole", scorer=saying(scores)), Listener())
    for interrupted in range(5):
        listener = Listener()
        breaking = broken_off(scores, 2 * interrupted, listener)
        folder = tmp_path / str(interrupted)
        stopped = train(task(base, folder, scorer=breaking), listener)
        assert (stopped.status, stopped.step, stopped.adapter) == ("stopped", 2 * interrupted, None)
        resumed = train(task(base, folder, resume=True, scorer=saying(scores[interrupted:])), Listener())
        for name in ("status", "base_score", "best_score", "best_loss", "base_loss", "best_step", "final_loss"):
            assert getattr(resumed, name) == getattr(whole, name), (interrupted, name)
        left, right = adapter_of(folder), adapter_of(tmp_path / "whole")
        assert all(torch.equal(value, right[name]) for name, value in left.items())


def ended(base: Path, folder: Path, settings: TrainSettings, **more: Any) -> RunError:
    with pytest.raises(RunError) as caught:
        train(task(base, folder, settings=settings, **more), Listener())
    assert caught.value.title == "The training diverged"
    assert "lower learning rate" in caught.value.hint
    assert not (folder / "adapter").exists()
    return caught.value


def test_a_learning_rate_that_blows_the_model_up_ends_the_run_in_words(base: Path, tmp_path: Path) -> None:
    wild = replace(SETTINGS, learning_rate=1.0, alpha=4096, max_grad_norm=1e4, warmup_ratio=0.0, epochs=4)
    assert "no longer a number" in ended(base, tmp_path, wild).message


def test_a_growing_loss_ends_the_run_also_without_validation(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = iter([3.0, 2.0, 2.5, 60.0])
    monkeypatch.setattr(trainer, "learn", lambda work, lessons: step.Learned(next(told), 1.0, {}))
    with pytest.raises(RunError, match=r"The loss has grown from 2\.8\d to 8\.5") as caught:
        train(Task(base, items(16), [], SETTINGS, tmp_path), Listener())
    assert caught.value.title == "The training diverged"


def test_a_single_hard_step_is_no_divergence(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = iter([3.0, 2.0, 12.0, 2.0, 1.5, 9.0, 1.0, 1.0])
    monkeypatch.setattr(trainer, "learn", lambda work, lessons: step.Learned(next(told), 1.0, {}))
    assert train(Task(base, items(16), [], SETTINGS, tmp_path), Listener()).status == "finished"


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_validation_loss_that_is_no_number_ends_the_run(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bad: float
) -> None:
    losses(monkeypatch, [6.0, bad])
    assert "no longer a number" in ended(base, tmp_path, SETTINGS).message


def test_a_gradient_that_is_no_number_ends_the_run(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", lambda *_: torch.tensor(float("nan")))
    assert "At step 1" in ended(base, tmp_path, SETTINGS).message


def test_in_float16_large_gradients_are_left_out_but_not_for_ever(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(SETTINGS, precision="fp16", epochs=4)
    result = train(task(base, tmp_path / "fine", settings=settings), Listener())
    assert result.status == "finished"
    monkeypatch.setattr(step, "_MOST_SKIPPED", 3)
    monkeypatch.setattr(session_module, "_FIRST_SCALE", 2.0**60)
    assert "At step 4" in ended(base, tmp_path / "never", settings).message


@pytest.mark.parametrize("method", ["dpo", "kto"])
@pytest.mark.parametrize("scarce_from", [0, 1, 6])
def test_out_of_memory_in_the_middle_of_other_methods(
    base: Path, tmp_path: Path, method: Method, scarce_from: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the reference, an evaluation, the drift or a step: fewer tokens in a pass, and the same result."""
    settings = replace(SETTINGS, method=method, dropout=0.0, batch_size=4, accumulation=1)
    roomy = Listener()
    whole = train(task(base, tmp_path / "roomy", settings=settings), roomy)
    forward, seen = recipe.answer_log_probs, []

    def small_memory(model: Any, batch: Any) -> torch.Tensor:
        seen.append(batch.ids.numel())
        if len(seen) > scarce_from and batch.ids.numel() > 150:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(model, batch)

    monkeypatch.setattr(recipe, "answer_log_probs", small_memory)
    listener = Listener()
    result = train(task(base, tmp_path / "small", settings=settings), listener)
    notes = [note for note in listener.notes if "Out of memory" in note]
    assert "halved to 1024 tokens" in notes[0]
    assert "learns from 4 examples" in notes[0]
    assert max(seen[-10:]) <= 150
    assert (result.status, result.best_step) == ("finished", whole.best_step)
    for at in range(1, 9):
        assert listener.figures[at]["loss"] == pytest.approx(roomy.figures[at]["loss"], abs=1e-3)
        assert listener.figures[at]["reward_margin"] == pytest.approx(roomy.figures[at]["reward_margin"], abs=1e-2)


@pytest.mark.parametrize("method", ["dpo", "kto"])
def test_memory_for_not_even_one_lesson_ends_the_run(
    base: Path, tmp_path: Path, method: Method, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_memory(model: Any, batch: Any) -> torch.Tensor:
        raise MemoryError

    monkeypatch.setattr(recipe, "answer_log_probs", no_memory)
    with pytest.raises(RunError, match="not even hold one example"):
        train(task(base, tmp_path, settings=replace(SETTINGS, method=method)), Listener())


def test_memory_that_ran_out_stays_small_after_a_resume(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(SETTINGS, method="dpo")
    with monkeypatch.context() as patch:
        forward = recipe.answer_log_probs

        def small_memory(model: Any, batch: Any) -> torch.Tensor:
            if batch.ids.numel() > 150:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return forward(model, batch)

        patch.setattr(recipe, "answer_log_probs", small_memory)
        train(task(base, tmp_path, settings=settings), Listener(stop_at=2))
    largest = 0

    def watched(model: Any, batch: Any) -> torch.Tensor:
        nonlocal largest
        largest = max(largest, batch.ids.numel())
        return forward(model, batch)

    monkeypatch.setattr(recipe, "answer_log_probs", watched)
    result: TrainResult = train(task(base, tmp_path, settings=settings, resume=True), Listener())
    assert result.status == "finished"
    assert 0 < largest <= 150


def test_another_error_in_a_step_is_not_taken_for_lack_of_memory(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(model: Any, batch: Any) -> torch.Tensor:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(recipe, "answer_log_probs", broken)
    with pytest.raises(RuntimeError, match="mat1"):
        train(task(base, tmp_path, settings=replace(SETTINGS, method="dpo")), Listener())
