"""Preference pairs: prompt, chosen and rejected answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from storage.columns import LISTED, RowReader, clean, listed, placeholders
from storage.db import Store
from storage.errors import NotFoundError
from storage.rows import PairRow

_read = RowReader(PairRow)


def add(
    store: Store,
    *,
    created_at: float,
    category: str,
    prompt: str,
    chosen: str,
    rejected: str,
    margin: float,
    source: str,
    chosen_event: int | None = None,
    rejected_event: int | None = None,
) -> int:
    """Stores a pair and returns its id; `margin` is 0-1, `source` is correction, ranking, import, sibling or
    candidate."""
    values = (
        created_at,
        category,
        clean(prompt),
        clean(chosen),
        clean(rejected),
        margin,
        source,
        chosen_event,
        rejected_event,
    )
    with store.transaction():
        added = store.write(
            "INSERT INTO pairs (created_at, category, prompt, chosen, rejected, margin, source, chosen_event, "
            f"rejected_event) VALUES ({placeholders(len(values))})",
            values,
        )
        return int(added.lastrowid or 0)


def between(store: Store, chosen_event: int, rejected_event: int) -> bool:
    """Whether this preference between two events is stored already."""
    found = store.value(
        "SELECT 1 FROM pairs WHERE chosen_event = ? AND rejected_event = ? LIMIT 1", (chosen_event, rejected_event)
    )
    return found is not None


class Compared(NamedTuple):
    """The texts of two events that answer one prompt, as they are stored."""

    prompt: str
    chosen: str
    rejected: str


def texts(store: Store, chosen_event: int, rejected_event: int) -> Compared:
    """What a pair between two stored events says. Raises NotFoundError when one of them is gone."""
    row = store.row(
        "SELECT c.prompt, c.response, r.response FROM events c, events r WHERE c.id = ? AND r.id = ?",
        (chosen_event, rejected_event),
    )
    if row is None:
        raise NotFoundError(f"Event {chosen_event} or {rejected_event} is no longer there.")
    return Compared(*row)


def of_correction(store: Store, event_id: int) -> bool:
    """Whether a correction of the event made a pair."""
    found = store.value("SELECT 1 FROM pairs WHERE source = 'correction' AND rejected_event = ? LIMIT 1", (event_id,))
    return found is not None


def drop_corrections(store: Store, event_ids: Sequence[int]) -> None:
    """Removes the pairs that corrections of the events made; the judgments themselves stay in their log."""
    with store.transaction():
        store.write(
            f"DELETE FROM pairs WHERE source = 'correction' AND rejected_event IN {LISTED}", (listed(event_ids),)
        )


def drop_compared(store: Store, one: int, other: int) -> None:
    """Removes the pair that comparisons of the two events made; pairs that came in otherwise stay.

    A pair made of a comparison carries the comparison's time.
    """
    with store.transaction():
        for first, second in ((one, other), (other, one)):
            store.write(
                "DELETE FROM pairs WHERE source = 'ranking' AND chosen_event = ? AND rejected_event = ? "
                "AND created_at IN (SELECT at FROM comparisons WHERE (first_event = ? AND second_event = ?) "
                "OR (first_event = ? AND second_event = ?))",
                (first, second, one, other, other, one),
            )


def drop_between(store: Store, chosen_event: int, rejected_event: int, source: str) -> int:
    """Removes the pairs of a source that prefer one event to the other; how many there were."""
    with store.transaction():
        return store.write(
            "DELETE FROM pairs WHERE chosen_event = ? AND rejected_event = ? AND source = ?",
            (chosen_event, rejected_event, source),
        ).rowcount


def sources_between(store: Store, chosen_event: int, rejected_event: int) -> set[str]:
    """The sources of the pairs that prefer one event to the other."""
    rows = store.rows(
        "SELECT source FROM pairs WHERE chosen_event = ? AND rejected_event = ?", (chosen_event, rejected_event)
    )
    return {source for (source,) in rows}


def asked(store: Store, category: str) -> dict[int, str]:
    """The prompt's hash, earlier turns included, of every pair that has an event, by the pair's id."""
    rows = store.rows(
        "SELECT p.id, e.prompt_hash FROM pairs p JOIN events e ON e.id = coalesce(p.rejected_event, p.chosen_event) "
        "WHERE p.category = ?",
        (category,),
    )
    return dict(rows)


def siblings(store: Store, category: str, *, held_out_percent: int) -> Iterator[list[int]]:
    """The ids of the events of each prompt that was answered more than once, ascending, prompt by prompt.

    Prompts in the buckets below `held_out_percent` (0-100) are left out.
    """
    rows = store.rows(
        "SELECT prompt_hash, id FROM events WHERE category = ? AND bucket >= ? ORDER BY prompt_hash, id",
        (category, held_out_percent),
    )
    for _, group in groupby(rows, key=itemgetter(0)):
        ids = [event_id for _, event_id in group]
        if len(ids) > 1:
            yield ids


def group_keys(store: Store, category: str, source: str) -> set[str]:
    """The group keys that events of a source carry."""
    rows = store.rows(
        "SELECT DISTINCT group_key FROM events WHERE category = ? AND source = ? AND group_key <> ''",
        (category, source),
    )
    return {key for (key,) in rows}


def list_pairs(store: Store, category: str) -> list[PairRow]:
    """The pairs of a category, oldest first, without those whose two events stand in different categories."""
    rows = store.rows(f"SELECT {_read.columns} FROM pairs WHERE category = ? ORDER BY id", (category,))
    return [_read(row) for row in rows]


def count(store: Store, category: str) -> int:
    """How many pairs a category has."""
    return int(store.value("SELECT count(*) FROM pairs WHERE category = ?", (category,)))


def categories(store: Store) -> tuple[str, ...]:
    """The categories that have pairs, by name."""
    return tuple(
        name for (name,) in store.rows("SELECT DISTINCT category FROM pairs WHERE category <> '' ORDER BY category")
    )
