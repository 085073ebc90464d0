"""The exporter: what it writes, that it is stable, and what it refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file
from tiny_llama import PROMPTS, TEMPLATE

from core.backends.llamacpp import LlamaCppBackend
from core.errors import ExportError
from core.paths import sha256_of
from core.release.export import Watch, export_and_prove
from core.release.families.llama import FAMILY, interleave_halves, part_halves
from core.release.families.rope import FREQUENCIES, factor_tensors
from core.release.gguf import export_gguf
from core.release.quantize import GgufFile, quantize
from core.release.vocabulary import TEMPLATE_COMMENT, pre_tokenizer
from core.release.weights import Weights


def changed(source: Path, folder: Path, file: str, **values: Any) -> Path:
    """A copy of a model folder with some keys of one JSON file changed (None takes one out)."""
    shutil.copytree(source, folder)
    stored = json.loads((folder / file).read_text())
    stored.update(values)
    (folder / file).write_text(json.dumps({key: value for key, value in stored.items() if value is not None}))
    return folder


def contents(path: Path, key: str) -> Any:
    import gguf

    field = gguf.GGUFReader(path).get_field(key)
    return None if field is None else field.contents()


@pytest.mark.process
class TestFile:
    def test_says_what_it_is(self, trained_file: GgufFile) -> None:
        assert trained_file.sha256 == sha256_of(trained_file.path)
        assert trained_file.bytes == trained_file.path.stat().st_size
        assert trained_file.kind == "f16"
        assert [file.name for file in trained_file.path.parent.iterdir()] == ["trained.f16.gguf"]
        assert contents(trained_file.path, "tokenizer.ggml.pre") == "gpt-2"
        assert contents(trained_file.path, "general.name") == "trained"
        assert contents(trained_file.path, "general.file_type") == 1
        assert contents(trained_file.path, "tokenizer.chat_template") == TEMPLATE_COMMENT + TEMPLATE
        assert contents(trained_file.path, "tokenizer.ggml.add_bos_token") is False

    def test_llama3(self, llama3_file: GgufFile) -> None:
        import gguf

        tensors = {tensor.name: tensor for tensor in gguf.GGUFReader(llama3_file.path).tensors}
        assert {"rope_freqs.weight", "output.weight"} <= tensors.keys()
        assert tensors["output_norm.weight"].data.dtype == np.float32
        assert tensors["output.weight"].data.dtype == np.float16
        assert contents(llama3_file.path, "tokenizer.ggml.pre") == "llama-bpe"
        tokens = contents(llama3_file.path, "tokenizer.ggml.tokens")
        assert len(tokens) == tensors["token_embd.weight"].data.shape[0]
        assert tokens[-1] == f"[PAD{len(tokens) - 1}]"
        assert contents(llama3_file.path, "tokenizer.ggml.token_type")[-1] == 5

    def test_same_bytes_each_time_and_after_another_copy(
        self, trained: Path, trained_file: GgufFile, tmp_path: Path
    ) -> None:
        seen: list[tuple[int, int]] = []
        again = export_gguf(trained, tmp_path / "b.gguf", name="trained", progress=lambda *done: seen.append(done))
        assert again.sha256 == trained_file.sha256
        assert quantize(again.path, tmp_path / "c.gguf", "f16").sha256 == trained_file.sha256
        assert seen == sorted(seen)
        assert seen[-1][0] == seen[-1][1]

    def test_shards_and_bfloat16(self, trained: Path, trained_file: GgufFile, tmp_path: Path) -> None:
        import torch
        from transformers import AutoModelForCausalLM

        folder = changed(trained, tmp_path / "shards", "config.json")
        (folder / "model.safetensors").unlink()
        model = AutoModelForCausalLM.from_pretrained(trained, dtype=torch.float16)
        model.save_pretrained(folder, max_shard_size="100KB")
        assert (folder / "model.safetensors.index.json").is_file()
        assert export_gguf(folder, tmp_path / "a.gguf", name="trained").sha256 == trained_file.sha256
        half = changed(trained, tmp_path / "bf16", "config.json")
        model.bfloat16().save_pretrained(half)
        read = Weights(half).read("model.norm.weight")
        assert np.array_equal(read, model.model.norm.weight.float().detach().numpy())

    def test_second_end_token(self, trained: Path, tmp_path: Path) -> None:
        folder = changed(trained, tmp_path / "m", "generation_config.json", eos_token_id=[2, 4])
        file = export_gguf(folder, tmp_path / "m.gguf")
        assert contents(file.path, "tokenizer.ggml.eos_token_id") == 2
        assert contents(file.path, "tokenizer.ggml.eot_token_id") == 4

    def test_quantize_refuses(self, trained_file: GgufFile, tmp_path: Path) -> None:
        with pytest.raises(ExportError, match="Unknown kind"):
            quantize(trained_file.path, tmp_path / "x.gguf", "q99")
        (tmp_path / "bad.gguf").write_bytes(trained_file.path.read_bytes()[:3000])
        with pytest.raises(ExportError, match="could not write"):
            quantize(tmp_path / "bad.gguf", tmp_path / "x.gguf", "q8_0")
        with pytest.raises(ExportError, match="stopped"):
            quantize(trained_file.path, tmp_path / "x.gguf", "q8_0", cancelled=lambda: True)
        assert [file.name for file in tmp_path.iterdir()] == ["bad.gguf"]

    def test_a_stop_in_the_middle_leaves_nothing(self, trained: Path, trained_file: GgufFile, tmp_path: Path) -> None:
        class Enough(Exception):
            pass

        def stop(*_: int) -> bool:
            raise Enough

        each: Any
        for each in ({"cancelled": stop}, {"progress": stop}):
            with pytest.raises(Enough):
                quantize(trained_file.path, tmp_path / "x.gguf", "iq4_xs", **each)
            with pytest.raises(Enough):
                export_gguf(trained, tmp_path / "y.gguf", **each)
        assert list(tmp_path.iterdir()) == []

    def test_the_export_tells_how_far_it_is_and_hears_a_stop(self, trained: Path, tmp_path: Path) -> None:
        class Stop(Exception):
            pass

        class Watching(Watch):
            def __init__(self, until: str) -> None:
                self.until = until
                self.told: list[tuple[str, int, int]] = []

            def progress(self, what: str, done: int, total: int) -> None:
                self.told.append((what, done, total))
                if what.startswith(self.until):
                    raise Stop

        stages = ("Writing the model", "Quantising q8_0", "Proving q8_0")
        with LlamaCppBackend(threads=1) as backend:
            for until in stages:
                watch = Watching(until)
                folder = tmp_path / until
                with pytest.raises(Stop):
                    export_and_prove(
                        trained,
                        folder,
                        name="t",
                        kinds=["q8_0"],
                        prompts=PROMPTS,
                        backend=backend,
                        note=lambda _: None,
                        watch=watch,
                    )
                seen = [what.split(",")[0] for what, _, _ in watch.told]
                assert list(dict.fromkeys(seen)) == list(stages[: stages.index(until) + 1])
                assert not list(folder.glob(".*"))  # nothing half written


@pytest.mark.process
class TestRefused:
    def refuse(self, folder: Path, reason: str) -> None:
        target = folder.parent / "out" / "x.gguf"
        with pytest.raises(ExportError, match=reason):
            export_gguf(folder, target)
        assert not target.parent.exists() or not list(target.parent.iterdir())

    @pytest.mark.parametrize(
        ("file", "values", "reason"),
        [
            ("config.json", {"architectures": ["MambaForCausalLM"]}, "MambaForCausalLM"),
            ("config.json", {"architectures": None}, "none"),
            ("config.json", {"hidden_act": "gelu"}, "gelu"),
            ("config.json", {"num_hidden_layers": 3}, "has no tensor model.layers.2"),
            ("config.json", {"num_hidden_layers": 1}, "no place for, such as model.layers.1"),
            ("config.json", {"hidden_size": "64"}, "hidden_size"),
            ("config.json", {"vocab_size": 500}, "has shape"),
            ("config.json", {"vocab_size": 100}, "embeddings for 100 tokens only"),
            ("config.json", {"tie_word_embeddings": False}, "no tensor lm_head.weight"),
            ("config.json", {"rope_parameters": {"rope_type": "dynamic", "factor": 2.0}}, "dynamic"),
            ("config.json", {"rope_parameters": {"rope_type": "llama3", "factor": 2.0}}, "without low_freq_factor"),
            ("config.json", {"quantization_config": {"bits": 4}}, "quantised"),
            ("tokenizer.json", {"normalizer": {"type": "NFC"}}, "normalises"),
            ("tokenizer.json", {"model": {"type": "Unigram"}}, "Unigram"),
            ("tokenizer.json", {"model": {"type": "BPE", "byte_fallback": True}}, "SentencePiece"),
            ("tokenizer.json", {"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": True}}, "splits text"),
            ("tokenizer.json", {"pre_tokenizer": {"type": "Whitespace"}}, "splits text"),
            ("tokenizer.json", {"pre_tokenizer": None}, "splits text"),
            ("tokenizer.json", {"post_processor": {"type": "BertProcessing"}}, "BertProcessing"),
            (
                "tokenizer.json",
                {"added_tokens": [{"id": 2, "content": "<end>", "special": True, "lstrip": True}]},
                "swallows",
            ),
        ],
    )
    def test_with_the_reason(
        self, file: str, values: dict[str, Any], reason: str, trained: Path, tmp_path: Path
    ) -> None:
        self.refuse(changed(trained, tmp_path / "m", file, **values), reason)

    def test_no_end_token(self, trained: Path, tmp_path: Path) -> None:
        folder = changed(trained, tmp_path / "m", "tokenizer_config.json", eos_token=None)
        (folder / "generation_config.json").unlink()
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, "eos_token_id": None}))
        self.refuse(folder, "no end token")

    def test_two_different_copies_of_tied_embeddings(self, trained: Path, tmp_path: Path) -> None:
        folder = changed(trained, tmp_path / "m", "config.json")
        weights = load_file(folder / "model.safetensors")
        weights["lm_head.weight"] = weights["model.embed_tokens.weight"] * np.float16(1.5)
        save_file(weights, folder / "model.safetensors")
        self.refuse(folder, "tied embeddings")

    def test_values_that_float16_cannot_hold(self, trained: Path, tmp_path: Path) -> None:
        folder = changed(trained, tmp_path / "m", "config.json")
        weights = {name: values.astype(np.float32) for name, values in load_file(folder / "model.safetensors").items()}
        weights["model.layers.0.mlp.up_proj.weight"][0, 0] = 1e6
        save_file(weights, folder / "model.safetensors")
        self.refuse(folder, "blk.0.ffn_up.weight")

    def test_damaged_folders(self, trained: Path, tmp_path: Path) -> None:
        folder = changed(trained, tmp_path / "m", "config.json")
        whole = (folder / "model.safetensors").read_bytes()
        for damaged, reason in (
            (whole[:-100], "cut short"),
            (whole[:50], "longer"),
            (b"", "header"),
            (b"x" * 99, "longer"),
        ):
            (folder / "model.safetensors").write_bytes(damaged)
            self.refuse(folder, reason)
        (folder / "model.safetensors").unlink()
        self.refuse(folder, "no model.safetensors")
        (folder / "model.safetensors.index.json").write_text('{"weight_map": {"a": "../secret.safetensors"}}')
        self.refuse(folder, "outside")
        (folder / "config.json").write_text("{")
        self.refuse(folder, "cannot be read")
        (folder / "config.json").unlink()
        self.refuse(folder, r"no config\.json")


class TestParts:
    @given(heads=st.integers(1, 4), half=st.integers(1, 4), columns=st.integers(1, 3))
    def test_rotation_partners_become_neighbours(self, heads: int, half: int, columns: int) -> None:
        rows = heads * 2 * half
        weight = np.arange(rows * columns).reshape(rows, columns)
        moved = interleave_halves(weight, heads).reshape(heads, 2 * half, columns)
        original = weight.reshape(heads, 2 * half, columns)
        for i in range(half):
            assert np.array_equal(moved[:, 2 * i], original[:, i])
            assert np.array_equal(moved[:, 2 * i + 1], original[:, half + i])
        assert np.array_equal(part_halves(interleave_halves(weight, heads), heads), weight)

    def test_rope_factors_are_those_of_transformers(self) -> None:
        from transformers import LlamaConfig
        from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

        rope = {
            "rope_type": "llama3",
            "rope_theta": 500000.0,
            "factor": 32.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192,
        }
        config = LlamaConfig(hidden_size=2048, num_attention_heads=32, head_dim=64, rope_parameters=rope)
        scaled, _ = ROPE_INIT_FUNCTIONS["llama3"](config, "cpu")
        factors = factor_tensors(FAMILY.rope(config.to_dict()), 64)[FREQUENCIES]
        plain = 500000.0 ** (-np.arange(0, 64, 2) / 64)
        assert np.allclose(plain / factors, scaled.numpy(), rtol=1e-5)
        assert factors.min() == 1.0
        assert factors.max() == pytest.approx(32.0)
        older = {**config.to_dict(), "rope_parameters": None, "rope_theta": 500000.0, "rope_scaling": rope}
        assert np.array_equal(factor_tensors(FAMILY.rope(older), 64)[FREQUENCIES], factors)

    def test_ignored_merges_are_told_apart(self) -> None:
        byte_level = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}
        assert pre_tokenizer({"pre_tokenizer": byte_level, "model": {}}) == "gpt-2"
        with pytest.raises(ExportError):
            pre_tokenizer({"pre_tokenizer": byte_level, "model": {"ignore_merges": True}})
