"""Does a quantised file still do its task? Its answers, scored by the category, against the unquantised file's.

Numbers that round away hardly move a divergence where the model is sure anyway, and may still cost what it was trained
for; so the task itself is measured, and not only the distributions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any, Final

from core.backends.backend import Backend, Message, Sampling
from core.release.proof_check import ProofCheck
from core.validate.registry import validated
from core.validate.validator import Validator

MOST_QUESTIONS: Final = 24
MOST_DROP: Final = 5.0
"""Points of 100 that the mean score of a file may fall below that of the unquantised one …"""
MOST_ERRORS: Final = 2.0
"""… or this many standard errors of the difference, if that is more: where an answer is right or wrong, two of 24 that
turn over are 8 points and say nothing yet."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Question:
    """One prompt to answer: the chat that asks it, the prompt alone, and what is known of a right answer."""

    messages: Sequence[Message]
    prompt: str
    known: Mapping[str, Any]


class TaskScore:
    """Scores files on at most `MOST_QUESTIONS` questions, answered greedily in at most `max_tokens` tokens.

    The answers of the unquantised file are asked for once. An answer that the validator cannot judge on either side
    leaves its question out.
    """

    def __init__(
        self, backend: Backend, validator: Validator, questions: Sequence[Question], *, max_tokens: int
    ) -> None:
        self._backend = backend
        self._validator = validator
        self._questions = questions[:MOST_QUESTIONS]
        self._sampling = Sampling(temperature=0.0, top_p=1.0, top_k=0, max_tokens=max_tokens)
        self._scores: dict[str, list[float | None]] = {}

    def check(self, model: str, whole: str, progress: Progress | None = None) -> ProofCheck | None:
        """Compare the file `model` with the unquantised file `whole`; None where there is nothing to judge.

        `progress(done, total)` counts questions and may raise to end early. Raises BackendError.
        """
        if whole not in self._scores:
            self._scores[whole] = self._answered(whole, progress)
        found = self._answered(model, progress)
        pairs = [(a, b) for a, b in zip(self._scores[whole], found, strict=True) if a is not None and b is not None]
        if not pairs:
            return None
        before, after = fmean(a for a, _ in pairs), fmean(b for _, b in pairs)
        drop = before - after
        error = stdev([a - b for a, b in pairs]) / math.sqrt(len(pairs)) if len(pairs) > 1 else 0.0
        bound = max(MOST_DROP, MOST_ERRORS * error)
        return ProofCheck(
            "task score",
            drop <= bound,
            drop,
            bound,
            f"mean score {after:.1f} on {len(pairs)} prompts, unquantised {before:.1f}",
        )

    def _answered(self, model: str, progress: Progress | None) -> list[float | None]:
        scores: list[float | None] = []
        for question in self._questions:
            text = self._backend.generate(model, question.messages, self._sampling).text
            found = validated(self._validator, text, question.prompt, question.known)
            scores.append(found.score if found.judged else None)
            if progress is not None:
                progress(len(scores), len(self._questions))
        return scores
