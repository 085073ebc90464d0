"""A version's file as the embedded llama.cpp runs it: its own template, and how far another answer is from its own."""

from __future__ import annotations

from typing import Any

import pytest
from tiny_llama import PROMPTS

from core.backends.backend import Sampling
from core.backends.llamacpp import LlamaCppBackend
from core.release.local_model import LocalModel
from core.release.quantize import GgufFile

GREEDY = Sampling(temperature=0.0, max_tokens=200)


@pytest.fixture
def local(trained_file: GgufFile, backend: LlamaCppBackend) -> LocalModel:
    return LocalModel(backend, trained_file.path)


def test_its_own_answer_has_no_gap(local: LocalModel) -> None:
    for prompt in PROMPTS:
        own = local.answer(prompt, GREEDY)
        assert local.gap(prompt, own) == 0.0
        assert local.gap(prompt, own[: len(own) // 2]) > 0.1  # it ends too early


def test_another_answer_has_the_gap_of_its_first_other_token(local: LocalModel, backend: LlamaCppBackend) -> None:
    prompt, model = PROMPTS[0], local._model
    own = local.answer(prompt, GREEDY)
    gap = local.gap(prompt, f"{own[:3]}?{own[4:]}")
    assert gap > 0.1
    tokens = backend.tokenize(model, local.render(prompt), add_special=False, parse_special=True)
    scores = backend.logits(model, tokens)[-1]
    other = backend.tokenize(model, "?", add_special=False, parse_special=False)[0]
    assert local.gap(prompt, "?") == pytest.approx(float(scores.max() - scores[other]), rel=1e-4)


def test_only_the_scores_of_the_answer_are_made(
    local: LocalModel, backend: LlamaCppBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of a long prompt times a large vocabulary take gigabytes."""
    rows: list[int] = []
    made = backend.logits

    def counted(*asked: Any) -> Any:
        scores = made(*asked)
        rows.append(len(scores))
        return scores

    monkeypatch.setattr(backend, "logits", counted)
    local.gap(PROMPTS[0], "abc")
    said = backend.tokenize(local._model, "abc", add_special=False, parse_special=False)
    assert rows == [len(said) + 1]
