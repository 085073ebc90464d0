"""promptfoo's download for preference training: outputs that passed the test's assertions, and those that failed."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from itertools import islice, product
from typing import Any, Final

from core.capture.formats.chats import Request
from core.capture.formats.export_requests import Asked, is_chat, request_of
from core.capture.formats.export_rows import share
from core.capture.formats.export_values import as_text, details, items, mapping, text
from core.capture.formats.parts import Answer, Lessons, Preference, RowError, RowFormat

_MOST_PAIRS: Final = 100
_VARIABLE: Final = re.compile(r"\{\{-?\s*(\w{1,80})\s*-?\}\}")
_QUESTIONS: Final = ("prompt", "question", "query", "input", "message", "instruction", "text")


class PromptfooPreferences(RowFormat):
    """One test case: passed outputs are preferred to failed ones, each to each, at most 100 pairs a case.

    Nobody said that the outputs are good or bad, the assertions did: they count as success and validation failure.
    """

    name = "promptfoo"
    title = "promptfoo preference (DPO) export"
    mapping: Mapping[str, str] = {
        "prompts, vars": "prompt",
        "chosen": "response (success)",
        "rejected": "response (validation failure)",
        "providers": "model, when there is one",
    }

    def matches(self, source: Any, sample: Sequence[Any]) -> float:
        """0.95 when the rows hold chosen, rejected, vars and either prompts or providers."""
        return share(
            sample,
            lambda row: (
                isinstance(row.get("chosen"), list)
                and isinstance(row.get("rejected"), list)
                and isinstance(row.get("vars"), Mapping)
                and ("prompts" in row or "providers" in row)
            ),
        )

    def read(self, value: Any) -> Lessons:
        """One test case. Raises RowError."""
        entry = mapping(value)
        variables = mapping(entry.get("vars"))
        asked = _asked(items(entry.get("prompts")), variables)
        providers = [name for name in map(_name, items(entry.get("providers"))) if name]
        problems = list(asked.problems)
        answers: list[Answer] = []
        sides: list[range] = []
        for key, kind in (("chosen", "success"), ("rejected", "validation_failure")):
            start = len(answers)
            for position, each in enumerate(items(entry.get(key)), start=1):
                response = as_text(each)
                if not response.strip():
                    problems.append(f"{key} {position} was left out: it is empty.")
                    continue
                answers.append(
                    asked.request.answer(
                        response,
                        model=providers[0] if len(providers) == 1 else "",
                        group=asked.request.group,
                        feedback_type="success" if kind == "success" else "validation_failure",
                        metadata=details(vars=variables, providers=providers),
                    )
                )
            sides.append(range(start, len(answers)))
        if not answers:
            raise RowError("Neither chosen nor rejected holds an output.")
        total = len(sides[0]) * len(sides[1])
        if total > _MOST_PAIRS:
            problems.append(f"Of {total} pairs of passed and failed outputs the first {_MOST_PAIRS} are taken.")
        pairs = islice(product(*sides), _MOST_PAIRS)
        preferences = tuple(
            Preference(chosen, rejected)
            for chosen, rejected in pairs
            if answers[chosen].response != answers[rejected].response
        )
        return Lessons(tuple(answers), preferences, tuple(problems))


def _name(value: Any) -> str:
    return text(value) or text(mapping(value).get("id")) or text(mapping(value).get("label"))


def _asked(prompts: Sequence[Any], variables: Mapping[str, Any]) -> Asked:
    """The prompt with its variables filled in. With several prompts only a variable can be what was asked."""
    filled = list(dict.fromkeys(_filled(_raw(each), variables) for each in prompts))
    filled = [each for each in filled if each.strip()]
    if len(filled) == 1:
        return _parsed(filled[0])
    asked = [variables[name] for name in _QUESTIONS if text(variables.get(name)).strip()]
    asked = asked or ([next(iter(variables.values()))] if len(variables) == 1 else [])
    if not asked or not as_text(asked[0]).strip():
        why = "there is no prompt" if not filled else "it came from several prompts and does not say which"
        raise RowError(f"What was asked is unknown: {why}, and no variable is a question.")
    problem = "The outputs came from several prompts; the variable alone was taken as the prompt."
    return Asked(Request(as_text(asked[0]), "", ()), (problem,) if filled else ())


def _raw(value: Any) -> str:
    return text(value) or text(mapping(value).get("raw")) or text(mapping(value).get("label"))


def _filled(template: str, variables: Mapping[str, Any]) -> str:
    return _VARIABLE.sub(lambda found: as_text(variables[found[1]]) if found[1] in variables else found[0], template)


def _parsed(prompt: str) -> Asked:
    if prompt.lstrip().startswith("["):
        try:
            messages = json.loads(prompt)
        except (ValueError, RecursionError):
            return Asked(Request(prompt, "", ()))
        if is_chat(messages):
            return request_of(messages)
    return Asked(Request(prompt, "", ()))
