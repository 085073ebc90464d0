"""The three methods against TRL's own trainers: the same model, adapter and tokens give the same loss and gradients."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from training_kit import items_of, opened, shake

from core.train.config import Method, TrainSettings
from core.train.data import Lesson
from core.train.trainer import RECIPES

pytestmark = [
    pytest.mark.process,  # importing TRL takes ten seconds
    pytest.mark.filterwarnings("ignore"),
]
COUNT = 6


@pytest.fixture(autouse=True, scope="module")
def caches(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The libraries behind TRL decide where their caches lie when they are imported."""
    patch = pytest.MonkeyPatch()
    patch.setenv("HF_HOME", str(tmp_path_factory.mktemp("hf")))
    patch.setenv("HF_DATASETS_CACHE", str(tmp_path_factory.mktemp("datasets")))
    import trl.trainer.dpo_trainer
    import trl.trainer.kto_trainer
    import trl.trainer.sft_trainer  # noqa: F401

    patch.undo()


@dataclass(frozen=True)
class Ours:
    """A step: its loss, gradients and figures, and what it learned from."""

    loss: float
    gradients: Mapping[str, torch.Tensor]
    figures: Mapping[str, float]
    lessons: Sequence[Lesson]


def ours(base: Path, settings: TrainSettings, *, seed: int = 3) -> Ours:
    """A step in two passes; the reference is the bare base model."""
    session, lessons = opened(base, settings, items_of(settings.method, COUNT))
    shake(session.parameters, seed=seed)
    recipe = RECIPES[settings.method]()
    session.model.train()
    totals = recipe.totals(session, lessons)
    loss, figures = 0.0, Counter[str]()
    for part in (lessons[:2], lessons[2:]):
        share, told = recipe.loss(session, part, totals)
        share.backward()  # type: ignore[no-untyped-call]
        loss += float(share.detach())
        figures.update(told)  # type: ignore[arg-type]
    gradients = {name: value.grad for name, value in session.parameters.items() if value.grad is not None}
    assert len(gradients) == 2 * 7 * 2
    return Ours(loss, gradients, figures, lessons)  # type: ignore[arg-type]


def theirs(
    trainer: Any, rows: Sequence[Mapping[str, Any]], *, seed: int = 3, **arguments: Any
) -> tuple[float, dict[str, torch.Tensor]]:
    """What the trainer's own collator and loss make of the same tokens."""
    parameters = {name: value for name, value in trainer.model.named_parameters() if value.requires_grad}
    shake(parameters, seed=seed)
    trainer.model.train()
    batch = trainer.data_collator([dict(row) for row in rows])
    loss = trainer.compute_loss(trainer.model, batch, **arguments)
    loss.backward()
    return float(loss.detach()), {name: value.grad for name, value in parameters.items()}


def assert_equal(mine: Ours, other: tuple[float, Mapping[str, torch.Tensor]]) -> None:
    loss, gradients = other
    assert mine.loss == pytest.approx(loss, rel=1e-5)
    assert mine.gradients.keys() == gradients.keys()
    for name, expected in gradients.items():
        scale = float(expected.abs().max())
        assert scale > 0
        difference = float((mine.gradients[name] - expected).abs().max())
        assert difference <= 1e-5 * scale, f"{name}: {difference / scale:.1e}"


def assert_figures(mine: Ours, trainer: Any, names: Mapping[str, str]) -> None:
    """Our figures against the metrics of TRL, which have other names."""
    told = trainer._metrics["train"]
    for name, their in names.items():
        assert mine.figures[name] == pytest.approx(told[their][-1], rel=1e-4, abs=2e-5), name


def parts(base: Path, settings: TrainSettings) -> dict[str, Any]:
    """What every trainer of TRL is made of here: transformers' own attention over padded rows."""
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer

    return {
        "model": AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32, attn_implementation="eager"),
        "processing_class": AutoTokenizer.from_pretrained(base),
        "peft_config": LoraConfig(
            r=settings.rank,
            lora_alpha=settings.alpha,
            lora_dropout=0.0,
            target_modules="all-linear",
            task_type="CAUSAL_LM",
        ),
    }


