"""The score of the task: a quantised file that answers worse than the unquantised one is found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_llama import CHATS, rewrite

from core.backends.backend import Message
from core.backends.llamacpp import LlamaCppBackend
from core.release.quantize import GgufFile, quantize
from core.release.task_score import MOST_QUESTIONS, Question, TaskScore
from core.validate.validator import Validation, not_judged


class Lengths:
    """Scores an answer by its words that are right; an empty right answer cannot be judged."""

    name = "lengths"

    def validate(self, response: str, *, prompt: str = "", expected: Mapping[str, object] | None = None) -> Validation:
        words = str((expected or {}).get("text", "")).split()
        if not words:
            return not_judged("unknown", "No right answer is known.")
        return Validation(100.0 * sum(word in response.split() for word in words) / len(words), True)


QUESTIONS = [Question([Message("user", ask)], ask, {"expected": {"text": answer}}) for ask, answer in CHATS]


@pytest.mark.process
class TestTaskScore:
    def of(self, backend: LlamaCppBackend, questions: Sequence[Question] = QUESTIONS) -> TaskScore:
        return TaskScore(backend, Lengths(), questions, max_tokens=60)

    def test_a_good_file_keeps_it(self, trained_file: GgufFile, backend: LlamaCppBackend, tmp_path: Path) -> None:
        eight = quantize(trained_file.path, tmp_path / "q8.gguf", "q8_0")
        seen: list[tuple[int, int]] = []
        check = self.of(backend).check(
            str(eight.path), str(trained_file.path), lambda done, total: seen.append((done, total))
        )
        assert check is not None and check.passed
        assert check.figure == 0.0
        assert check.detail == "mean score 100.0 on 3 prompts, unquantised 100.0"
        assert seen == [(1, 3), (2, 3), (3, 3)] * 2

    def test_a_file_that_unlearned(self, trained_file: GgufFile, backend: LlamaCppBackend, tmp_path: Path) -> None:
        def noisy(name: str, values: Any) -> Any:
            noise = np.random.default_rng(0).normal(0, 0.3, values.shape)
            return (values + noise).astype(values.dtype) if name.endswith("ffn_down.weight") else values

        bad = rewrite(trained_file.path, tmp_path / "bad.gguf", tensors=noisy)
        task = self.of(backend)
        check = task.check(str(bad), str(trained_file.path))
        assert check is not None and not check.passed
        assert check.figure > check.bound >= 5.0
        again = task.check(str(trained_file.path), str(trained_file.path))
        assert again is not None and again.passed

    def test_what_cannot_be_judged_is_left_out(self, trained_file: GgufFile, backend: LlamaCppBackend) -> None:
        unknown = [Question([Message("user", "x")], "x", {})]
        model = str(trained_file.path)
        assert self.of(backend, unknown).check(model, model) is None
        assert self.of(backend, []).check(model, model) is None
        check = self.of(backend, [*unknown, *QUESTIONS]).check(model, model)
        assert check is not None and "on 3 prompts" in check.detail

    def test_not_too_many(self, trained_file: GgufFile, backend: LlamaCppBackend) -> None:
        seen: list[tuple[int, int]] = []
        model = str(trained_file.path)
        self.of(backend, QUESTIONS * 20).check(model, model, lambda *done: seen.append(done))
        assert seen[-1] == (MOST_QUESTIONS, MOST_QUESTIONS)
