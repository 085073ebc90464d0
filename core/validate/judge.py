"""Scores a response by what another model says of it: an LLM judge, asked twice with the order turned round.

A judge favours what stands first and the end of a scale that it was told first; the mean over both orders takes
most of that out, and what remains of it shows as a disagreement.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from core.backends.backend import Backend, Sampling
from core.errors import FinetuneError
from core.validate.judge_model import model_file, shared_backend
from core.validate.judge_prompts import grade_messages, grades_of, pair_messages, reason_of
from core.validate.options import number, only, text
from core.validate.validator import Finding, Validation, Validator, not_judged

_REFERENCES: Final = ("reference", "answer")
_APART: Final = 30.0
_LOW, _HIGH = 1.0, 10.0
_EXPLAINED: Final = 99.5


class _NoGradeError(Exception):
    """The judge answered without a grade."""


@dataclass(frozen=True, slots=True)
class JudgeValidator:
    """Asks `model` how well a response meets `criteria`, a text in the user's words.

    Without a known answer the response is graded from 1 to 10 twice, with the scale told from either end; the score is
    100 × (mean grade − 1) / 9. With `expected={"reference": text}` (or `answer`) both are graded side by side, in both
    orders: 100 less 100/9 for each grade by which the response stands below the reference, the mean over both orders.
    When the model fails or gives no grade, nothing is judged. `opener` opens the server of the models.
    """

    model: str
    criteria: str
    max_chars: int = 6000
    max_tokens: int = 200
    opener: Callable[[], Backend] = shared_backend
    name: str = "judge"

    def validate(self, response: str, *, prompt: str = "", expected: Mapping[str, object] | None = None) -> Validation:
        """Score `response` from 0 to 100; it is data to the judge, and marks of a chat in it are made harmless."""
        if not response.strip():
            return Validation(0.0, False, (Finding("empty", "the answer is empty"),))
        reference = _reference(expected)
        if reference and reference.strip() == response.strip():
            return Validation(100.0, True)
        try:
            first, reason = self._ask(prompt, response, reference, turned=False)
            second, other = self._ask(prompt, response, reference, turned=True)
        except FinetuneError as error:
            return not_judged("judge_failed", f"the judge did not answer: {error.message}")
        except _NoGradeError as error:
            return not_judged("judge_unclear", f"the judge gave no grade: {error}")
        score = (first + second) / 2.0
        findings = []
        if score < _EXPLAINED:
            told = reason or other or ("below the reference" if reference else "no reason given")
            findings.append(Finding("judge", f"the judge: {told}"))
        if abs(first - second) >= _APART:
            message = f"the judge says {first:.0f} in one order and {second:.0f} in the other"
            findings.append(Finding("judge_disagrees", message, severity="warning"))
        if len(response) > self.max_chars:
            message = f"the judge saw {self.max_chars:,} of {len(response):,} characters"
            findings.append(Finding("judged_in_part", message, severity="info"))
        return Validation(score, True, tuple(findings))

    def _ask(self, prompt: str, response: str, reference: str, *, turned: bool) -> tuple[float, str]:
        """The score 0-100 in one order, and the reason in the judge's words."""
        if reference:
            pair = (reference, response) if turned else (response, reference)
            messages = pair_messages(self.criteria, prompt, *pair, max_chars=self.max_chars)
        else:
            messages = grade_messages(self.criteria, prompt, response, upwards=turned, max_chars=self.max_chars)
        sampling = Sampling(temperature=0.0, max_tokens=self.max_tokens)
        reply = self.opener().generate(model_file(self.model), messages, sampling).text
        grades = grades_of(reply, ("A", "B") if reference else ("GRADE",), low=_LOW, high=_HIGH)
        if grades is None:
            raise _NoGradeError(" ".join(reply.split())[:120] or "an empty reply")
        if not reference:
            return 100.0 * (grades[0] - _LOW) / (_HIGH - _LOW), reason_of(reply)
        own, right = reversed(grades) if turned else grades
        return min(100.0, max(0.0, 100.0 * (1.0 + (own - right) / (_HIGH - _LOW)))), reason_of(reply)


def make(options: Mapping[str, Any]) -> Validator:
    """Options: `model` (required), a GGUF file or the name of a version; `criteria` (required), what a good answer is;
    `max_chars` (6,000), how much of an answer is shown; `max_tokens` (200), how long the judge may reason."""
    only(options, "model", "criteria", "max_chars", "max_tokens")
    return JudgeValidator(
        text(options, "model"),
        text(options, "criteria").strip(),
        int(number(options, "max_chars", 6000, 100, 200_000)),
        int(number(options, "max_tokens", 200, 8, 8192)),
    )


def _reference(expected: Mapping[str, object] | None) -> str:
    for key in _REFERENCES:
        value = (expected or {}).get(key)
        if isinstance(value, str) and value.strip():
            return value
    return ""