def arguments(folder: Path) -> dict[str, Any]:
    return {
        "output_dir": str(folder),
        "use_cpu": True,
        "bf16": False,
        "gradient_checkpointing": False,
        "report_to": [],
        "max_length": None,
        "per_device_train_batch_size": COUNT,
    }


def settings_of(method: Method, **values: Any) -> TrainSettings:
    return TrainSettings(method=method, dropout=0.0, batch_size=COUNT, **values)


def test_sft(base: Path, tmp_path: Path) -> None:
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    settings = settings_of("sft")
    mine = ours(base, settings)
    examples = [lesson.examples[0] for lesson in mine.lessons]
    rows = [
        {
            "input_ids": list(one.ids),
            "labels": [-100] * one.answer_start + list(one.ids[one.answer_start :]),
        }
        for one in examples
    ]
    trainer = SFTTrainer(
        args=SFTConfig(**arguments(tmp_path)), train_dataset=Dataset.from_list(rows), **parts(base, settings)
    )
    answers = sum(one.answer_tokens for one in examples)
    assert_equal(mine, theirs(trainer, rows, num_items_in_batch=answers))


@pytest.mark.parametrize(("beta", "nll_weight"), [(0.1, 1.0), (0.5, 0.2), (0.1, 0.0)])
def test_dpo(base: Path, tmp_path: Path, beta: float, nll_weight: float) -> None:
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer

    settings = settings_of("dpo", beta=beta, nll_weight=nll_weight)
    mine = ours(base, settings)
    rows = []
    for lesson in mine.lessons:
        chosen, rejected = lesson.examples
        assert chosen.answer_start < lesson.shared  # more than the prompt is computed once
        rows.append(
            {
                "prompt_ids": list(chosen.ids[: chosen.answer_start]),
                "chosen_ids": list(chosen.ids[chosen.answer_start :]),
                "rejected_ids": list(rejected.ids[rejected.answer_start :]),
            }
        )
    kinds = {"loss_type": ["sigmoid", "sft"], "loss_weights": [1.0, nll_weight]} if nll_weight else {}
    trainer = DPOTrainer(
        args=DPOConfig(beta=beta, **kinds, **arguments(tmp_path)),
        train_dataset=Dataset.from_list([{"prompt": "a", "chosen": "b", "rejected": "c"}]),
        **parts(base, settings),
    )
    assert_equal(mine, theirs(trainer, rows))
    names = {f"reward_{name}": f"rewards/{name}" for name in ("chosen", "rejected")}
    assert_figures(mine, trainer, {**names, "reward_margin": "rewards/margins", "accuracy": "rewards/accuracies"})
    assert mine.figures["reward_margin"] != 0.0


@pytest.mark.parametrize(
    ("weights", "seed", "drifted"),
    [((1.0, 1.0), 2, True), ((1.0, 1.0), 3, False), ((1.5, 0.5), 2, True), ((0.25, 2.0), 2, True)],
)
def test_kto(base: Path, tmp_path: Path, weights: tuple[float, float], seed: int, drifted: bool) -> None:
    from datasets import Dataset
    from trl import KTOConfig, KTOTrainer

    liked, disliked = weights
    settings = settings_of("kto", beta=0.3, desirable_weight=liked, undesirable_weight=disliked)
    mine = ours(base, settings, seed=seed)
    assert {lesson.desirable for lesson in mine.lessons} == {True, False}
    rows = []
    for lesson in mine.lessons:
        own, other = lesson.examples
        rows.append(
            {
                "prompt_ids": list(own.ids[: own.answer_start]),
                "completion_ids": list(own.ids[own.answer_start :]),
                "KL_completion_ids": list(other.ids[other.answer_start :]),
                "label": lesson.desirable,
            }
        )
    trainer = KTOTrainer(
        args=KTOConfig(beta=0.3, desirable_weight=liked, undesirable_weight=disliked, **arguments(tmp_path)),
        train_dataset=Dataset.from_list([{"prompt": "a", "completion": "b", "label": True}] * COUNT),
        **parts(base, settings),
    )
    assert_equal(mine, theirs(trainer, rows, seed=seed))
    names = {f"reward_{name}": f"rewards/{name}" for name in ("chosen", "rejected")}
    assert_figures(mine, trainer, {**names, "reward_margin": "rewards/margins"})
    assert (trainer._metrics["train"]["kl"][0] > 0) is drifted
