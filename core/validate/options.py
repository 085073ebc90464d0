"""Reads the options of a validator: each is checked, and every error names the key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def only(options: Mapping[str, Any], *known: str) -> None:
    """Raises TypeError when there is an option that is none of `known`."""
    if unknown := set(options) - set(known):
        raise TypeError(f"{min(unknown, key=str)!r} is none of {', '.join(known)}")


def text(options: Mapping[str, Any], key: str, default: str | None = None) -> str:
    """A text that is not blank; without a default it is required. Raises ValueError."""
    value = options.get(key, default)
    if value is None:
        raise ValueError(f"`{key}` is missing")
    if not isinstance(value, str) or (not value.strip() and value != default):
        raise ValueError(f"`{key}` must be a text that is not empty")
    return value


def texts(options: Mapping[str, Any], key: str, default: Sequence[str] | None = None) -> tuple[str, ...]:
    """A list of texts, none of them blank; without a default it must be there and not be empty. Raises ValueError."""
    value = options.get(key, default)
    if value is None:
        raise ValueError(f"`{key}` is missing")
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise ValueError(f"`{key}` must be a list of texts")
    if not all(isinstance(each, str) and each.strip() for each in value) or (not value and default is None):
        raise ValueError(f"`{key}` must be a list of texts that are not empty")
    return tuple(value)


def flag(options: Mapping[str, Any], key: str, default: bool) -> bool:
    """True or false. Raises ValueError."""
    value = options.get(key, default)
    if not isinstance(value, bool):
        raise ValueError(f"`{key}` must be true or false")
    return value


def number(options: Mapping[str, Any], key: str, default: float, low: float, high: float) -> float:
    """A number from `low` to `high`. Raises ValueError."""
    value = options.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ValueError(f"`{key}` must be a number from {low:g} to {high:g}")
    return float(value)


def choice(options: Mapping[str, Any], key: str, default: str, *allowed: str) -> str:
    """One of `allowed`. Raises ValueError."""
    value = options.get(key, default)
    if not isinstance(value, str) or value not in allowed:
        raise ValueError(f"`{key}` must be one of {', '.join(allowed)}")
    return value
