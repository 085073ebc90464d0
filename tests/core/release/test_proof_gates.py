"""The checks of a file's parts, and the bounds by length and by kind: each catches its fault."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf_making import write_gguf
from safetensors.numpy import load_file, save_file
from tiny_llama import PROMPTS, TEMPLATE, UNKNOWN_PROMPTS, rewrite, save_llama
from tiny_models import save_model

from core.backends.llamacpp import LlamaCppBackend
from core.release.gguf import export_gguf
from core.release.proof import prove
from core.release.proof_answers import growth
from core.release.proof_bounds import BOUNDS, Bounds
from core.release.proof_check import ProofCheck
from core.release.proof_gates import end_of_turn, ties, vocabulary, whole_file
from core.release.quantize import KINDS, GgufFile, quantize
from core.release.reference import Reference
from core.train.config import QUANTIZATIONS

ALL_PROMPTS = PROMPTS + UNKNOWN_PROMPTS
STRUCTURAL_KL = 0.2
STRUCTURAL_TOP1 = 0.45


def failed(checks: Sequence[ProofCheck]) -> set[str]:
    return {check.name for check in checks if not check.passed}


def changed(source: Path, folder: Path, file: str, **values: Any) -> Path:
    """A copy of a model folder with some keys of one of its JSON files changed."""
    shutil.copytree(source, folder)
    stored = json.loads((folder / file).read_text())
    (folder / file).write_text(json.dumps({**stored, **values}))
    return folder


class TestBounds:
    def test_every_kind_has_them(self) -> None:
        assert set(KINDS) == set(BOUNDS) == set(QUANTIZATIONS)

    @pytest.mark.parametrize("bounds", set(BOUNDS.values()))
    def test_grow_with_length_but_let_no_structural_fault_pass(self, bounds: Bounds) -> None:
        means = [bounds.mean(growth(length)) for length in (1, 128, 645, 1024, 32_768, 1_000_000)]
        assert means[0] == means[1] == bounds.kl_mean
        assert means == sorted(means)
        assert means[-1] == bounds.kl_most
        assert bounds.kl_most <= STRUCTURAL_KL / 2 or bounds.top1 > STRUCTURAL_TOP1 + 0.3

    def test_a_good_file_on_a_long_prompt(self) -> None:
        """0.008 on a prompt of 645 tokens is what a good Q8_0 file of the demonstration model gives."""
        assert BOUNDS["q8_0"].mean(growth(645)) > 0.008 > BOUNDS["q8_0"].mean(growth(64))

    @pytest.mark.process
    @pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("f16", "q8_0")])
    def test_good_files_of_every_kind_pass(
        self, kind: str, trained: Path, trained_file: GgufFile, backend: LlamaCppBackend, tmp_path: Path
    ) -> None:
        told: list[tuple[int, int]] = []
        file = quantize(
            trained_file.path, tmp_path / "x.gguf", kind, progress=lambda done, total: told.append((done, total))
        )
        assert told == sorted(told)
        assert told[-1] == (20, 20)
        checks = prove(trained, file.path, PROMPTS, backend, kind=kind)
        # A network of 64 features that knows three chats by heart loses more to four bits than a language model.
        assert failed(checks) <= ({"logits: top-1 agreement"} if "4" in kind else set())


class TestWholeFile:
    def test_whole(self, llama3_file: GgufFile) -> None:
        check = whole_file(llama3_file.path)
        assert check.passed
        assert "tensors of the architecture llama," in check.detail
        assert f"{llama3_file.bytes} bytes" in check.detail

    def test_its_end_is_missing(self, llama3_file: GgufFile, tmp_path: Path) -> None:
        bad = tmp_path / "bad.gguf"
        bad.write_bytes(llama3_file.path.read_bytes()[:-1000])
        check = whole_file(bad)
        assert not check.passed
        assert "bytes are missing at its end" in check.detail

    def test_nothing_in_it(self, tmp_path: Path) -> None:
        import gguf

        writer = gguf.GGUFWriter(tmp_path / "empty.gguf", "llama")
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.close()
        check = whole_file(tmp_path / "empty.gguf")
        assert (check.passed, check.figure) == (False, 1)
        assert "damaged" in whole_file(tmp_path / "none.gguf").detail

    def test_a_large_vocabulary_costs_no_time(
        self, llama3: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """gguf's own reader makes arrays of every token: six seconds for a vocabulary of 150,000, at every look."""
        import gguf

        path = write_gguf(llama3, tmp_path / "m.gguf")
        monkeypatch.setattr(gguf, "GGUFReader", None)
        assert whole_file(path).passed
        assert ties(llama3, path).passed
        assert vocabulary(Reference(llama3), llama3, path).passed


