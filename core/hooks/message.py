"""What a hook is handed, one JSON object that `storage.outbox` describes, and what came of handing it."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from core.hooks.settings import Hook
from storage.outbox import DeliveryState, OutboxRow


@dataclass(frozen=True, slots=True)
class Delivery:
    """One attempt. `hook` is its name, or `callback` for a function of this process; `number` is that of the event.

    The state `due` means that it failed and is tried again at `next_at`, in seconds since the epoch; `said` tells what
    came of it.
    """

    hook: str
    number: int
    event: str
    category: str
    attempts: int
    state: DeliveryState
    said: str
    next_at: float | None


def message(row: OutboxRow) -> dict[str, Any]:
    """The object that tells of a published event."""
    return {
        "id": row.payload["id"],
        "number": row.id,
        "event": row.name,
        "at": datetime.fromtimestamp(row.at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "category": row.category,
        "data": row.payload["data"],
    }


def trial_message(hook: Hook, now: float) -> dict[str, Any]:
    """An event of a kind that the hook is told of, which never happened; `now` in seconds since the epoch."""
    payload = {"id": secrets.token_hex(16), "data": {"summary": "A test of the hook. Nothing has happened."}}
    category = hook.categories[0] if hook.categories else "test"
    return {**message(OutboxRow(0, now, hook.on[0], category, payload)), "test": True}
