"""The append-only log of human judgments. Undo and redo add rows; nothing is ever taken out.

A judgment is in force unless the last row that targets it is an undo. `events.verdict`, `.correction` and `.judged_at`
are a copy of the newest judgment in force, kept in the same transaction. A move of an event to another category stands
in the same log, so that one chain of undo leads through both; rows of one `batch` are taken back and restored at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, cast

from storage import moves
from storage.columns import LISTED, RowReader, clean, listed
from storage.db import Store
from storage.errors import ConflictError, NotFoundError
from storage.moves import Move
from storage.rows import JudgmentRow, Opinion, Verdict

_read = RowReader(JudgmentRow)
_COLUMNS = "event_id, created_at, kind, correction, note, seconds, target, below, batch, repeats"
_INSERT = f"INSERT INTO judgments ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_INSERT_NUMBERED = f"INSERT INTO judgments (id, {_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_PORTION = 1_000

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Turned:
    """What an undo took back or a redo restored: one judgment, or all that was said at once.

    `event_ids` are the events concerned, in the order in which they were judged. Of a move `moved_from` and `moved_to`
    tell the categories as the move had them, whichever way it was turned; `moved_from` may be several.
    """

    id: int
    kind: Verdict | Literal["move"]
    event_ids: tuple[int, ...]
    note: str
    moved_from: tuple[str, ...] = ()
    moved_to: str = ""

    @property
    def event_id(self) -> int:
        """The event to show."""
        return self.event_ids[0]

    @property
    def count(self) -> int:
        """How many events it concerned."""
        return len(self.event_ids)


def judge(
    store: Store,
    event_id: int,
    kind: Verdict,
    *,
    correction: str | None = None,
    note: str = "",
    seconds: float | None = None,
    repeats: int | None = None,
    now: float,
) -> int:
    """Adds a judgment, on the disk when the call returns, and returns its id; `seconds` is the time it took the person.

    `repeats` is the judgment that was asked for again. Raises NotFoundError for an unknown event, ConflictError when
    `kind` is "correct" and the correction is missing or blank, or the other way round.
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
        values = (event_id, now, kind, text, clean(note), seconds, None, _top(store), None, repeats)
        added = int(store.write(_INSERT, values).lastrowid or 0)
        _refresh(store, [event_id])
    return added


def judge_many(
    store: Store,
    event_ids: Sequence[int],
    kind: Opinion,
    *,
    note: str = "",
    now: float,
    progress: Progress | None = None,
) -> list[int]:
    """Adds the same judgment of many events as one batch, on the disk when the call returns, or none of them.

    Returns the events that were judged: each once, those that are gone left out. `progress(done, total)` may raise.
    """
    with store.transaction(durable=True):
        there = _there(store, event_ids)
        _append(store, there, kind, note=note, now=now)
        for at in range(0, len(there), _PORTION):
            _refresh(store, there[at : at + _PORTION])
            if progress is not None:
                progress(min(at + _PORTION, len(there)), len(there))
    return there


def move(store: Store, moved: Sequence[Move], *, note: str = "", now: float) -> None:
    """Moves events to other categories as one batch, on the disk when the call returns, or none of them."""
    with store.transaction(durable=True):
        first = _append(store, [one.event_id for one in moved], "move", note=note, now=now)
        moves.keep(store, [(first + at, one) for at, one in enumerate(moved)])
        moves.place(store, moved)


def _append(store: Store, event_ids: Sequence[int], kind: Opinion | Literal["move"], *, note: str, now: float) -> int:
    """Adds a row for each event, as one batch where there are several; the id of the first."""
    first, below = _next_id(store), _top(store)
    batch = first if len(event_ids) > 1 else None
    store.write_many(
        _INSERT_NUMBERED,
        (
            (
                first + at,
                event_id,
                now,
                kind,
                None,
                clean(note),
                None,
                None,
                first + at - 1 if at else below,
                batch,
                None,
            )
            for at, event_id in enumerate(event_ids)
        ),
    )
    return first


def add_first(store: Store, said: Sequence[tuple[int, float, Verdict, str | None, str, float | None]]) -> None:
    """Adds the first judgment of each of several new events, whose rows carry a copy of it already.

    `said` holds event id, time, kind, correction, note and seconds; call it inside the transaction of the events.
    """
    if not said:
        return
    with store.transaction():
        next_id, below = _next_id(store), _top(store)
        rows = []
        for event_id, at, kind, correction, note, seconds in said:
            text = None if correction is None else clean(correction)
            rows.append((next_id, event_id, at, kind, text, clean(note), seconds, None, below, None, None))
            below, next_id = next_id, next_id + 1
        store.write_many(_INSERT_NUMBERED, rows)


