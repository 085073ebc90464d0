"""Merging: the merged folder is base + adapter, whole, float16, and ties are undone where training drew them apart."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file, save_file
from tiny_llama import PROMPTS, UNKNOWN_PROMPTS, save_llama
from tiny_models import save_adapter, save_model

from core.errors import ExportError, ModelError
from core.release import merge
from core.release.gguf import export_gguf
from core.release.merge import merge_adapter
from core.release.proof import prove_merge
from core.release.safetensors_writing import write_safetensors

pytestmark = pytest.mark.process


def test_merged_is_base_and_adapter(trained: Path, tmp_path: Path) -> None:
    adapter = save_adapter(trained, tmp_path / "adapter")
    merged = merge_adapter(trained, adapter, tmp_path / "out" / "merged")
    weights = load_file(merged / "model.safetensors")
    assert {str(values.dtype) for values in weights.values()} == {"float16"}
    assert json.loads((merged / "config.json").read_text())["dtype"] == "float16"
    assert (merged / "tokenizer.json").read_bytes() == (trained / "tokenizer.json").read_bytes()
    assert [path.name for path in merged.parent.iterdir()] == ["merged"]
    check = prove_merge(trained, adapter, merged, PROMPTS + UNKNOWN_PROMPTS)
    assert check.passed
    assert check.figure < 1e-3
    # the check is not blind: the base alone is another model
    assert not prove_merge(trained, adapter, trained, PROMPTS).passed


@pytest.mark.parametrize("settings", [{"use_rslora": True}, {"use_dora": True}])
def test_other_kinds_of_lora_merge_right(settings: dict[str, bool], trained: Path, tmp_path: Path) -> None:
    adapter = save_adapter(trained, tmp_path / "adapter", scale=0.1, **settings)
    merged = merge_adapter(trained, adapter, tmp_path / "merged")
    assert prove_merge(trained, adapter, merged, PROMPTS).passed


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        *(
            (name, {"target_modules": "all-linear"})
            for name in ("llama", "mistral", "qwen2", "qwen3_tied", "gemma2", "gemma3", "phi3")
        ),
        ("qwen3", {"use_rslora": True, "rank_pattern": {"q_proj": 2}, "alpha_pattern": {"k_proj": 3}}),
        ("phi3_tied", {"target_modules": ["qkv_proj", "gate_up_proj"]}),
        ("gemma3", {"use_dora": True}),
        ("mistral", {"target_modules": ["embed_tokens", "lm_head", "o_proj"]}),
        ("llama_tied", {"modules_to_save": ["lm_head"]}),
        ("gemma3_untied", {"modules_to_save": ["embed_tokens"]}),
    ],
)
def test_merged_as_peft_merges(name: str, settings: dict[str, Any], tmp_path: Path) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    base = save_model(tmp_path / "base", name)
    adapter = save_adapter(base, tmp_path / "adapter", **settings)
    whole = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    expected = PeftModel.from_pretrained(whole, str(adapter)).merge_and_unload()
    merged = merge_adapter(base, adapter, tmp_path / "merged")
    found = AutoModelForCausalLM.from_pretrained(merged, dtype=torch.float16)
    assert type(found) is type(expected)
    tensors = dict(found.named_parameters(remove_duplicate=False))
    for key, values in expected.named_parameters(remove_duplicate=False):
        assert torch.allclose(tensors.pop(key), values.half(), rtol=1e-3, atol=1e-7), key  # one step of a float16
    assert not tensors
    settings_before, settings_after = (json.loads((f / "config.json").read_text()) for f in (base, merged))
    changed = {key for key in settings_before if settings_before[key] != settings_after.get(key)}
    assert changed <= {"dtype", "tie_word_embeddings"}
    assert (base / "generation_config.json").exists() == (merged / "generation_config.json").exists()


def test_a_branch_at_a_tied_embedding_unties(tmp_path: Path) -> None:
    # peft's own merge would change the head with it, which training never saw
    base = save_model(tmp_path / "base", "qwen2_tied")
    adapter = save_adapter(base, tmp_path / "adapter", target_modules=["embed_tokens"])
    merged = merge_adapter(base, adapter, tmp_path / "merged")
    assert json.loads((merged / "config.json").read_text())["tie_word_embeddings"] is False
    weights, before = load_file(merged / "model.safetensors"), load_file(base / "model.safetensors")
    assert (weights["lm_head.weight"] == before["model.embed_tokens.weight"].astype("float16")).all()
    assert (weights["lm_head.weight"] != weights["model.embed_tokens.weight"]).any()
    assert prove_merge(base, adapter, merged, PROMPTS).passed


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_in_shards(dtype: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    monkeypatch.setattr(merge, "write_safetensors", partial(write_safetensors, shard_bytes=50_000))
    whole = save_model(tmp_path / "whole", "llama_tied")
    base = shutil.copytree(whole, tmp_path / "base")
    (base / "model.safetensors").unlink()
    model = AutoModelForCausalLM.from_pretrained(whole, dtype=getattr(torch, dtype))
    model.save_pretrained(base, max_shard_size="40KB")
    assert len(list(base.glob("*.safetensors"))) > 1
    adapter = save_adapter(base, tmp_path / "adapter", target_modules=["o_proj"])
    merged = merge_adapter(base, adapter, tmp_path / "merged")
    assert (merged / "model.safetensors.index.json").is_file()
    found = AutoModelForCausalLM.from_pretrained(merged, dtype=torch.float32)
    for (name, before), after in zip(model.named_parameters(), found.parameters(), strict=True):
        assert torch.equal(before.half(), after.half()) == ("o_proj" not in name)
    assert prove_merge(base, adapter, merged, PROMPTS).passed


def test_wrong_merges_are_seen(trained: Path, tmp_path: Path) -> None:
    adapter = save_adapter(trained, tmp_path / "adapter")
    settings = json.loads((adapter / "adapter_config.json").read_text())
    twice = shutil.copytree(adapter, tmp_path / "twice")
    (twice / "adapter_config.json").write_text(json.dumps({**settings, "lora_alpha": 2 * settings["lora_alpha"]}))
    merged = merge_adapter(trained, twice, tmp_path / "merged")
    assert not prove_merge(trained, adapter, merged, PROMPTS).passed
    assert prove_merge(trained, twice, merged, PROMPTS).passed


@pytest.mark.parametrize("fault", ["a tensor more", "a tensor less", "biases"])
def test_an_adapter_that_does_not_fit(fault: str, trained: Path, tmp_path: Path) -> None:
    adapter = save_adapter(trained, tmp_path / "adapter")
    file = adapter / "adapter_model.safetensors"
    values = load_file(file)
    name = "base_model.model.model.layers.1.mlp.down_proj.lora_A.weight"
    if fault == "a tensor more":
        save_file({**values, name.replace("layers.1", "layers.2"): values[name]}, file)
    elif fault == "a tensor less":
        save_file({key: value for key, value in values.items() if key != name}, file)
    else:
        settings = json.loads((adapter / "adapter_config.json").read_text())
        (adapter / "adapter_config.json").write_text(json.dumps({**settings, "bias": "all"}))
    with pytest.raises(ModelError, match=r"cannot be merged.*(layers\.[12]\.mlp\.down_proj|biases)"):
        merge_adapter(trained, adapter, tmp_path / "merged")
    with pytest.raises(ModelError, match="cannot be loaded"):
        prove_merge(trained, adapter, trained, PROMPTS)


def test_trained_head_unties(trained: Path, tmp_path: Path) -> None:
    adapter = save_adapter(trained, tmp_path / "adapter", modules_to_save=["lm_head"], scale=0.05)
    merged = merge_adapter(trained, adapter, tmp_path / "merged")
    assert json.loads((merged / "config.json").read_text())["tie_word_embeddings"] is False
    weights = load_file(merged / "model.safetensors")
    assert (weights["lm_head.weight"] != weights["model.embed_tokens.weight"]).any()
    assert prove_merge(trained, adapter, merged, PROMPTS).passed
    assert export_gguf(merged, tmp_path / "untied.gguf").bytes > 0


def test_merging_again_replaces(trained: Path, tmp_path: Path) -> None:
    adapter = save_adapter(trained, tmp_path / "adapter")
    target = merge_adapter(trained, adapter, tmp_path / "merged")
    first = (target / "model.safetensors").read_bytes()
    (target / "stray").write_text("old")
    merge_adapter(trained, adapter, target)
    assert (target / "model.safetensors").read_bytes() == first
    assert not (target / "stray").exists()


def test_adapter_of_another_base(trained: Path, tmp_path: Path) -> None:
    other = save_llama(tmp_path / "other", hidden_size=32)
    adapter = save_adapter(other, tmp_path / "adapter")
    with pytest.raises(ModelError, match="cannot be merged"):
        merge_adapter(trained, adapter, tmp_path / "merged")
    assert not (tmp_path / "merged").exists()


def test_missing_adapter(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be merged"):
        merge_adapter(trained, tmp_path / "nowhere", tmp_path / "merged")


def test_values_too_large_for_float16(trained: Path, tmp_path: Path) -> None:
    adapter = save_adapter(trained, tmp_path / "adapter", scale=1e6)
    with pytest.raises(ExportError, match="too large for float16"):
        merge_adapter(trained, adapter, tmp_path / "merged")


def test_tokenizer_with_more_ids_than_rows(trained: Path, tmp_path: Path) -> None:
    adapter = save_adapter(trained, tmp_path / "adapter")
    shutil.copy(trained / "tokenizer_config.json", adapter)
    stored = json.loads((trained / "tokenizer.json").read_text())
    stored["added_tokens"].append({"id": 5000, "content": "<new>", "special": True})
    (adapter / "tokenizer.json").write_text(json.dumps(stored))
    with pytest.raises(ModelError, match="5000"):
        merge_adapter(trained, adapter, tmp_path / "merged")
