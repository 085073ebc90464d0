"""Base models: how they are found, what a broken folder is told, and what memory they take."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from training_kit import build_model, items

from core.errors import ModelError, RunError
from core.paths import Home
from core.train.base_model import check_model_folder, read_config, weights_bytes
from core.train.config import TrainSettings
from core.train.memory import Device, adapter_parameters, detect_device, estimate, model_shape
from core.train.preflight import preflight
from core.train.presets import PRESETS, resolve_base

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


@pytest.mark.parametrize("dropout", [0.0, 0.05])
def test_the_estimated_activations_are_what_torch_keeps(tmp_path: Path, dropout: float) -> None:
    import torch
    from transformers import AutoTokenizer

    from core.train.batches import collate
    from core.train.data import Example, Lesson
    from core.train.loss import answer_losses
    from core.train.session import open_session

    folder = build_model(tmp_path / "model", hidden=128, feed_forward=352, layers=3)
    settings = TrainSettings(dropout=dropout, max_length=256)
    session = open_session(folder, settings, AutoTokenizer.from_pretrained(folder))
    session.model.train()
    own = {value.data_ptr() for value in session.model.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.data_ptr() not in own:
            storage = tensor.untyped_storage()
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    batch = collate([Lesson((Example(tuple(range(5, 261)), 255),))])
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        losses = answer_losses(session.model.get_base_model(), batch)
    plan = estimate(read_config(folder), settings, Device("cpu", "CPU", 8 * GB))
    assert losses.isfinite().all()
    assert plan.parts["activations"] == pytest.approx(sum(kept.values()), rel=0.15)


def test_a_plan_says_what_fits_and_offers_what_does() -> None:
    config, settings = PRESETS["codellama-7b"].config, TrainSettings(batch_size=8, accumulation=1, max_length=2048)
    large = estimate(config, settings, Device("cuda", "GPU", 80 * GB))
    assert large.verdict == "fits"
    assert large.suggestion is None
    assert 13.4 * GB < large.parts["weights"] < 13.6 * GB
    small = estimate(config, settings, Device("cuda", "GPU", 20 * GB))
    assert small.verdict == "does not fit"
    assert "of 20.0 GB free on the GPU" in small.sentence
    offered = small.suggestion
    assert offered is not None
    assert offered.effective_batch == 8
    assert offered.batch_size < 8
    assert estimate(config, offered, Device("cuda", "GPU", 20 * GB)).verdict == "fits"
    assert estimate(config, settings, Device("cuda", "GPU", 8 * GB)).suggestion is None
    exactly = Device("cuda", "GPU", large.total + 1)
    assert estimate(config, settings, exactly).verdict == "tight"


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
