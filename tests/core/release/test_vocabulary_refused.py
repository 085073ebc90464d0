"""Tokenizers that cannot be carried over exactly are refused, with the reason and before anything is written."""

from __future__ import annotations

import json
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from tiny_tokenizers import Tiny, fields_of, read_kind

from core.errors import ExportError
from core.release.vocabulary import GgufTokenizer, write_tokenizer
from core.release.vocabulary.merging import merges_of, scores_of


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return cache(lambda kind: Tiny(kind, tmp_path_factory.mktemp(kind)))


def changed(it: Tiny, folder: Path, file: str = "tokenizer.json", **values: Any) -> GgufTokenizer:
    shutil.copytree(it.folder, folder)
    stored = json.loads((folder / file).read_text())
    stored.update({key: value(stored.get(key)) if callable(value) else value for key, value in values.items()})
    (folder / file).write_text(json.dumps(stored))
    return read_kind(folder)


@pytest.mark.process
class TestExportRefused:
    @pytest.mark.parametrize(
        ("kind", "values", "reason"),
        [
            ("gpt-2", {"normalizer": {"type": "NFC"}}, "normalises"),
            ("qwen2", {"normalizer": {"type": "NFKC"}}, "normalises"),
            ("gpt-2", {"pre_tokenizer": {"type": "Whitespace"}}, "splits text"),
            ("gpt-2", {"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": True}}, "splits text"),
            ("llama-bpe", {"pre_tokenizer": None}, "splits text"),
            ("qwen2", {"model": lambda model: {**model, "ignore_merges": True}}, "normalises"),
            ("smollm", {"model": lambda model: {**model, "ignore_merges": True}}, "splits text"),
            ("gpt-2", {"model": lambda model: {**model, "end_of_word_suffix": "</w>"}}, "end_of_word_suffix"),
            ("llama", {"model": {"type": "Unigram"}}, "Unigram"),
            ("llama", {"normalizer": {"type": "Prepend", "prepend": "▁"}}, "SentencePiece's kind"),
            (
                "mistral",
                {"pre_tokenizer": lambda part: {**part, "prepend_scheme": "always"}},
                "only where there is none",
            ),
            ("mistral", {"pre_tokenizer": lambda part: {**part, "split": True}}, "SentencePiece's kind"),
            (
                "llama",
                {"added_tokens": lambda tokens: [{**token, "normalized": True} for token in tokens]},
                "prepared text",
            ),
            (
                "llama",
                {"added_tokens": lambda tokens: [{**token, "rstrip": True} for token in tokens]},
                "swallows",
            ),
            ("llama", {"model": lambda model: {**model, "merges": model["merges"][1:]}}, "leave out a way"),
        ],
    )
    def test_with_the_reason(self, kind: str, values: dict[str, Any], reason: str, tiny: Any, tmp_path: Path) -> None:
        with pytest.raises(ExportError, match=reason):
            changed(tiny(kind), tmp_path / "m", **values)

    def test_merges_in_no_order_of_tokens(self, tiny: Any, tmp_path: Path) -> None:
        def shuffled(model: dict[str, Any]) -> dict[str, Any]:
            merges = sorted(model["merges"], key=lambda pair: len(pair[0]))
            return {**model, "merges": merges}

        with pytest.raises(ExportError, match="token by token"):
            changed(tiny("llama"), tmp_path / "m", model=shuffled)

    def test_flags_of_the_settings_count(self, tiny: Any, tmp_path: Path) -> None:
        """Loading prefers the flags in tokenizer_config.json, and so does the export."""
        it = tiny("llama")
        flags = {"content": "</s>", "lstrip": True, "rstrip": False, "normalized": False, "special": True}
        decoder = {str(it.original.eos_token_id): flags}
        with pytest.raises(ExportError, match="swallows"):
            changed(it, tmp_path / "m", "tokenizer_config.json", added_tokens_decoder=decoder)


@pytest.mark.process
class TestImportRefused:
    @pytest.mark.parametrize(
        ("kind", "values", "reason"),
        [
            ("gpt-2", {"pre": "viking"}, "viking"),
            ("gpt-2", {"pre": None}, "not named"),
            ("gpt-2", {"pre": "default"}, "default"),
            ("gpt-2", {"eos_token_id": None}, "no end token"),
            ("gpt-2", {"eos_token_id": 10**6}, "no end token"),
            ("gpt-2", {"merges": ["a zzz"]}, "no tokens"),
            ("gpt-2", {"model": "bert"}, "bert"),
            ("gpt-2", {"model": "t5"}, "t5"),
            ("gpt-2", {"model": None}, "None"),
            ("gpt-2", {"tokens": None}, "has no tokens"),
            ("llama", {"tokens": lambda tokens: [*tokens[:-1], tokens[0]]}, "same text"),
            ("llama", {"token_type": [1, 2]}, "types"),
            ("llama", {"scores": None}, "scores"),
            ("llama", {"tokens": lambda tokens: [t.replace("<0x0A>", "<newline>") for t in tokens]}, "each byte"),
            ("llama", {"tokens": lambda tokens: [*tokens[:-1], "Ѫa"]}, "are no tokens themselves"),
        ],
    )
    def test_with_the_reason(self, kind: str, values: dict[str, Any], reason: str, tiny: Any, tmp_path: Path) -> None:
        fields = fields_of(tiny(kind).file)
        for name, value in values.items():
            key = f"tokenizer.ggml.{name}"
            fields[key] = value(fields[key]) if callable(value) else value
            if fields[key] is None:
                del fields[key]
        with pytest.raises(ExportError, match=reason):
            write_tokenizer(fields, tmp_path)
        assert not list(tmp_path.iterdir())


def test_runs_of_spaces_may_be_ordered_by_their_parts() -> None:
    """Gemma's tokens for runs of spaces have one score, and its merges for them go by the length of the left part."""
    runs = ["▁" * n for n in range(1, 12)]
    merges = sorted(
        ((run[:cut], run[cut:]) for run in runs for cut in range(1, len(run))), key=lambda pair: (-len(pair[0]), pair)
    )
    scores = scores_of(merges, runs)
    assert len(scores) == 10
    assert set(merges_of(dict.fromkeys(runs, 0.0))) == set(merges)
    with pytest.raises(ExportError, match="same score"):
        merges_of(dict.fromkeys(["a", "b", "ab", "ba"], 0.0))
