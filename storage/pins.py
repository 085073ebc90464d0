"""Which events a person wants in the next training batch: a log of wishes, of which the newest of an event counts."""

from __future__ import annotations

from storage.db import Store


def pin(store: Store, event_id: int, *, now: float) -> bool:
    """Wishes an event into the next batch, from `now` (seconds) on; False when it is wished already or is gone."""
    with store.transaction():
        if open_pins(store, event_id=event_id):
            return False
        added = store.write(
            "INSERT INTO pins (at, event_id, pinned) SELECT ?, id, 1 FROM events WHERE id = ?", (now, event_id)
        )
        return added.rowcount > 0


def unpin(store: Store, event_id: int, *, now: float) -> bool:
    """Takes the wish back; False when there is none that is open."""
    with store.transaction():
        if not open_pins(store, event_id=event_id):
            return False
        store.write("INSERT INTO pins (at, event_id, pinned) VALUES (?, ?, 0)", (now, event_id))
        return True


def open_pins(store: Store, category: str | None = None, *, event_id: int | None = None) -> dict[int, float]:
    """Every event (of a category, or this one) that is wished into the next batch, with when it was, by event id.

    A wish is fulfilled, and open no more, once a run that was queued after it has started and trains on the event.
    """
    rows = store.rows(
        "SELECT p.event_id, p.at FROM pins p JOIN events e ON e.id = p.event_id WHERE p.pinned = 1 "
        "AND (?1 IS NULL OR e.category = ?1) AND (?2 IS NULL OR p.event_id = ?2) "
        "AND NOT EXISTS (SELECT 1 FROM pins later WHERE later.event_id = p.event_id AND later.id > p.id) "
        "AND NOT EXISTS (SELECT 1 FROM dataset_items i JOIN datasets d ON d.id = i.dataset_id "
        "JOIN runs r ON r.dataset_id = d.id WHERE i.event_id = p.event_id AND i.split = 'train' "
        "AND r.created_at >= p.at AND r.started_at IS NOT NULL) ORDER BY p.event_id",
        (category, event_id),
    )
    return dict(rows)
