"""Categories: the kinds of task that a model is specialised on, as data.

They come from the TOML files in assets/categories, extended or overridden by `[categories.<name>]` in the home folder's
`config.toml`. A new category may start from another one with `like = "<name>"`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, get_args

from assets import ASSETS
from core.config import Config, Loop, Select, close_names, config_from, read_toml, section_from
from core.errors import CategoryError
from storage.rows import Tier

if TYPE_CHECKING:
    from core.paths import Home

QUALITY_PARTS: Final = (
    "confidence", "score", "reasoning", "outcome", "human", "rag", "precedents", "context", "edge_case",
    "common_pattern",
)  # fmt: skip
DEFAULT_WEIGHTS: Final[Mapping[str, float]] = {
    "confidence": 0.35,
    "reasoning": 0.15,
    "outcome": 0.15,
    "human": 0.20,
    "rag": 0.10,
    "precedents": 0.05,
    "context": 0.10,
    "edge_case": 0.10,
    "common_pattern": 0.05,
}
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_TEXTS = "a list of texts"
_TEXT = "text in quotes"
_TABLE = "a table"
_OPTIONS: Final[Mapping[str, Mapping[str, str]]] = {
    "label": {"labels": _TEXTS, "key": _TEXT, "expected_key": _TEXT},
    "json_schema": {"schema": _TABLE},
    "language": {"languages": _TEXTS},
    "mermaid": {"kinds": _TEXTS},
    "regex": {"pattern": _TEXT},
}
"""What the options of the shipped validators are, so that a slip is named with its file before any validator is
imported; a validator checks its options in full when it is made."""

LABELLING: Final = "## Labelling"
"""Heads the section of a category's guidelines that is for people who label; no model is told of it."""

OF_ALL: Final = frozenset({"held_out_percent", "check_seconds"})
"""Settings of [select] and [loop] that no category may have for itself."""


@dataclass(frozen=True, slots=True)
class Category:
    """A kind of task. `complexity` is 0-1, `success_score` 0-100, `quality_weights` maps parts of the quality to 0-1.

    Without a `base_model` of its own a category has the general default; an empty `system_prompt` means that none is
    sent. `reward` names a reward function of the user's own; `select` and `loop` are laid over the sections of the same
    name for this category alone, see `select_of` and `loop_of`. What the gateway passes on for `models` belongs to it.
    """

    name: str
    title: str
    complexity: float = 0.5
    system_prompt: str = ""
    base_model: str = ""
    validator: str = "none"
    validator_options: Mapping[str, Any] = field(default_factory=dict)
    success_score: float = 70.0
    min_tier: Tier = "bronze"
    quality_weights: Mapping[str, float] = field(default_factory=lambda: dict(DEFAULT_WEIGHTS))
    guidelines: str = ""
    preset: str = "own"
    reward: str = ""
    select: Mapping[str, Any] = field(default_factory=dict)
    loop: Mapping[str, Any] = field(default_factory=dict)
    models: Sequence[str] = ()


def load_categories(home: Home) -> Mapping[str, Category]:
    """Every category by name: the shipped ones, then the user's.

    Raises CategoryError on a wrong definition, naming the file and the key.
    """
    return categories_from(read_toml(home.config), home.config)


def categories_from(tables: Mapping[str, Any], path: Path) -> Mapping[str, Category]:
    """`load_categories` from the parsed tables of a `config.toml`; `path` is only named in errors."""
    found: dict[str, Category] = {}
    for shipped in sorted((ASSETS / "categories").glob("*.toml")):
        own = read_toml(shipped)
        preset = own.get("preset", {})
        ground = {"preset": preset["name"], "quality_weights": preset.get("quality_weights", DEFAULT_WEIGHTS)}
        _extend(found, own.get("categories"), shipped, ground)
    _extend(found, tables.get("categories"), path, {})
    general = config_from(tables, path).train.base_model
    return {name: replace(each, base_model=each.base_model or general) for name, each in found.items()}


def select_of(own: Category, config: Config) -> Select:
    """The learning components' settings as they hold for a category."""
    return replace(config.select, **own.select)


def loop_of(own: Category, config: Config) -> Loop:
    """What happens by itself in a category."""
    return replace(config.loop, **own.loop)


def category(categories: Mapping[str, Category], name: str) -> Category:
    """The category of that name. Raises CategoryError that names the closest ones."""
    found = categories.get(name)
    if found is None:
        raise CategoryError(f"There is no category `{name[:60]}`.", hint=close_names(name[:60], categories))
    return found


def answer_guidelines(own: Category) -> str:
    """What a good answer of the category is like: its guidelines, without the section for people who label."""
    return own.guidelines.partition(f"\n{LABELLING}\n")[0].strip()


