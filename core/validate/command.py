"""Scores a response with a program of the user's own."""

from __future__ import annotations

import json
import math
import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from core.validate.options import choice, number, only, texts
from core.validate.run_command import Ended, run_command
from core.validate.validator import Finding, Severity, Validation, Validator, not_judged

_VALID_ABOVE: Final = 20.0
_FINDINGS: Final = 50
_MESSAGE: Final = 500
# The system limits one variable to 128 KiB; a character takes up to four bytes.
_VARIABLE: Final = 30_000
_NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d{1,3})?")
_NOT_SHOWN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]+")
_KIND = re.compile(r"[^a-z0-9]+")
_SEVERITIES: Final[Mapping[object, Severity]] = {"error": "error", "warning": "warning", "info": "info"}


@dataclass(frozen=True, slots=True)
class CommandValidator:
    """Runs `command` (a program and its arguments, no shell) for each response and reads the score from its output.

    Input, with `input="text"`: the response, UTF-8, on standard input; FINETUNE_PROMPT and FINETUNE_EXPECTED (JSON) in
    the environment, cut at 30,000 characters. With `input="json"`: one object with `response`, `prompt` and `expected`.
    Output: the first number is the score, 0-100, and each further line a finding; or a JSON object with `score` and, if
    wanted, `valid` (else: score above 20) and `findings`, each with `message`, `kind`, `line` and `severity`.
    The program runs in an empty folder and is ended, with all that it started, after `timeout` seconds. When it fails,
    takes too long or gives no score, nothing is judged.
    """

    command: tuple[str, ...]
    timeout: float = 10.0
    input: str = "text"
    name: str = "command"

    def validate(self, response: str, *, prompt: str = "", expected: Mapping[str, object] | None = None) -> Validation:
        """Score `response` from 0 to 100 by what the program says."""
        program = Path(self.command[0]).name
        known = dict(expected or {})
        told = {"response": response, "prompt": prompt, "expected": known}
        data = json.dumps(told, default=str) if self.input == "json" else response
        environment = {
            **os.environ,
            "FINETUNE_PROMPT": prompt[:_VARIABLE].replace("\0", ""),
            "FINETUNE_EXPECTED": json.dumps(known, default=str)[:_VARIABLE],
        }
        try:
            with tempfile.TemporaryDirectory(prefix="finetune-command-", ignore_cleanup_errors=True) as folder:
                sent = data.encode("utf-8", "replace")
                ended = run_command(self.command, sent, folder=folder, environment=environment, timeout=self.timeout)
        except OSError as error:
            return not_judged("command_missing", f"`{program}` could not be started: {error.strerror or error}")
        if ended.code is None:
            return not_judged("command_timeout", f"`{program}` took longer than {self.timeout:g} s and was ended")
        if ended.code != 0:
            return not_judged("command_failed", f"`{program}` {_how(ended)}")
        return _read(ended.output, program)


def make(options: Mapping[str, Any]) -> Validator:
    """Options: `command` (required), a list: the program and its arguments; `timeout` (10), seconds; `input`: `text`
    (the default) or `json`. The program is a name that the PATH knows, or a whole path (`~` is the user's folder)."""
    only(options, "command", "timeout", "input")
    if isinstance(options.get("command"), str):
        raise ValueError('`command` must be a list, since no shell is used: write ["program", "argument"]')
    program, *arguments = texts(options, "command")
    if os.sep in program:
        program = str(Path(program).expanduser())
        if not Path(program).is_absolute():
            raise ValueError("`command`: the program must be a name that the PATH knows, or a whole path")
    if any("\0" in each for each in (program, *arguments)):
        raise ValueError("`command` must not hold a NUL character")
    timeout = number(options, "timeout", 10.0, 0.1, 600.0)
    return CommandValidator((program, *arguments), timeout, choice(options, "input", "text", "text", "json"))


def _how(ended: Ended) -> str:
    code = ended.code or 0
    how = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
    said = _clean(ended.errors[-_MESSAGE:]) or _clean(ended.output[-_MESSAGE:])
    return f"{how}: {said}" if said else f"{how} and left no message"


def _read(output: str, program: str) -> Validation:
    plain = output.strip()
    if plain.startswith("{"):
        return _read_json(plain, program)
    first = _NUMBER.search(plain)
    score = _score(float(first.group())) if first else None
    if first is None or score is None:
        said = f": {_clean(plain[:_MESSAGE])}" if plain else ""
        return not_judged("command_output", f"`{program}` gave no score from 0 to 100{said}")
    rest = plain[first.end() :].splitlines()[1:]
    lines = [line for line in map(_clean, rest) if line][:_FINDINGS]
    return Validation(score, score > _VALID_ABOVE, tuple(Finding("command", line[:_MESSAGE]) for line in lines))


def _read_json(plain: str, program: str) -> Validation:
    try:
        held = json.loads(plain)
    except (ValueError, RecursionError):
        return not_judged("command_output", f"what `{program}` wrote is no JSON: {_clean(plain[:_MESSAGE])}")
    score = _score(held.get("score"))
    if score is None:
        return not_judged("command_output", f"`{program}` gave no `score` from 0 to 100")
    valid = held.get("valid", score > _VALID_ABOVE)
    findings = held.get("findings", [])
    if not isinstance(valid, bool) or not isinstance(findings, list):
        return not_judged("command_output", f"`{program}`: `valid` must be true or false, `findings` a list")
    return Validation(score, valid, tuple(_finding(each) for each in findings[:_FINDINGS]))


def _finding(told: object) -> Finding:
    if not isinstance(told, Mapping):
        return Finding("command", _clean(str(told))[:_MESSAGE])
    line = told.get("line")
    return Finding(
        _KIND.sub("_", str(told.get("kind", "")).lower()).strip("_")[:40] or "command",
        _clean(str(told.get("message", "")))[:_MESSAGE] or "no reason given",
        line if isinstance(line, int) and not isinstance(line, bool) and line >= 1 else None,
        _SEVERITIES.get(str(told.get("severity")), "error"),
    )


def _score(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) and 0.0 <= value <= 100.0 else None


def _clean(text: str) -> str:
    return " ".join(_NOT_SHOWN.sub(" ", text).split())
