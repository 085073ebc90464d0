"""A GGUF file becomes the model folder that it was made of, or is refused with the reason."""

from __future__ import annotations

import json
import struct
from collections import namedtuple
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf_making import LEFT_OUT, write_gguf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny_llama import rewrite, save_llama

from core.errors import ModelError
from core.release.from_gguf import describe, import_gguf
from core.release.gguf_reading import GgufReading
from core.release.safetensors_writing import Outline, write_safetensors
from core.release.weights import Weights

TEMPLATE_KEY = "tokenizer.chat_template"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose rows divide by 32, as quantised blocks need."""
    return save_llama(tmp_path_factory.mktemp("made"))


@pytest.fixture(scope="module")
def made_file(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gguf(made, tmp_path_factory.mktemp("file") / "made.gguf")


def values_of(folder: Path) -> dict[str, np.ndarray]:
    weights = Weights(folder)
    return {name: np.asarray(weights.read(name), np.float32) for name in weights.names}


def logits_of(folder: Path) -> np.ndarray:
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.inference_mode():
        logits: np.ndarray = model(torch.arange(40)[None]).logits[0].numpy()
    return logits


def left_behind(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if "partial" in path.name or path.name == "out")


class TestRoundTrip:
    def test_the_folder_is_the_model_that_the_file_was_made_of(
        self, made: Path, made_file: Path, tmp_path: Path
    ) -> None:
        from transformers import AutoTokenizer

        told: list[tuple[int, int]] = []
        folder = import_gguf(made_file, tmp_path / "out", progress=lambda *figures: told.append(figures))
        before, after = values_of(made), values_of(folder)
        assert before.keys() - {"lm_head.weight"} == after.keys()
        assert all((before[name] == after[name]).all() for name in after)
        np.testing.assert_array_equal(logits_of(made), logits_of(folder))
        old, new = AutoTokenizer.from_pretrained(made), AutoTokenizer.from_pretrained(folder)
        for text in ("don't  DON'T 12345\n\n x", "<user>erDiagram<end>", "naïve 😀"):
            assert old.encode(text, add_special_tokens=False) == new.encode(text, add_special_tokens=False)
        chat = [{"role": "user", "content": "Hello"}]
        assert old.apply_chat_template(chat, tokenize=False) == new.apply_chat_template(chat, tokenize=False)
        assert told[-1][0] == told[-1][1]
        assert [done for done, _ in told] == sorted(done for done, _ in told)
        assert left_behind(tmp_path) == ["out"]

    def test_llama_3(self, tmp_path: Path) -> None:
        source = save_llama(tmp_path / "source", llama3=True, initializer_range=0.2)
        folder = import_gguf(write_gguf(source, tmp_path / "m.gguf"), tmp_path / "out")
        np.testing.assert_allclose(logits_of(source), logits_of(folder), atol=1e-4)

    @pytest.mark.parametrize(("kind", "error"), [("Q8_0", 0.02), ("Q4_0", 0.2), ("F32", 0.0), ("BF16", 0.01)])
    def test_kinds_of_tensors(self, made: Path, tmp_path: Path, kind: str, error: float) -> None:
        folder = import_gguf(write_gguf(made, tmp_path / "m.gguf", kind), tmp_path / "out")
        before, after = values_of(made), values_of(folder)
        for name, values in after.items():
            largest = float(np.abs(before[name]).max())
            assert np.abs(values - before[name]).max() <= error * largest, name
        config = json.loads((folder / "config.json").read_text())
        assert config["dtype"] == ("bfloat16" if kind == "BF16" else "float16")
        stored = {name: Weights(folder).dtype(name) for name in after}
        assert stored["model.norm.weight"] == "F32"
        assert stored["model.layers.0.self_attn.q_proj.weight"] == ("BF16" if kind == "BF16" else "F16")

    def test_config_alone(self, made: Path, made_file: Path) -> None:
        original = json.loads((made / "config.json").read_text())
        found = describe(made_file)
        for key in ("hidden_size", "intermediate_size", "num_hidden_layers", "num_key_value_heads", "vocab_size"):
            assert found[key] == original[key], key


class TestRefusals:
    @pytest.mark.parametrize(
        ("fields", "why"),
        [
            ({"general.architecture": "mamba"}, "mamba"),
            ({"general.type": "adapter"}, "an adapter"),
            ({"general.type": "mmproj"}, "vision part"),
            ({"split.count": 3}, "one of 3 parts"),
            ({"llama.expert_count": 8}, "mixture of experts"),
            ({TEMPLATE_KEY: LEFT_OUT}, "no chat template"),
            ({TEMPLATE_KEY: "  "}, "no chat template"),
            ({"llama.block_count": 2**31}, "more layers than"),
            ({"llama.block_count": 3}, "blk.2.attn_norm.weight is missing"),
            ({"llama.block_count": 1}, "no place for"),
            ({"llama.embedding_length": 32}, "the shape"),
            ({"llama.block_count": "two"}, "holds what it cannot"),
            ({"llama.rope.scaling.type": "magic", "llama.rope.scaling.factor": 4.0}, "magic"),
            ({"tokenizer.ggml.pre": "nobody-knows"}, "nobody-knows"),
            ({"tokenizer.ggml.model": "wordpiece"}, "wordpiece"),
        ],
    )
    def test_what_cannot_be_read_rightly(self, made: Path, tmp_path: Path, fields: Mapping[str, Any], why: str) -> None:
        path = write_gguf(made, tmp_path / "m.gguf", fields=fields)
        with pytest.raises(ModelError, match=why) as caught:
            import_gguf(path, tmp_path / "out")
        assert caught.value.hint
        assert left_behind(tmp_path) == []

    def test_a_template_that_is_handed_in(self, made: Path, tmp_path: Path) -> None:
        path = write_gguf(made, tmp_path / "m.gguf", fields={TEMPLATE_KEY: LEFT_OUT})
        folder = import_gguf(path, tmp_path / "out", chat_template="{{ messages[0]['content'] }}")
        assert (folder / "chat_template.jinja").read_text() == "{{ messages[0]['content'] }}"

    def test_values_that_are_no_numbers(self, made_file: Path, tmp_path: Path) -> None:
        def spoil(name: str, values: np.ndarray) -> np.ndarray:
            if name == "blk.1.ffn_up.weight":
                values = values.copy()
                values[3, 5] = np.inf
            return values

        path = rewrite(made_file, tmp_path / "m.gguf", tensors=spoil)
        with pytest.raises(ModelError, match=r"blk\.1\.ffn_up\.weight .* not numbers"):
            import_gguf(path, tmp_path / "out")
        assert left_behind(tmp_path) == []

    def test_a_disk_without_room(self, made_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        usage = namedtuple("usage", "total used free")
        monkeypatch.setattr("shutil.disk_usage", lambda path: usage(1, 1, 1000))
        with pytest.raises(ModelError, match=r"0\.0 GB are free"):
            import_gguf(made_file, tmp_path / "out")
        assert left_behind(tmp_path) == []

    def test_a_folder_that_cannot_be_written(self, made_file: Path, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("in the way")
        with pytest.raises(ModelError, match="cannot be written"):
            import_gguf(made_file, tmp_path / "file" / "out")

    @pytest.mark.parametrize("kept", [0, 3, 4, 23, 60, 3000, -1, -4000])
    def test_files_cut_short(self, made_file: Path, tmp_path: Path, kept: int) -> None:
        path = tmp_path / "m.gguf"
        path.write_bytes(made_file.read_bytes()[:kept])
        with pytest.raises(ModelError, match="no whole GGUF file"):
            import_gguf(path, tmp_path / "out")

    def test_no_file(self, tmp_path: Path) -> None:
        for path in (tmp_path / "none.gguf", tmp_path):
            with pytest.raises(ModelError, match="cannot be read"):
                GgufReading(path)

    @pytest.mark.parametrize(
        "content",
        [
            b"GGUF" + struct.pack("<IQQ", 1, 0, 0),
            b"GGUF" + struct.pack(">IQQ", 3, 0, 0),
            b"GGUF" + struct.pack("<IQQ", 3, 2**62, 0),
            b"GGUF" + struct.pack("<IQQ", 3, 0, 2**62),
            b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 2**63) + b"x" * 99,
            b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 1) + b"k" + struct.pack("<IIQ", 9, 8, 2**61) + b"x" * 99,
            b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 1) + b"k" + struct.pack("<IIQ", 9, 9, 1) + b"x" * 99,
            b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 1) + b"k" + struct.pack("<I", 77) + b"x" * 99,
            b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 1) + b"\xff" + struct.pack("<II", 4, 1) + b"x" * 99,
            b"GGUF" + struct.pack("<IQQQ", 3, 1, 0, 1) + b"t" + struct.pack("<I4QIQ", 4, *[2**60] * 4, 0, 0),
            b"GGUF" + struct.pack("<IQQQ", 3, 1, 0, 1) + b"t" + struct.pack("<I1QIQ", 1, 0, 0, 0),
            b"GGUF" + struct.pack("<IQQQ", 3, 1, 0, 1) + b"t" + struct.pack("<I", 2**31) + b"x" * 99,
        ],
    )
    def test_hostile_headers(self, content: bytes, tmp_path: Path) -> None:
        path = tmp_path / "m.gguf"
        path.write_bytes(content)
        with pytest.raises(ModelError):
            GgufReading(path)

    @settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(at=st.integers(0, 12_000), byte=st.integers(0, 255))
    def test_a_changed_byte_is_read_or_refused(self, made_file: Path, tmp_path: Path, at: int, byte: int) -> None:
        content = bytearray(made_file.read_bytes())
        content[at] = byte
        path = tmp_path / "m.gguf"
        path.write_bytes(content)
        with suppress(ModelError):
            describe(path)


class TestWriting:
    OUTLINES = (
        Outline("a", "F16", (3, 4)),
        Outline("norm", "F32", (5,)),
        Outline("b", "BF16", (2, 4)),
        Outline("c", "F16", (100, 2)),
    )

    def values(self, name: str) -> np.ndarray:
        outline = next(one for one in self.OUTLINES if one.name == name)
        kind = {"F16": np.float16, "F32": np.float32, "BF16": np.uint16}[outline.dtype]
        count = int(np.prod(outline.shape))
        bits = (np.arange(count, dtype=np.float32).view(np.uint32) >> 16).astype(np.uint16)
        return (bits if kind is np.uint16 else np.arange(count).astype(kind)).reshape(outline.shape)

    @pytest.mark.parametrize(("most", "files"), [(1 << 20, 1), (59, 3), (1, 4)])
    def test_the_library_of_the_format_reads_it(self, tmp_path: Path, most: int, files: int) -> None:
        from safetensors import safe_open

        made = write_safetensors(tmp_path, self.OUTLINES, self.values, shard_bytes=most)
        assert len(made) == files
        found: dict[str, np.ndarray] = {}
        for path in made:
            with safe_open(path, "pt") as opened:
                assert opened.metadata() == {"format": "pt"}
                found |= {name: opened.get_tensor(name).float().numpy() for name in opened.keys()}  # noqa: SIM118
        for outline in self.OUTLINES:
            expected = np.arange(int(np.prod(outline.shape)), dtype=np.float32).reshape(outline.shape)
            np.testing.assert_array_equal(found[outline.name], expected)
        index = tmp_path / "model.safetensors.index.json"
        assert index.is_file() == (files > 1)
        if files > 1:
            content = json.loads(index.read_text())
            assert set(content["weight_map"].values()) == {path.name for path in made}
            assert content["metadata"]["total_size"] == sum(outline.bytes for outline in self.OUTLINES)
        assert Weights(tmp_path).names == {outline.name for outline in self.OUTLINES}

    def test_values_that_do_not_fit_their_outline(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="instead of F16"):
            write_safetensors(tmp_path, self.OUTLINES[:1], lambda name: np.zeros((4, 3), np.float16))
