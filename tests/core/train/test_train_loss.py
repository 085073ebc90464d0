"""The loss against transformers' own, the weights, and what moves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from training_kit import Listener, items

from core.errors import ModelError
from core.train import attention
from core.train import loss as loss_module
from core.train.batches import collate
from core.train.config import TrainSettings
from core.train.data import Encoder
from core.train.loss import answer_losses, check_output_layer
from core.train.trainer import Task, train

PLAIN = TrainSettings(epochs=1, dropout=0.0, learning_rate=1e-2, batch_size=4, accumulation=1, warmup_ratio=0.0)


@pytest.fixture(scope="module")
def model(base: Path) -> Any:
    """As training loads it: attention that knows where in a row an example begins."""
    from core.train.loading import load_model

    return load_model(base, PLAIN, torch.device("cpu"), torch.float32)


def adapter_of(folder: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    loaded: dict[str, torch.Tensor] = load_file(folder / "adapter" / "adapter_model.safetensors")
    return loaded


def run(base: Path, folder: Path, settings: TrainSettings, count: int = 8) -> Any:
    train(Task(base, items(count), items(2, "validation"), settings, folder), Listener())
    return adapter_of(folder)


@pytest.mark.parametrize("chunk_bytes", [64 * 2**20, 4 * 384 * 5])
def test_loss_and_gradients_equal_those_of_transformers(
    base: Path, model: Any, tokenizer: Any, monkeypatch: pytest.MonkeyPatch, chunk_bytes: int
) -> None:
    from transformers import AutoModelForCausalLM

    monkeypatch.setattr(loss_module, "LOGIT_CHUNK_BYTES", chunk_bytes)
    lessons = Encoder(tokenizer, 512).encode_items(items(5)).lessons
    examples = [lesson.examples[0] for lesson in lessons]
    width = max(len(example.ids) for example in examples)
    ids = torch.full((5, width), 3)
    labels, mask = torch.full((5, width), -100), torch.zeros(5, width, dtype=torch.int64)
    for row, example in enumerate(examples):
        length = len(example.ids)
        ids[row, :length] = torch.tensor(example.ids)
        labels[row, example.answer_start : length] = ids[row, example.answer_start : length]
        mask[row, :length] = 1
    plain = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32, attn_implementation="eager").eval()
    reference = plain(input_ids=ids, attention_mask=mask, labels=labels).loss
    (expected,) = torch.autograd.grad(reference, plain.model.layers[0].mlp.up_proj.weight)
    weight = model.model.layers[0].mlp.up_proj.weight.requires_grad_()
    ours = answer_losses(model, collate(lessons)).mean()
    (gradient,) = torch.autograd.grad(ours, weight)
    weight.requires_grad_(False)
    assert float(ours.detach()) == pytest.approx(float(reference.detach()), abs=1e-6)
    assert torch.allclose(gradient, expected, rtol=1e-4, atol=1e-7)


def test_an_output_layer_that_does_more_is_refused(model: Any) -> None:
    check_output_layer(model)
    head = model.lm_head.forward
    model.forward_original = model.forward

    def scaled(**arguments: Any) -> Any:
        result = model.forward_original(**arguments)
        result.logits = result.logits * 2
        return result

    model.forward = scaled
    try:
        with pytest.raises(ModelError, match="llama"):
            check_output_layer(model)
    finally:
        model.forward = model.forward_original
        assert model.lm_head.forward == head


def test_accumulation_does_not_change_the_result(base: Path, tmp_path: Path) -> None:
    at_once = run(base, tmp_path / "a", replace(PLAIN, batch_size=4, accumulation=1))
    one_by_one = run(base, tmp_path / "b", replace(PLAIN, batch_size=1, accumulation=4, max_length=90))
    assert at_once.keys() == one_by_one.keys()
    for name, value in at_once.items():
        assert torch.allclose(value, one_by_one[name], atol=1e-6), name


def test_every_adapter_weight_moves_and_the_base_does_not(base: Path, tmp_path: Path) -> None:
    before = (base / "model.safetensors").read_bytes()
    # In a fresh adapter B is zero, so that A gets its first gradient in the second step.
    still = run(base, tmp_path / "still", replace(PLAIN, learning_rate=1e-8), count=8)
    moved = run(base, tmp_path / "moved", PLAIN, count=8)
    assert len(moved) == 2 * 7 * 2
    for name, value in moved.items():
        assert not torch.allclose(value, still[name], atol=1e-5), name
    assert (base / "model.safetensors").read_bytes() == before


def test_weight_one_is_the_plain_loss_and_weight_zero_teaches_nothing(
    base: Path, tmp_path: Path, model: Any, tokenizer: Any
) -> None:
    made = items(4)
    with torch.no_grad():
        losses = answer_losses(model, collate(Encoder(tokenizer, 512).encode_items(made).lessons))
    for weight in (0.0, 1.0, 2.0):
        listener = Listener()
        weighted = [replace(item, weight=weight) for item in made]
        train(Task(base, weighted, [], PLAIN, tmp_path / str(weight)), listener)
        # A fresh adapter changes nothing, so that the first loss is the base model's.
        assert listener.figures[1]["loss"] == pytest.approx(weight * float(losses.mean()), abs=2e-6)
        moved = [value for name, value in adapter_of(tmp_path / str(weight)).items() if "lora_B" in name]
        assert len(moved) == 14
        assert all(bool(value.any()) == (weight > 0) for value in moved)


def test_the_published_adapter_loads_with_peft_and_gives_the_best_loss(
    base: Path, tmp_path: Path, tokenizer: Any
) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    made, held_out = items(16), items(3, "validation")
    result = train(Task(base, made, held_out, replace(PLAIN, epochs=3), tmp_path), Listener())
    assert result.status == "finished"
    assert result.base_loss is not None
    assert result.best_loss is not None
    assert result.best_loss < result.base_loss
    attention.register()
    plain = AutoModelForCausalLM.from_pretrained(base, attn_implementation=attention.NAME)
    loaded: Any = PeftModel.from_pretrained(plain, str(tmp_path / "adapter")).eval()
    lessons = Encoder(tokenizer, 512).encode_items(held_out).lessons
    with torch.no_grad():
        losses = answer_losses(loaded.get_base_model(), collate(lessons))
    assert float(losses.mean()) == pytest.approx(result.best_loss, abs=1e-5)
    names = sorted(path.name for path in (tmp_path / "adapter").iterdir())
    assert names == ["adapter_config.json", "adapter_model.safetensors", "training.json"]
    assert str(base) not in (tmp_path / "adapter" / "adapter_config.json").read_text()
