"""The append-only log of human judgments. Undo and redo add rows; nothing is ever taken out.

A judgment is in force unless the last row that targets it is an undo. `events.verdict`, `.correction` and `.judged_at`
are a copy of the newest judgment in force, kept in the same transaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median

from storage.columns import RowReader, clean
from storage.db import Store
from storage.errors import ConflictError, NotFoundError
from storage.rows import JudgmentRow, Verdict

_read = RowReader(JudgmentRow)
_INSERT = (
    "INSERT INTO judgments (event_id, created_at, kind, correction, note, seconds, target, below) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)


def judge(
    store: Store,
    event_id: int,
    kind: Verdict,
    *,
    correction: str | None = None,
    note: str = "",
    seconds: float | None = None,
    now: float,
) -> int:
    """Adds a judgment, on the disk when the call returns, and returns its id; `seconds` is the time it took the person.

    Raises NotFoundError for an unknown event, ConflictError when `kind` is "correct" and the correction is missing or
    blank, or the other way round.
    """
    if (kind == "correct") != bool(correction and correction.strip()):
        raise ConflictError(
            "A correction needs its text, and no other judgment has one.",
            title="The judgment was not kept",
            hint="Write the corrected answer, or choose good or bad.",
        )
    text = None if correction is None else clean(correction)
    with store.transaction(durable=True):
        if store.value("SELECT 1 FROM events WHERE id = ?", (event_id,)) is None:
            raise NotFoundError(f"There is no event {event_id}.", hint="It may have been removed by the clean-up.")
        values = (event_id, now, kind, text, clean(note), seconds, None, _top(store))
        added = int(store.write(_INSERT, values).lastrowid or 0)
        _refresh(store, event_id)
    return added


def add_first(store: Store, said: Sequence[tuple[int, float, Verdict, str | None, str, float | None]]) -> None:
    """Adds the first judgment of each of several new events, whose rows carry a copy of it already.

    `said` holds event id, time, kind, correction, note and seconds; call it inside the transaction of the events.
    """
    if not said:
        return
    with store.transaction():
        # The write lock is held, so that the ids are consecutive and each judgment knows the one below it.
        next_id = 1 + int(
            store.value("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'judgments'") or 0
        )
        below = _top(store)
        rows = []
        for event_id, at, kind, correction, note, seconds in said:
            text = None if correction is None else clean(correction)
            rows.append((next_id, event_id, at, kind, text, clean(note), seconds, None, below))
            below, next_id = next_id, next_id + 1
        store.write_many(
            "INSERT INTO judgments (id, event_id, created_at, kind, correction, note, seconds, target, below) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            rows,
        )


def was_said(store: Store, event_id: int, kind: Verdict, correction: str | None) -> bool:
    """Whether this very judgment of the event stands in the log already, in force or not."""
    found = store.value(
        "SELECT 1 FROM judgments WHERE event_id = ? AND kind = ? AND correction IS ? LIMIT 1",
        (event_id, kind, None if correction is None else clean(correction)),
    )
    return found is not None


def undo(store: Store, *, now: float) -> JudgmentRow | None:
    """Takes back the last judgment in force and returns it; None when there is none."""
    with store.transaction(durable=True):
        return _turn(store, "undo", _top(store), now)


def redo(store: Store, *, now: float) -> JudgmentRow | None:
    """Restores the judgment taken back last and returns it; None when there is none, or one was added since."""
    with store.transaction(durable=True):
        # The newest judgment made on top of the one in force is the branch that undo came down.
        above = store.value("SELECT max(id) FROM judgments WHERE below = ?", (_top(store),))
        return _turn(store, "redo", above or 0, now)


def _turn(store: Store, kind: str, target: int, now: float) -> JudgmentRow | None:
    if not target:
        return None
    row = store.row(f"SELECT {_read.columns} FROM judgments WHERE id = ?", (target,))
    assert row is not None
    judgment = _read(row)
    store.write(_INSERT, (judgment.event_id, now, kind, None, "", None, target, None))
    _refresh(store, judgment.event_id)
    return judgment


def _top(store: Store) -> int:
    """The judgment in force that was made or restored last, 0 for none; the last row of the log tells it."""
    last = store.row("SELECT id, kind, target FROM judgments ORDER BY id DESC LIMIT 1")
    if last is None:
        return 0
    judgment, kind, target = last
    if kind == "undo":
        return int(store.value("SELECT below FROM judgments WHERE id = ?", (target,)))
    return int(target if kind == "redo" else judgment)


def _refresh(store: Store, event_id: int) -> None:
    judgment = current(store, event_id)
    verdict = (judgment.kind, judgment.correction, judgment.created_at) if judgment else (None, None, None)
    store.write("UPDATE events SET verdict = ?, correction = ?, judged_at = ? WHERE id = ?", (*verdict, event_id))


def current(store: Store, event_id: int) -> JudgmentRow | None:
    """The judgment of the event that is in force, or None."""
    row = store.row(
        f"SELECT {_read.columns} FROM effective_judgments WHERE event_id = ? ORDER BY id DESC LIMIT 1", (event_id,)
    )
    return _read(row) if row else None


def history(store: Store, event_id: int) -> list[JudgmentRow]:
    """Every row of the log about the event, undo and redo included, oldest first."""
    rows = store.rows(f"SELECT {_read.columns} FROM judgments WHERE event_id = ? ORDER BY id", (event_id,))
    return [_read(row) for row in rows]


def session_figures(store: Store, *, since: float) -> Mapping[str, float]:
    """Speed since a moment, over the judgments in force: `count`, `per_minute`, `median_seconds` (0 when unknown).

    `per_minute` runs from `since` to the last judgment.
    """
    rows = store.rows("SELECT created_at, seconds FROM effective_judgments WHERE created_at >= ?", (since,))
    times = [seconds for _, seconds in rows if seconds is not None]
    elapsed = max((at for at, _ in rows), default=since) - since
    return {
        "count": float(len(rows)),
        "per_minute": 60.0 * len(rows) / elapsed if elapsed > 0 else 0.0,
        "median_seconds": median(times) if times else 0.0,
    }
