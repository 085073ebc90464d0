"""Finds the JSON in a response and reads it strictly: no NaN, no key twice, nothing behind the value."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

from core.validate.extract import Extract, best_fence, fences, without_thoughts

_LANGUAGES = frozenset({"json", "jsonc", "json5", "jsonl"})
_OPENING = re.compile(r"[{\[]")
_MEANT = re.compile(r"\{\s*[\"}]|\[\s*[{\[\"]")
_SPACE = " \t\r\n"
# How many brackets in prose are tried as the beginning of a value.
_TRIES = 32


@dataclass(frozen=True, slots=True)
class JsonFault:
    """Why a text is no JSON: `offset` in characters from the beginning of the text."""

    message: str
    offset: int


@dataclass(slots=True)
class JsonText:
    """The JSON of a response: its `value`, or the `fault` that made it unreadable.

    `duplicates` holds the keys that stand twice in one object, `constants` the `NaN` and `Infinity` that JSON lacks.
    """

    part: Extract
    value: Any = None
    fault: JsonFault | None = None
    duplicates: list[str] = field(default_factory=list)
    constants: list[str] = field(default_factory=list)

    @property
    def read_share(self) -> float:
        """How much of the text could be read before the fault, 0-1."""
        return self.fault.offset / max(1, len(self.part.text.rstrip())) if self.fault else 1.0


def json_in(response: str) -> JsonText:
    """The JSON in a response: in the code fence that fits best, else the whole, else the longest value in the prose."""
    answer = without_thoughts(response)
    fence = best_fence(fences(answer), _LANGUAGES, _opens)
    if fence is not None and (fence.language in _LANGUAGES or _opens(fence.text)):
        return _whole(fence)
    whole = _whole(Extract(answer))
    return whole if whole.fault is None else _in_prose(answer) or whole


def read_json(text: str) -> JsonText:
    """Read a text that is JSON as a whole."""
    return _whole(Extract(text))


def _opens(text: str) -> bool:
    return text.lstrip()[:1] in ("{", "[")


def _in_prose(answer: str) -> JsonText | None:
    best: JsonText | None = None
    position = 0
    for _ in range(_TRIES):
        opening = _OPENING.search(answer, position)
        if opening is None:
            break
        start = opening.start()
        read, end = _decoded(Extract(answer), start)
        if read.fault is None:
            if best is None or end - start > len(best.part.text):
                best = read
                best.part = Extract(answer[start:end], answer.count("\n", 0, start) + 1)
        elif best is None and _MEANT.match(answer, start):
            # Plainly meant as the value: what can be read inside of it is not the answer.
            return _whole(Extract(answer[start:], answer.count("\n", 0, start) + 1))
        position = end
    return best


def _whole(part: Extract) -> JsonText:
    text = part.text
    read, end = _decoded(part, len(text) - len(text.lstrip(_SPACE)))
    if read.fault is None and (rest := text[end:].lstrip(_SPACE)):
        read.fault = JsonFault("more text behind the value", len(text) - len(rest))
    return read


def _decoded(part: Extract, start: int) -> tuple[JsonText, int]:
    """The value at `start` and the offset at which it ends, the one behind `start` when it cannot be read."""
    read = JsonText(part)

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(items)
        if len(made) < len(items):
            seen: set[str] = set()
            for key, _ in items:
                if key in seen:
                    read.duplicates.append(key)
                seen.add(key)
        return made

    decoder = json.JSONDecoder(object_pairs_hook=pairs, parse_constant=read.constants.append)
    try:
        read.value, end = decoder.raw_decode(part.text, start)
    except json.JSONDecodeError as error:
        read.fault = JsonFault(error.msg, error.pos)
    except RecursionError:
        read.fault = JsonFault("nested too deeply", start)
    except ValueError:
        read.fault = JsonFault("a number with too many digits", start)
    else:
        return read, end
    return read, start + 1
