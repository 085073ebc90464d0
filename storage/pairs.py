"""Preference pairs: prompt, chosen and rejected answer."""

from __future__ import annotations

from typing import NamedTuple

from storage.columns import RowReader, clean, placeholders
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
    """Stores a pair and returns its id; `margin` is 0-1, `source` is correction, ranking, sibling or import."""
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


def drop_corrections(store: Store, event_id: int) -> None:
    """Removes the pairs that corrections of the event made; the judgments themselves stay in their log."""
    with store.transaction():
        store.write("DELETE FROM pairs WHERE source = 'correction' AND rejected_event = ?", (event_id,))


def list_pairs(store: Store, category: str) -> list[PairRow]:
    """The pairs of a category, oldest first."""
    return [
        _read(row)
        for row in store.rows(f"SELECT {_read.columns} FROM pairs WHERE category = ? ORDER BY id", (category,))
    ]


def count(store: Store, category: str) -> int:
    """How many pairs a category has."""
    return int(store.value("SELECT count(*) FROM pairs WHERE category = ?", (category,)))


def categories(store: Store) -> tuple[str, ...]:
    """The categories that have pairs, by name."""
    return tuple(name for (name,) in store.rows("SELECT DISTINCT category FROM pairs ORDER BY category"))
