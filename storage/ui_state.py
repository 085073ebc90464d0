"""What the front end remembers between two starts, as JSON by key."""

from __future__ import annotations

import json
from typing import Any, Final

from storage.columns import to_json
from storage.db import Store

_LARGEST: Final = 2**63 - 1


def load(store: Store, key: str, default: Any = None) -> Any:
    """The value saved under `key`, or `default`, also where what stands there is no JSON or holds integers that SQLite
    does not take."""
    found = store.value("SELECT value FROM ui_state WHERE key = ?", (key,))
    if found is None:
        return default
    try:
        return json.loads(found, parse_int=_integer)
    except (ValueError, RecursionError):
        return default


def _integer(digits: str) -> int:
    value = int(digits)
    if abs(value) > _LARGEST:
        raise ValueError(f"{digits} does not fit into 64 bits")
    return value


def save(store: Store, key: str, value: Any) -> None:
    """Keeps anything that JSON can hold."""
    with store.transaction():
        store.write(
            "INSERT INTO ui_state (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            (key, to_json(value)),
        )
