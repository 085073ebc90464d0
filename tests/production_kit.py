"""Answers in production, for tests of what is made of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from storage import events
from storage.db import Store
from storage.rows import NewEvent


def answers(
    store: Store, model: str, scores: Sequence[float | None], *, at: float, step: float = 1.0, **more: Any
) -> list[int]:
    """Events of a model with these scores, `step` seconds apart from `at` on; their ids."""
    first = 1 + int(store.value("SELECT coalesce(max(id), 0) FROM events"))
    values: dict[str, Any] = {"category": "erd", "valid": True, "quality": 0.5, "tier": "bronze"} | more
    return events.add_many(
        store,
        [
            NewEvent(
                created_at=at + step * index,
                model=model,
                prompt=f"prompt {first + index}",
                response=f"response {first + index}",
                content_hash=f"b2:{first + index:032x}",
                prompt_hash=f"b2:{first + index:032x}",
                bucket=values.get("bucket", (first + index) % 100),
                feedback_type="neutral",
                score=score,
                **{key: value for key, value in values.items() if key != "bucket"},
            )
            for index, score in enumerate(scores)
        ],
    )


def passed_on(
    store: Store,
    event_ids: Sequence[int],
    version_id: int | None,
    *,
    at: float,
    step: float = 1.0,
    category: str = "erd",
) -> None:
    """What the gateway notes of answers that became these events."""
    with store.transaction():
        first = int(store.value("SELECT count(*) FROM responses"))
        for index, event_id in enumerate(event_ids):
            store.write(
                "INSERT INTO responses (id, at, api, category, model, version_id, event_id, note) "
                "VALUES (?, ?, 'ollama', ?, 'ft-erd', ?, ?, '')",
                (f"{first + index:032x}", at + step * index, category, version_id, event_id),
            )
