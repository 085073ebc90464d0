"""What the front end remembers between two starts, as JSON by key."""

from __future__ import annotations

import json
from typing import Any

from storage.columns import to_json
from storage.db import Store


def load(store: Store, key: str, default: Any = None) -> Any:
    """The value saved under `key`, or `default`."""
    found = store.value("SELECT value FROM ui_state WHERE key = ?", (key,))
    return default if found is None else json.loads(found)


def save(store: Store, key: str, value: Any) -> None:
    """Keeps anything that JSON can hold."""
    with store.transaction():
        store.write(
            "INSERT INTO ui_state (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            (key, to_json(value)),
        )
