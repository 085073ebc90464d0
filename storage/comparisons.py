"""The append-only log of what a person said of two answers to one prompt. An undo adds a row; nothing is taken out.

A comparison is in force unless an undo names it. Of several in force on the same two answers all are kept: a question
that was asked again measures consistency, and the newest says what holds.

A comparison belongs to the category that its two events have by now; while they stand in different ones it belongs to
none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from storage.columns import LISTED, RowReader, clean, listed
from storage.db import Store
from storage.errors import ConflictError, NotFoundError

Choice = Literal["first", "second", "tie", "both_good", "both_bad", "skip"]
"""`first` and `second` name events, not sides of the screen."""


@dataclass(frozen=True, slots=True)
class ComparisonRow:
    """One line of the log. `swapped` tells whether the second event was shown first (on the left), `seconds` the time
    that the person took, `target` the row that an undo takes back."""

    id: int
    at: float
    category: str
    first_event: int
    second_event: int
    choice: Literal[Choice, "undo"]
    swapped: bool
    seconds: float | None
    target: int | None


_read = RowReader(ComparisonRow, boolean_columns=("swapped",))
_INSERT = (
    "INSERT INTO comparisons (at, category, first_event, second_event, choice, swapped, seconds, target) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
_IN_FORCE = "choice <> 'undo' AND NOT EXISTS (SELECT 1 FROM comparisons u WHERE u.target = c.id)"


def add(
    store: Store,
    *,
    at: float,
    category: str,
    first_event: int,
    second_event: int,
    choice: Choice,
    swapped: bool,
    seconds: float | None = None,
) -> int:
    """Adds a comparison, on the disk when the call returns, and returns its id.

    Raises NotFoundError when an event is not there, ConflictError when both are one and the same, or of another
    category than `category`.
    """
    with store.transaction(durable=True):
        for event_id in (first_event, second_event):
            found = store.value("SELECT category FROM events WHERE id = ?", (event_id,))
            if found is None:
                raise NotFoundError(f"There is no event {event_id}.", hint="It may have been removed by the clean-up.")
            if found != category:
                raise ConflictError(
                    f"Event {event_id} is of the category {found}, not {category}.",
                    title="The comparison was not kept",
                    hint="Compare two answers of one category.",
                )
        if first_event == second_event:
            raise ConflictError(
                f"Event {first_event} cannot be compared with itself.",
                title="The comparison was not kept",
                hint="Compare two different answers.",
            )
        values = (at, clean(category), first_event, second_event, choice, swapped, seconds, None)
        return int(store.write(_INSERT, values).lastrowid or 0)


def undo(store: Store, comparison_id: int, *, at: float) -> ComparisonRow:
    """Takes a comparison back, on the disk when the call returns, and returns it.

    Raises NotFoundError when there is no such comparison, ConflictError when it was taken back before.
    """
    with store.transaction(durable=True):
        row = store.row(f"SELECT {_read.columns} FROM comparisons WHERE id = ? AND choice <> 'undo'", (comparison_id,))
        if row is None:
            raise NotFoundError(f"There is no comparison {comparison_id}.")
        if store.value("SELECT 1 FROM comparisons WHERE target = ?", (comparison_id,)) is not None:
            raise ConflictError(
                f"Comparison {comparison_id} was taken back already.",
                title="Nothing was taken back",
                hint="Look at the newest state; another window may have undone it.",
            )
        taken = _read(row)
        values = (at, taken.category, taken.first_event, taken.second_event, "undo", taken.swapped, None, taken.id)
        store.write(_INSERT, values)
    return taken


def in_force(store: Store, category: str) -> list[ComparisonRow]:
    """The comparisons of a category that were not taken back, oldest first."""
    rows = store.rows(
        f"SELECT {_read.columns} FROM comparisons c WHERE category = ? AND {_IN_FORCE} ORDER BY id", (category,)
    )
    return [_read(row) for row in rows]


def of_pair(store: Store, one: int, other: int) -> list[ComparisonRow]:
    """The comparisons of two events, in either order, that were not taken back, oldest first."""
    rows = store.rows(
        f"SELECT {_read.columns} FROM comparisons c WHERE first_event = ? AND second_event = ? AND {_IN_FORCE} "
        f"UNION ALL SELECT {_read.columns} FROM comparisons c WHERE first_event = ? AND second_event = ? "
        f"AND {_IN_FORCE} ORDER BY id",
        (one, other, other, one),
    )
    return [_read(row) for row in rows]


def last(store: Store, category: str) -> ComparisonRow | None:
    """The newest comparison of a category that was not taken back, or None: what an undo would take back."""
    row = store.row(
        f"SELECT {_read.columns} FROM comparisons c WHERE category = ? AND {_IN_FORCE} ORDER BY id DESC LIMIT 1",
        (category,),
    )
    return _read(row) if row else None


def log(store: Store, category: str) -> list[ComparisonRow]:
    """Every row of a category, those taken back and their undos too, oldest first."""
    rows = store.rows(f"SELECT {_read.columns} FROM comparisons WHERE category = ? ORDER BY id", (category,))
    return [_read(row) for row in rows]


def counts(store: Store) -> Mapping[str, int]:
    """How many comparisons in force each category has, by name."""
    return dict(
        store.rows(
            f"SELECT category, count(*) FROM comparisons c WHERE category <> '' AND {_IN_FORCE} GROUP BY category "
            "ORDER BY category"
        )
    )


def newest(store: Store, category: str) -> tuple[int, int]:
    """The ids of the newest event and of the newest row of the category's log, undos too; 0 where there is none. They
    tell in some 10 µs whether anything was added."""
    event = store.value("SELECT coalesce(max(id), 0) FROM events")
    row = store.value("SELECT coalesce(max(id), 0) FROM comparisons WHERE category = ?", (category,))
    return int(event), int(row)


def among(store: Store, event_ids: Sequence[int]) -> list[ComparisonRow]:
    """The comparisons in force of which both events are among these, oldest first."""
    given = listed(event_ids)
    rows = store.rows(
        f"SELECT {_read.columns} FROM comparisons c WHERE first_event IN {LISTED} AND second_event IN {LISTED} "
        f"AND {_IN_FORCE} ORDER BY id",
        (given, given),
    )
    return [_read(row) for row in rows]


def recent(store: Store, category: str, limit: int) -> list[ComparisonRow]:
    """The newest `limit` comparisons of a category that were not taken back, oldest first."""
    rows = store.rows(
        f"SELECT {_read.columns} FROM comparisons c WHERE category = ? AND {_IN_FORCE} ORDER BY id DESC LIMIT ?",
        (category, limit),
    )
    return [_read(row) for row in reversed(rows)]


def tail(store: Store, category: str, limit: int) -> list[ComparisonRow]:
    """The newest `limit` rows of a category's log, those taken back and their undos too, oldest first."""
    rows = store.rows(
        f"SELECT {_read.columns} FROM comparisons WHERE category = ? ORDER BY id DESC LIMIT ?", (category, limit)
    )
    return [_read(row) for row in reversed(rows)]