def _extend(found: dict[str, Category], tables: Any, path: Path, ground: Mapping[str, Any]) -> None:
    if tables is None:
        return
    if not isinstance(tables, Mapping):
        raise CategoryError(
            f"{path}: `categories` must hold sections.", hint=f"Write [categories.<name>]{_single(tables)}."
        )
    for name, table in tables.items():
        where = f"{path}: categories.{name}"
        if not _NAME.fullmatch(name):
            raise CategoryError(
                f"{where} is no name for a category.", hint="Use up to 40 of a-z, 0-9 and _, starting with a letter."
            )
        if not isinstance(table, Mapping):
            raise CategoryError(f"{where} must be a section.", hint=f"Write [categories.{name}]{_single(table)}.")
        values = {**ground, **table}
        start = found.get(name, Category(name=name, title=name.replace("_", " ").capitalize()))
        if "like" in values:
            start = replace(_model(found, values.pop("like"), where), name=name, title=start.title, preset="own")
        found[name] = _built(start, values, where)


def _single(value: Any) -> str:
    return " in single brackets" if isinstance(value, list) else ""


def _model(found: Mapping[str, Category], name: Any, where: str) -> Category:
    if not isinstance(name, str) or name not in found:
        raise CategoryError(f"{where}.like names no category.", hint=close_names(str(name)[:60], found))
    return found[name]


def _built(start: Category, values: Mapping[str, Any], where: str) -> Category:
    known = {entry.name for entry in fields(Category)} - {"name"}
    changed: dict[str, Any] = {}
    for key, value in values.items():
        if key not in known:
            raise CategoryError(f"{where}.{key} is no setting of a category.", hint=close_names(key, known))
        changed[key] = _checked(key, value, f"{where}.{key}")
    if changed.get("validator", start.validator) != start.validator:
        # The options of one validator mean nothing to another.
        changed.setdefault("validator_options", {})
    built = replace(start, **changed)
    _check_options(built, f"{where}.validator_options")
    return built


def _check_options(built: Category, where: str) -> None:
    kinds = _OPTIONS.get(built.validator, {})
    for key, value in built.validator_options.items():
        kind = kinds.get(key)
        if kind == _TEXTS and not (
            isinstance(value, list) and value and all(isinstance(each, str) and each.strip() for each in value)
        ):
            raise CategoryError(f"{where}.{key} must be a list of texts.", hint=f'Write {key} = ["…", "…"].')
        if kind == _TEXTS and (twice := [each for each, count in Counter(value).items() if count > 1]):
            raise CategoryError(f"{where}.{key} has `{twice[0][:60]}` twice.", hint="Remove one of them.")
        if kind == _TEXT and not isinstance(value, str):
            raise CategoryError(f"{where}.{key} must be text in quotes.", hint='Write it as "…".')
        if kind == _TABLE and not isinstance(value, Mapping):
            raise CategoryError(f"{where}.{key} must be a table.", hint=f"Write [{where.partition(': ')[2]}.{key}].")


def _checked(key: str, value: Any, where: str) -> Any:
    if key in ("complexity", "success_score"):
        return _number(value, 1.0 if key == "complexity" else 100.0, where)
    if key == "quality_weights":
        if not isinstance(value, Mapping):
            raise CategoryError(f"{where} must be a table.", hint="Write for example { score = 0.6, human = 0.2 }.")
        for part in value:
            if part not in QUALITY_PARTS:
                hint = close_names(part, set(QUALITY_PARTS))
                raise CategoryError(f"{where}.{part} is no part of the quality.", hint=hint)
        return {part: _number(weight, 1.0, f"{where}.{part}") for part, weight in value.items()}
    if key in ("select", "loop"):
        return _overlay(key, value, where)
    if key == "validator_options":
        if not isinstance(value, Mapping):
            raise CategoryError(f"{where} must be a table.", hint="Write for example { min_chars = 20 }.")
        return dict(value)
    if key == "models":
        if not isinstance(value, list) or not all(isinstance(each, str) and each for each in value):
            raise CategoryError(f"{where} must be a list of names.", hint='Write for example ["llama3.2:3b"].')
        return tuple(value)
    if not isinstance(value, str):
        raise CategoryError(f"{where} must be text in quotes.", hint='Write it as "…".')
    if key == "min_tier" and value not in get_args(Tier):
        raise CategoryError(f"{where} is no tier.", hint=f"Choose one of {', '.join(get_args(Tier))}.")
    return value


def _overlay(section: str, value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise CategoryError(f"{where} must be a table.", hint="Write for example { curriculum = false }.")
    for key in OF_ALL & set(value):
        raise CategoryError(f"{where}.{key} holds for all categories alike.", hint=f"Set it under [{section}].")
    checked = section_from(getattr(Config(), section), value, where)
    return {key: getattr(checked, key) for key in value}


def _number(value: Any, high: float, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 <= value <= high:
        raise CategoryError(f"{where} must be a number from 0 to {high:g}.", hint="Correct the value.")
    return float(value)
