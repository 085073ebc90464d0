from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from training_kit import items, opened

from core.errors import ModelError
from core.train.config import TrainSettings

torch = pytest.importorskip("torch")
peft = pytest.importorskip("peft")

from core.train.lora import FusedLinear, _kept  # noqa: E402


def _adapted(fused: bool, prepare: Callable[[Any], Any] = lambda layer: layer, dropout: float = 0.0) -> Any:
    """Two layers with the same weights and adapters, whichever class computes them."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        prepare(torch.nn.Linear(64, 96)), torch.nn.SiLU(), prepare(torch.nn.Linear(96, 32, bias=False))
    ).requires_grad_(False)
    config = peft.LoraConfig(r=4, lora_alpha=8, lora_dropout=dropout, target_modules=["0", "2"])
    if fused:
        config._register_custom_module({torch.nn.Linear: FusedLinear})
    adapted = peft.get_peft_model(model, config)
    drawn = torch.Generator().manual_seed(1)
    for parameter in adapted.parameters():
        if parameter.requires_grad:
            parameter.data = torch.randn(parameter.shape, generator=drawn)
    return adapted


def _learned(model: Any) -> list[Any]:
    """The output and every gradient, that of the input first."""
    x = torch.randn(2, 5, 64, generator=torch.Generator().manual_seed(2)).requires_grad_()
    out = model.train()(x)
    out.square().mean().backward()
    return [out.detach(), x.grad, *(one.grad for one in model.parameters() if one.requires_grad)]


def _four_bits(layer: Any) -> Any:
    nn: Any = importlib.import_module("bitsandbytes.nn")
    made = nn.Linear4bit(layer.in_features, layer.out_features, layer.bias is not None, torch.float32, quant_type="nf4")
    made.load_state_dict(layer.state_dict())
    return made.to("cpu")


def _same(mine: Any, other: Any) -> None:
    """To within rounding of the largest number: sums are taken in another order."""
    assert float((mine - other).abs().max()) <= 1e-5 * float(other.abs().max())


def test_it_computes_and_learns_what_pefts_own_layer_does() -> None:
    own, theirs = _adapted(True), _adapted(False)
    assert isinstance(own.base_model.model[0], FusedLinear)
    for mine, other in zip(_learned(own), _learned(theirs), strict=True):
        _same(mine, other)


def test_it_does_so_over_a_base_in_four_bits() -> None:
    pytest.importorskip("bitsandbytes")
    own, theirs = _adapted(True, _four_bits), _adapted(False, _four_bits)
    assert own.base_model.model[0].base_layer.weight.dtype == torch.uint8
    for mine, other in zip(_learned(own), _learned(theirs), strict=True):
        _same(mine, other)


def test_the_gradient_with_dropout_is_that_of_the_inputs_that_were_kept() -> None:
    model = _adapted(True, dropout=0.3).double()
    x = torch.randn(3, 64, dtype=torch.float64, requires_grad=True)

    def seeded(given: Any) -> Any:
        torch.manual_seed(5)
        return model.train()(given)

    assert torch.autograd.gradcheck(seeded, (x,))
    assert not torch.equal(seeded(x), model.eval()(x))


def test_inputs_are_dropped_as_often_as_asked() -> None:
    torch.manual_seed(0)
    kept = _kept(torch.empty(1001, 999), 0.05)
    assert set(kept.flatten().tolist()) == {0.0, 1.0}
    assert abs(float(kept.mean()) - 0.95) < 0.001
    assert abs(float(kept.mean(dim=0).std()) - (0.05 * 0.95 / 1001) ** 0.5) < 0.001


def test_only_the_layers_that_are_named_learn(base: Path) -> None:
    session, _ = opened(base, TrainSettings(target_modules=("q_proj", "mlp.down_proj")), items(1))
    assert {name.split(".")[-4] for name in session.parameters} == {"q_proj", "down_proj"}
    with pytest.raises(ModelError, match="No adapter can be put on this model"):
        opened(base, TrainSettings(target_modules=("qkv",)), items(1))
