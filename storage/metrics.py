"""The figures of a run, step by step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from storage.columns import placeholders
from storage.db import Store
from storage.errors import ConflictError
from storage.rows import Metric


def add_metrics(store: Store, run_id: int, figures: Sequence[Metric]) -> None:
    """Stores figures; one of the same name and step is replaced.

    Raises ConflictError for an unknown or finished run.
    """
    with store.transaction():
        status = store.value("SELECT status FROM runs WHERE id = ?", (run_id,))
        if status in (None, "finished"):
            raise ConflictError(
                f"Run {run_id} is {status or 'unknown'}, so it takes no more figures.", hint="Start a new run."
            )
        store.write_many(
            "INSERT OR REPLACE INTO metrics (run_id, name, step, value, at) VALUES (?, ?, ?, ?, ?)",
            ((run_id, figure.name, figure.step, figure.value, figure.at) for figure in figures),
        )


def metrics(store: Store, run_id: int, *, names: Sequence[str] | None = None, after_step: int = -1) -> list[Metric]:
    """The figures after a step, by step and name; `names` picks some of them."""
    chosen = f"AND name IN ({placeholders(len(names))})" if names is not None else ""
    rows = store.rows(
        f"SELECT step, name, value, at FROM metrics WHERE run_id = ? AND step > ? {chosen} ORDER BY step, name",
        (run_id, after_step, *(names or ())),
    )
    return [_read(row) for row in rows]


def latest(store: Store, run_id: int) -> dict[str, float]:
    """The last value of each figure, in the order in which they first came; the history is passed over in the index."""
    rows = store.rows(
        "SELECT m.name, m.value FROM (SELECT name, min(step) AS first, max(step) AS last FROM metrics WHERE run_id = ? "
        "GROUP BY name) seen JOIN metrics m ON m.run_id = ? AND m.name = seen.name AND m.step = seen.last "
        "ORDER BY seen.first, m.name",
        (run_id, run_id),
    )
    return {name: math.nan if value is None else value for name, value in rows}


def metrics_after(store: Store, run_id: int, rowid: int, limit: int = -1) -> tuple[int, list[Metric]]:
    """For following a run: the `rowid` to ask with next, and the figures stored or replaced since `rowid`.

    At most `limit` of them, the oldest (-1: all).
    """
    rows = store.rows(
        "SELECT id, step, name, value, at FROM metrics WHERE run_id = ? AND id > ? ORDER BY id LIMIT ?",
        (run_id, rowid, limit),
    )
    return (rows[-1][0] if rows else rowid), [_read(row[1:]) for row in rows]


def _read(row: Sequence[Any]) -> Metric:
    step, name, value, at = row
    # SQLite keeps not-a-number as NULL.
    return Metric(step, name, math.nan if value is None else value, at)
