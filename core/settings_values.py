"""What every setting is now and where that comes from, and how a value that somebody typed is read."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from core.categories import Category, categories_from
from core.config import Config, close_names, config_from
from core.errors import CategoryError, ConfigError
from core.settings_docs import CATEGORIES, Setting, category_settings, settings

Origin = Literal["default", "config.toml", "shipped", "preset", "section"]
HIDDEN: Final = "••••••"
_SWITCH: Final = {"true": True, "on": True, "yes": True, "false": False, "off": False, "no": False}


@dataclass(frozen=True, slots=True)
class Held:
    """A setting with its value. `fallback` is what it is without its line in `config.toml`.

    `origin`: "config.toml"; "default"; "shipped" with the category; "preset" of the base model; "section": as for all
    categories.
    """

    setting: Setting
    value: Any
    fallback: Any
    origin: Origin

    @property
    def shown(self) -> str:
        """The value as people write it; a secret is hidden."""
        return shown(self.setting, self.value)

    @property
    def changed(self) -> bool:
        """Whether `config.toml` says something of it."""
        return self.origin == "config.toml"


def held_settings(tables: Mapping[str, Any], path: Path) -> tuple[Held, ...]:
    """Every setting but those of categories, from the parsed tables of a `config.toml`. Raises ConfigError."""
    from core.train.known_models import PRESETS

    config = config_from(tables, path)
    preset = PRESETS.get(config.train.base_model.lower())
    suited = preset.settings if preset is not None else {}
    found: list[Held] = []
    for one in settings():
        section, key = one.path
        training = section == "train" and key != "base_model"
        fallback = suited.get(key, one.default) if training else one.default
        if key in tables.get(section, {}):
            value = config.train.settings[key] if training else getattr(getattr(config, section), key)
            found.append(Held(one, _frozen(value), fallback, "config.toml"))
        else:
            origin: Origin = "preset" if training and key in suited else "default"
            found.append(Held(one, _frozen(fallback), fallback, origin))
    return tuple(found)


def held_of_category(tables: Mapping[str, Any], path: Path, name: str) -> tuple[Held, ...]:
    """Every setting of one category. Raises ConfigError, CategoryError."""
    config = config_from(tables, path)
    own = categories_from(tables, path)[name]
    table = tables.get(CATEGORIES, {}).get(name, {})
    rest = {each: value for each, value in tables.get(CATEGORIES, {}).items() if each != name}
    base = categories_from({**tables, CATEGORIES: rest}, path).get(name) if _stands_alone(rest, path) else None
    return tuple(_held(one, own, base, table, config) for one in category_settings(own, config))


def _stands_alone(rest: Mapping[str, Any], path: Path) -> bool:
    """Whether the other categories can be read without this one, which another may be `like`."""
    try:
        categories_from({CATEGORIES: rest}, path)
    except CategoryError:
        return False
    return True


def _held(one: Setting, own: Category, base: Category | None, table: Mapping[str, Any], config: Config) -> Held:
    inner = one.path[2:]
    said: Any = table
    for part in inner:
        said = said.get(part) if isinstance(said, Mapping) else None
    if len(inner) == 2:
        section, key = inner
        shared = getattr(getattr(config, section), key)
        overlay, before = getattr(own, section), getattr(base, section) if base is not None else {}
        fallback, value = before.get(key, shared), overlay.get(key, shared)
        origin: Origin = "shipped" if key in before else "section"
    else:
        value, fallback = getattr(own, inner[0]), getattr(base, inner[0]) if base is not None else one.default
        origin = "shipped" if fallback != one.default else "default"
    return Held(one, _frozen(value), fallback, "config.toml" if said is not None else origin)


def find(tables: Mapping[str, Any], path: Path, name: str) -> Held:
    """The setting of that dotted name. Raises ConfigError that names the closest ones."""
    parts = name.split(".")
    if parts[0] == CATEGORIES and len(parts) > 2 and parts[1] in categories_from(tables, path):
        listed = held_of_category(tables, path, parts[1])
    else:
        listed = held_settings(tables, path)
    by_name = {one.setting.name: one for one in listed}
    if name not in by_name:
        near = {one.setting.path[-1]: one.setting.name for one in listed}
        alike = close_names(name, set(by_name)) if parts[-1] not in near else f"Did you mean {near[parts[-1]]}?"
        raise ConfigError(f"There is no setting `{name[:80]}`.", title="Unknown setting", hint=_short(alike))
    return by_name[name]


def described(tables: Mapping[str, Any], path: Path, name: str) -> Setting:
    """What `find` finds, also where the file has a fault, of which only settings outside of categories are free."""
    for one in settings():
        if one.name == name:
            return one
    return find(tables, path, name).setting


def _short(hint: str) -> str:
    return hint if len(hint) < 200 else "`finetune-tui config` lists them all."


def shown(setting: Setting, value: Any) -> str:
    """A value as people write it: `true`, `2e-4`, `a, b`; hidden where it is secret and there is one."""
    if setting.secret:
        return HIDDEN if value else ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, Mapping):
        return ", ".join(f"{key} = {as_toml(each)}" for key, each in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(str, value))
    return str(value)


def as_toml(value: Any) -> str:
    """A value as it is written in a TOML file."""
    import tomlkit

    return str(tomlkit.item(list(value) if isinstance(value, tuple) else value).as_string()).strip()


def parsed(setting: Setting, text: str) -> Any:
    """The value that somebody typed, checked for type and range. Raises ConfigError that says what it must be."""
    typed = text if setting.long else text.strip()
    value = _value(setting, typed)
    if value is None:
        raise _wrong(setting, typed)
    fits = {
        "integer": isinstance(value, int) and setting.low <= value <= setting.high,
        "number": isinstance(value, float | int) and setting.low <= value <= setting.high,
        "choice": value in setting.allowed,
        "texts": isinstance(value, list) and all(not setting.allowed or one in setting.allowed for one in value),
    }
    if not fits.get(setting.kind, True):
        raise _wrong(setting, typed)
    return value


def _value(setting: Setting, typed: str) -> Any:
    """None where it is of another kind."""
    try:
        match setting.kind:
            case "switch":
                return _SWITCH.get(typed.lower())
            case "integer":
                return int(typed.replace(",", "").replace("_", ""))
            case "number":
                return float(typed)
            case "texts":
                return _texts(typed)
            case "table":
                return tomllib.loads(f"it = {{{typed.strip('{} ')}}}")["it"]
    except (ValueError, RecursionError):
        return None
    return typed


def _texts(typed: str) -> list[str]:
    if typed.startswith("["):
        return [str(one) for one in tomllib.loads(f"it = {typed}")["it"]]
    return [one.strip() for one in typed.split(",") if one.strip()]


def _wrong(setting: Setting, typed: str) -> ConfigError:
    said = f"`{typed[:60]}`" if typed and not setting.secret else "That"
    return ConfigError(
        f"{said} cannot be {setting.name}: it must be {setting.allows}.",
        title="Not a value of this setting",
        hint="Nothing was changed.",
    )


def _number(value: float) -> str:
    if value and abs(value) < 0.001:
        mantissa, exponent = f"{value:.6e}".split("e")
        return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
    return f"{value:.10g}" if abs(value) < 1e10 else f"{value:g}"


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
