"""Every setting described: where it stands in `config.toml`, what it may be, its default and what it does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, Final, Literal, get_args

from core.categories import OF_ALL, QUALITY_PARTS, Category
from core.config import Config, bound
from core.settings_help import CATEGORY_HELP, OPTION_HELP, QUALITY_HELP, SECTION_HELP, TRAIN_HELP
from core.train.config import CHOICES, QUANTIZATIONS, RANGES, TrainSettings
from core.validate.registry import validator_names
from storage.rows import Tier

Kind = Literal["switch", "choice", "integer", "number", "text", "texts", "table"]
CATEGORIES: Final = "categories"
_UNSEEN: Final = frozenset({"name", "preset", "select", "loop"})  # no keys, or shown key by key
_SCORES: Final[Mapping[str, tuple[float, float]]] = {"complexity": (0.0, 1.0), "success_score": (0.0, 100.0)}


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting. `path` leads to it in `config.toml`; `low` and `high` are the ends of a number's range.

    `allowed` are the words of a choice, or what a list may hold; a `secret` is never shown; `long` is a text of lines.
    """

    path: tuple[str, ...]
    kind: Kind
    default: Any
    help: str
    low: float = 0.0
    high: float = 0.0
    allowed: tuple[str, ...] = ()
    secret: bool = False
    long: bool = False

    @property
    def name(self) -> str:
        """As people write it: `ab.min_tests`, `categories.erd.select.min_score`."""
        return ".".join(self.path)

    @property
    def section(self) -> str:
        """The first part of the name."""
        return self.path[0]

    @property
    def key(self) -> str:
        """The name inside its section, or inside its category."""
        return ".".join(self.path[2 if self.section == CATEGORIES else 1 :])

    @property
    def allows(self) -> str:
        """What it must be: "a whole number from 1 to 1,000"."""
        if self.kind in ("integer", "number"):
            return f"a {'whole ' if self.kind == 'integer' else ''}number from {bound(self.low)} to {bound(self.high)}"
        if self.kind == "choice":
            return f"one of: {', '.join(self.allowed)}"
        if self.kind == "texts":
            return f"a list of: {', '.join(self.allowed)}" if self.allowed else "a list of texts"
        return {"switch": "true or false", "table": "keys with their values"}.get(self.kind, "text")


@cache
def settings() -> tuple[Setting, ...]:
    """Every setting but those of categories, section by section in the order of the file."""
    found: list[Setting] = []
    for section in fields(Config):
        found += _of_section(getattr(Config(), section.name), (section.name,))
        if section.name == "train":
            found += _of_training()
    return tuple(found)


def sections() -> Mapping[str, str]:
    """The sections by name, each with a few words on what it is about."""
    return {section.name: SECTION_HELP.get(section.name, "") for section in fields(Config)}


def category_settings(own: Category, config: Config) -> tuple[Setting, ...]:
    """Every setting of a category; those of [select] and [loop] that it may have for itself come last."""
    start = (CATEGORIES, own.name)
    found = [
        _of_category(entry.name, getattr(Category(own.name, own.name), entry.name), start)
        for entry in fields(Category)
        if entry.name not in _UNSEEN
    ]
    for name, section in (("select", config.select), ("loop", config.loop)):
        found += [one for one in _of_section(section, (*start, name)) if one.path[-1] not in OF_ALL]
    return tuple(found)


def _of_section(defaults: Any, start: tuple[str, ...]) -> list[Setting]:
    found: list[Setting] = []
    for entry in fields(defaults):
        if "help" not in entry.metadata:
            continue
        default, limits = getattr(defaults, entry.name), entry.metadata
        found.append(
            Setting(
                (*start, entry.name), _kind(default, limits), default, limits["help"], limits.get("low", 0.0),
                limits.get("high", 0.0), limits.get("allowed", ()), limits.get("secret", False),
            )
        )  # fmt: skip
    return found


def _of_training() -> list[Setting]:
    found: list[Setting] = []
    for entry in fields(TrainSettings):
        low, high = RANGES.get(entry.name, (0.0, 0.0))
        allowed = QUANTIZATIONS if entry.name == "quantize" else CHOICES.get(entry.name, ())
        kind = _kind(entry.default, {"allowed": CHOICES[entry.name]} if entry.name in CHOICES else {})
        found.append(Setting(("train", entry.name), kind, entry.default, TRAIN_HELP[entry.name], low, high, allowed))
    return found


def _of_category(key: str, default: Any, start: tuple[str, ...]) -> Setting:
    low, high = _SCORES.get(key, (0.0, 0.0))
    told = {"quality_weights": f"{QUALITY_HELP} Parts: {', '.join(QUALITY_PARTS)}.", "validator_options": OPTION_HELP}
    choices = {"min_tier": get_args(Tier), "validator": tuple(sorted(validator_names()))}
    allowed = choices.get(key, ())
    long = key in ("system_prompt", "guidelines")
    kind = _kind(default, {"allowed": allowed})
    help = told.get(key) or CATEGORY_HELP[key]
    return Setting((*start, key), kind, default, help, low, high, allowed, long=long)


def _kind(default: Any, limits: Mapping[str, Any]) -> Kind:
    if isinstance(default, bool):
        return "switch"
    if isinstance(default, str):
        return "choice" if limits.get("allowed") else "text"
    if isinstance(default, Mapping):
        return "table"
    if isinstance(default, tuple):
        return "texts"
    return "integer" if isinstance(default, int) else "number"
