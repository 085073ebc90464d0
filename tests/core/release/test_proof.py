"""A good file passes every check; every planted fault fails the check that is there for it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_llama import PROMPTS, TEMPLATE, UNKNOWN_PROMPTS, rewrite

from core.backends.llamacpp import LlamaCppBackend
from core.errors import ProofError
from core.release import layered
from core.release.proof import prove
from core.release.proof_check import ProofCheck
from core.release.quantize import GgufFile, quantize

pytestmark = pytest.mark.process
ALL_PROMPTS = PROMPTS + UNKNOWN_PROMPTS


def failed(checks: Sequence[ProofCheck]) -> set[str]:
    return {check.name for check in checks if not check.passed}


def swap_halves(values: Any, heads: int) -> Any:
    """Back from llama.cpp's order of rows to Hugging Face's."""
    rows, columns = values.shape
    return values.reshape(heads, rows // heads // 2, 2, columns).swapaxes(1, 2).reshape(rows, columns)


def test_good_files_pass(
    trained: Path, trained_file: GgufFile, llama3: Path, llama3_file: GgufFile, backend: LlamaCppBackend, tmp_path: Path
) -> None:
    seen: list[tuple[int, int]] = []
    checks = prove(
        trained, trained_file.path, ALL_PROMPTS, backend, kind="f16", progress=lambda *done: seen.append(done)
    )
    assert failed(checks) == set()
    assert len(checks) == 13
    assert seen == [(done, 14) for done in range(1, 15)]  # the answers of both sides
    assert "7 ended" in checks[-1].detail
    assert failed(prove(llama3, llama3_file.path, ALL_PROMPTS, backend, kind="f16")) == set()
    eight = quantize(trained_file.path, tmp_path / "q8.gguf", "q8_0")
    assert failed(prove(trained, eight.path, PROMPTS, backend, kind="q8_0")) == set()


def test_missing_permutation(llama3: Path, llama3_file: GgufFile, backend: LlamaCppBackend, tmp_path: Path) -> None:
    heads = {"attn_q.weight": 4, "attn_k.weight": 2}

    def unpermuted(name: str, values: Any) -> Any:
        count = heads.get(name.split(".", 2)[-1])
        return values if count is None else swap_halves(values, count)

    bad = rewrite(llama3_file.path, tmp_path / "bad.gguf", tensors=unpermuted)
    checks = prove(llama3, bad, ALL_PROMPTS, backend, kind="f16")
    assert {"logits: largest KL", "logits: mean KL", "logits: top-1 agreement", "greedy answers"} <= failed(checks)


@pytest.mark.parametrize("faulty", [False, True])
def test_little_memory_changes_no_verdict(
    faulty: bool,
    trained: Path,
    trained_file: GgufFile,
    backend: LlamaCppBackend,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def worse(name: str, values: Any) -> Any:
        return values * 2 if name == "blk.1.ffn_down.weight" else values

    file = rewrite(trained_file.path, tmp_path / "bad.gguf", tensors=worse) if faulty else trained_file.path
    whole = prove(trained, file, ALL_PROMPTS, backend, kind="f16")
    monkeypatch.setattr(layered, "SHARE_OF_FREE_MEMORY", 0.0)
    streamed = prove(trained, file, ALL_PROMPTS, backend, kind="f16")
    assert failed(streamed) == failed(whole)
    assert bool(failed(whole)) == faulty
    assert [check.figure for check in streamed] == pytest.approx([check.figure for check in whole], rel=1e-3, abs=1e-7)
    assert [check.name for check in streamed] == [check.name for check in whole]


def test_missing_rope_frequencies(
    llama3: Path, llama3_file: GgufFile, backend: LlamaCppBackend, tmp_path: Path
) -> None:
    bad = rewrite(
        llama3_file.path, tmp_path / "bad.gguf", tensors=lambda name, v: None if name.startswith("rope") else v
    )
    assert {"logits: largest KL", "logits: mean KL"} <= failed(prove(llama3, bad, ALL_PROMPTS, backend, kind="f16"))


def test_swapped_norms(trained: Path, trained_file: GgufFile, backend: LlamaCppBackend, tmp_path: Path) -> None:
    import gguf

    stored = {tensor.name: np.array(tensor.data) for tensor in gguf.GGUFReader(trained_file.path).tensors}
    swap = {"blk.0.attn_norm.weight": "blk.0.ffn_norm.weight", "blk.0.ffn_norm.weight": "blk.0.attn_norm.weight"}
    bad = rewrite(trained_file.path, tmp_path / "bad.gguf", tensors=lambda name, _: stored[swap.get(name, name)])
    assert "logits: largest KL" in failed(prove(trained, bad, ALL_PROMPTS, backend, kind="f16"))


def test_wrong_pre_tokenizer_is_seen_by_tokens_alone(
    trained: Path, trained_file: GgufFile, backend: LlamaCppBackend, tmp_path: Path
) -> None:
    bad = rewrite(trained_file.path, tmp_path / "bad.gguf", fields={"tokenizer.ggml.pre": "llama-bpe"})
    checks = prove(trained, bad, UNKNOWN_PROMPTS, backend, kind="f16")
    assert failed(checks) == {"token parity"}
    parity = next(check for check in checks if check.name == "token parity")
    assert 0.5 < parity.figure < parity.bound
    assert "not " in parity.detail


@pytest.mark.parametrize(
    "template",
    [
        TEMPLATE.replace("| trim", ""),
        TEMPLATE.replace("{{ bos_token }}", ""),
        TEMPLATE.replace("no tools", "").replace("{{ raise_exception('') }}", ""),
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}",
        "{{ broken",
    ],
)
def test_altered_template(
    template: str, trained: Path, trained_file: GgufFile, backend: LlamaCppBackend, tmp_path: Path
) -> None:
    bad = rewrite(trained_file.path, tmp_path / "bad.gguf", fields={"tokenizer.chat_template": template})
    assert failed(prove(trained, bad, PROMPTS, backend, kind="f16")) == {"chat template"}


def test_wrong_end_token_never_stops(
    trained: Path, trained_file: GgufFile, backend: LlamaCppBackend, tmp_path: Path
) -> None:
    # <pad> in the place of <end>: the answer is right and runs on behind its end
    bad = rewrite(trained_file.path, tmp_path / "bad.gguf", fields={"tokenizer.ggml.eos_token_id": 0})
    checks = prove(trained, bad, PROMPTS, backend, kind="f16")
    assert {"special tokens", "stops"} <= failed(checks)
    assert "an end token did not end it" in checks[-1].detail


def test_early_end(trained: Path, trained_file: GgufFile, backend: LlamaCppBackend, tmp_path: Path) -> None:
    tokens = backend.tokenize(str(trained_file.path), "erDiagram", add_special=False, parse_special=False)
    bad = rewrite(trained_file.path, tmp_path / "bad.gguf", fields={"tokenizer.ggml.eos_token_id": tokens[-1]})
    checks = prove(trained, bad, PROMPTS, backend, kind="f16")
    assert {"special tokens", "stops"} <= failed(checks)


@pytest.mark.parametrize("kept", [0, 3, 40, 2000, -64, -5000])
def test_truncated_file(
    kept: int, trained: Path, trained_file: GgufFile, backend: LlamaCppBackend, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.gguf"
    bad.write_bytes(trained_file.path.read_bytes()[:kept])
    checks = prove(trained, bad, PROMPTS, backend, kind="f16")
    assert [check.name for check in checks] == ["file is whole"]
    assert not checks[0].passed


def test_file_that_only_llamacpp_refuses(
    trained: Path, trained_file: GgufFile, backend: LlamaCppBackend, tmp_path: Path
) -> None:
    bad = rewrite(
        trained_file.path, tmp_path / "bad.gguf", tensors=lambda name, v: None if name == "output_norm.weight" else v
    )
    checks = prove(trained, bad, PROMPTS, backend, kind="f16")
    assert failed(checks) == {"loads"}


def test_another_vocabulary(trained: Path, llama3_file: GgufFile, backend: LlamaCppBackend) -> None:
    assert "special tokens" in failed(prove(trained, llama3_file.path, PROMPTS, backend, kind="f16"))


def test_nothing_to_compare_on(trained: Path, trained_file: GgufFile, backend: LlamaCppBackend) -> None:
    with pytest.raises(ProofError, match="no prompt"):
        prove(trained, trained_file.path, [], backend, kind="f16")
    with pytest.raises(ProofError, match="q3_k_s"):
        prove(trained, trained_file.path, PROMPTS, backend, kind="q3_k_s")
