"""A run that goes on from the adapter of an older version."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from training_kit import Listener, items

from core.errors import ModelError, RunError
from core.train.config import TrainSettings
from core.train.trainer import Task, train

SETTINGS = TrainSettings(epochs=2, learning_rate=1e-2, accumulation=4, save_every=2, eval_every=2)


def task(base: Path, folder: Path, start: Path | None = None, **over: object) -> Task:
    return Task(base, items(16), items(3, "validation"), replace(SETTINGS, **over), folder, True, start)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def first(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("first")
    train(task(base, folder), Listener())
    return folder / "adapter" / "adapter_model.safetensors"


def test_it_begins_where_the_older_version_ended(base: Path, tmp_path: Path, first: Path) -> None:
    fresh, going_on = Listener(), Listener()
    train(task(base, tmp_path / "fresh"), fresh)
    result = train(task(base, tmp_path / "on", first), going_on)
    assert going_on.figures[0]["eval_loss"] < fresh.figures[0]["eval_loss"] - 0.1
    assert result.adapter is not None
    now, before = load_file(result.adapter / first.name), load_file(first)
    assert now.keys() == before.keys()
    assert any(not torch.equal(now[name], before[name]) for name in now)


def test_stopped_and_resumed_it_ends_with_the_same_bits(base: Path, tmp_path: Path, first: Path) -> None:
    whole = train(task(base, tmp_path / "whole", first), Listener())
    train(task(base, tmp_path / "parts", first), Listener(stop_at=3))
    resumed = train(task(base, tmp_path / "parts", first), Listener())
    assert whole.adapter and resumed.adapter
    left, right = load_file(whole.adapter / first.name), load_file(resumed.adapter / first.name)
    assert all(torch.equal(value, right[name]) for name, value in left.items())


def test_a_checkpoint_of_another_start_is_not_gone_on_from(base: Path, tmp_path: Path, first: Path) -> None:
    train(task(base, tmp_path, first), Listener(stop_at=3))
    with pytest.raises(RunError, match="other settings, data or another base"):
        train(task(base, tmp_path), Listener())


def test_an_adapter_that_does_not_fit_is_refused(base: Path, tmp_path: Path, first: Path) -> None:
    with pytest.raises(ModelError, match="does not fit"):
        train(task(base, tmp_path, first, rank=4, alpha=8), Listener())
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"\0" * 64)
    with pytest.raises(ModelError, match="cannot be read"):
        train(task(base, tmp_path / "b", broken), Listener())
