"""What all three methods promise: weights, passes, what moves, and in which direction."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from training_kit import Listener, adapter_of, items_of, opened, shake

from core.train.config import METHODS, Method, Precision, TrainSettings
from core.train.data import Lesson
from core.train.parallel import ALONE
from core.train.recipe import log_probs
from core.train.session import Session
from core.train.step import Work, evaluate, learn
from core.train.trainer import RECIPES, Task, train

PLAIN = TrainSettings(dropout=0.0, learning_rate=1e-2, batch_size=8, accumulation=1, warmup_ratio=0.0)
ALL = pytest.mark.parametrize("method", METHODS)


def work(session: Session) -> Work:
    return Work(session, RECIPES[session.settings.method](), ALONE, print)


def prepared(base: Path, method: Method, count: int = 5, **values: Any) -> tuple[Session, list[Lesson]]:
    """A session whose adapter is no longer the fresh one that the reference was taken from."""
    session, lessons = opened(base, replace(PLAIN, method=method, **values), items_of(method, count))
    shake(session.parameters)
    return session, lessons


def step_of(session: Session, lessons: list[Lesson], totals: dict[str, float] | None = None) -> Any:
    """Loss and gradients of a step in one pass."""
    recipe = RECIPES[session.settings.method]()
    session.model.train()
    session.optimizer.zero_grad()
    loss, _ = recipe.loss(session, lessons, totals or recipe.totals(session, lessons))
    loss.backward()  # type: ignore[no-untyped-call]
    return float(loss.detach()), {
        name: value.grad.clone() for name, value in session.parameters.items() if value.grad is not None
    }


@ALL
def test_an_example_of_weight_two_pulls_twice_and_one_of_none_not_at_all(base: Path, method: Method) -> None:
    session, lessons = prepared(base, method)
    totals = RECIPES[method]().totals(session, lessons)
    shares = [step_of(session, [lesson], totals) for lesson in lessons]
    weights = [2.0, 0.0, 1.0, 0.5, 3.0]
    weighted = [replace(lesson, weight=weight) for lesson, weight in zip(lessons, weights, strict=True)]
    loss, gradients = step_of(session, weighted)
    assert loss == pytest.approx(sum(w * one[0] for w, one in zip(weights, shares, strict=True)), rel=1e-5)
    for name, found in gradients.items():
        summed = sum(w * one[1][name] for w, one in zip(weights, shares, strict=True))
        assert torch.allclose(found, summed, rtol=1e-4, atol=1e-6), name
    nothing, still = step_of(session, [replace(lesson, weight=0.0) for lesson in lessons])
    assert nothing == 0.0
    assert not any(value.any() for value in still.values())


@ALL
def test_how_a_step_is_cut_into_passes_changes_nothing(base: Path, method: Method) -> None:
    found = []
    for budget in (100_000, 150, 1):
        session, lessons = prepared(base, method, 8)
        session.state.token_budget = budget
        told = learn(work(session), lessons)
        measured = evaluate(work(session), lessons)
        found.append((told, measured, {name: value.detach() for name, value in session.parameters.items()}))
    first, (loss, figures), parameters = found[0]
    for told, measured, others in found[1:]:
        assert told.loss == pytest.approx(first.loss, rel=1e-5)
        assert told.norm == pytest.approx(first.norm, rel=1e-4)
        assert told.figures == pytest.approx(first.figures, rel=1e-4, abs=1e-5)
        assert measured[0] == pytest.approx(loss, rel=1e-4)
        assert measured[1] == pytest.approx(figures, rel=1e-4, abs=1e-5)
        assert all(torch.allclose(value, others[name], atol=2e-5) for name, value in parameters.items())


def fingerprints(session: Session) -> dict[str, str]:
    """Of every tensor of the model that does not learn."""
    tensors = {**dict(session.model.named_parameters()), **dict(session.model.named_buffers())}
    return {
        name: hashlib.sha256(value.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes()).hexdigest()
        for name, value in tensors.items()
        if name not in session.parameters
    }


@ALL
def test_every_adapter_weight_moves_and_nothing_else(base: Path, method: Method) -> None:
    session, lessons = opened(base, replace(PLAIN, method=method), items_of(method, 8))
    frozen = fingerprints(session)
    before = {name: value.detach().clone() for name, value in session.parameters.items()}
    assert len(before) == 2 * 7 * 2
    assert all("lora_" in name and value.dtype == torch.float32 for name, value in before.items())
    for _ in range(3):  # B begins at zero, so that A gets its first gradient in the second step
        learn(work(session), lessons)
    for name, value in session.parameters.items():
        assert float((value != before[name]).float().mean()) > 0.9, name
    assert fingerprints(session) == frozen
    assert all(value.grad is None for name, value in session.model.named_parameters() if name not in session.parameters)


@ALL
def test_without_a_weight_a_run_teaches_nothing(base: Path, tmp_path: Path, method: Method) -> None:
    made = items_of(method, 8, weight=0.0)
    train(Task(base, made, [], replace(PLAIN, method=method, epochs=1), tmp_path), Listener())
    moved = [value for name, value in adapter_of(tmp_path).items() if "lora_B" in name]
    assert len(moved) == 14
    assert not any(value.any() for value in moved)


def run(base: Path, folder: Path, method: Method, **values: Any) -> tuple[Any, Listener]:
    listener = Listener()
    settings = replace(PLAIN, method=method, epochs=10, eval_every=5, **values)
    result = train(Task(base, items_of(method, 16), items_of(method, 4, "validation"), settings, folder), listener)
    return result, listener


def test_dpo_widens_the_margin_and_keeps_its_reference(base: Path, tmp_path: Path) -> None:
    result, listener = run(base, tmp_path, "dpo")
    first, last = listener.figures[1], listener.figures[20]
    assert first["reward_margin"] == pytest.approx(0.0, abs=1e-5)  # a fresh adapter is the reference
    assert last["reward_margin"] > 0.4
    assert last["reward_margin"] == pytest.approx(last["reward_chosen"] - last["reward_rejected"], abs=1e-5)
    assert last["reward_chosen"] > 0.0  # the likelihood term keeps it from falling
    assert last["accuracy"] == 1.0
    assert listener.figures[20]["eval_accuracy"] == 1.0
    assert result.best_loss < result.base_loss
    session, lessons = opened(base, replace(PLAIN, method="dpo"), items_of("dpo", 16))
    # What the run learned against all along is what the bare base model says.
    kept = load_file(tmp_path / "reference.safetensors")["log_probs"]
    assert torch.allclose(kept[:16], torch.tensor([lesson.reference for lesson in lessons]), atol=1e-4)
    with torch.no_grad(), session.model.disable_adapter():
        again = log_probs(session, lessons)
    assert torch.allclose(again, kept[:16], atol=1e-4)


def test_without_the_likelihood_term_the_margin_is_all_that_counts(base: Path, tmp_path: Path) -> None:
    _, with_it = run(base, tmp_path / "with", "dpo", nll_weight=5.0)
    _, without = run(base, tmp_path / "without", "dpo", nll_weight=0.0)
    assert without.figures[1]["loss"] == pytest.approx(0.6931, abs=1e-3)  # -log sigmoid(0)
    assert without.figures[20]["loss"] < 0.5
    assert with_it.figures[20]["reward_chosen"] > without.figures[20]["reward_chosen"]


def test_kto_moves_liked_and_disliked_answers_apart(base: Path, tmp_path: Path) -> None:
    result, listener = run(base, tmp_path, "kto")
    first, last = listener.figures[1], listener.figures[20]
    assert first["loss"] == pytest.approx(0.5, abs=1e-3)  # 1 - sigmoid(0)
    assert first["reward_margin"] == pytest.approx(0.0, abs=1e-5)
    assert last["reward_chosen"] > 0.3
    assert last["reward_rejected"] < last["reward_chosen"] - 0.4
    assert last["reward_margin"] == pytest.approx(last["reward_chosen"] - last["reward_rejected"])
    assert last["loss"] < 0.45
    assert result.best_loss < result.base_loss


@pytest.mark.parametrize(("kept", "grows"), [("desirable", True), ("undesirable", False)])
def test_thumbs_of_one_kind_alone_do_what_they_say(base: Path, tmp_path: Path, kept: str, grows: bool) -> None:
    made = [replace(item, desirable=grows) for item in items_of("sft", 16)]
    listener = Listener()
    train(Task(base, made, [], replace(PLAIN, method="kto", epochs=3), tmp_path), listener)
    reward = listener.figures[6]["reward_chosen" if grows else "reward_rejected"]
    assert (reward > 0.02) if grows else (reward < -0.02)
    assert listener.figures[6]["reward_rejected" if grows else "reward_chosen"] == 0.0


def test_the_drift_of_kto_is_measured_without_dropout_and_leaves_no_gradient(base: Path) -> None:
    session, lessons = prepared(base, "kto", dropout=0.5)
    session.model.train()
    recipe = RECIPES["kto"]()
    totals = recipe.totals(session, lessons)
    assert totals == recipe.totals(session, lessons)
    assert session.model.training
    assert all(value.grad is None for value in session.parameters.values())
    session.state.token_budget = 1
    assert recipe.totals(session, lessons)["moved"] == pytest.approx(totals["moved"], abs=1e-3)


@pytest.mark.parametrize("method", ["dpo", "kto"])
def test_a_going_on_adapter_is_its_own_reference(base: Path, tmp_path: Path, method: Method) -> None:
    """The next version is held to what the last one says, not to the base."""
    run(base, tmp_path / "one", method)
    start = tmp_path / "one" / "adapter" / "adapter_model.safetensors"
    listener = Listener()
    settings = replace(PLAIN, method=method, epochs=1)
    train(Task(base, items_of(method, 16), [], settings, tmp_path / "two", start=start), listener)
    assert listener.figures[1]["reward_margin"] == pytest.approx(0.0, abs=1e-4)
    first, second = (load_file(tmp_path / name / "reference.safetensors")["log_probs"] for name in ("one", "two"))
    assert not torch.allclose(first[:16], second, atol=0.1)


@ALL
def test_what_must_not_be_forgotten_is_measured_in_nats_an_answer_token(
    base: Path, tmp_path: Path, method: Method
) -> None:
    older = items_of("sft", 3)
    settings = replace(PLAIN, method=method, epochs=2, max_length=256)
    task = Task(base, items_of(method, 8), items_of(method, 2, "validation"), settings, tmp_path)
    result = train(replace(task, watched={"older": older, "none": []}), Listener())
    assert result.watched.keys() == {"older"}
    before, after = result.watched["older"]
    session, lessons = opened(base, replace(PLAIN, method="sft"), older)
    assert evaluate(work(session), lessons)[0] == pytest.approx(before, abs=1e-5)
    best = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    from peft import set_peft_model_state_dict

    set_peft_model_state_dict(session.model, best)
    assert evaluate(work(session), lessons)[0] == pytest.approx(after, abs=1e-5)
    assert before != after


@ALL
def test_in_validation_every_example_counts_alike(base: Path, tmp_path: Path, method: Method) -> None:
    found = []
    for name, weights in {"alike": [1.0, 1.0, 1.0], "unlike": [0.0, 3.0, 0.5]}.items():
        held_out = [
            replace(item, weight=weight)
            for item, weight in zip(items_of(method, 3, "validation"), weights, strict=True)
        ]
        listener = Listener()
        train(Task(base, items_of(method, 4), held_out, replace(PLAIN, method=method), tmp_path / name), listener)
        found.append([figures.get("eval_loss") for figures in listener.figures.values()])
    assert found[0] == found[1]


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
@ALL
def test_half_precision_learns_nearly_the_same(base: Path, method: Method, precision: Precision) -> None:
    exact, lessons = prepared(base, method, 8)
    half, _ = prepared(base, method, 8, precision=precision)
    for session in (exact, half):
        # Sums of log-probabilities are off by tenths of a nat; a small beta keeps that out of what is compared.
        session.settings = replace(session.settings, beta=0.01)
    wanted, found = learn(work(exact), lessons), learn(work(half), lessons)
    assert found.loss == pytest.approx(wanted.loss, rel=0.01)
    assert found.norm == pytest.approx(wanted.norm, rel=0.1)


@ALL
def test_an_evaluation_leaves_no_trace(base: Path, method: Method) -> None:
    session, lessons = prepared(base, method, dropout=0.3)
    before = {name: value.detach().clone() for name, value in session.parameters.items()}
    random = torch.get_rng_state()
    first = evaluate(work(session), lessons)
    assert evaluate(work(session), lessons) == first
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(value, before[name]) for name, value in session.parameters.items())
    assert all(value.grad is None for value in session.parameters.values())


@ALL
def test_gradient_checkpointing_changes_nothing(base: Path, tmp_path: Path, method: Method) -> None:
    made = items_of(method, 16)
    adapters = {}
    for switch in ("off", "on"):
        settings = replace(PLAIN, method=method, epochs=2, dropout=0.1, gradient_checkpointing=switch)
        train(Task(base, made, [], settings, tmp_path / switch), Listener())
        adapters[switch] = adapter_of(tmp_path / switch)
    for name, value in adapters["off"].items():
        assert torch.allclose(value, adapters["on"][name], atol=1e-6), name
