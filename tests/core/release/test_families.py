"""Every family both ways: the file behaves like the folder, planted faults show, and the way back ends at the start."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file
from tiny_llama import PROMPTS, rewrite
from tiny_models import GEMMA_ROPE, LLAMA3_ROPE, LONG_ROPE, MODELS, YARN_ROPE, save_model

from core.backends.llamacpp import LlamaCppBackend
from core.errors import ExportError, ModelError
from core.paths import sha256_of
from core.release import gguf as exporter
from core.release.families import FACTOR_TENSORS, FAMILIES, Family, check_used, family_of
from core.release.families import plan as plans
from core.release.families import rope as ropes
from core.release.families.llama import part_halves
from core.release.families.plan import decimal
from core.release.from_gguf import import_gguf
from core.release.gguf import export_gguf
from core.release.proof import prove
from core.release.proof_answers import kl_divergence
from core.release.proof_bounds import F16
from core.release.quantize import GgufFile
from core.release.reference import Reference
from core.release.weights import Weights

Make = Callable[[str], Path]
TOKENS = [int(token) for token in np.random.default_rng(0).integers(6, 400, 120)]


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory: pytest.TempPathFactory) -> Make:
    made: dict[str, Path] = {}

    def make(name: str) -> Path:
        if name not in made:
            made[name] = save_model(tmp_path_factory.mktemp(name), name)
        return made[name]

    return make


@pytest.fixture(scope="module")
def file_of(folder_of: Make, tmp_path_factory: pytest.TempPathFactory) -> Make:
    made: dict[str, Path] = {}

    def make(name: str) -> Path:
        if name not in made:
            made[name] = export_gguf(folder_of(name), tmp_path_factory.mktemp("files") / f"{name}.gguf", name=name).path
        return made[name]

    return make


def config_in(folder: Path) -> dict[str, Any]:
    stored: dict[str, Any] = json.loads((folder / "config.json").read_text())
    return stored


def family_in(config: Mapping[str, Any]) -> Family:
    return FAMILIES[config["architectures"][0]]


def as_read(config: Mapping[str, Any]) -> dict[str, Any]:
    """The key-values of a file, as a reader gives them: decimal numbers have passed through float32."""
    fields: dict[str, Any] = {
        key: float(np.float32(value)) if isinstance(value, float) else value
        for key, value in family_in(config).metadata(config).items()
    }
    for key, name in (("bos", "bos"), ("eos", "eos"), ("pad", "padding")):
        fields[f"tokenizer.ggml.{name}_token_id"] = config[f"{key}_token_id"]
    return fields


def in_file(config: Mapping[str, Any], weights: Weights) -> dict[str, Any]:
    """The tensors of an unquantised file, before rounding."""
    return {
        plan.name: np.concatenate(list(plan.blocks())).reshape(plan.shape)
        for plan in family_in(config).tensors(config, weights)
    }


def taken_back(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """config.json and tensors of a model folder after the way into a file and back."""
    stored = config_in(folder)
    tensors = in_file(stored, Weights(folder))
    family = family_of(family_in(stored).architecture)
    config = family.config_of(as_read(stored), tensors)
    sources = list(family.sources(config))
    check_used(tensors, sources)
    restored: dict[str, Any] = {}
    for source in sources:
        assert tensors[source.gguf_name].shape == source.shape
        restored[source.hf_name] = source.restore(tensors[source.gguf_name]).astype(np.float32)
    return config, restored


@pytest.mark.process
class TestLogits:
    @pytest.mark.parametrize("name", MODELS)
    def test_are_those_of_transformers(
        self, name: str, folder_of: Make, file_of: Make, backend: LlamaCppBackend
    ) -> None:
        expected = Reference(folder_of(name)).logits(TOKENS)
        found = backend.logits(str(file_of(name)), TOKENS)
        assert found.shape == expected.shape
        assert kl_divergence(expected, found).max() <= 1e-3
        best = expected.argmax(1)
        gaps = expected.max(1) - expected[range(len(best)), found.argmax(1)]
        assert ((best == found.argmax(1)) | (gaps < F16.near_tie)).mean() >= F16.top1

    @pytest.mark.parametrize("name", ["llama_tied", "qwen3", "gemma3"])
    def test_proof_passes(self, name: str, folder_of: Make, file_of: Make, backend: LlamaCppBackend) -> None:
        checks = prove(folder_of(name), file_of(name), PROMPTS[:1], backend, kind="f16")
        assert [check for check in checks if not check.passed and check.name != "logits: top-1 agreement"] == []

    @pytest.mark.parametrize(
        ("name", "fields", "tensors"),
        [
            ("llama", {}, lambda key, values: part_halves(values, 4) if key.endswith("attn_q.weight") else values),
            ("llama", {}, lambda key, values: part_halves(values, 2) if key.endswith("attn_k.weight") else values),
            ("llama_tied", {}, lambda key, values: None if key == "rope_freqs.weight" else values),
            ("llama_linear", {"llama.rope.scaling.factor": 1.0}, None),
            ("llama_yarn", {"llama.rope.scaling.factor": 2.0}, None),
            ("qwen2", {}, lambda key, values: values * 0 if key.endswith("attn_k.bias") else values),
            ("qwen2", {}, lambda key, values: values * 0 if key.endswith("attn_v.bias") else values),
            ("qwen3", {}, lambda key, values: values * 0 + 1 if key.endswith("attn_q_norm.weight") else values),
            ("gemma2", {}, lambda key, values: values - 1 if key.endswith("norm.weight") else values),
            ("gemma2", {}, lambda key, values: values - 1 if key.endswith(".post_ffw_norm.weight") else values),
            ("gemma2", {"gemma2.attn_logit_softcapping": 50.0}, None),
            ("gemma2", {"gemma2.final_logit_softcapping": 3.0}, None),
            ("gemma2", {"gemma2.attention.sliding_window": 4096}, None),
            ("gemma3", {}, lambda key, values: values - 1 if key.endswith("attn_k_norm.weight") else values),
            ("gemma3", {"gemma3.attention.sliding_window": 4096}, None),
            ("gemma3", {"gemma3.rope.scaling.factor": 1.0}, None),
            ("gemma3", {"gemma3.rope.freq_base_swa": 1_000_000.0}, None),
            ("gemma3_untied", {"gemma3.final_logit_softcapping": 30.0}, None),
            ("gemma3_untied", {"gemma3.attention.sliding_window_pattern": 6}, None),
            ("phi3_tied", {"phi3.rope.dimension_count": 16}, None),
            ("phi3_long", {"phi3.rope.scaling.attn_factor": 1.0}, None),
            ("phi3_long", {"phi3.rope.scaling.original_context_length": 65536}, None),
        ],
    )
    def test_show_a_planted_fault(
        self,
        name: str,
        fields: Mapping[str, Any],
        tensors: Callable[[str, Any], Any] | None,
        folder_of: Make,
        file_of: Make,
        backend: LlamaCppBackend,
        tmp_path: Path,
    ) -> None:
        wrong = rewrite(
            file_of(name), tmp_path / "x.gguf", fields=fields, tensors=tensors or (lambda _, values: values)
        )
        expected = Reference(folder_of(name)).logits(TOKENS)
        found = backend.logits(str(wrong), TOKENS)
        assert kl_divergence(expected, found).max() > F16.kl_max


@pytest.mark.process
@pytest.mark.parametrize("name", ["llama_tied", "qwen2", "gemma3", "phi3_long"])
def test_a_file_made_of_its_own_folder_is_the_same_file(name: str, file_of: Make, tmp_path: Path) -> None:
    folder = import_gguf(file_of(name), tmp_path / "folder")
    again = export_gguf(folder, tmp_path / "again.gguf", name=file_of(name).stem)
    assert again.sha256 == sha256_of(file_of(name))


class TestThereAndBack:
    @pytest.mark.parametrize("name", MODELS)
    def test_is_the_identity(self, name: str, folder_of: Make) -> None:
        folder = folder_of(name)
        stored = config_in(folder)
        config, restored = taken_back(folder)
        renamed = {"architectures", "model_type"} if name == "mistral" else set()
        cut = {"max_position_embeddings", "original_max_position_embeddings"} if name == "phi3_window" else set()
        assert {key: config[key] for key in config.keys() & stored.keys() - renamed - cut} == {
            key: stored[key] for key in config.keys() & stored.keys() - renamed - cut
        }
        again = {**config, "architectures": stored["architectures"]} if renamed else config
        assert family_in(again).metadata(again) == family_in(stored).metadata(stored)
        original = load_file(folder / "model.safetensors")
        assert restored.keys() == original.keys()
        exact = not name.startswith("gemma")  # 1 + weight - 1 rounds in float32
        for key, values in original.items():
            assert np.array_equal(restored[key], values) if exact else np.allclose(restored[key], values, atol=1e-6)

    @pytest.mark.parametrize("name", MODELS)
    def test_gives_the_same_model(self, name: str, folder_of: Make, tmp_path: Path) -> None:
        config, restored = taken_back(folder_of(name))
        (tmp_path / "config.json").write_text(json.dumps(config))
        save_file(restored, tmp_path / "model.safetensors")
        expected, found = Reference(folder_of(name)).logits(TOKENS), Reference(tmp_path).logits(TOKENS)
        assert np.allclose(expected, found, atol=1e-4)

    def test_published_settings_of_either_form(self) -> None:
        older = {
            "architectures": ["Qwen2ForCausalLM"],
            "hidden_size": 64,
            "intermediate_size": 96,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "vocab_size": 99,
            "max_position_embeddings": 32768,
            "rope_theta": 1000000.0,
            "rope_scaling": {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768},
            "use_sliding_window": False,
            "sliding_window": 131072,
            "max_window_layers": 1,
        }
        values = FAMILIES["Qwen2ForCausalLM"].metadata(older)
        assert values["rope.freq_base"] == 1000000.0
        assert (values["rope.scaling.type"], values["rope.scaling.factor"]) == ("yarn", 4.0)
        assert values["attention.head_count_kv"] == 4
        assert values["context_length"] == 32768

    def test_context_ends_where_an_ignored_window_begins_to_matter(self, folder_of: Make) -> None:
        for name, changes in (
            ("mistral", {"sliding_window": 300}),
            ("qwen2", {"sliding_window": 300, "layer_types": ["full_attention", "sliding_attention"]}),
            ("qwen3", {"sliding_window": 300, "use_sliding_window": True, "max_window_layers": 1, "layer_types": None}),
            ("phi3", {"sliding_window": 300}),
        ):
            config = {**config_in(folder_of(name)), **changes}
            assert family_in(config).metadata(config)["context_length"] == 300
        assert family_in(config_in(folder_of("qwen3"))).metadata(config_in(folder_of("qwen3")))["context_length"] == 512

    def test_files_of_others_leave_keys_out(self, folder_of: Make) -> None:
        stored = config_in(folder_of("qwen2"))
        fields = as_read(stored)
        for key in ("attention.key_length", "attention.value_length", "rope.dimension_count", "vocab_size"):
            del fields[key]
        fields |= {"tokenizer.ggml.tokens": ["t"] * stored["vocab_size"], "attention.head_count_kv": [2, 2]}
        config = family_of("qwen2").config_of(fields, {"output.weight": None})  # type: ignore[dict-item]
        assert {key: config[key] for key in config.keys() & stored.keys()} == {
            key: stored[key] for key in config.keys() & stored.keys()
        }

    def test_windows_layer_by_layer(self, folder_of: Make) -> None:
        fields = as_read(config_in(folder_of("gemma3")))
        fields["attention.sliding_window_pattern"] = [True, False] * 3 + [True]
        config = family_of("gemma3").config_of(fields, {})
        assert config["layer_types"] == ["sliding_attention", "full_attention"] * 3 + ["sliding_attention"]
        assert FAMILIES["Gemma3ForCausalLM"].metadata(config)["attention.sliding_window_pattern"] == 2

    def test_ordinary_factors_are_no_scaling(self) -> None:
        ones = {"rope_freqs.weight": np.ones(8, np.float32)}
        assert ropes.rope_parameters({}, ones, dims=16, context=99) == {"rope_theta": 10000.0, "rope_type": "default"}


class TestRefusedFolders:
    @pytest.mark.parametrize(
        ("name", "changes", "reason"),
        [
            ("llama", {"hidden_act": "gelu"}, "gelu"),
            ("llama", {"rope_parameters": {**YARN_ROPE, "beta_fast": 8.0}}, "bounds of its own"),
            ("llama", {"rope_parameters": {**YARN_ROPE, "mscale": 2.0}}, "mscale"),
            ("llama", {"rope_parameters": {**YARN_ROPE, "attention_factor": 1.5}}, "attention factor"),
            ("llama", {"rope_parameters": {"rope_type": "dynamic", "factor": 2.0}}, "dynamic"),
            ("llama", {"rope_parameters": {"rope_type": "default", "partial_rotary_factor": 0.5}}, "partial"),
            ("qwen2", {"rope_parameters": LLAMA3_ROPE}, "llama3"),
            ("gemma2", {"query_pre_attn_scalar": 30}, "attention scale"),
            ("gemma2", {"attn_logit_softcapping": None}, "always caps"),
            ("gemma2", {"tie_word_embeddings": False}, "output matrix"),
            ("gemma2", {"layer_types": ["full_attention", "sliding_attention"]}, "order of sliding"),
            ("gemma3", {"attn_logit_softcapping": 30.0}, "attn_logit_softcapping"),
            ("gemma3", {"use_bidirectional_attention": True}, "both directions"),
            ("gemma3", {"layer_types": ["sliding_attention"] * 3 + ["full_attention"] * 4}, "order of sliding"),
            ("gemma3", {"rope_parameters": {**GEMMA_ROPE, "full_attention": YARN_ROPE}}, "yarn"),
            ("gemma3", {"rope_parameters": {**GEMMA_ROPE, "sliding_attention": YARN_ROPE}}, "yarn"),
            ("phi3", {"rope_parameters": {**LONG_ROPE, "long_factor": [1.0], "rope_type": "longrope"}}, "8 numbers"),
            ("phi3", {"partial_rotary_factor": 0.7, "rope_parameters": None}, "11 features"),
        ],
    )
    def test_by_their_settings(self, name: str, changes: dict[str, Any], reason: str, folder_of: Make) -> None:
        config = {**config_in(folder_of(name)), **changes}
        with pytest.raises(ExportError, match=reason):
            family_in(config).metadata(config)
            list(family_in(config).tensors(config, Weights(folder_of(name))))

    def test_by_tensors_that_would_be_lost(self, folder_of: Make, tmp_path: Path) -> None:
        config = config_in(folder_of("qwen3"))
        tensors = load_file(folder_of("qwen3") / "model.safetensors")
        tensors["model.layers.0.self_attn.q_proj.bias"] = np.zeros(96, np.float32)
        save_file(tensors, tmp_path / "model.safetensors")
        with pytest.raises(ExportError, match=r"no place for, such as model\.layers\.0\.self_attn\.q_proj\.bias"):
            list(family_in(config).tensors(config, Weights(tmp_path)))


class TestRefusedFiles:
    @pytest.mark.parametrize(
        ("name", "changes", "reason"),
        [
            ("llama", {"expert_count": 8}, "expert_count"),
            ("llama", {"logit_scale": 2.0}, "logit_scale"),
            ("llama", {"attention.value_length": 12}, "keys and values differ"),
            ("llama", {"attention.head_count_kv": [2, 1]}, "layers that differ"),
            ("llama", {"rope.dimension_count": 8}, "partial"),
            ("llama", {"rope.scaling.type": "longrope", "rope.scaling.factor": 2.0}, "rotary factors"),
            ("llama", {"rope.scaling.type": "other", "rope.scaling.factor": 2.0}, "'other'"),
            ("llama", {"rope.scaling.attn_factor": 1.2}, "attention factor of 1.2"),
            ("llama_yarn", {"rope.scaling.yarn_beta_fast": 8.0}, "beta_fast"),
            ("llama_yarn", {"rope.scaling.yarn_log_multiplier": 0.1}, "yarn_log_multiplier"),
            ("llama_tied", {"rope.freq_base": 5000.0}, "not those of Llama 3"),
            ("llama_tied", {"rope.scaling.type": "linear", "rope.scaling.factor": 2.0}, "beside scaling"),
            (
                "qwen2",
                {"attention.key_length": 24, "attention.value_length": 24, "rope.dimension_count": 24},
                "heads of 24 features",
            ),
            ("gemma2", {"rope.scaling.type": "yarn", "rope.scaling.factor": 2.0}, "yarn"),
            ("gemma3", {"attention.sliding_window": 0}, "no sliding window"),
            ("gemma3", {"attention.sliding_window_pattern": [True] * 3 + [False] * 4}, "order of sliding"),
            ("gemma3", {"attn_logit_softcapping": 30.0}, "capped"),
            ("gemma3", {"rope.global.freq_base": 5e5}, r"rope\.global\.freq_base"),
            ("phi3", {"rope.dimension_count": 99}, "99 features"),
            ("phi3_long", {"rope.dimension_count": 8}, "rotary factors of shape"),
        ],
    )
    def test_by_their_keys(self, name: str, changes: dict[str, Any], reason: str, folder_of: Make) -> None:
        config = config_in(folder_of(name))
        tensors = in_file(config, Weights(folder_of(name)))
        with pytest.raises(ModelError, match=reason):
            family_of(family_in(config).architecture).config_of({**as_read(config), **changes}, tensors)

    def test_by_missing_keys(self, folder_of: Make) -> None:
        fields = as_read(config_in(folder_of("qwen3")))
        del fields["attention.layer_norm_rms_epsilon"]
        with pytest.raises(ModelError, match=r"no setting attention\.layer_norm_rms_epsilon"):
            family_of("qwen3").config_of(fields, {})

    def test_by_their_tensors(self, folder_of: Make) -> None:
        config = config_in(folder_of("llama"))
        sources = list(family_in(config).sources(config))
        names = {source.gguf_name for source in sources}
        check_used(frozenset(names | FACTOR_TENSORS), sources)
        with pytest.raises(ModelError, match=r"such as blk\.0\.attn_q\.bias"):
            check_used(frozenset(names | {"blk.0.attn_q.bias"}), sources)

    def test_unknown_architecture(self) -> None:
        with pytest.raises(ModelError, match="'mamba'"):
            family_of("mamba")


class TestParts:
    @given(value=st.floats(width=32, allow_nan=False, allow_infinity=False))
    def test_decimals_are_the_same_float(self, value: float) -> None:
        assert np.float32(decimal(value)) == np.float32(value)
        assert decimal(float(np.float32(decimal(value)))) == decimal(value)

    @given(
        theta=st.sampled_from([10000.0, 500000.0, 1e6]),
        factor=st.sampled_from([2.0, 8.0, 20.0, 32.0]),
        trained=st.sampled_from([256, 2048, 8192]),
        half=st.sampled_from([8, 32, 64]),
    )
    def test_llama3_settings_are_found_again(self, theta: float, factor: float, trained: int, half: int) -> None:
        scaling = {
            "factor": factor,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": trained,
        }
        factors = ropes.llama3_factors(theta, 2 * half, scaling)
        noise = 1 + np.float32(1e-6) * np.sin(np.arange(half, dtype=np.float32))  # of another writer's float32
        found = ropes.rope_parameters(
            {"rope.freq_base": theta}, {ropes.FREQUENCIES: factors * noise}, dims=2 * half, context=131072
        )
        if found["rope_type"] == "default":
            assert np.allclose(factors, 1.0, rtol=1e-4)
        else:
            assert np.allclose(ropes.llama3_factors(theta, 2 * half, found), factors, rtol=2e-4)
        if half >= 32 and trained == 8192 and theta == 500000.0:
            assert found == {"rope_theta": theta, "rope_type": "llama3", **scaling}

    @pytest.mark.parametrize("name", ["llama", "gemma3", "phi3"])
    def test_few_rows_at_once_are_the_same_values(
        self, name: str, folder_of: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        config, weights = config_in(folder_of(name)), Weights(folder_of(name))
        whole = in_file(config, weights)
        monkeypatch.setattr(plans, "MOST_BLOCK_ITEMS", 24 * 96)
        for plan in family_in(config).tensors(config, weights):
            parts = list(plan.blocks())
            assert all(part.size <= 24 * 96 for part in parts)
            assert np.array_equal(np.concatenate(parts), whole[plan.name])

    def test_bfloat16_reaches_the_quantiser_as_it_is(
        self, folder_of: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import gguf
        import torch
        from safetensors.torch import load_file as load_torch
        from safetensors.torch import save_file as save_torch

        folder = save_model(tmp_path / "m", "qwen2")
        tensors = {name: values.bfloat16() for name, values in load_torch(folder / "model.safetensors").items()}
        tensors["model.layers.0.mlp.up_proj.weight"] *= 1e-9  # float16 would make zeros of these
        save_torch(tensors, folder / "model.safetensors")
        seen: dict[str, Any] = {}

        def look(source: Path, target: Path, kind: str, **_: object) -> GgufFile:
            seen.update({tensor.name: np.array(tensor.data) for tensor in gguf.GGUFReader(source).tensors})
            return GgufFile(target, "", 0, kind)

        monkeypatch.setattr(exporter, "quantize", look)
        export_gguf(folder, tmp_path / "x.gguf", kind="q8_0")
        expected = tensors["model.layers.0.mlp.up_proj.weight"].view(torch.int16).numpy().view(np.uint16)
        assert np.array_equal(seen["blk.0.ffn_up.weight"].view(np.uint16).reshape(expected.shape), expected)
        assert seen["blk.0.attn_q.bias"].dtype == np.float32
        export_gguf(folder, tmp_path / "x.gguf", kind="f16")
        assert seen["blk.0.ffn_up.weight"].dtype == np.float16
