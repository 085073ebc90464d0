"""Stopped and resumed, a run ends with the same bits: by every method, precision, optimizer and kind of base."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from safetensors.torch import save as serialised
from training_kit import Listener, adapter_of, build_model, items_of, opened

from core.train import reference
from core.train import session as session_module
from core.train.checkpoints import OPTIMIZER, latest
from core.train.config import Method, TrainSettings
from core.train.parallel import ALONE
from core.train.session import resume, save
from core.train.sft import Sft
from core.train.step import Work, learn
from core.train.trainer import Task, TrainResult, train

SETTINGS = TrainSettings(epochs=2, learning_rate=1e-2, accumulation=4, save_every=3, eval_every=3)
FULL = 2.0**20  # a scale at which the first steps of the tiny model find no finite gradient in float16
NEEDS_BITSANDBYTES = pytest.mark.process  # which takes seconds to import
CASES: Mapping[str, Mapping[str, Any]] = {
    "dpo": {"method": "dpo"},
    "kto": {"method": "kto"},
    "bf16": {"precision": "bf16"},
    "fp16": {"precision": "fp16"},
    "kto, fp16": {"method": "kto", "precision": "fp16"},
    "checkpointing": {"gradient_checkpointing": "on"},
}
LOW_BITS: Mapping[str, Mapping[str, Any]] = {
    "adamw_8bit": {"optimizer": "adamw_8bit", "rank": 64},
    "qlora": {"quantize_base": "on"},
    "qlora, dpo, bf16, adamw_8bit": {
        "quantize_base": "on",
        "method": "dpo",
        "precision": "bf16",
        "optimizer": "adamw_8bit",
        "rank": 64,
    },
    "qlora, fp16": {"quantize_base": "on", "precision": "fp16"},
}
EVERY = [
    *(pytest.param(values, id=name) for name, values in CASES.items()),
    *(pytest.param(values, id=name, marks=NEEDS_BITSANDBYTES) for name, values in LOW_BITS.items()),
]


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Wide enough that an adapter of rank 64 has matrices whose state the optimizer keeps in 8 bits."""
    return build_model(tmp_path_factory.mktemp("wide") / "tiny", hidden=64, feed_forward=128)


def go(base: Path, folder: Path, settings: TrainSettings, stop_at: int | None = None) -> TrainResult:
    method = settings.method
    return train(
        Task(base, items_of(method, 16), items_of(method, 3, "validation"), settings, folder, resume=True),
        Listener(stop_at=stop_at),
    )


