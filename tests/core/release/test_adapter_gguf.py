"""A LoRA adapter as a GGUF file: on the base in llama.cpp it is base + adapter in Hugging Face, or it is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from tiny_llama import PROMPTS, UNKNOWN_PROMPTS, rewrite
from tiny_models import save_adapter, save_model

from core.backends.llamacpp import LlamaCppBackend
from core.backends.llamacpp_adapter import parts_of, with_adapter
from core.errors import BackendError, ExportError
from core.paths import sha256_of
from core.release.adapter_export import prove_adapter
from core.release.adapter_gguf import export_adapter
from core.release.families.llama import part_halves
from core.release.gguf import export_gguf
from core.release.merge import merge_adapter
from core.release.proof_answers import kl_divergence
from core.release.quantize import GgufFile, quantize
from core.release.reference import Reference

pytestmark = pytest.mark.process
Make = Callable[[str], Path]
TOKENS = [int(token) for token in np.random.default_rng(0).integers(6, 400, 150)]
EVERY_LAYER = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
ALL_PROMPTS = PROMPTS + UNKNOWN_PROMPTS


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory: pytest.TempPathFactory) -> Make:
    made: dict[str, Path] = {}

    def make(name: str) -> Path:
        if name not in made:
            made[name] = save_model(tmp_path_factory.mktemp(name) / "model", name)
            export_gguf(made[name], made[name].parent / "base.gguf")
        return made[name]

    return make


def base_file(folder: Path) -> Path:
    return folder.parent / "base.gguf"


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        *((name, {"target_modules": EVERY_LAYER}) for name in ("llama", "llama_tied", "mistral", "qwen2", "qwen3")),
        *((name, {"target_modules": EVERY_LAYER}) for name in ("gemma2", "gemma3")),
        ("phi3", {"target_modules": ["qkv_proj", "o_proj", "gate_up_proj", "down_proj"]}),
        ("llama", {"use_rslora": True, "r": 8}),
        ("qwen3", {"use_rslora": True, "rank_pattern": {"v_proj": 2}, "alpha_pattern": {"q_proj": 3}}),
        ("qwen2", {"rank_pattern": {"layers.1.self_attn.q_proj": 6}, "alpha_pattern": {"down_proj": 32}}),
        ("llama", {"target_modules": ["q_proj", "lm_head"]}),
    ],
)
def test_base_with_adapter_is_the_merged_model(
    name: str, settings: dict[str, Any], folder_of: Make, backend: LlamaCppBackend, tmp_path: Path
) -> None:
    base = folder_of(name)
    adapter = save_adapter(base, tmp_path / "adapter", scale=0.1, **settings)
    file = export_adapter(base, adapter, tmp_path / "adapter.gguf")
    found = backend.logits(with_adapter(base_file(base), file.path), TOKENS)
    apart = Reference(base, adapter).logits(TOKENS)
    merged = Reference(merge_adapter(base, adapter, tmp_path / "merged")).logits(TOKENS)
    assert kl_divergence(apart, found).max() < 1e-3
    assert kl_divergence(merged, found).max() < 1e-3
    assert kl_divergence(Reference(base).logits(TOKENS), found).mean() > 0.03  # the adapter is no adapter for nothing


def test_changing_adapters_on_one_base(folder_of: Make, backend: LlamaCppBackend, tmp_path: Path) -> None:
    base = folder_of("llama")
    files = []
    for number, rank in enumerate((2, 4)):
        adapter = save_adapter(base, tmp_path / f"a{number}", scale=0.2, r=rank)
        files.append(export_adapter(base, adapter, tmp_path / f"a{number}.gguf").path)
    models = [str(base_file(base)), *(with_adapter(base_file(base), file) for file in files)]
    first = [backend.logits(model, TOKENS) for model in models]
    assert not np.allclose(first[0], first[1]) and not np.allclose(first[1], first[2])
    for at in (2, 0, 1, 0, 2):
        assert np.array_equal(backend.logits(models[at], TOKENS), first[at])
    answers = [backend.greedy(model, TOKENS[:140], 20) for model in models]
    assert [backend.greedy(model, TOKENS[:140], 20) for model in models] == answers
    assert answers[0] != answers[1] != answers[2]
    # written anew under the same name, it is another adapter
    shutil.copy(files[1], tmp_path / "other.gguf")
    (tmp_path / "other.gguf").replace(files[0])
    assert np.array_equal(backend.logits(models[1], TOKENS), first[2])
    many = [shutil.copy(files[at % 2], tmp_path / f"m{at}.gguf") for at in range(6)]  # more than stay loaded
    for file in many:
        assert np.array_equal(backend.logits(with_adapter(base_file(base), file), TOKENS), first[2])


def test_what_cannot_be_put_on_a_base(
    folder_of: Make, trained: Path, trained_file: GgufFile, backend: LlamaCppBackend, tmp_path: Path
) -> None:
    base = folder_of("llama")
    file = export_adapter(base, save_adapter(base, tmp_path / "adapter"), tmp_path / "a.gguf").path
    with pytest.raises(BackendError, match=r"cannot use a\.gguf"):
        backend.logits(with_adapter(trained_file.path, file), TOKENS)
    with pytest.raises(BackendError, match="no model file"):
        backend.logits(with_adapter(trained_file.path, tmp_path / "none.gguf"), TOKENS)
    with pytest.raises(BackendError, match="without an adapter"):
        backend.embed(with_adapter(base_file(base), file), ["a"])
    assert backend.special_tokens(str(trained_file.path))["eos"] == 2  # and the child goes on
    assert parts_of(with_adapter("a", "b")) == ("a", "b")
    assert parts_of("a") == ("a", None)


def test_the_file(folder_of: Make, tmp_path: Path) -> None:
    import gguf

    base = folder_of("llama")
    adapter = save_adapter(base, tmp_path / "adapter", use_rslora=True, r=4, lora_alpha=8)
    file = export_adapter(base, adapter, tmp_path / "deep" / "a.gguf", name="v1")
    again = export_adapter(base, adapter, tmp_path / "b.gguf", name="v1")
    assert (file.kind, file.sha256, file.bytes) == ("lora", sha256_of(file.path), file.path.stat().st_size)
    assert again.sha256 == file.sha256
    assert [path.name for path in file.path.parent.iterdir()] == ["a.gguf"]
    reader = gguf.GGUFReader(file.path)
    values = {key: field.contents() for key, field in reader.fields.items()}
    assert (values["general.type"], values["general.architecture"], values["general.name"]) == (
        "adapter",
        "llama",
        "v1",
    )
    assert values["adapter.type"] == "lora"
    assert values["adapter.lora.alpha"] == 16.0  # 8 * √4, which llama.cpp divides by 4
    assert len(reader.tensors) == 4 * 2 * 2


class TestProof:
    @pytest.fixture(scope="class")
    def made(self, trained: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
        """An adapter of the trained model that changes its answers without undoing all that it knows."""
        folder = tmp_path_factory.mktemp("adapter")
        adapter = save_adapter(trained, folder / "adapter", scale=0.15, use_rslora=True)
        return adapter, export_adapter(trained, adapter, folder / "a.gguf").path

    def failed(
        self, trained: Path, base: Path, adapter: Path, file: Path, backend: LlamaCppBackend, kind: str = "f16"
    ) -> set[str]:
        checks = prove_adapter(trained, adapter, base, file, prompts=ALL_PROMPTS, backend=backend, kind=kind)
        return {check.name for check in checks if not check.passed}

    def test_passes(
        self,
        made: tuple[Path, Path],
        trained: Path,
        trained_file: GgufFile,
        backend: LlamaCppBackend,
        tmp_path: Path,
    ) -> None:
        adapter, file = made
        assert self.failed(trained, trained_file.path, adapter, file, backend) == set()
        eight = quantize(trained_file.path, tmp_path / "q8.gguf", "q8_0").path
        assert self.failed(trained, eight, adapter, file, backend, "q8_0") == set()

    @pytest.mark.parametrize("fault", ["rsLoRA's scale", "order of rows", "half of it", "another adapter", "cut short"])
    def test_planted_fault(
        self,
        fault: str,
        made: tuple[Path, Path],
        trained: Path,
        trained_file: GgufFile,
        backend: LlamaCppBackend,
        tmp_path: Path,
    ) -> None:
        adapter, file = made
        bad = tmp_path / "bad.gguf"

        def rows_as_in_the_folder(name: str, values: Any) -> Any:
            heads = {"attn_q.weight.lora_b": 4, "attn_k.weight.lora_b": 2}.get(name.split(".", 2)[-1])
            return values if heads is None else part_halves(values, heads)

        if fault == "rsLoRA's scale":
            rewrite(file, bad, fields={"adapter.lora.alpha": 8.0})
        elif fault == "order of rows":
            rewrite(file, bad, tensors=rows_as_in_the_folder)
        elif fault == "half of it":
            rewrite(file, bad, tensors=lambda name, values: None if name.startswith("blk.1.") else values)
        elif fault == "another adapter":
            export_adapter(trained, save_adapter(trained, tmp_path / "other", scale=0.3, r=2), bad)
        else:
            bad.write_bytes(file.read_bytes()[:-3000])
        found = self.failed(trained, trained_file.path, adapter, bad, backend)
        assert found == {"file is whole"} if fault == "cut short" else "logits: mean KL" in found

    def test_not_loaded(
        self, made: tuple[Path, Path], trained: Path, llama3_file: GgufFile, backend: LlamaCppBackend
    ) -> None:
        adapter, file = made
        assert self.failed(trained, llama3_file.path, adapter, file, backend) == {"vocabulary"}
        assert self.failed(trained, file, adapter, file, backend) == {"loads"}


class TestRefused:
    @pytest.fixture(scope="class")
    def adapter(self, trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
        return save_adapter(trained, tmp_path_factory.mktemp("refused") / "adapter")

    def refuse(self, base: Path, adapter: Path, reason: str) -> None:
        target = adapter.parent / "out" / "a.gguf"
        with pytest.raises(ExportError, match=reason):
            export_adapter(base, adapter, target)
        assert not target.parent.exists() or not list(target.parent.iterdir())

    @pytest.mark.parametrize(
        ("settings", "reason"),
        [
            ({"use_dora": True}, "DoRA"),
            ({"modules_to_save": ["lm_head"]}, "whole layers"),
            ({"trainable_token_indices": [1]}, "single embeddings"),
            ({"lora_bias": True}, "biases of its own"),
            ({"bias": "all"}, "biases of the base"),
            ({"peft_type": "LOHA"}, "kind LOHA"),
            ({"init_lora_weights": "pissa_niter_4"}, "changes the base"),
            ({"lora_alpha": 0}, "lora_alpha = 0"),
            ({"lora_alpha": None}, "lora_alpha = None"),
            ({"r": 16}, "rank 4"),
        ],
    )
    def test_by_settings(
        self, settings: Mapping[str, Any], reason: str, trained: Path, adapter: Path, tmp_path: Path
    ) -> None:
        folder = tmp_path / "adapter"
        shutil.copytree(adapter, folder)
        stored = json.loads((folder / "adapter_config.json").read_text())
        (folder / "adapter_config.json").write_text(json.dumps({**stored, **settings}))
        self.refuse(trained, folder, reason)

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            (lambda key, value: (key.replace("q_proj", "x_proj"), value), "x_proj"),
            (lambda key, value: (key.replace("lora_B", "lora_magnitude"), value), "no part of"),
            (lambda key, value: (key, value[:, :3]) if "lora_B" in key else (key, value), "times"),
            (lambda key, value: (key, value * np.float32(np.nan)), "not numbers"),
            (lambda key, value: None if "lora_B" in key else (key, value), "is missing"),
            (lambda key, value: None, "holds nothing"),
        ],
    )
    def test_by_tensors(
        self, change: Callable[[str, Any], Any], reason: str, trained: Path, adapter: Path, tmp_path: Path
    ) -> None:
        folder = tmp_path / "adapter"
        shutil.copytree(adapter, folder)
        values = load_file(folder / "adapter_model.safetensors")
        changed = [change(key, value) for key, value in values.items()]
        left = {key: np.ascontiguousarray(value) for key, value in filter(None, changed)}
        save_file(left, folder / "adapter_model.safetensors")
        self.refuse(trained, folder, reason)

    def test_trained_embeddings(self, trained: Path, folder_of: Make, tmp_path: Path) -> None:
        adapter = save_adapter(folder_of("llama"), tmp_path / "a", target_modules=["embed_tokens", "q_proj"])
        self.refuse(folder_of("llama"), adapter, "embed")
        tied = save_adapter(trained, tmp_path / "b", target_modules=["lm_head", "q_proj"])
        self.refuse(trained, tied, "lm_head|embed_tokens")

    def test_no_adapter(self, trained: Path, adapter: Path, tmp_path: Path) -> None:
        with pytest.raises(ExportError, match="adapter_config"):
            export_adapter(trained, tmp_path, tmp_path / "x.gguf")
        shutil.copy(adapter / "adapter_config.json", tmp_path)
        with pytest.raises(ExportError, match="adapter_model"):
            export_adapter(trained, tmp_path, tmp_path / "x.gguf")
