"""A category's definition as TOML, so that whoever lacks the category can see how its sender defines it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from core.categories import Category


def definition(category: Category) -> str:
    """The section of a configuration file that defines the category; what is empty is left out."""
    lines = [f"[categories.{category.name}]"]
    for entry in fields(Category):
        value = getattr(category, entry.name)
        if entry.name not in ("name", "preset") and value not in ("", {}, ()):
            lines.append(f"{entry.name} = {_toml(value)}")
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        # JSON's escapes are TOML's, but for DEL, which TOML wants escaped and JSON does not.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_toml(str(key))} = {_toml(each)}" for key, each in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(each) for each in value) + "]"
    return repr(value)
