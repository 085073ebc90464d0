"""The memory plan: what a step keeps, by family, type and method, and what is offered where it does not fit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from training_kit import build_model

from core.errors import ModelError
from core.train.base_model import read_config
from core.train.config import TrainSettings
from core.train.footprint import Device, Load, adapter_parameters, model_shape
from core.train.memory import detect_device, estimate
from core.train.presets import PRESETS

GB = 10**9
ROOMY = Device("cpu", "CPU", 64 * GB)


def card(size: float) -> Device:
    return Device("cuda", "GPU", int(size * GB), int(size * GB))


def family(folder: Path, name: str) -> Path:
    """The tiny model of the tests, as another architecture with random weights."""
    import transformers

    build_model(folder, hidden=128, feed_forward=352, layers=3)
    if name == "Llama":
        return folder
    config = getattr(transformers, f"{name}Config")(
        hidden_size=128,
        intermediate_size=352,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=4 if name == "Phi3" else 2,
        head_dim=32,
        vocab_size=384,
        sliding_window=64,
        pad_token_id=3,
    )
    (folder / "model.safetensors").unlink()
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    return folder


def kept_bytes(folder: Path, settings: TrainSettings, lessons: list[Any]) -> int:
    """What torch keeps for the backward pass of these lessons, weights aside."""
    import torch
    from transformers import AutoTokenizer

    from core.train.batches import collate
    from core.train.loss import answer_losses
    from core.train.session import open_session

    session = open_session(folder, settings, AutoTokenizer.from_pretrained(folder))
    session.model.train()
    own = {value.untyped_storage().data_ptr() for value in (*session.model.parameters(), *session.model.buffers())}
    kept: dict[int, tuple[int, torch.Tensor]] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = (storage.nbytes(), tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor), session.autocast():
        losses = answer_losses(session.model.get_base_model(), collate(lessons))
    assert losses.isfinite().all()
    return sum(size for size, _ in kept.values())


CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "plain": ("Llama", {}),
    "no dropout": ("Llama", {"dropout": 0.0}),
    "half precision": ("Llama", {"precision": "bf16"}),
    "half, no dropout": ("Llama", {"precision": "bf16", "dropout": 0.0}),
    "4 bits": ("Llama", {"quantize_base": "on"}),
    "4 bits, half precision": ("Llama", {"quantize_base": "on", "precision": "bf16", "rank": 32}),
    "Qwen 3": ("Qwen3", {}),
    "Gemma 2": ("Gemma2", {}),
    "Gemma 2 in half precision": ("Gemma2", {"precision": "bf16"}),
    "Gemma 3": ("Gemma3Text", {}),
    "Phi 3": ("Phi3", {}),
}


@pytest.mark.parametrize("case", CASES)
def test_the_estimated_activations_are_what_torch_keeps(tmp_path: Path, case: str) -> None:
    from core.train.data import Example, Lesson

    name, chosen = CASES[case]
    folder = family(tmp_path / "model", name)
    settings = TrainSettings(max_length=256, gradient_checkpointing="off", **chosen)
    found = kept_bytes(folder, settings, [Lesson((Example(tuple(range(5, 261)), 255),))])
    plan = estimate(read_config(folder), settings, ROOMY, Load(256, 1, 256))
    assert plan.parts["activations"] == pytest.approx(found, rel=0.05)


def test_several_lessons_and_pairs_that_share_a_prompt(tmp_path: Path) -> None:
    from core.train.data import Example, Lesson

    folder, settings = family(tmp_path / "model", "Llama"), TrainSettings(max_length=256, dropout=0.0)
    prompt = tuple(range(5, 165))
    chosen, rejected = Example((*prompt, *range(96)), 160), Example((*prompt, *range(100, 196)), 160)
    pairs = [Lesson((chosen, rejected), shared=160)] * 2
    plan = estimate(read_config(folder), settings, ROOMY, Load(2 * 352, 4 * 96, 256, copied=2 * 256))
    assert plan.parts["activations"] == pytest.approx(kept_bytes(folder, settings, pairs), rel=0.05)
    several = estimate(read_config(folder), settings, ROOMY, Load(3 * 256, 3 * 96, 256))
    assert several.parts["activations"] == pytest.approx(
        kept_bytes(folder, settings, [Lesson((chosen,))] * 3), rel=0.05
    )


def test_the_weights_in_four_bits_and_the_state_in_eight(tmp_path: Path) -> None:
    import torch
    from transformers import AutoTokenizer

    from core.train.session import open_session

    folder = family(tmp_path / "model", "Llama")
    settings = TrainSettings(quantize_base="on", optimizer="adamw_8bit", rank=64)
    session = open_session(folder, settings, AutoTokenizer.from_pretrained(folder))
    held = 0
    for name, value in session.model.named_parameters():
        if "lora_" not in name:
            held += value.nbytes
            state = getattr(value, "quant_state", None)
            if state is not None:
                held += state.absmax.nbytes + state.state2.absmax.nbytes
    parts = estimate(read_config(folder), settings, ROOMY).parts
    assert parts["weights"] == pytest.approx(held, rel=0.01)
    for value in session.parameters.values():
        value.grad = torch.zeros_like(value)
    session.optimizer.step()
    states = [
        kept
        for state in session.optimizer.state.values()
        for name, kept in state.items()
        if isinstance(kept, torch.Tensor) and not name.startswith("qmap")
    ]
    assert parts["optimizer"] == pytest.approx(sum(kept.nbytes for kept in states), rel=0.02)
    assert parts["adapter"] == 2 * sum(value.nbytes for value in session.parameters.values())


def test_what_the_settings_allow_at_most() -> None:
    assert Load.most(TrainSettings(batch_size=3, max_length=100)) == Load(300, 300, 100)
    assert Load.most(TrainSettings(method="dpo", max_length=100)) == Load(200, 200, 100, copied=100)
    assert Load.most(TrainSettings(method="dpo", batch_size=4, max_length=100)).tokens == 400


@pytest.mark.parametrize(
    ("name", "billions"),
    [("codellama-7b", 6.74), ("llama-3-8b", 8.03), ("llama-3.2-3b", 3.21), ("mistral-7b", 7.25), ("qwen3-1.7b", 1.72)],
)
def test_the_parameters_of_known_models(name: str, billions: float) -> None:
    assert model_shape(PRESETS[name].config).parameters / 1e9 == pytest.approx(billions, rel=0.01)


def test_the_parameters_of_the_tiny_model_exactly(base: Path) -> None:
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    shape = model_shape(read_config(base))
    model = AutoModelForCausalLM.from_pretrained(base)
    assert shape.parameters == sum(value.numel() for value in model.parameters())
    adapted = get_peft_model(model, LoraConfig(r=8, target_modules="all-linear", task_type="CAUSAL_LM"))
    assert adapter_parameters(shape, 8) == sum(value.numel() for value in adapted.parameters() if value.requires_grad)


def test_a_plan_says_what_fits_and_offers_what_does() -> None:
    config = PRESETS["codellama-7b"].config
    settings = TrainSettings(batch_size=8, accumulation=1, max_length=2048, quantize_base="off", optimizer="adamw")
    large = estimate(config, settings, card(80))
    assert (large.verdict, large.suggestion) == ("fits", None)
    assert 13.4 * GB < large.parts["weights"] < 13.6 * GB
    exactly = Device("cuda", "GPU", large.total + 1)
    assert estimate(config, settings, exactly).verdict == "tight"
    small = estimate(config, settings, card(24))
    assert small.verdict == "does not fit"
    assert "of 24.0 GB free on the GPU" in small.sentence
    # What leaves the result as it is comes first, then 4 bits, the optimizer, the length, and last the rank.
    assert small.suggestion == replace(settings, batch_size=2, accumulation=4)
    alone = {"batch_size": 1, "accumulation": 8, "gradient_checkpointing": "on"}
    assert estimate(config, settings, card(12)).suggestion == replace(settings, **alone, quantize_base="on")
    offered = estimate(config, settings, card(7)).suggestion
    assert offered is not None
    assert offered.effective_batch == 8
    assert (offered.quantize_base, offered.optimizer, offered.rank) == ("on", "adamw_8bit", 8)
    assert 128 <= offered.max_length < 2048
    assert estimate(config, offered, card(7)).verdict == "fits"
    assert estimate(config, settings, card(5)).suggestion is None


@pytest.mark.parametrize(("size", "batch"), [(8, 1), (12, 2), (16, 4), (24, 8)])
def test_what_a_card_holds_of_a_7b_model_in_four_bits(size: int, batch: int) -> None:
    """The guidance of the form: 8 GB for one example of 2,048 tokens, 12 for 2, 16 for 4, 24 for 8."""
    config = PRESETS["codellama-7b"].config
    for examples, verdict in ((batch, {"fits"}), (2 * batch, {"tight", "does not fit"})):
        settings = TrainSettings(batch_size=examples, max_length=2048, quantize_base="on")
        assert estimate(config, settings, card(size)).verdict in verdict


def test_a_7b_and_an_8b_model_with_the_default_settings() -> None:
    for name, limit, size in (("codellama-7b", 6.0, 8), ("llama-3-8b", 7.5, 12)):
        plan = estimate(PRESETS[name].config, TrainSettings(), card(size))
        assert 0.8 * limit * GB < plan.total <= limit * GB
        assert plan.verdict == "fits"
    # On a large card the base stays as it is, unless it would fill a third of it.
    assert estimate(PRESETS["codellama-7b"].config, TrainSettings(), card(80)).parts["weights"] > 13 * GB


def test_processes_of_one_computer_share_its_memory() -> None:
    config, two = PRESETS["qwen3-1.7b"].config, TrainSettings(processes=2)
    alone = TrainSettings()
    assert estimate(config, two, ROOMY).total == 2 * estimate(config, alone, ROOMY).total
    assert estimate(config, two, card(24)).total == estimate(config, alone, card(24)).total


def test_more_of_anything_takes_more_memory() -> None:
    config, device = PRESETS["llama-3.2-3b"].config, Device("cuda", "GPU", 24 * GB)
    plain = TrainSettings(gradient_checkpointing="off")
    total = estimate(config, plain, device).total
    for name, value in {"batch_size": 2, "max_length": 1024, "rank": 16, "precision": "fp32"}.items():
        assert estimate(config, replace(plain, **{name: value}), device).total > total, name  # type: ignore[arg-type]
    assert estimate(config, replace(plain, gradient_checkpointing="on"), device).total < total


def test_an_unknown_architecture_and_the_own_machine() -> None:
    with pytest.raises(ModelError, match="mamba"):
        model_shape({"model_type": "mamba", "hidden_size": 8})
    assert detect_device().free > 0
