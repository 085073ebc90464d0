"""Tokenizers to GGUF files and back: llama.cpp and Hugging Face give the same tokens, and what differs is refused."""

from __future__ import annotations

import json
import shutil
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny_tokenizers import (
    BYTE_LEVEL_KINDS,
    CONTROL_TOKENS,
    KINDS,
    SENTENCEPIECE_KINDS,
    TEMPLATE,
    LlamaCpp,
    Tiny,
    fields_of,
    read_kind,
    rebuilt,
    save_vocabulary,
)

from core.errors import ExportError
from core.release.proof_texts import comparable, parity_texts
from core.release.vocabulary import SPLITTERS, TEMPLATE_COMMENT, write_tokenizer
from core.release.vocabulary.loading import load_tokenizer

SPECIAL = (*CONTROL_TOKENS, "<tool_call>", "[TABLE]", "erDiagram\n")
TEXTS = parity_texts(SPECIAL)
# One character of every category that Unicode knows, and of every block of the basic plane.
CHARACTERS = sorted({(code >> 7, unicodedata.category(chr(code))): chr(code) for code in range(0x20000)}.values())
SCATTERED = [f"a{c}B {c}{c}1{c}'s{c}" for c in CHARACTERS if unicodedata.category(c) not in ("Cs", "Cn")]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return cache(lambda kind: Tiny(kind, tmp_path_factory.mktemp(kind)))


@pytest.fixture(scope="module")
def llama_cpp() -> Iterator[LlamaCpp]:
    with LlamaCpp() as running:
        yield running


def encoded(tokenizer: Any, texts: list[str], *, add_special: bool = False) -> list[list[int]]:
    return [tokenizer.encode(text, add_special_tokens=add_special) for text in texts]


@pytest.mark.process
@pytest.mark.parametrize("kind", KINDS)
class TestParity:
    def test_llama_cpp_and_both_folders_agree(self, kind: str, tiny: Any, llama_cpp: LlamaCpp) -> None:
        assert len(TEXTS) >= 200
        it = tiny(kind)
        texts = comparable([*TEXTS, *SCATTERED], it.original)
        found = llama_cpp.tokenize(it.file, texts)
        pairs = zip(texts, found, encoded(it.original, texts), encoded(it.rebuilt, texts), strict=True)
        assert [text for text, native, ours, again in pairs if not native == ours == again] == []

    def test_plain_encoding_adds_the_same(self, kind: str, tiny: Any, llama_cpp: LlamaCpp) -> None:
        it = tiny(kind)
        texts = comparable(["A text.", "", "two\nlines"], it.original)
        found = llama_cpp.tokenize(it.file, texts, add_special=True)
        assert found == encoded(it.original, texts, add_special=True)
        assert found == encoded(it.rebuilt, texts, add_special=True)


@pytest.mark.process
class TestPlantedFaults:
    @pytest.mark.parametrize("kind", BYTE_LEVEL_KINDS)
    def test_a_wrong_pre_is_seen(self, kind: str, tiny: Any, llama_cpp: LlamaCpp, tmp_path: Path) -> None:
        texts = comparable([*TEXTS, *SCATTERED], tiny(kind).original)
        expected = encoded(tiny(kind).original, texts)
        for wrong in BYTE_LEVEL_KINDS:
            same = kind == wrong or {kind, wrong} == {"qwen2", "stablelm2"}  # alike but for NFC, which llama.cpp lacks
            file = save_vocabulary(tiny(kind).read, tmp_path / f"{wrong}.gguf", pre=wrong)
            assert (llama_cpp.tokenize(file, texts) == expected) == same, wrong

    def test_wrong_scores_and_prefix_are_seen(self, tiny: Any, llama_cpp: LlamaCpp, tmp_path: Path) -> None:
        it = tiny("llama")
        flat = save_vocabulary(it.read, tmp_path / "flat.gguf", scores=[-1000.0] * len(it.read.tokens))
        assert llama_cpp.tokenize(flat, TEXTS) != encoded(it.original, TEXTS)
        bare = save_vocabulary(it.read, tmp_path / "bare.gguf", add_space_prefix=False)
        assert llama_cpp.tokenize(bare, TEXTS) != encoded(it.original, TEXTS)
        with pytest.raises(ExportError, match="same score"):
            write_tokenizer(fields_of(flat), tmp_path)

    def test_the_name_decides_on_spaces_after_special_tokens(
        self, tiny: Any, llama_cpp: LlamaCpp, tmp_path: Path
    ) -> None:
        for kind, name, written in (
            ("phi-3", "ft-erd-v1", "ft-erd-v1 (Phi-3)"),
            ("phi-3", "my phi3", "my phi3"),
            ("llama", "Phi-3 like", "Phi 3 like"),
        ):
            it = tiny(kind)
            file = save_vocabulary(it.read, tmp_path / f"{kind}-{len(name)}.gguf", name=name)
            assert fields_of(file)["general.name"] == written
            assert llama_cpp.tokenize(file, TEXTS) == encoded(it.original, TEXTS)

    def test_old_files_that_say_less(self, tiny: Any, llama_cpp: LlamaCpp, tmp_path: Path) -> None:
        """llama.cpp's own defaults count where a file is silent."""
        for kind, silent in (
            ("llama", ("add_bos_token", "bos_token_id", "unknown_token_id", "add_space_prefix")),
            ("llama-bpe", ("add_bos_token",)),
            ("qwen2", ("add_bos_token",)),
        ):
            file = save_vocabulary(tiny(kind).read, tmp_path / f"{kind}.gguf", "old", **dict.fromkeys(silent))
            again = rebuilt(fields_of(file), tmp_path / kind)
            texts = comparable(TEXTS, again)
            found = llama_cpp.tokenize(file, texts, add_special=True)
            assert found == encoded(again, texts, add_special=True)