@pytest.mark.process
class TestTies:
    def test_what_is_tied_stays_tied(
        self, trained: Path, trained_file: GgufFile, llama3: Path, llama3_file: GgufFile
    ) -> None:
        assert ties(trained, trained_file.path).passed
        assert ties(llama3, llama3_file.path).passed

    def test_a_flag_over_two_matrices(self, llama3: Path, llama3_file: GgufFile, tmp_path: Path) -> None:
        folder = changed(llama3, tmp_path / "m", "config.json", tie_word_embeddings=True)
        check = ties(folder, llama3_file.path)
        assert not check.passed
        assert "one of them would be lost" in check.detail

    def test_a_file_that_lost_its_output_layer(
        self, llama3: Path, llama3_file: GgufFile, backend: LlamaCppBackend, tmp_path: Path
    ) -> None:
        bad = rewrite(
            llama3_file.path, tmp_path / "bad.gguf", tensors=lambda name, v: None if name == "output.weight" else v
        )
        assert {"ties", "logits: mean KL"} <= failed(prove(llama3, bad, ALL_PROMPTS, backend, kind="f16"))

    def test_an_output_layer_out_of_nowhere(self, trained: Path, trained_file: GgufFile, tmp_path: Path) -> None:
        import gguf

        reader = gguf.GGUFReader(trained_file.path)
        embedding = next(np.array(each.data) for each in reader.tensors if each.name == "token_embd.weight")

        both = rewrite(trained_file.path, tmp_path / "b.gguf", more={"output.weight": embedding})
        assert "model has not" in ties(trained, both).detail

    def test_a_trained_head_over_tied_embeddings(self, trained: Path, tmp_path: Path) -> None:
        """Equal copies are one matrix; after training drew them apart the folder must say so."""
        folder = changed(trained, tmp_path / "m", "config.json")
        weights = load_file(folder / "model.safetensors")
        weights["lm_head.weight"] = weights["model.embed_tokens.weight"].copy()
        save_file(weights, folder / "model.safetensors")
        file = export_gguf(folder, tmp_path / "m.gguf").path
        assert ties(folder, file).passed
        weights["lm_head.weight"] *= np.float16(1.5)
        save_file(weights, folder / "model.safetensors")
        assert not ties(folder, file).passed


@pytest.mark.process
class TestVocabulary:
    def test_fits(self, llama3: Path, llama3_file: GgufFile) -> None:
        check = vocabulary(Reference(llama3), llama3, llama3_file.path)
        assert check.passed  # 13 rows more than tokens are padding
        assert "rows" in check.detail

    def test_a_token_without_a_row(self, trained: Path, trained_file: GgufFile, tmp_path: Path) -> None:
        from transformers import AutoTokenizer

        folder = changed(trained, tmp_path / "m", "config.json")
        tokenizer = AutoTokenizer.from_pretrained(trained)
        tokenizer.add_tokens(["<new>"])
        tokenizer.save_pretrained(folder)
        check = vocabulary(Reference(folder), folder, trained_file.path)
        assert not check.passed
        assert f"the tokenizer has {len(tokenizer)} tokens" in check.detail

    def test_other_numbers_of_rows(
        self, trained: Path, llama3: Path, trained_file: GgufFile, llama3_file: GgufFile, tmp_path: Path
    ) -> None:
        assert "the file has" in vocabulary(Reference(trained), trained, llama3_file.path).detail
        folder = changed(trained, tmp_path / "m", "config.json", vocab_size=9999)
        assert "config.json says 9999" in vocabulary(Reference(folder), folder, trained_file.path).detail


