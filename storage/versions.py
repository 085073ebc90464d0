"""The registry of trained models. What a version was made from never changes; what was measured of it is added."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from storage.columns import RowReader, placeholders, to_json
from storage.db import Store
from storage.errors import NotFoundError
from storage.rows import VersionRow

_read = RowReader(VersionRow, json_columns=("gguf", "settings", "metrics", "proof"), boolean_columns=("proved",))


def add(
    store: Store,
    *,
    created_at: float,
    name: str,
    category: str,
    base_model: str,
    number: int,
    run_id: int | None,
    parent_id: int | None,
    dataset_id: int | None,
    folder: str,
    settings: Mapping[str, Any],
    code_version: str,
) -> int:
    """Registers a version and returns its id. Raises ConflictError when the name or number is taken."""
    values = (
        created_at,
        name,
        category,
        base_model,
        number,
        run_id,
        parent_id,
        dataset_id,
        folder,
        to_json(settings),
        code_version,
    )
    with store.transaction(durable=True):
        added = store.write(
            "INSERT INTO versions (created_at, name, category, base_model, number, run_id, parent_id, dataset_id, "
            f"folder, settings, code_version) VALUES ({placeholders(len(values))})",
            values,
        )
        return int(added.lastrowid or 0)


def get(store: Store, version_id: int) -> VersionRow:
    """Raises NotFoundError when there is no such version."""
    return _one(store, "id", version_id)


def by_name(store: Store, name: str) -> VersionRow:
    """Raises NotFoundError when no version has this name."""
    return _one(store, "name", name)


def _one(store: Store, column: str, key: int | str) -> VersionRow:
    row = store.row(f"SELECT {_read.columns} FROM versions WHERE {column} = ?", (key,))
    if row is None:
        raise NotFoundError(f"There is no version {key}.", hint="`finetune-tui models` lists them.")
    return _read(row)


def list_versions(store: Store, category: str | None = None) -> list[VersionRow]:
    """The versions of a category, or all, oldest first."""
    rows = store.rows(
        f"SELECT {_read.columns} FROM versions WHERE category = coalesce(?, category) ORDER BY id", (category,)
    )
    return [_read(row) for row in rows]


def next_number(store: Store, category: str, base_model: str) -> int:
    """The number of the next version, 1 or more; inside a transaction it stays free until the end."""
    return 1 + int(
        store.value(
            "SELECT coalesce(max(number), 0) FROM versions WHERE category = ? AND base_model = ?",
            (category, base_model),
        )
    )


def update(
    store: Store,
    version_id: int,
    *,
    gguf: Mapping[str, Mapping[str, Any]] | None = None,
    metrics: Mapping[str, Any] | None = None,
    proof: Sequence[Mapping[str, Any]] | None = None,
    proved: bool | None = None,
) -> None:
    """Replaces what is given and leaves the rest. Raises NotFoundError."""
    values: dict[str, Any] = {
        name: to_json(value)
        for name, value in (("gguf", gguf), ("metrics", metrics), ("proof", proof))
        if value is not None
    }
    if proved is not None:
        values["proved"] = proved
    if not values:
        return
    assignments = ", ".join(f"{name} = ?" for name in values)
    with store.transaction(durable=True):
        changed = store.write(f"UPDATE versions SET {assignments} WHERE id = ?", (*values.values(), version_id))
        if not changed.rowcount:
            raise NotFoundError(f"There is no version {version_id}.", hint="`finetune-tui models` lists them.")


def retire(store: Store, version_id: int, *, now: float) -> None:
    """Keeps that the files of a version are gone, or are about to be; its adapter, row and history stay.

    Raises NotFoundError.
    """
    with store.transaction(durable=True):
        changed = store.write("UPDATE versions SET gguf = '{}', retired_at = ? WHERE id = ?", (now, version_id))
        if not changed.rowcount:
            raise NotFoundError(f"There is no version {version_id}.", hint="`finetune-tui models` lists them.")
