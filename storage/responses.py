"""Every answer that went through the gateway, once: the event it became, or why it became none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from storage.columns import LISTED, RowReader, clean, listed, placeholders
from storage.db import Store


@dataclass(frozen=True, slots=True)
class ResponseRow:
    """One answer. `at` is when it was asked for; `model` is what answered, `version_id` its version where it is one.

    `event_id` is the event that it was recorded as, None where it was not (then `note` says why) or where the event was
    removed since. `body_id` is the id in the answer's own body, which need not be unique; "" where it has none.
    """

    id: str
    at: float
    api: Literal["ollama", "openai"]
    category: str
    model: str
    version_id: int | None
    event_id: int | None
    note: str
    body_id: str = ""


_read = RowReader(ResponseRow)


def known(store: Store, ids: Sequence[str]) -> set[str]:
    """Which of these answers are here already."""
    return {found for (found,) in store.rows(f"SELECT id FROM responses WHERE id IN {LISTED}", (listed(ids),))}


def add_many(store: Store, new: Sequence[ResponseRow]) -> None:
    """Adds all of them or none. Raises ConflictError when one is here already, or refers to no version or event."""
    values = (
        (
            row.id,
            row.at,
            row.api,
            clean(row.category),
            clean(row.model),
            row.version_id,
            row.event_id,
            clean(row.note),
            clean(row.body_id),
        )
        for row in new
    )
    with store.transaction():
        store.write_many(f"INSERT INTO responses ({_read.columns}) VALUES ({placeholders(9)})", values)


def get(store: Store, response_id: str) -> ResponseRow | None:
    """The answer with this id, or None."""
    row = store.row(f"SELECT {_read.columns} FROM responses WHERE id = ?", (clean(response_id),))
    return _read(row) if row else None


def by_body_id(store: Store, body_id: str, *, limit: int = 2) -> list[ResponseRow]:
    """The newest answers with this id in their body, newest first."""
    rows = store.rows(
        f"SELECT {_read.columns} FROM responses WHERE body_id = ? AND body_id <> '' ORDER BY at DESC LIMIT ?",
        (clean(body_id), limit),
    )
    return [_read(row) for row in rows]


def total(store: Store) -> int:
    """How many answers there are."""
    return int(store.value("SELECT count(*) FROM responses"))


def forget(store: Store, before: float, *, limit: int) -> int:
    """Removes at most `limit` answers that were asked for before a moment, the oldest first; how many went.

    Kept are recorded ones of the versions that serve and of those that served before them, which are compared.
    """
    with store.transaction():
        rows = store.rows(
            "SELECT id FROM responses WHERE at < ? AND (event_id IS NULL OR version_id IS NULL OR version_id NOT IN ("
            "SELECT version_id FROM aliases UNION ALL SELECT from_version FROM alias_changes WHERE from_version "
            "IS NOT NULL AND id IN (SELECT max(id) FROM alias_changes GROUP BY alias))) ORDER BY at LIMIT ?",
            (before, limit),
        )
        store.write_many("DELETE FROM responses WHERE id = ?", rows)
    return len(rows)