def was_said(store: Store, event_id: int, kind: Verdict, correction: str | None) -> bool:
    """Whether this very judgment of the event stands in the log already, in force or not."""
    found = store.value(
        "SELECT 1 FROM judgments WHERE event_id = ? AND kind = ? AND correction IS ? LIMIT 1",
        (event_id, kind, None if correction is None else clean(correction)),
    )
    return found is not None


def undo(store: Store, *, now: float) -> Turned | None:
    """Takes back what was said last of what is in force, and returns it; None when there is nothing."""
    with store.transaction(durable=True):
        return _turn(store, "undo", _top(store), now)


def redo(store: Store, *, now: float) -> Turned | None:
    """Restores what was taken back last, and returns it; None when there is nothing, or something was said since."""
    with store.transaction(durable=True):
        # The newest judgment made on top of the one in force is the branch that undo came down.
        above = store.value("SELECT max(id) FROM judgments WHERE below = ?", (_top(store),))
        return _turn(store, "redo", above or 0, now)


def _turn(store: Store, way: Literal["undo", "redo"], target: int, now: float) -> Turned | None:
    if not target:
        return None
    found = store.rows(
        f"SELECT {_read.columns} FROM judgments WHERE id = ?1 "
        "OR batch = (SELECT batch FROM judgments WHERE id = ?1) ORDER BY id",
        (target,),
    )
    rows = [_read(row) for row in found]
    turned = reversed(rows) if way == "undo" else rows
    store.write_many(_INSERT, ((row.event_id, now, way, None, "", None, row.id, None, None, None) for row in turned))
    first = rows[0]
    event_ids = tuple(row.event_id for row in rows)
    if first.kind == "move":
        moved = moves.of(store, [row.id for row in rows])
        moves.place(store, moved, back=way == "undo")
        left = tuple(sorted({one.before.category for one in moved}))
        return Turned(first.id, "move", event_ids, first.note, left, moved[0].after.category)
    _refresh(store, event_ids)
    return Turned(first.id, cast(Verdict, first.kind), event_ids, first.note)


def _there(store: Store, event_ids: Sequence[int]) -> list[int]:
    wanted = list(dict.fromkeys(event_ids))
    known = {event_id for (event_id,) in store.rows(f"SELECT id FROM events WHERE id IN {LISTED}", (listed(wanted),))}
    return [event_id for event_id in wanted if event_id in known]


def _next_id(store: Store) -> int:
    """The id of the next row; as the write lock is held, those of several rows follow each other."""
    return 1 + int(store.value("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'judgments'") or 0)


def _top(store: Store) -> int:
    """The judgment in force that was made or restored last, 0 for none; the last row of the log tells it."""
    last = store.row("SELECT id, kind, target FROM judgments ORDER BY id DESC LIMIT 1")
    if last is None:
        return 0
    judgment, kind, target = last
    if kind == "undo":
        return int(store.value("SELECT below FROM judgments WHERE id = ?", (target,)))
    return int(target if kind == "redo" else judgment)


def _refresh(store: Store, event_ids: Sequence[int]) -> None:
    """Copies the newest judgment in force to its event, or that there is none."""
    store.write(
        "UPDATE events SET (verdict, correction, judged_at) = (SELECT kind, correction, created_at "
        "FROM effective_judgments j WHERE j.event_id = events.id ORDER BY j.id DESC LIMIT 1) "
        f"WHERE id IN {LISTED}",
        (listed(event_ids),),
    )


def current(store: Store, event_id: int) -> JudgmentRow | None:
    """The judgment of the event that is in force, or None."""
    row = store.row(
        f"SELECT {_read.columns} FROM effective_judgments WHERE event_id = ? ORDER BY id DESC LIMIT 1", (event_id,)
    )
    return _read(row) if row else None


def history(store: Store, event_id: int) -> list[JudgmentRow]:
    """Every row of the log about the event, moves, undo and redo included, oldest first."""
    rows = store.rows(f"SELECT {_read.columns} FROM judgments WHERE event_id = ? ORDER BY id", (event_id,))
    return [_read(row) for row in rows]