class Said(NamedTuple):
    """What was said of two events, and nothing else: a hundred thousand of them are read in 0.1 s."""

    first_event: int
    second_event: int
    choice: str


def said(store: Store, category: str) -> list[Said]:
    """What holds of a category, oldest first."""
    rows = store.rows(
        f"SELECT first_event, second_event, choice FROM comparisons c WHERE category = ? AND {_IN_FORCE} ORDER BY id",
        (category,),
    )
    return list(map(Said._make, rows))


def pairs_made(store: Store, category: str) -> int:
    """How many preference pairs of a category rest on comparisons in force."""
    return int(
        store.value(
            "SELECT count(*) FROM pairs p WHERE p.category = ? AND p.source = 'ranking' AND EXISTS (SELECT 1 "
            "FROM comparisons c WHERE c.at = p.created_at AND (c.first_event = p.chosen_event AND "
            "c.second_event = p.rejected_event OR c.first_event = p.rejected_event AND "
            "c.second_event = p.chosen_event))",
            (category,),
        )
    )


class Several(NamedTuple):
    """Different answers to one prompt, ascending ids. `gap` is how far their scores lie apart (0-100), None where
    fewer than two have one."""

    answers: tuple[int, ...]
    gap: float | None


def several(store: Store, category: str, *, held_out_percent: int) -> list[Several]:
    """The prompts of a category with two different answers or more, by their first event; of equal texts the oldest.

    Prompts in the buckets below `held_out_percent` (0-100) are left out: nothing may be learned from them.
    """
    rows = store.rows(
        "SELECT group_concat(id), CASE WHEN count(score) > 1 THEN max(score) - min(score) END FROM "
        "(SELECT prompt_hash, min(id) AS id, max(score) AS score FROM events WHERE category = ?1 AND bucket >= ?2 "
        # Few prompts have two answers: finding those first spares most of them the counting of their answers.
        "AND prompt_hash IN (SELECT prompt_hash FROM events WHERE category = ?1 GROUP BY prompt_hash "
        "HAVING min(response_hash) < max(response_hash)) "
        "GROUP BY prompt_hash, response_hash) GROUP BY prompt_hash HAVING count(*) > 1",
        (category, held_out_percent),
    )
    found = [Several(tuple(sorted(map(int, ids.split(",")))), gap) for ids, gap in rows]
    return sorted(found)


def answers_to(store: Store, event_id: int) -> tuple[int, ...]:
    """The different answers to the prompt of an event, ascending ids; empty when the event is gone."""
    rows = store.rows(
        "SELECT min(o.id) FROM events e JOIN events o ON o.category = e.category AND o.prompt_hash = e.prompt_hash "
        "WHERE e.id = ? GROUP BY o.response_hash ORDER BY 1",
        (event_id,),
    )
    return tuple(found for (found,) in rows)