@pytest.mark.parametrize("values", EVERY)
def test_resumed_equals_uninterrupted(
    wide: Path, tmp_path: Path, values: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    if values.get("precision") == "fp16":
        monkeypatch.setattr(session_module, "_FIRST_SCALE", FULL)
    settings = replace(SETTINGS, **values)
    whole = go(wide, tmp_path / "whole", settings)
    for stop_at in (2, 5):
        stopped = go(wide, tmp_path / "parts", settings, stop_at)
        assert (stopped.status, stopped.step) == ("stopped", stop_at)
        torch.manual_seed(stop_at)
    ended = go(wide, tmp_path / "parts", settings)
    assert (whole.status, ended.status, ended.step) == ("finished", "finished", 8)
    assert (ended.base_loss, ended.best_loss, ended.best_step, ended.final_loss, ended.tokens) == (
        whole.base_loss,
        whole.best_loss,
        whole.best_step,
        whole.final_loss,
        whole.tokens,
    )
    for place in ("adapter/adapter_model.safetensors", "checkpoints/step-8/optimizer.safetensors"):
        left, right = load_file(tmp_path / "whole" / place), load_file(tmp_path / "parts" / place)
        assert left.keys() == right.keys()
        for name, value in left.items():
            assert value.dtype == right[name].dtype
            assert torch.equal(value, right[name]), name
    assert any(value.any() for name, value in adapter_of(tmp_path / "parts").items() if "lora_B" in name)


def test_the_scale_of_a_float16_loss_goes_to_the_checkpoint_and_back(
    wide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_module, "_FIRST_SCALE", FULL)
    settings = replace(SETTINGS, precision="fp16", dropout=0.0)
    go(wide, tmp_path, settings, stop_at=6)
    kept = latest(tmp_path / "checkpoints", print)
    assert kept is not None
    scale = kept.state["scale"]
    assert 1.0 < scale < FULL
    assert 0 < kept.state["scaled_steps"] < 6
    fresh, _ = opened(wide, settings, items_of("sft", 2))
    resume(fresh, tmp_path / "checkpoints", kept.state["identity"], wanted=True, note=print)
    assert fresh.scaler.get_scale() == scale
    assert fresh.scaler.state_dict()["_growth_tracker"] == kept.state["scaled_steps"]


@pytest.mark.parametrize("method", ["dpo", "kto"])
def test_a_resumed_run_takes_its_reference_from_the_file(
    wide: Path, tmp_path: Path, method: Method, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(SETTINGS, method=method)
    go(wide, tmp_path, settings, stop_at=3)
    place = tmp_path / reference.NAME
    before = place.read_bytes()

    def forbidden(*_: object) -> torch.Tensor:
        raise AssertionError("the reference was computed again")

    monkeypatch.setattr(reference, "_computed", forbidden)
    go(wide, tmp_path, settings)
    assert place.read_bytes() == before


@pytest.mark.parametrize("harm", ["cut short", "gone", "altered", "of another run"])
def test_a_reference_that_is_lost_is_computed_again_from_the_start(wide: Path, tmp_path: Path, harm: str) -> None:
    settings = replace(SETTINGS, method="dpo")
    go(wide, tmp_path / "whole", settings)
    go(wide, tmp_path / "parts", settings, stop_at=5)
    place = tmp_path / "parts" / reference.NAME
    if harm == "gone":
        place.unlink()
    elif harm == "cut short":
        place.write_bytes(place.read_bytes()[:-9])
    else:
        ours = next(iter(load_file(place).values()))
        identity = latest(tmp_path / "parts" / "checkpoints", print).state["identity"]  # type: ignore[union-attr]
        told = {
            "altered": {reference._SUM: reference._sum(identity, ours)},
            "of another run": {reference._SUM: reference._sum("b2:another", ours + 1.0)},
        }
        place.write_bytes(serialised({reference._KEPT: ours + 1.0}, metadata=told[harm]))
    go(wide, tmp_path / "parts", settings)
    whole, parts = adapter_of(tmp_path / "whole"), adapter_of(tmp_path / "parts")
    assert all(torch.equal(value, parts[name]) for name, value in whole.items())


@NEEDS_BITSANDBYTES
def test_the_state_of_the_8_bit_optimizer_comes_back_whole(wide: Path, tmp_path: Path) -> None:
    settings = replace(SETTINGS, optimizer="adamw_8bit", rank=64)
    first, lessons = opened(wide, settings, items_of("sft", 4))
    recipe = Work(first, Sft(), ALONE, print)
    for _ in range(3):
        learn(recipe, lessons)
        first.state.step += 1
    save(first, tmp_path, "same")
    kept = load_file(tmp_path / "step-3" / OPTIMIZER)
    kinds = {value.dtype for name, value in kept.items() if name.endswith("state1")}
    assert kinds == {torch.uint8, torch.float32}  # large matrices in 8 bits, small ones not
    second, _ = opened(wide, settings, items_of("sft", 4))
    resume(second, tmp_path, "same", wanted=True, note=print)
    for name, parameter in first.parameters.items():
        state, again = first.optimizer.state[parameter], second.optimizer.state[second.parameters[name]]
        assert state.keys() == again.keys()
        for kind, value in state.items():
            if isinstance(value, torch.Tensor):
                assert value.dtype == again[kind].dtype
                assert torch.equal(value, again[kind]), (name, kind)
            else:
                assert value == again[kind]
                assert type(value) is type(again[kind])
    told = [learn(replace(recipe, session=session), lessons) for session in (first, second)]
    assert told[0] == told[1]
    for name, value in first.parameters.items():
        assert torch.equal(value, second.parameters[name])
