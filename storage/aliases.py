"""The names that applications call, and the history of what they pointed at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from storage.columns import RowReader, clean, placeholders, to_json
from storage.db import Store
from storage.rows import AliasAction, AliasChange, AliasRow

_read = RowReader(AliasRow)
_read_change = RowReader(AliasChange, json_columns=("evidence",))


def get(store: Store, name: str) -> AliasRow | None:
    """The alias, or None when it was never pointed at anything."""
    row = store.row(f"SELECT {_read.columns} FROM aliases WHERE name = ?", (name,))
    return _read(row) if row else None


def list_aliases(store: Store) -> list[AliasRow]:
    """All aliases by name."""
    return [_read(row) for row in store.rows(f"SELECT {_read.columns} FROM aliases ORDER BY name")]


def point(
    store: Store,
    *,
    name: str,
    category: str,
    to_version: int,
    action: AliasAction,
    who: str,
    why: str,
    evidence: Mapping[str, Any],
    now: float,
    undoes: int | None = None,
) -> int:
    """Points the alias at a version and records it, on the disk when the call returns; the id of the change.

    Raises ConflictError for an unknown version, or when `undoes` was undone already.
    """
    with store.transaction(durable=True):
        before = get(store, name)
        store.write(
            "INSERT INTO aliases (name, category, version_id, updated_at) VALUES (?, ?, ?, ?) ON CONFLICT (name) "
            "DO UPDATE SET version_id = excluded.version_id, updated_at = excluded.updated_at",
            (name, category, to_version, now),
        )
        from_version = before.version_id if before else None
        values = (name, now, action, from_version, to_version, clean(who), clean(why), to_json(evidence), undoes)
        added = store.write(
            "INSERT INTO alias_changes (alias, at, action, from_version, to_version, who, why, evidence, undoes) "
            f"VALUES ({placeholders(len(values))})",
            values,
        )
        return int(added.lastrowid or 0)


def history(store: Store, name: str) -> list[AliasChange]:
    """Every change of the alias, newest first."""
    rows = store.rows(f"SELECT {_read_change.columns} FROM alias_changes WHERE alias = ? ORDER BY id DESC", (name,))
    return [_read_change(row) for row in rows]


def last_undoable(store: Store, name: str) -> AliasChange | None:
    """The newest promotion or rollback that was not undone; `from_version` is None where the alias began with it."""
    row = store.row(
        f"SELECT {_read_change.columns} FROM alias_changes change WHERE alias = ? "
        "AND action IN ('promote', 'rollback') "
        "AND NOT EXISTS (SELECT 1 FROM alias_changes later WHERE later.undoes = change.id) ORDER BY id DESC LIMIT 1",
        (name,),
    )
    return _read_change(row) if row else None
