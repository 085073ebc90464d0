"""The append-only log of what people said of two answers in an A/B test, not knowing whose they were.

An undo adds a row; nothing is taken out. A vote is in force unless an undo names it, and of several on one pair the
newest that is no skip says what holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from storage.columns import LISTED, RowReader, listed
from storage.db import Store
from storage.errors import ConflictError, NotFoundError

VoteChoice = Literal["a", "b", "tie", "both_good", "both_bad", "skip"]
"""`a` and `b` name the arms of the test, not sides of the screen."""


@dataclass(frozen=True, slots=True)
class AbVoteRow:
    """One line of the log. `swapped` tells whether arm b was shown first (on the left), `seconds` the time that the
    person took, `target` the row that an undo takes back."""

    id: int
    at: float
    test_id: int
    position: int
    choice: Literal[VoteChoice, "undo"]
    swapped: bool
    seconds: float | None
    target: int | None


_read = RowReader(AbVoteRow, boolean_columns=("swapped",))
_INSERT = "INSERT INTO ab_votes (at, test_id, position, choice, swapped, seconds, target) VALUES (?, ?, ?, ?, ?, ?, ?)"
_IN_FORCE = "choice <> 'undo' AND NOT EXISTS (SELECT 1 FROM ab_votes u WHERE u.target = v.id)"


def add(
    store: Store,
    *,
    at: float,
    test_id: int,
    position: int,
    choice: VoteChoice,
    swapped: bool,
    seconds: float | None = None,
) -> int:
    """Adds a vote, on the disk when the call returns, and returns its id. Raises NotFoundError without such a pair."""
    with store.transaction(durable=True):
        pair = (test_id, position)
        if store.value("SELECT 1 FROM ab_pairs WHERE test_id = ? AND position = ?", pair) is None:
            raise NotFoundError(f"A/B test {test_id} has no pair {position}.", hint="Open the scoreboard again.")
        return int(store.write(_INSERT, (at, *pair, choice, swapped, seconds, None)).lastrowid or 0)


def undo(store: Store, vote_id: int, *, at: float) -> AbVoteRow:
    """Takes a vote back, on the disk when the call returns, and returns it.

    Raises NotFoundError when there is no such vote, ConflictError when it was taken back before.
    """
    with store.transaction(durable=True):
        row = store.row(f"SELECT {_read.columns} FROM ab_votes WHERE id = ? AND choice <> 'undo'", (vote_id,))
        if row is None:
            raise NotFoundError(f"There is no vote {vote_id}.")
        if store.value("SELECT 1 FROM ab_votes WHERE target = ?", (vote_id,)) is not None:
            raise ConflictError(
                f"Vote {vote_id} was taken back already.",
                title="Nothing was taken back",
                hint="Look at the newest state; another window may have undone it.",
            )
        taken = _read(row)
        store.write(_INSERT, (at, taken.test_id, taken.position, "undo", taken.swapped, None, taken.id))
    return taken


def in_force(store: Store, tests: Sequence[int]) -> list[AbVoteRow]:
    """The votes on pairs of these tests that were not taken back, oldest first."""
    rows = store.rows(
        f"SELECT {_read.columns} FROM ab_votes v WHERE test_id IN {LISTED} AND {_IN_FORCE} ORDER BY id",
        (listed(tests),),
    )
    return [_read(row) for row in rows]


def last(store: Store, tests: Sequence[int]) -> AbVoteRow | None:
    """The newest vote on these tests that was not taken back, or None: what an undo would take back."""
    row = store.row(
        f"SELECT {_read.columns} FROM ab_votes v WHERE test_id IN {LISTED} AND {_IN_FORCE} ORDER BY id DESC LIMIT 1",
        (listed(tests),),
    )
    return _read(row) if row else None
