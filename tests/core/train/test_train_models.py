"""Base models: how they are found, what a broken folder is told, and what memory they take."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from training_kit import items

from core.errors import ModelError, RunError
from core.paths import Home
from core.train.base_model import check_model_folder, weights_bytes
from core.train.config import TrainSettings
from core.train.footprint import Device
from core.train.preflight import preflight
from core.train.presets import resolve_base

GB = 10**9


@pytest.fixture
def folder(base: Path, tmp_path: Path) -> Path:
    return shutil.copytree(base, tmp_path / "My Model")


def edit(path: Path, **values: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def without_template(folder: Path) -> None:
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    edit(folder / "tokenizer_config.json", chat_template=None)


def half_sharded(folder: Path) -> None:
    index = {"weight_map": {"lm_head.weight": "model.safetensors", "x": "model-2.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


BROKEN: list[tuple[Callable[[Path], object], str, str]] = [
    (lambda f: (f / "config.json").unlink(), "config.json is missing", "complete model folder"),
    (lambda f: (f / "config.json").write_text("{"), "is damaged", "Download this file again"),
    (lambda f: (f / "config.json").write_text("[]"), "no JSON object", "Download"),
    (lambda f: edit(f / "config.json", model_type=None), "does not name a model type", "Download"),
    (lambda f: edit(f / "config.json", model_type="odd", auto_map={}), "never run", "known architecture"),
    (lambda f: edit(f / "config.json", quantization_config={}), "already quantised", "unquantised original"),
    (lambda f: (f / "tokenizer.json").unlink(), "no tokenizer", "tokenizer's files"),
    (without_template, "no chat template", "instruct variant"),
    (lambda f: cut(f / "model.safetensors"), "is incomplete", "Download this file again"),
    (lambda f: (f / "model.safetensors").write_bytes(b"\xff" * 40), "header is longer", "Download this file again"),
    (lambda f: (f / "model.safetensors").write_bytes(b""), "is damaged", "Download this file again"),
    (lambda f: (f / "model.safetensors").unlink(), "holds no weights", "safetensors"),
    (pickled, "pickles", "revision"),
    (half_sharded, "cannot be read", "Download the missing file"),
]


@pytest.mark.parametrize(("damage", "what", "next_step"), BROKEN)
def test_a_broken_folder_is_explained(
    folder: Path, damage: Callable[[Path], object], what: str, next_step: str
) -> None:
    damage(folder)
    with pytest.raises(ModelError) as caught:
        resolve_base(str(folder), Home(folder.parent))
    assert what in caught.value.message
    assert next_step in caught.value.hint


def test_a_whole_folder_passes_and_gets_a_safe_name(folder: Path, tmp_path: Path) -> None:
    base = resolve_base(str(folder), Home(tmp_path))
    assert (base.name, base.title, base.path) == ("my-model", "My Model", folder)
    assert weights_bytes(folder) == (folder / "model.safetensors").stat().st_size


def test_names_are_found_on_this_machine_only(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home(tmp_path / "home")
    with pytest.raises(ModelError, match="not on this machine") as caught:
        resolve_base("Qwen3-1.7B", home)
    assert "models --download qwen3-1.7b" in caught.value.hint
    assert "ollama pull qwen3:1.7b" in caught.value.hint
    shutil.copytree(folder, home.models / "base" / "qwen3-1.7b")
    assert resolve_base("Qwen3-1.7B", home).path == home.models / "base" / "qwen3-1.7b"

    revision = "a" * 40
    cached = tmp_path / "hub" / "models--some--model"
    shutil.copytree(folder, cached / "snapshots" / revision)
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text(revision)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    assert resolve_base("some/model", home).path == cached / "snapshots" / revision
    (cached / "refs" / "main").write_text("../../../..")
    with pytest.raises(ModelError, match="not on this machine"):
        resolve_base("some/model", home)


@pytest.mark.parametrize("name", ["qwen3-1.7", "", "  ", "x" * 5000, "a\x00b", "../nowhere", "~nobody/x/y"])
def test_an_unknown_name_is_explained(name: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        resolve_base(name, Home(tmp_path))
    assert caught.value.hint


def test_a_gguf_file_is_not_a_folder(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    with pytest.raises(ModelError, match="needs the model's folder"):
        check_model_folder(tmp_path / "model.gguf")


def test_preflight_lets_a_good_run_pass_and_names_every_problem(base: Path, tmp_path: Path) -> None:
    roomy = Device("cpu", "CPU", 8 * GB)
    good = preflight(base, TrainSettings(), [*items(24), *replaced(items(4, "validation"))], tmp_path, roomy)
    good.require()
    assert (good.problems, good.warnings, good.total_steps) == ((), (), 9)
    leaking = [*items(3), replace(items(1)[0], split="test")]
    bad = preflight(base, TrainSettings(), leaking, tmp_path, Device("cpu", "CPU", 1000))
    assert len(bad.problems) == 2
    assert "1 prompts stand both" in bad.problems[0]
    assert "does not fit" in bad.problems[1]
    assert len(bad.warnings) == 2
    with pytest.raises(RunError, match="held-out"):
        bad.require()
    assert preflight(base, TrainSettings(), [], tmp_path, roomy).problems == (
        "There is no training example with an answer.",
    )


def replaced(made: list[object]) -> list[object]:
    return [replace(item, prompt=f"Another: {item.prompt}") for item in made]  # type: ignore[attr-defined, type-var]
