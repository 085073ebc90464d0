"""Keys as data: `keymap.toml` in the home folder gives any binding other keys, by the binding's id."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from core.config import read_toml
from core.errors import ConfigError


def load_keymap(path: Path) -> Mapping[str, str]:
    """`{"review.good": "a,enter"}` as the file says it, empty when there is none. Raises ConfigError on a fault.

    The file holds `"review.good" = "a,enter"` lines, or the same ids as sections.
    """
    return dict(_flat(read_toml(path), "", path))


def _flat(table: Mapping[str, object], prefix: str, path: Path) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for name, value in table.items():
        key = f"{prefix}{name}"
        if isinstance(value, Mapping):
            found += _flat(value, f"{key}.", path)
        elif isinstance(value, str) and value.strip():
            found.append((key, value))
        else:
            raise ConfigError(
                f"{path}: {key} must name its keys in quotes.", hint='Write for example "review.good" = "a".'
            )
    return found