@pytest.mark.process
class TestEndOfTurn:
    def folder(self, trained: Path, folder: Path, template: str) -> Path:
        shutil.copytree(trained, folder)
        (folder / "chat_template.jinja").write_text(template)
        return folder

    def test_as_trained(self, trained: Path) -> None:
        assert end_of_turn(Reference(trained), [2]).detail == "answers close with '<end>'"

    @pytest.mark.parametrize(
        ("template", "said"),
        [
            (TEMPLATE.replace("<end>", ""), "nothing"),
            (TEMPLATE.replace("<end>", "\n\n"), "nothing"),
            (TEMPLATE.replace("<end>", "<pad>"), "'<pad>'"),
            (TEMPLATE.replace("<end>", "###"), "ends nothing"),
            (TEMPLATE.replace("'tool'", "'assistant'"), "refuses an answer"),
        ],
    )
    def test_a_turn_that_never_ends(
        self, template: str, said: str, trained: Path, backend: LlamaCppBackend, tmp_path: Path
    ) -> None:
        folder = self.folder(trained, tmp_path / "m", template)
        check = end_of_turn(Reference(folder), [2])
        assert not check.passed
        assert said in check.detail
        # and the exported file, which has the same template, does not pass
        file = export_gguf(folder, tmp_path / "m.gguf")
        assert "end of turn" in failed(prove(folder, file.path, PROMPTS[:1], backend, kind="f16"))

    def test_white_space_before_the_end_and_padding_of_the_same_token(self, trained: Path, tmp_path: Path) -> None:
        spaced = self.folder(trained, tmp_path / "a", TEMPLATE.replace("<end>", "\n<end>\n"))
        assert end_of_turn(Reference(spaced), [2]).passed
        same = changed(trained, tmp_path / "b", "tokenizer_config.json", pad_token="<end>")
        check = end_of_turn(Reference(same), [2])
        assert check.passed
        assert "padding token too" in check.detail


@pytest.mark.process
class TestPlantedFaults:
    """Those of reports from the field that other files do not plant."""

    def test_double_beginning(
        self, trained: Path, trained_file: GgufFile, backend: LlamaCppBackend, tmp_path: Path
    ) -> None:
        bad = rewrite(trained_file.path, tmp_path / "bad.gguf", fields={"tokenizer.ggml.add_bos_token": True})
        assert failed(prove(trained, bad, PROMPTS, backend, kind="f16")) == {"special tokens"}

    def test_a_template_that_says_more(
        self, trained: Path, trained_file: GgufFile, backend: LlamaCppBackend, tmp_path: Path
    ) -> None:
        bad = rewrite(
            trained_file.path,
            tmp_path / "bad.gguf",
            fields={"tokenizer.chat_template": "<system>You are helpful.<end>" + TEMPLATE},
        )
        assert failed(prove(trained, bad, PROMPTS, backend, kind="f16")) == {"chat template"}

    def test_norms_without_their_offset(self, backend: LlamaCppBackend, tmp_path: Path) -> None:
        folder = save_model(tmp_path / "gemma", "gemma2")
        good = export_gguf(folder, tmp_path / "good.gguf").path
        bad = rewrite(good, tmp_path / "bad.gguf", tensors=lambda name, v: v - 1 if name.endswith("norm.weight") else v)
        assert failed(prove(folder, good, PROMPTS[:1], backend, kind="f16")) <= {"logits: top-1 agreement"}
        found = failed(prove(folder, bad, PROMPTS[:1], backend, kind="f16"))
        assert {"logits: largest KL", "logits: mean KL", "logits: top-1 agreement"} <= found

    def test_merged_into_another_base(
        self, trained: Path, trained_file: GgufFile, backend: LlamaCppBackend, tmp_path: Path
    ) -> None:
        other = save_llama(tmp_path / "other", train=90, seed=1)
        assert "logits: mean KL" in failed(prove(other, trained_file.path, PROMPTS, backend, kind="f16"))
