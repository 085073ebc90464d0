"""The settings of a home folder: defaults here, overrides from its `config.toml`.

Every number of the product that a user may want to change is a field of one of the sections in `core.config_sections`.
Only the standard library is used, so that reading the settings costs next to nothing.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from core.config_sections import Ab, Capture, General, Loop, Publish, Review, Search, Select, Serve, Train
from core.errors import ConfigError

if TYPE_CHECKING:
    from core.paths import Home

__all__ = [
    "Ab",
    "Capture",
    "Config",
    "General",
    "Loop",
    "Publish",
    "Review",
    "Search",
    "Select",
    "Serve",
    "Train",
    "bound",
    "close_names",
    "config_from",
    "load_config",
    "parse_toml",
    "read_toml",
    "section_from",
]
SECTIONS_ELSEWHERE: Final = frozenset({"categories", "hooks"})


@dataclass(frozen=True, slots=True)
class Config:
    """All settings, section by section."""

    general: General = field(default_factory=General)
    capture: Capture = field(default_factory=Capture)
    select: Select = field(default_factory=Select)
    train: Train = field(default_factory=Train)
    publish: Publish = field(default_factory=Publish)
    ab: Ab = field(default_factory=Ab)
    loop: Loop = field(default_factory=Loop)
    review: Review = field(default_factory=Review)
    search: Search = field(default_factory=Search)
    serve: Serve = field(default_factory=Serve)


def load_config(home: Home) -> Config:
    """The settings of a home folder; without a `config.toml` the defaults.

    Raises ConfigError naming the file, the key and what is allowed.
    """
    return config_from(read_toml(home.config), home.config)


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file, or none when it does not exist. Raises ConfigError when it cannot be read."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}.", hint="Check the file.") from error
    return parse_toml(data, path)


def parse_toml(data: bytes, path: Path) -> dict[str, Any]:
    """The tables in the bytes of a TOML file; `path` is only named in errors. Raises ConfigError."""
    try:
        return tomllib.loads(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not written in UTF-8.", hint="Save it as UTF-8.") from error
    except (ValueError, RecursionError) as error:  # not TOML, a number of thousands of digits, brackets nested too deep
        raise ConfigError(f"{path}: {error}.", hint="Correct that line, or move the file away.") from error


def config_from(tables: Mapping[str, Any], path: Path) -> Config:
    """The settings from parsed tables; `path` is only named in errors."""
    known = {entry.name: getattr(Config(), entry.name) for entry in fields(Config)}
    sections: dict[str, Any] = {}
    for name, table in tables.items():
        if name in SECTIONS_ELSEWHERE:
            continue
        if name not in known:
            raise ConfigError(f"{path}: [{name}] is no section.", hint=close_names(name, {*known, *SECTIONS_ELSEWHERE}))
        if not isinstance(table, Mapping):
            brackets = " in single brackets" if isinstance(table, list) else ""
            raise ConfigError(f"{path}: `{name}` must be a section.", hint=f"Write [{name}]{brackets} above its keys.")
        if name == "train":
            sections[name] = _train_from(table, f"{path}: {name}")
        else:
            sections[name] = section_from(known[name], table, f"{path}: {name}")
    return Config(**sections)


def section_from(defaults: Any, table: Mapping[str, Any], where: str) -> Any:
    """`defaults` (a section) with the keys of `table` laid over it, each checked for type and range."""
    known = {entry.name: entry for entry in fields(defaults)}
    values = {name: getattr(defaults, name) for name in known}
    for key, value in table.items():
        if key not in known:
            raise ConfigError(f"{where}.{key} is no setting.", hint=close_names(key, known))
        values[key] = _checked(value, values[key], known[key].metadata, f"{where}.{key}")
    return type(defaults)(**values)


def _train_from(table: Mapping[str, Any], where: str) -> Train:
    base = _checked(table.get("base_model", Train().base_model), "", {}, f"{where}.base_model")
    return Train(base, {key: value for key, value in table.items() if key != "base_model"})


def close_names(name: str, known: Mapping[str, Any] | set[str]) -> str:
    """A hint: the names most like `name`, or all of them."""
    near = difflib.get_close_matches(name, sorted(known), n=3, cutoff=0.5)
    return f"Did you mean {' or '.join(near)}?" if near else f"Known are: {', '.join(sorted(known))}."


def bound(value: float) -> str:
    """The end of a range as people read it: 0.5, 1,000,000, 1e+09."""
    return f"{value:,.0f}" if float(value).is_integer() and abs(value) < 1e9 else f"{value:g}"


def _checked(value: Any, default: Any, limits: Mapping[str, Any], where: str) -> Any:
    shown = repr(value) if len(repr(value)) <= 60 else f"{repr(value)[:60]}…"
    if limits.get("secret"):
        shown = "hidden"
    wrong = f"{where} is {shown}, but must be "
    if isinstance(default, bool):
        if not isinstance(value, bool):
            raise ConfigError(f"{wrong}true or false.", hint="Write it without quotes.")
        return value
    if isinstance(default, str):
        return _checked_text(value, limits, wrong)
    if isinstance(default, tuple):
        if not isinstance(value, list) or not all(isinstance(each, str) and each for each in value):
            raise ConfigError(f"{wrong}a list of texts.", hint='Write it as ["…", "…"].')
        return tuple(value)
    low, high = limits["low"], limits["high"]
    kind = "a whole number" if isinstance(default, int) else "a number"
    fits = isinstance(value, int) if isinstance(default, int) else isinstance(value, int | float)
    if isinstance(value, bool) or not fits or not low <= value <= high:
        raise ConfigError(
            f"{wrong}{kind} from {bound(low)} to {bound(high)}.", hint="Correct the value or remove the line."
        )
    return type(default)(value)


def _checked_text(value: Any, limits: Mapping[str, Any], wrong: str) -> str:
    if not isinstance(value, str):
        raise ConfigError(f"{wrong}text in quotes.", hint='Write it as "…".')
    allowed = limits.get("allowed", ())
    if allowed and value not in allowed:
        raise ConfigError(f"{wrong}one of: {', '.join(allowed)}.", hint="Choose one of these.")
    if limits.get("name") and not (value.isascii() and value.isalnum() and value == value.lower()):
        raise ConfigError(f"{wrong}made of the letters a-z and digits.", hint='For example "ft".')
    return value
