"""Whether a `config.toml` can be read by everything that reads it: the first fault, or every one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from core.categories import categories_from
from core.config import SECTIONS_ELSEWHERE, config_from
from core.errors import FinetuneError
from core.hooks.settings import hooks_from
from core.settings_docs import CATEGORIES
from core.train.config import configured
from core.validate.registry import validator_for

_AT_LINE: Final = re.compile(r"\(at line (\d+)")
_NAMED: Final = re.compile(r"\.toml: \[?([\w.-]+)")
_HEADER: Final = re.compile(r"\s*\[+([^\]]+)\]")


def check(tables: Mapping[str, Any], path: Path) -> None:
    """Raises the first fault of the parsed tables as ConfigError or CategoryError; `path` is only named in it."""
    config = config_from(tables, path)
    configured(config, config.train.base_model)
    known = categories_from(tables, path)
    for name in tables.get(CATEGORIES, {}):
        validator_for(known[name])
    hooks_from(tables, path)


def faults(tables: Mapping[str, Any], path: Path) -> list[FinetuneError]:
    """Every fault, in the order of the file: each key is tried by itself, in a section that is otherwise right."""
    found: list[FinetuneError] = []
    for name, table in tables.items():
        if name in SECTIONS_ELSEWHERE:
            continue
        keys = table.items() if isinstance(table, Mapping) else ()
        pieces = [{name: {key: value}} for key, value in keys] or [{name: table}]
        found += [fault for piece in pieces if (fault := _fault(piece, path, _section)) is not None]
    good: dict[str, Any] = {}
    found += [fault for fault in _of_categories(tables.get(CATEGORIES, {}), path, good) if fault is not None]
    hooks = tables.get("hooks", {})
    for piece in [{name: hook} for name, hook in hooks.items()] if isinstance(hooks, Mapping) else [hooks]:
        fault = _fault({CATEGORIES: good, "hooks": piece}, path, hooks_from)
        if fault is not None:
            found.append(fault)
    return found


def _section(tables: Mapping[str, Any], path: Path) -> None:
    config = config_from(tables, path)
    configured(config, config.train.base_model)


def _of_categories(given: Any, path: Path, good: dict[str, Any]) -> Iterator[FinetuneError | None]:
    """Key by key: its fault, or None. What is right of each category is put into `good`."""
    if not isinstance(given, Mapping):
        yield _fault({CATEGORIES: given}, path, categories_from)
        return
    for name, table in given.items():
        if not isinstance(table, Mapping):
            yield _fault({CATEGORIES: {**good, name: table}}, path, categories_from)
            continue
        right: dict[str, Any] = {}
        for key in sorted(table, key=lambda one: (one != "like", one != "validator")):
            trial = {**good, name: {**right, key: table[key]}}
            fault = _fault({CATEGORIES: trial}, path, categories_from)
            if fault is None:
                right[key] = table[key]
            yield fault
        good[name] = right
        yield _fault({CATEGORIES: good}, path, partial(_judged, name))


def _judged(name: str, tables: Mapping[str, Any], path: Path) -> None:
    own = categories_from(tables, path).get(name)
    if own is not None:
        validator_for(own)


def _fault(
    tables: Mapping[str, Any], path: Path, read: Callable[[Mapping[str, Any], Path], object]
) -> FinetuneError | None:
    try:
        read(tables, path)
    except FinetuneError as error:
        return error
    return None


def line_of(data: bytes, message: str) -> int:
    """The line, from 1, of the key that a fault's message names, or that the message names itself; 0 where unknown."""
    if (told := _AT_LINE.search(message)) is not None:
        return int(told[1])
    named = _NAMED.search(message)
    if named is None:
        return 0
    *section, key = named[1].split(".")
    here = ""
    for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), start=1):
        if (header := _HEADER.match(line)) is not None:
            here = header[1].replace(" ", "").replace('"', "")
            if here == named[1]:
                return number
        elif here == ".".join(section) and re.match(rf'\s*"?{re.escape(key)}"?\s*=', line):
            return number
    return 0
