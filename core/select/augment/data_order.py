"""Other orders of the keys of JSON objects, and of paths and components in an OpenAPI document.

JSON is parsed, reordered and written back in the style it had; YAML is moved by whole lines. The parsed value must be
equal. An object that gives its reasons keeps its order: what a model writes first decides what it writes next.
"""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Iterator
from itertools import product
from typing import Any, Final

from core.select.augment.spans import has_long_gap
from core.validate.json_text import JsonText, json_in
from core.validate.openapi import looks_like_openapi, openapi_in
from core.validate.yaml_document import YamlFault, read_yaml

_CHARS: Final = 200_000
_REASONS: Final = re.compile(r"reason|thought|think|explan|analys|rational|justif|steps|evidence|because", re.I)
_INDENTS: Final[tuple[int | str | None, ...]] = (None, 2, 4, "\t", 1, 3, 0)
_SEPARATORS: Final = ((", ", ": "), (",", ":"), (",", ": "))
_OPENAPI: Final = frozenset({"openapi", "swagger"})
_MOVED: Final = frozenset({"paths", "components", "definitions", "schemas", "responses", "parameters"})
_YAML_HEAD = re.compile(r"( *)(paths|schemas|definitions):[ \t]*\Z")
_YAML_KEY = re.compile(r"( *)[^\s#-][^\n]*")


def data_orders(target: str, rng: random.Random) -> Iterator[str]:
    """The target with its JSON or OpenAPI document in other orders; none where nothing can change places."""
    if len(target) > _CHARS or has_long_gap(target):
        return
    if _is_yaml(target):
        yield from _yaml_orders(target, rng)
    elif (found := json_in(target)).fault is None and isinstance(found.value, dict | list):
        yield from _json_orders(target, found, rng)


def same_data(target: str, variant: str) -> bool:
    """Whether two texts hold equal data, with the same text around it."""
    if not _is_yaml(target):
        first, second = json_in(target), json_in(variant)
        around = target.split(first.part.text, 1) == variant.split(second.part.text, 1)
        return around and not (first.fault or second.fault) and _json_form(first.value) == _json_form(second.value)
    if Counter(target.split("\n")) != Counter(variant.split("\n")):
        return False
    try:
        one, other = read_yaml(openapi_in(target).text), read_yaml(openapi_in(variant).text)
    except YamlFault:
        return False
    return _json_form(one.value) == _json_form(other.value)


def _is_yaml(target: str) -> bool:
    return "\r" not in target and looks_like_openapi(target) and not openapi_in(target).text.lstrip().startswith("{")


def _json_form(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=repr)


def _json_orders(target: str, found: JsonText, rng: random.Random) -> Iterator[str]:
    text = found.part.text.strip()
    style = _style(found.value, text)
    if found.duplicates or found.constants or style is None or target.count(text) != 1:
        return
    openapi = isinstance(found.value, dict) and not _OPENAPI.isdisjoint(found.value)
    before, after = target.split(text)
    while _movable(found.value, openapi):
        yield before + json.dumps(_shuffled(found.value, rng, openapi), **style) + after


def _style(value: Any, text: str) -> dict[str, Any] | None:
    """How `json.dumps` must be called to write `text` again, or None when it cannot."""
    for indent, separators, ascii_only in product(_INDENTS, _SEPARATORS, (False, True)):
        style: dict[str, Any] = {"indent": indent, "separators": separators, "ensure_ascii": ascii_only}
        if json.dumps(value, **style) == text:
            return style
    return None


def _keeps_order(value: dict[str, Any]) -> bool:
    return any(_REASONS.search(key) for key in value)


def _movable(value: Any, openapi: bool) -> bool:
    if isinstance(value, list):
        return any(_movable(each, openapi) for each in value)
    if not isinstance(value, dict):
        return False
    if openapi:
        return any(isinstance(part, dict) and len(part) > 1 for part in _parts(value))
    return (len(value) > 1 and not _keeps_order(value)) or any(_movable(each, False) for each in value.values())


def _parts(value: dict[str, Any]) -> Iterator[Any]:
    components = value.get("components")
    yield from (value.get("paths"), value.get("definitions"))
    yield from components.values() if isinstance(components, dict) else ()


def _shuffled(value: Any, rng: random.Random, openapi: bool) -> Any:
    if openapi:
        return {key: _section(part, rng, key) if key in _MOVED else part for key, part in value.items()}
    if isinstance(value, list):
        return [_shuffled(each, rng, False) for each in value]
    if not isinstance(value, dict):
        return value
    keys = list(value) if _keeps_order(value) else rng.sample(list(value), len(value))
    return {key: _shuffled(value[key], rng, False) for key in keys}


def _section(part: Any, rng: random.Random, key: str) -> Any:
    if not isinstance(part, dict):
        return part
    if key == "components":
        return {name: _section(each, rng, name) for name, each in part.items()}
    return {name: part[name] for name in rng.sample(list(part), len(part))}


def _yaml_orders(target: str, rng: random.Random) -> Iterator[str]:
    lines = target.split("\n")
    if any(line.lstrip().startswith("#") for line in lines):
        return
    runs = [run for at, line in enumerate(lines) if (run := _children(lines, at, line)) and len(run) > 1]
    while runs:
        moved = list(lines)
        for run in runs:
            shuffled = rng.sample(run, len(run))
            moved[run[0][0] : run[-1][1]] = [line for start, end in shuffled for line in lines[start:end]]
        yield "\n".join(moved)


def _children(lines: list[str], at: int, line: str) -> list[tuple[int, int]]:
    """The blocks of lines of the keys under the head on line `at`: (first, behind the last)."""
    head = _YAML_HEAD.match(line)
    if head is None or at + 1 >= len(lines):
        return []
    first = _YAML_KEY.match(lines[at + 1])
    if first is None or len(first[1]) <= len(head[1]):
        return []
    indent = first[1]
    starts, end = [], at + 1
    while end < len(lines) and lines[end].startswith(indent):
        if not lines[end][len(indent) :].startswith((" ", "-")):
            starts.append(end)
        end += 1
    return list(zip(starts, [*starts[1:], end], strict=True))
