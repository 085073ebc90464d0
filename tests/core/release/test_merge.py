"""Merging: the merged folder is base + adapter, whole, float16, and ties are undone where training drew them apart."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file
from tiny_llama import PROMPTS, UNKNOWN_PROMPTS, save_llama

from core.errors import ExportError, ModelError
from core.release.gguf import export_gguf
from core.release.merge import merge_adapter
from core.release.proof import prove_merge

pytestmark = pytest.mark.process


def save_adapter(base: Path, folder: Path, *, scale: float = 0.3, **settings: Any) -> Path:
    """An adapter with random weights on both sides, as after training."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(3)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    defaults = {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "k_proj", "v_proj", "down_proj"]}
    adapted = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", **{**defaults, **settings}))
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name or "modules_to_save" in name:
            parameter.data += torch.randn_like(parameter) * scale
    adapted.save_pretrained(folder)
    return folder


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
