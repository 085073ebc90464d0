"""Training jobs. Every change of state is a compare-and-set, and a finished run never changes again."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Literal

from storage import outbox
from storage.columns import RowReader, clean, placeholders, to_json
from storage.db import Store
from storage.errors import ConflictError, NotFoundError
from storage.metrics import add_metrics, metrics, metrics_after
from storage.rows import RunOrigin, RunRow, RunStage

__all__ = [
    "active",
    "add_metrics",
    "claim",
    "enqueue",
    "finish",
    "get",
    "heartbeat",
    "list_runs",
    "mark_lost",
    "metrics",
    "metrics_after",
    "newest",
    "next_queued",
    "open_run",
    "progress",
    "request_stop",
    "set_stage",
    "stop_requested",
]

_read = RowReader(RunRow, json_columns=("settings",), boolean_columns=("stop_requested",))


def enqueue(
    store: Store,
    *,
    created_at: float,
    category: str,
    base_model: str,
    method: str,
    settings: Mapping[str, Any],
    dataset_id: int,
    parent_version: int | None,
    total_steps: int = 0,
    origin: RunOrigin = "manual",
    start_version: int | None = None,
    held: bool = False,
) -> int:
    """Adds a queued run, whose folder is `runs/<id>`, and returns its id.

    One that is held counts as stopped before it began: it waits for somebody to resume it, not for its turn.
    """
    values = (
        created_at,
        category,
        base_model,
        method,
        "stopped" if held else "queued",
        "queued",
        to_json(settings),
        dataset_id,
        parent_version,
        "",
        total_steps,
        origin,
        start_version,
    )
    with store.transaction():
        added = store.write(
            "INSERT INTO runs (created_at, category, base_model, method, status, stage, settings, dataset_id, "
            f"parent_version, folder, total_steps, origin, start_version) VALUES ({placeholders(len(values))})",
            values,
        )
        run_id = int(added.lastrowid or 0)
        store.write("UPDATE runs SET folder = 'runs/' || id WHERE id = ?", (run_id,))
    return run_id


def get(store: Store, run_id: int) -> RunRow:
    """Raises NotFoundError when there is no such run."""
    row = store.row(f"SELECT {_read.columns} FROM runs WHERE id = ?", (run_id,))
    if row is None:
        raise NotFoundError(f"There is no run {run_id}.", hint="`finetune-tui runs` lists them.")
    return _read(row)


def list_runs(store: Store, *, category: str | None = None, limit: int = 100) -> list[RunRow]:
    """The newest runs, newest first."""
    where, params = ("WHERE category = ?", [category]) if category is not None else ("", [])
    rows = store.rows(f"SELECT {_read.columns} FROM runs {where} ORDER BY id DESC LIMIT ?", [*params, limit])
    return [_read(row) for row in rows]


def active(store: Store) -> RunRow | None:
    """The run that is running, or None."""
    row = store.row(f"SELECT {_read.columns} FROM runs WHERE status = 'running'")
    return _read(row) if row else None


def newest(store: Store, category: str, base_model: str) -> RunRow | None:
    """The newest run of a category on a base model, or None."""
    row = store.row(
        f"SELECT {_read.columns} FROM runs WHERE category = ? AND base_model = ? ORDER BY id DESC LIMIT 1",
        (category, base_model),
    )
    return _read(row) if row else None


def open_run(store: Store, category: str, base_model: str) -> RunRow | None:
    """The newest run of a category on a base model that waits or is at work, or None."""
    row = store.row(
        f"SELECT {_read.columns} FROM runs WHERE category = ? AND base_model = ? AND status IN ('queued', 'running') "
        "ORDER BY id DESC LIMIT 1",
        (category, base_model),
    )
    return _read(row) if row else None


def next_queued(store: Store) -> int | None:
    """The queued run that has waited longest, or None."""
    found = store.value("SELECT min(id) FROM runs WHERE status = 'queued'")
    return None if found is None else int(found)


def claim(store: Store, run_id: int, *, pid: int, pid_started: float, now: float) -> bool:
    """Makes this process the one that runs `run_id`; False when it is not to be had or another run is running.

    A stop asked for while the run waited stays in force; one from an earlier attempt is forgotten.
    """
    return _changed(
        store,
        "UPDATE runs SET stop_requested = (status = 'queued' AND stop_requested), status = 'running', pid = ?, "
        "pid_started = ?, heartbeat = ?, started_at = coalesce(started_at, ?), finished_at = NULL, "
        "error = '', hint = '', attempts = attempts + 1 WHERE id = ? "
        "AND status IN ('queued', 'stopped', 'failed', 'lost') "
        "AND NOT EXISTS (SELECT 1 FROM runs WHERE status = 'running')",
        (pid, pid_started, now, now, run_id),
    )


def heartbeat(store: Store, run_id: int, now: float) -> bool:
    """Tells that the worker lives; False when the run is no longer running, so that the worker should end."""
    return _changed(store, "UPDATE runs SET heartbeat = ? WHERE id = ? AND status = 'running'", (now, run_id))


def set_stage(store: Store, run_id: int, stage: RunStage) -> None:
    """Raises ConflictError when the run is not running."""
    _change_running(store, run_id, "stage = ?", (stage,))


def progress(store: Store, run_id: int, *, step: int, total_steps: int) -> None:
    """Raises ConflictError when the run is not running."""
    _change_running(store, run_id, "step = ?, total_steps = ?", (step, total_steps))


def request_stop(store: Store, run_id: int) -> None:
    """Asks a running run to stop at its next step; one that waits behind another is stopped at once.

    A queued run with none before it is about to be claimed: it keeps the wish and stops when it has started.
    Raises ConflictError when the run has ended already.
    """
    changed = _changed(
        store,
        "UPDATE runs SET stop_requested = 1, status = CASE WHEN status = 'queued' AND EXISTS "
        "(SELECT 1 FROM runs WHERE status = 'running') THEN 'stopped' ELSE status END "
        "WHERE id = ? AND status IN ('queued', 'running')",
        (run_id,),
    )
    if not changed:
        raise _refusal(store, run_id)


def stop_requested(store: Store, run_id: int) -> bool:
    """Whether somebody asked the run to stop."""
    return bool(store.value("SELECT stop_requested FROM runs WHERE id = ?", (run_id,)))


def finish(
    store: Store,
    run_id: int,
    status: Literal["finished", "stopped", "failed"],
    *,
    now: float,
    error: str = "",
    hint: str = "",
    version_id: int | None = None,
) -> None:
    """Ends a running run and publishes that, on the disk when the call returns.

    One that was stopped as asked is not published. Raises ConflictError when it is not running.
    """
    with store.transaction(durable=True):
        _change_running(
            store,
            run_id,
            "status = ?, stage = CASE WHEN ? = 'finished' THEN 'done' ELSE stage END, finished_at = ?, error = ?, "
            "hint = ?, version_id = coalesce(?, version_id)",
            (status, status, now, clean(error), clean(hint), version_id),
        )
        if status != "stopped":
            _publish_end(store, run_id, now)


def mark_lost(store: Store, run_id: int, *, heartbeat_before: float) -> bool:
    """Marks a running run whose last heartbeat is older than `heartbeat_before`, and publishes that it failed.

    False when it lives or has ended.
    """
    with store.transaction():
        lost = _lose(store, run_id, heartbeat_before)
        if lost:
            _publish_end(store, run_id, time.time())
    return lost


def _lose(store: Store, run_id: int, heartbeat_before: float) -> bool:
    return _changed(
        store,
        "UPDATE runs SET status = 'lost', finished_at = heartbeat, error = 'The training process is gone without a "
        "word: it was killed, or the machine went off.', hint = 'Resume it: it goes on from the last checkpoint.' "
        "WHERE id = ? AND status = 'running' AND heartbeat < ?",
        (run_id, heartbeat_before),
    )


def _publish_end(store: Store, run_id: int, now: float) -> None:
    run = get(store, run_id)
    told = {
        # A folder on this machine is told by its name alone.
        "base_model": run.base_model.rpartition("/")[2] if run.base_model.startswith("/") else run.base_model,
        **outbox.of_version(store, run.version_id),
        "run_id": run.id,
        "origin": run.origin,
        "method": run.method,
        "attempts": run.attempts,
        "status": run.status,
    }
    if run.status != "finished":
        told |= {"error": run.error, "hint": run.hint}
    name: outbox.EventName = "fine_tuning.completed" if run.status == "finished" else "fine_tuning.failed"
    outbox.publish(store, name, run.category, told, now=now)


def _change_running(store: Store, run_id: int, assignments: str, params: tuple[Any, ...]) -> None:
    sql = f"UPDATE runs SET {assignments} WHERE id = ? AND status = 'running'"
    if not _changed(store, sql, (*params, run_id)):
        raise _refusal(store, run_id)


def _changed(store: Store, sql: str, params: tuple[Any, ...]) -> bool:
    with store.transaction():
        return store.write(sql, params).rowcount == 1


def _refusal(store: Store, run_id: int) -> ConflictError:
    status = get(store, run_id).status
    return ConflictError(
        f"Run {run_id} is {status}.",
        title="The run was not changed",
        hint="A finished run never changes." if status == "finished" else "Start or resume it first.",
    )