@pytest.mark.process
class TestFields:
    @pytest.mark.parametrize("kind", KINDS)
    def test_special_ids_survive_both_ways(self, kind: str, tiny: Any) -> None:
        it = tiny(kind)
        for name in ("bos_token_id", "eos_token_id", "pad_token_id", "unk_token_id"):
            assert getattr(it.rebuilt, name) == getattr(it.original, name)
        assert it.rebuilt.is_fast
        assert len(it.rebuilt) == len(it.original)
        assert set(it.rebuilt.added_tokens_decoder) == set(it.original.added_tokens_decoder)
        assert {i for i, t in it.rebuilt.added_tokens_decoder.items() if t.special} == {
            i for i, t in it.original.added_tokens_decoder.items() if t.special
        }
        assert it.rebuilt.chat_template == TEMPLATE
        generation = json.loads((it.rebuilt_folder / "generation_config.json").read_text())
        ends = [it.original.convert_tokens_to_ids(token) for token in ("</s>", "<|end|>")]
        assert generation["eos_token_id"][:2] == ends

    @pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "mistral"])
    def test_a_second_export_gives_the_same(self, kind: str, tiny: Any) -> None:
        it = tiny(kind)
        again = read_kind(it.rebuilt_folder)
        assert replace(again, scores=[], unk=it.read.unk, eom=None) == replace(it.read, scores=[], eom=None)
        order = sorted(range(len(it.read.scores)), key=it.read.scores.__getitem__)
        assert order == sorted(range(len(again.scores)), key=again.scores.__getitem__)

    def test_what_is_written(self, tiny: Any) -> None:
        it = tiny("llama")
        fields = fields_of(it.file)
        assert fields["tokenizer.ggml.model"] == "llama"
        assert fields["tokenizer.ggml.add_space_prefix"] is True
        assert fields["tokenizer.ggml.add_bos_token"] is True
        assert fields["tokenizer.chat_template"] == TEMPLATE_COMMENT + TEMPLATE
        types = dict(zip(fields["tokenizer.ggml.tokens"], fields["tokenizer.ggml.token_type"], strict=True))
        found = [types[token] for token in ("▁the", "<unk>", "<|user|>", "<tool_call>", "<0x0A>")]
        assert found == [1, 2, 3, 4, 6]
        assert types[f"[PAD{len(types) - 1}]"] == 5
        settings_file = json.loads((it.rebuilt_folder / "tokenizer_config.json").read_text())
        assert settings_file["tokenizer_class"] == "PreTrainedTokenizerFast"
        assert settings_file["model_max_length"] == 512
        assert fields_of(tiny("gemma").file)["tokenizer.ggml.add_space_prefix"] is False
        assert fields_of(tiny("mistral").file)["tokenizer.ggml.add_space_prefix"] is False

    @pytest.mark.parametrize(
        ("kind", "name"),
        [
            ("qwen2", "Qwen2Tokenizer"),
            ("gemma", "GemmaTokenizer"),
            ("llama-bpe", "LlamaTokenizerFast"),
            ("llama", "LlamaTokenizer"),
        ],
    )
    def test_classes_of_transformers(
        self, kind: str, name: str, tiny: Any, llama_cpp: LlamaCpp, tmp_path: Path
    ) -> None:
        """Whatever class a folder names, its tokenizer.json is what is loaded and exported."""
        folder = tmp_path / "m"
        shutil.copytree(tiny(kind).folder, folder)
        settings_file = json.loads((folder / "tokenizer_config.json").read_text())
        (folder / "tokenizer_config.json").write_text(json.dumps({**settings_file, "tokenizer_class": name}))
        loaded = load_tokenizer(folder)
        texts = comparable(TEXTS, loaded)
        file = save_vocabulary(read_kind(folder), tmp_path / "m.gguf")
        assert llama_cpp.tokenize(file, texts) == encoded(loaded, texts)

    def test_no_template_is_written_without(self, tiny: Any, tmp_path: Path) -> None:
        fields = fields_of(tiny("gpt-2").file)
        del fields["tokenizer.chat_template"]
        assert rebuilt(fields, tmp_path / "m").chat_template is None


WORDS = st.sampled_from(
    ["▁", " ", "  ", "the", "The", "'s", "12", "\n", "ab", "<|end|>", "</s>", "é", "你", "😀", "[PAD1]"]
)
ANY_TEXT = st.lists(WORDS | st.text(max_size=4), max_size=12).map("".join)


@pytest.mark.process
@pytest.mark.parametrize("kind", ["llama-bpe", "qwen2", "llama", "gemma"])
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=ANY_TEXT)
def test_any_text_round_trips(kind: str, tiny: Any, llama_cpp: LlamaCpp, text: str) -> None:
    it = tiny(kind)
    for compared in comparable([text], it.original):
        ours = it.original.encode(compared, add_special_tokens=False)
        assert it.rebuilt.encode(compared, add_special_tokens=False) == ours
        assert llama_cpp.tokenize(it.file, [compared]) == [ours]


def test_every_way_has_its_own_names() -> None:
    names = [name for splitter in SPLITTERS for name in splitter.names]
    assert len(names) == len(set(names))
    assert len({(s.steps, s.ignore_merges, s.normalizers) for s in SPLITTERS}) == len(SPLITTERS)
    assert set(KINDS) >= {s.names[0] for s in SPLITTERS} | set(SENTENCEPIECE_KINDS)
