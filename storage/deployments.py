"""What an Ollama server holds of the versions, as far as it was given and checked by this program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from storage.columns import RowReader, clean, to_json
from storage.db import Store

Mode = Literal["native", "go"]
ALIAS_CHECK: Final = "alias"


@dataclass(frozen=True, slots=True)
class DeploymentRow:
    """A version on a server: under which name, with which manifest (`digest`) and file, both SHA-256 in hexadecimal.

    `mode` is who renders the chat there: "native" the template inside the file, "go" one of Ollama's own kind.
    `server_version` is what the server called itself; `checks` holds {"name", "passed", "detail"} of each check and
    what was sent. `published_at` in seconds since the epoch.
    """

    id: int
    version_id: int
    server: str
    name: str
    digest: str
    file_sha256: str
    mode: Mode
    server_version: str
    checks: Sequence[Mapping[str, Any]]
    published_at: float


_read = RowReader(DeploymentRow, json_columns=("checks",))


def get(store: Store, version_id: int, server: str) -> DeploymentRow | None:
    """What a server, named by its URL, holds of a version; None when it was not given to it."""
    row = store.row(
        f"SELECT {_read.columns} FROM deployments WHERE version_id = ? AND server = ?", (version_id, clean(server))
    )
    return _read(row) if row else None


def list_deployments(store: Store, server: str | None = None) -> list[DeploymentRow]:
    """Everything on one server, or on all, oldest first."""
    rows = store.rows(
        f"SELECT {_read.columns} FROM deployments WHERE server = coalesce(?, server) ORDER BY id", (server,)
    )
    return [_read(row) for row in rows]


def put(
    store: Store,
    *,
    version_id: int,
    server: str,
    name: str,
    digest: str,
    file_sha256: str,
    mode: Mode,
    server_version: str,
    checks: Sequence[Mapping[str, Any]],
    now: float,
) -> DeploymentRow:
    """Keeps that a version is on a server, on the disk when the call returns; replaces what was known of it there.

    Raises ConflictError for an unknown version.
    """
    values = (version_id, clean(server), name, digest, file_sha256, mode, clean(server_version), to_json(checks), now)
    with store.transaction(durable=True):
        store.write(
            "INSERT INTO deployments (version_id, server, name, digest, file_sha256, mode, server_version, checks, "
            "published_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (version_id, server) DO UPDATE SET "
            "name = excluded.name, digest = excluded.digest, file_sha256 = excluded.file_sha256, mode = excluded.mode, "
            "server_version = excluded.server_version, checks = excluded.checks, published_at = excluded.published_at",
            values,
        )
        found = get(store, version_id, server)
    assert found is not None
    return found


def remove(store: Store, version_id: int, server: str) -> bool:
    """Forgets that a version is on a server; whether that was known."""
    with store.transaction():
        sql = "DELETE FROM deployments WHERE version_id = ? AND server = ?"
        return bool(store.write(sql, (version_id, clean(server))).rowcount)


def alias_settled(store: Store, version_id: int, server: str, alias: str) -> bool:
    """Whether the server is known to answer under `alias` with this version: nothing was begun since it was seen."""
    row = get(store, version_id, server)
    return row is not None and any(_is_alias(check, alias) for check in row.checks)


def settle_alias(store: Store, server: str, alias: str, version_id: int | None) -> None:
    """Keeps with which version the server was seen to answer under `alias`; None before anything is changed there."""
    with store.transaction(durable=True):
        for row in list_deployments(store, server):
            checks = [check for check in row.checks if not _is_alias(check, alias)]
            if row.version_id == version_id:
                checks.append({"name": ALIAS_CHECK, "passed": True, "detail": alias})
            if checks != list(row.checks):
                store.write("UPDATE deployments SET checks = ? WHERE id = ?", (to_json(checks), row.id))


def _is_alias(check: Mapping[str, Any], alias: str) -> bool:
    return check.get("name") == ALIAS_CHECK and check.get("detail") == alias
