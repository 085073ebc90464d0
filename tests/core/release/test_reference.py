"""The reference gives the same scores whether its weights stay in memory or only a layer of them does."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from tiny_models import MODELS, save_adapter, save_model

from core.errors import FinetuneError, ModelError
from core.release import layered, reference
from core.release.layered import LayeredModel
from core.release.reference import Reference

Make = Callable[[str], Path]
SEQUENCES = [
    [int(token) for token in np.random.default_rng(n).integers(6, 400, length)]
    for n, length in enumerate((60, 1, 7, 400))
]


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory: pytest.TempPathFactory) -> Make:
    made: dict[str, Path] = {}

    def make(name: str) -> Path:
        if name not in made:
            made[name] = save_model(tmp_path_factory.mktemp(name), name)
        return made[name]

    return make


def whole_model(folder: Path, adapter: Path | None = None) -> list[Any]:
    """The scores as transformers itself computes them, each sequence by itself."""
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    if adapter is None:
        for parameter in model.parameters():
            parameter.data = parameter.data.half().float()
    else:
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, str(adapter)).eval()
    with torch.inference_mode():
        return [model(input_ids=torch.tensor([tokens])).logits[0].numpy() for tokens in SEQUENCES]


def swept(folder: Path, adapter: Path | None = None, memory: int | None = None) -> list[Any]:
    found = Reference(folder, adapter, memory=memory).sweep(SEQUENCES)
    return [np.concatenate([block for _, block in scores.blocks()]) for scores in found]


@pytest.mark.parametrize("name", MODELS)
def test_layer_by_layer_is_the_whole_model(name: str, folder_of: Make) -> None:
    folder = folder_of(name)
    kept, streamed = swept(folder), swept(folder, memory=0)
    for expected, whole, layers in zip(whole_model(folder), kept, streamed, strict=True):
        assert np.abs(whole - expected).max() < 5e-5  # another attention kernel; the scores' own spread is 1.3
        assert np.abs(layers - whole).max() <= 1e-5


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        *((name, {"target_modules": "all-linear"}) for name in ("llama", "qwen2_tied", "gemma2", "gemma3", "phi3")),
        ("qwen3", {"use_rslora": True, "rank_pattern": {"q_proj": 2}, "alpha_pattern": {"k_proj": 3}}),
        ("llama", {"use_dora": True}),
        ("llama_tied", {"modules_to_save": ["lm_head"]}),
        ("gemma2", {"modules_to_save": ["embed_tokens"]}),
        ("mistral", {"target_modules": ["embed_tokens", "lm_head", "o_proj"]}),
        ("qwen2_tied", {"target_modules": ["embed_tokens", "o_proj"]}),
    ],
)
def test_an_adapter_apart_from_its_base(name: str, settings: dict[str, Any], folder_of: Make, tmp_path: Path) -> None:
    folder = folder_of(name)
    adapter = save_adapter(folder, tmp_path, **settings)
    kept, streamed = swept(folder, adapter), swept(folder, adapter, memory=0)
    for expected, whole, layers in zip(whole_model(folder, adapter), kept, streamed, strict=True):
        assert np.abs(whole - expected).max() < 5e-5
        assert np.abs(layers - whole).max() <= 1e-5
    assert np.abs(kept[0] - swept(folder)[0]).max() > 0.1  # the adapter does something


def test_one_layer_at_a_time(folder_of: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    real = LayeredModel._through

    def through(self: LayeredModel, turn: int, *args: Any, **kwargs: Any) -> Any:
        layers = self._body.layers
        seen.append(sum(not any(p.is_meta for p in layer.parameters()) for layer in layers))
        assert self._model.lm_head.weight.is_meta or self.kept
        return real(self, turn, *args, **kwargs)

    monkeypatch.setattr(LayeredModel, "_through", through)
    folder = folder_of("gemma3")
    model = LayeredModel(folder, memory=0)
    model.logits(model.states(SEQUENCES)[0])
    assert seen == [1] * 7 * len(SEQUENCES)
    assert [name for name, p in model._model.named_parameters() if not p.is_meta] == ["model.norm.weight"]
    seen.clear()
    parameters = sum(values.size for values in load_file(folder / "model.safetensors").values())
    assert not LayeredModel(folder, memory=4 * parameters - 1).kept
    model = LayeredModel(folder, memory=4 * parameters)
    assert model.kept
    model.states(SEQUENCES)
    model.states(SEQUENCES)
    assert seen[-1] == 7


def test_all_sequences_share_a_sweep(folder_of: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    sweeps: list[int] = []
    real = LayeredModel.states

    def states(self: LayeredModel, sequences: Any) -> Any:
        sweeps.append(len(sequences))
        return real(self, sequences)

    monkeypatch.setattr(LayeredModel, "states", states)
    expected = swept(folder_of("llama"), memory=0)
    assert sweeps == [4]
    sweeps.clear()
    monkeypatch.setattr(reference, "TOKENS_A_SWEEP", 67)
    parted = swept(folder_of("llama"), memory=0)
    assert sweeps == [2, 1, 1]
    assert all(np.array_equal(first, second) for first, second in zip(expected, parted, strict=True))


@pytest.mark.parametrize("name", ["llama_tied", "gemma3_untied"])
def test_scores_in_pieces(name: str, folder_of: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = swept(folder_of(name), memory=0)
    monkeypatch.setattr(layered, "_HEAD_ITEMS", 64 * 50)
    monkeypatch.setattr(reference, "_SCORES_AT_ONCE", 5000)
    monkeypatch.setattr(reference, "_ROWS", 1)
    found = swept(folder_of(name), memory=0)
    assert all(np.allclose(first, second, atol=1e-5) for first, second in zip(expected, found, strict=True))
    scores = next(Reference(folder_of(name), memory=0).sweep(SEQUENCES))
    starts = [start for start, _ in scores.blocks(-1)]
    assert len(starts) == 5
    assert sum(len(block) for _, block in scores.blocks(-1)) == 59
    assert np.allclose(scores.rows(starts[2], 3), expected[0][starts[2] : starts[2] + 3], atol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_stored_types(dtype: str, folder_of: Make, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    source = folder_of("qwen2")
    for file in source.glob("*token*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    AutoModelForCausalLM.from_pretrained(source, dtype=getattr(torch, dtype)).save_pretrained(tmp_path)
    for expected, found in zip(whole_model(tmp_path), swept(tmp_path, memory=0), strict=True):
        assert np.abs(found - expected).max() < 5e-5


@pytest.fixture
def damaged(folder_of: Make, tmp_path: Path) -> Iterator[Path]:
    for file in folder_of("llama").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    yield tmp_path


def test_a_folder_that_is_not_whole(damaged: Path) -> None:
    weights = load_file(damaged / "model.safetensors")
    save_file({k: v for k, v in weights.items() if "layers.1.mlp.up" not in k}, damaged / "model.safetensors")
    with pytest.raises(FinetuneError, match=r"layers\.1\.mlp\.up_proj"):
        Reference(damaged).logits(SEQUENCES[0])
    save_file({k: v[:4] if "layers.1.mlp.up" in k else v for k, v in weights.items()}, damaged / "model.safetensors")
    with pytest.raises(ModelError, match=r"layers\.1\.mlp\.up_proj"):
        Reference(damaged).logits(SEQUENCES[0])
    (damaged / "config.json").write_text(json.dumps({"model_type": "unheard_of"}))
    with pytest.raises(ModelError, match="cannot be loaded"):
        Reference(damaged).logits(SEQUENCES[0])
