"""A base in 4 bits (QLoRA): what it computes, what it keeps in which type, what it learns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from training_kit import Listener, build_model, items, items_of, opened, shake

from core.train import optimizer as optimizer_module
from core.train.attention import NAME
from core.train.batches import collate
from core.train.config import Method, Precision, TrainSettings
from core.train.data import Encoder
from core.train.footprint import Device, quantizes
from core.train.loading import load_tokenizer
from core.train.loss import answer_losses
from core.train.optimizer import make_optimizer
from core.train.parallel import ALONE
from core.train.session import Session
from core.train.sft import Sft
from core.train.step import Work, evaluate, learn
from core.train.trainer import Task, train

pytestmark = pytest.mark.process  # importing bitsandbytes takes seconds
FOUR_BITS = TrainSettings(
    quantize_base="on", dropout=0.0, learning_rate=1e-2, batch_size=8, accumulation=1, warmup_ratio=0.0
)
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_model(tmp_path_factory.mktemp("wide") / "tiny", hidden=64, feed_forward=128)


def linear_layers(session: Session) -> Iterator[tuple[str, Any]]:
    for name, module in session.model.named_modules():
        if name.endswith("base_layer"):
            yield name, module


def unpacked(layer: Any) -> torch.Tensor:
    from bitsandbytes.functional import dequantize_4bit

    found: torch.Tensor = dequantize_4bit(layer.weight.data, layer.weight.quant_state)
    return found


@pytest.mark.parametrize("precision", DTYPES)
def test_only_the_linear_layers_are_in_4_bits_and_nothing_is_upcast(wide: Path, precision: Precision) -> None:
    session, _ = opened(wide, replace(FOUR_BITS, precision=precision), items(2))
    layers = dict(linear_layers(session))
    assert len(layers) == 2 * 7
    for layer in layers.values():
        state = layer.weight.quant_state
        assert (layer.weight.dtype, state.quant_type, state.nested) == (torch.uint8, "nf4", True)
        assert layer.compute_dtype == DTYPES[precision]
    rest = {
        name: value.dtype
        for name, value in session.model.named_parameters()
        if "base_layer" not in name and name not in session.parameters
    }
    assert len(rest) == 2 * 2 + 3  # the norms, the embeddings, the output layer
    assert set(rest.values()) == {DTYPES[precision]}
    assert {value.dtype for value in session.parameters.values()} == {torch.float32}
    assert session.dtype == DTYPES[precision]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("checkpointing", ["off", "on"])
def test_the_gradient_flows_through_every_4_bit_layer(
    wide: Path, precision: Precision, checkpointing: str, tmp_path: Path
) -> None:
    """Against the same model with the same rounded weights, kept in plain form."""
    settings = replace(FOUR_BITS, precision=precision, gradient_checkpointing=checkpointing)
    rounded, lessons = opened(wide, settings, items(6))
    plain, _ = opened(wide, replace(settings, quantize_base="off"), items(6))
    places = dict(plain.model.named_modules())
    for name, layer in linear_layers(rounded):
        places[name].weight.data.copy_(unpacked(layer))
    found = []
    for session in (rounded, plain):
        shake(session.parameters)
        work = Work(session, Sft(), ALONE, print)
        evaluate(work, lessons)  # a pass without gradients must not change what comes after it
        loss, _ = Sft().loss(session, lessons, Sft().totals(session, lessons))
        loss.backward()  # type: ignore[no-untyped-call]
        found.append((float(loss.detach()), {name: value.grad for name, value in session.parameters.items()}))
    (loss, gradients), (expected_loss, expected) = found
    near = 1e-4 if precision == "fp32" else 5e-2
    assert loss == pytest.approx(expected_loss, rel=near)
    for name, value in gradients.items():
        difference = float((value - expected[name]).norm() / expected[name].norm())
        assert difference < near, f"{name}: {difference:.1e}"


@pytest.mark.parametrize("method", ["sft", "dpo", "kto"])
def test_it_learns_and_the_4_bit_weights_stay(wide: Path, method: Method) -> None:
    session, lessons = opened(wide, replace(FOUR_BITS, method=method), items_of(method, 8))
    before = {name: (layer.weight.data.clone(), unpacked(layer)) for name, layer in linear_layers(session)}
    others = {
        name: value.detach().clone()
        for name, value in session.model.named_parameters()
        if name not in session.parameters and "base_layer" not in name
    }
    start = {name: value.detach().clone() for name, value in session.parameters.items()}
    from core.train.trainer import RECIPES

    work = Work(session, RECIPES[method](), ALONE, print)
    losses = [learn(work, lessons).loss for _ in range(8)]
    assert losses[-1] < losses[0] - (0.3 if method != "kto" else 0.01)
    evaluate(work, lessons)
    with session.inference() as model:
        model.generate(torch.tensor([[5, 6, 7]]), max_new_tokens=3, do_sample=False)
    for name, layer in linear_layers(session):
        assert torch.equal(layer.weight.data, before[name][0]), name
        assert torch.equal(unpacked(layer), before[name][1]), name
    named = dict(session.model.named_parameters())
    assert all(torch.equal(named[name], value) for name, value in others.items())
    assert all(not torch.equal(value, start[name]) for name, value in session.parameters.items())


def test_the_adapter_fits_the_base_that_is_not_in_4_bits(wide: Path, tmp_path: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    held_out = items(4, "validation")
    result = train(Task(wide, items(16), held_out, replace(FOUR_BITS, epochs=4), tmp_path), Listener())
    assert result.base_loss is not None
    assert result.best_loss is not None
    assert result.best_loss < result.base_loss - 0.5
    text = (tmp_path / "adapter" / "adapter_config.json").read_text()
    assert "bitsandbytes" not in text
    base = AutoModelForCausalLM.from_pretrained(wide, attn_implementation=NAME, dtype=torch.float32)
    loaded: Any = PeftModel.from_pretrained(base, str(tmp_path / "adapter")).eval()
    tokenizer = load_tokenizer(wide)
    lessons = Encoder(tokenizer, 512).encode_items(held_out).lessons
    with torch.no_grad():
        value = float(answer_losses(loaded.get_base_model(), collate(lessons)).mean())
    assert value == pytest.approx(result.best_loss, rel=0.05)  # rounding to 4 bits is all that is between them
    merged = loaded.merge_and_unload()
    with torch.no_grad():
        assert float(answer_losses(merged, collate(lessons)).mean()) == pytest.approx(value, rel=1e-4)


def test_generation_says_the_same_before_and_after_a_step_of_zero(wide: Path) -> None:
    session, lessons = opened(wide, replace(FOUR_BITS, learning_rate=1e-8), items(4))

    def answer() -> list[int]:
        with session.inference() as model:
            made = model.generate(torch.tensor([[5, 6, 7, 8]]), max_new_tokens=8, do_sample=False)
        return [int(token) for token in made[0]]

    first = answer()
    assert session.model.get_base_model().config._attn_implementation == NAME
    learn(Work(session, Sft(), ALONE, print), lessons)
    assert answer() == first


def test_4_bits_by_themselves_only_where_a_gpu_would_be_filled() -> None:
    gpu, cpu = Device("cuda", "a card", 11 * 10**9, 12 * 10**9), Device("cpu", "CPU", 8 * 10**9)
    automatic = TrainSettings()
    assert not quantizes(automatic, cpu, 7 * 10**9)
    assert quantizes(automatic, gpu, 7 * 10**9)
    assert not quantizes(automatic, gpu, 10**9)
    assert quantizes(TrainSettings(quantize_base="on"), cpu, 10)
    assert not quantizes(TrainSettings(quantize_base="off"), gpu, 7 * 10**9)


def test_which_optimizer_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    import bitsandbytes

    from core.errors import RunError

    parameters = {"a": torch.nn.Parameter(torch.zeros(4))}
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    eight, automatic = TrainSettings(optimizer="adamw_8bit", weight_decay=0.1), TrainSettings()
    made = make_optimizer(parameters, eight, cpu)
    assert type(made) is bitsandbytes.optim.AdamW8bit
    assert (made.param_groups[0]["lr"], made.param_groups[0]["weight_decay"]) == (2e-4, 0.1)
    assert type(make_optimizer(parameters, automatic, gpu)) is bitsandbytes.optim.PagedAdamW8bit
    assert type(make_optimizer(parameters, automatic, cpu)) is torch.optim.AdamW
    assert type(make_optimizer(parameters, TrainSettings(optimizer="adamw"), gpu)) is torch.optim.AdamW
    monkeypatch.setattr(optimizer_module, "has_bitsandbytes", lambda: False)
    assert type(make_optimizer(parameters, automatic, gpu)) is torch.optim.AdamW
    with pytest.raises(RunError, match="bitsandbytes") as caught:
        make_optimizer(parameters, eight, cpu)
    assert "adamw" in caught.value.hint


def test_the_8_bit_optimizer_learns_like_the_plain_one(wide: Path) -> None:
    ends = {}
    for name in ("adamw", "adamw_8bit"):
        settings = replace(FOUR_BITS, quantize_base="off", optimizer=name, rank=64, alpha=64, learning_rate=2e-3)
        session, lessons = opened(wide, settings, items(8))
        work = Work(session, Sft(), ALONE, print)
        losses = [learn(work, lessons).loss for _ in range(12)]
        assert losses[-1] < losses[0] - 0.3
        ends[name] = losses[-1]
    assert ends["adamw_8bit"] == pytest.approx(ends["adamw"], rel=0.05)
