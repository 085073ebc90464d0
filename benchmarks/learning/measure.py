"""One arm with one seed: choose, train for the same number of steps as every other arm, answer the test."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any, Final

from assets import ASSETS
from benchmarks.learning.world import FALLBACK, World, true_score
from core.train.config import TrainSettings
from core.train.presets import PRESETS
from core.validate.generic import is_generic
from storage.rows import DatasetItem

if TYPE_CHECKING:
    from transformers import PreTrainedModel

BASE: Final = ASSETS / "demo" / "model"
STEPS: Final = 20
"""Three passes over fifty examples, as many as the product makes by default."""
BATCH: Final = 8
SUCCESS: Final = 70.0
HARD_BELOW: Final = 60.0
"""A test prompt is a hard case when the untouched base model's answer scores below this."""
_ANSWERS_AT_ONCE: Final = 40


class Quiet:
    """A run that nobody watches."""

    def step(self, step: int, total: int, figures: Mapping[str, float]) -> None:
        """Nothing to show."""

    def note(self, text: str) -> None:
        """Nothing to say."""

    def should_stop(self) -> bool:
        """Never."""
        return False


def ask(prompts: Sequence[str], temperature: float, seed: int, adapter: Path | None = None) -> list[str]:
    """Answers of the base model, or of the base model with an adapter; temperature 0 is greedy."""
    import torch

    from assets.demo.evaluate import answer
    from assets.demo.tokens import load_tokenizer

    model = _model(adapter)
    tokenizer = load_tokenizer(BASE)
    torch.manual_seed(seed)
    # Alike lengths share a batch: nothing waits for the longest answer of all.
    order = sorted(range(len(prompts)), key=lambda at: len(prompts[at]))
    answers = [""] * len(prompts)
    for start in range(0, len(order), _ANSWERS_AT_ONCE):
        places = order[start : start + _ANSWERS_AT_ONCE]
        given = answer(model, tokenizer, [prompts[at] for at in places], temperature=temperature)
        for at, text in zip(places, given, strict=True):
            answers[at] = text
    return answers


def learn(items: Sequence[DatasetItem], steps: int, seed: int, folder: Path) -> tuple[Path, dict[str, float]]:
    """Trains for exactly `steps` steps; the adapter's folder, and seconds and tokens."""
    from core.train.trainer import Task, train

    settings = TrainSettings.from_mapping(
        {**PRESETS["demo"].settings, "epochs": 1, "seed": seed, "save_every": 100_000, "eval_every": 100_000}
    )
    settings = replace(settings, batch_size=BATCH, accumulation=1)
    started = time.monotonic()
    result = train(Task(BASE, unrolled(items, steps * BATCH), [], settings, folder), Quiet())
    assert result.adapter is not None and result.step == steps
    return result.adapter, {"train_seconds": time.monotonic() - started, "tokens": result.tokens}


def unrolled(items: Sequence[DatasetItem], count: int) -> list[DatasetItem]:
    """The items in their order, as often as it takes; the last pass is thinned out evenly and so has all stages."""
    passes, rest = divmod(count, len(items))
    return [*items] * passes + [items[at * len(items) // rest] for at in range(rest)]


def examine(world: World, answers: Sequence[str]) -> dict[str, Any]:
    """The figures of answers to the test: scores 0-100, shares 0-1."""
    scores = [true_score(request, text) for request, text in zip(world.test, answers, strict=True)]
    base = [true_score(request, text) for request, text in zip(world.test, world.test_answers, strict=True)]
    hard = [score for score, untouched in zip(scores, base, strict=True) if untouched < HARD_BELOW]
    generic = [
        is_generic(request.prompt, text, (FALLBACK,)) is not None
        for request, text in zip(world.test, answers, strict=True)
    ]
    return {
        "score": fmean(scores),
        "success": fmean(score >= SUCCESS for score in scores),
        "hard_success": fmean(score >= SUCCESS for score in hard),
        "generic": fmean(generic),
    }


def contents(world: World, items: Sequence[DatasetItem], scores: Mapping[int, float | None]) -> dict[str, Any]:
    """What a batch is made of; `scores` are those of the outputs as they were recorded, by event."""
    by_prompt = {row.prompt: row.request for row in world.rows}
    known = world.requests
    targets = [
        true_score(known[by_prompt[each.prompt]], each.target)
        for each in items
        if each.prompt in by_prompt  # what augmentation reworded is not looked up
    ]
    hard = [(score := scores.get(each.event_id)) is not None and score < HARD_BELOW for each in items]
    return {
        "examples": len(items),
        "distinct": len({(each.prompt, each.target) for each in items}),
        "target_score": fmean(targets),
        "flawed": fmean(score < 99.0 for score in targets),
        "generic_targets": fmean(is_generic(each.prompt, each.target, (FALLBACK,)) is not None for each in items),
        "hard_share": fmean(hard),
    }


def run(world: World, items: Sequence[DatasetItem], *, steps: int = STEPS, seed: int) -> dict[str, Any]:
    """Trains on the items and examines the result."""
    with tempfile.TemporaryDirectory() as folder:
        adapter, cost = learn(items, steps, seed, Path(folder))
        return {**examine(world, ask([each.prompt for each in world.test], 0.0, seed, adapter)), **cost, "steps": steps}


def _model(adapter: Path | None) -> PreTrainedModel:
    import torch
    from transformers import LlamaForCausalLM

    model = LlamaForCausalLM.from_pretrained(BASE, dtype=torch.float32)
    if adapter is None:
        return model
    from peft import PeftModel

    return PeftModel.from_pretrained(model, adapter).merge_and_unload()
