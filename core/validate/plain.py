"""The validator of a category that has no judge of its own: is there an answer, and is its length sensible?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.validate.options import number, only
from core.validate.validator import Finding, Validation, Validator

_LONGEST = 1_000_000_000


@dataclass(frozen=True, slots=True)
class PlainValidator:
    """Scores 100 for an answer of `min_chars` to `max_chars` characters (white space around it apart), else 0.

    It cannot tell a good answer from a bad one, so a recorded event takes no score from its 100.
    """

    min_chars: int = 1
    max_chars: int = 200_000
    name: str = "none"

    def validate(self, response: str, *, prompt: str = "", expected: Mapping[str, object] | None = None) -> Validation:
        """Judge the length of `response`; `prompt` and `expected` are not looked at."""
        length = len(response.strip())
        if length == 0:
            return Validation(0.0, False, (Finding("empty", "the answer is empty"),))
        if length < self.min_chars:
            return Validation(0.0, False, (Finding("too_short", f"{length} characters, fewer than {self.min_chars}"),))
        if length > self.max_chars:
            return Validation(0.0, False, (Finding("too_long", f"{length} characters, more than {self.max_chars}"),))
        return Validation(100.0, True, judged=False)


def make(options: Mapping[str, Any]) -> Validator:
    """Options: `min_chars` (1) and `max_chars` (200,000), the limits of the length."""
    only(options, "min_chars", "max_chars")
    low = int(number(options, "min_chars", 1, 0, _LONGEST))
    high = int(number(options, "max_chars", 200_000, 1, _LONGEST))
    if low > high:
        raise ValueError(f"`min_chars` ({low}) is more than `max_chars` ({high})")
    return PlainValidator(low, high)
