"""What a validator is: a named judge of one response that returns a score and the reasons for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

Severity = Literal["error", "warning", "info"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One reason for a score: `kind` is a stable snake_case name, `line` is 1-based and None for the whole response."""

    kind: str
    message: str
    line: int | None = None
    severity: Severity = "error"


@dataclass(frozen=True, slots=True)
class Validation:
    """A verdict: `score` lies in 0-100, `valid` says whether the response is well-formed at all.

    Where nothing can be told of the quality (no right answer is known, the judge did not answer), `judged` is false:
    `score` is then a stand-in that must not be recorded as what the response is worth.
    """

    score: float
    valid: bool
    findings: tuple[Finding, ...] = ()
    judged: bool = True


def not_judged(kind: str, message: str, *, score: float = 50.0) -> Validation:
    """What a validator returns that could not do its work: nothing is said against the response.

    50 is the score at which the reward is 0.
    """
    return Validation(score, True, (Finding(kind, message, severity="warning"),), judged=False)


class Validator(Protocol):
    """A judge of responses; the same arguments always give the same verdict."""

    @property
    def name(self) -> str:
        """The name by which settings refer to the validator."""
        ...

    def validate(self, response: str, *, prompt: str = "", expected: Mapping[str, object] | None = None) -> Validation:
        """Judge `response`; `expected` holds whatever is known about a right answer (keys depend on the validator)."""
        ...
