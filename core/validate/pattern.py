"""Scores a response by a regular expression that it must match, or must not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from core.validate.extract import fences
from core.validate.options import choice, number, only, text, texts
from core.validate.validator import Finding, Validation, Validator, not_judged

if TYPE_CHECKING:
    import regex

_FLAGS: Final = ("ignorecase", "multiline", "dotall", "verbose", "ascii")
_SHOWN: Final = 80
_WRONG: Final = 20.0
_WRAPPED: Final = 10.0


@dataclass(frozen=True, slots=True)
class PatternValidator:
    """Scores 100 when `pattern` is found (`search`), matches all of the response (`fullmatch`; 90 when that holds only
    for what stands in its code fence) or is nowhere in it (`forbid`); else 0.

    `expected={"match": text}`: what is found (the group `value`, else the first group, else the whole match) must be
    this text, else the score is 20. A search that takes longer than `timeout` seconds ends, and nothing is judged.
    """

    pattern: regex.Pattern[str]
    mode: str = "search"
    timeout: float = 0.5
    name: str = "regex"

    def validate(self, response: str, *, prompt: str = "", expected: Mapping[str, object] | None = None) -> Validation:
        """Score `response` from 0 to 100; `prompt` is not looked at."""
        try:
            return self._validate(response, (expected or {}).get("match"))
        except TimeoutError:
            return not_judged("too_slow", f"the pattern took longer than {self.timeout:g} s on this answer")

    def _validate(self, response: str, wanted: object) -> Validation:
        if self.mode == "forbid":
            return self._forbid(response)
        findings: list[Finding] = []
        match = self._match(response)
        if match is None and self.mode == "fullmatch":
            match = next((found for fence in fences(response) if (found := self._match(fence.text))), None)
            if match is not None:
                findings.append(Finding("wrapped", "what matches stands in a code fence", severity="warning"))
        if match is None:
            how = "does not match" if self.mode == "fullmatch" else "is not found:"
            return Validation(0.0, False, (Finding("no_match", f"the pattern {how} `{_shown(self.pattern.pattern)}`"),))
        if wanted is not None and (got := _value(match)).strip() != str(wanted).strip():
            line = match.string.count("\n", 0, match.start()) + 1
            message = f"line {line}: `{_shown(got)}` instead of `{_shown(str(wanted))}`"
            return Validation(_WRONG, True, (Finding("wrong_value", message, line),))
        return Validation(100.0 - _WRAPPED * len(findings), True, tuple(findings))

    def _match(self, text: str) -> regex.Match[str] | None:
        if self.mode == "fullmatch":
            return self.pattern.fullmatch(text.strip(), timeout=self.timeout)
        return self.pattern.search(text, timeout=self.timeout)

    def _forbid(self, response: str) -> Validation:
        match = self.pattern.search(response, timeout=self.timeout)
        if match is None:
            return Validation(100.0, True)
        line = response.count("\n", 0, match.start()) + 1
        message = f"line {line}: `{_shown(match.group())}` matches the forbidden pattern"
        return Validation(0.0, False, (Finding("forbidden", message, line),))


def make(options: Mapping[str, Any]) -> Validator:
    """Options: `pattern` (required); `mode`: `search` (the default), `fullmatch` or `forbid`; `flags`, some of
    ignorecase, multiline, dotall, verbose and ascii; `timeout` (0.5), seconds for one answer.

    Patterns are those of the package `regex`, which understands what Python's own module does and can be stopped.
    """
    import regex

    only(options, "pattern", "mode", "flags", "timeout")
    written = text(options, "pattern")
    flags = 0
    for name in texts(options, "flags", ()):
        if name not in _FLAGS:
            raise ValueError(f"`flags`: {name!r} is none of {', '.join(_FLAGS)}")
        flags |= getattr(regex, name.upper())
    mode = choice(options, "mode", "search", "search", "fullmatch", "forbid")
    timeout = number(options, "timeout", 0.5, 0.01, 60.0)
    try:
        compiled = regex.compile(written, flags)
    except regex.error as error:
        where = "" if error.pos is None else f" at character {error.pos + 1}: `{_around(written, error.pos)}`"
        raise ValueError(f"`pattern` is no regular expression: {error.msg}{where}") from error
    return PatternValidator(compiled, mode, timeout)


def _value(match: regex.Match[str]) -> str:
    named = match.groupdict()
    if "value" in named:
        return named["value"] or ""
    return (match.group(1) if match.re.groups else match.group()) or ""


def _around(written: str, position: int) -> str:
    return f"{written[max(0, position - 12) : position]}▸{written[position : position + 12]}"


def _shown(value: str) -> str:
    plain = " ".join(value.split())
    return plain if len(plain) <= _SHOWN else f"{plain[:_SHOWN]}…"
