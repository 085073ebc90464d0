"""What an event takes part in: pairs, datasets, and the runs and versions that came of those."""

from __future__ import annotations

from dataclasses import dataclass

from storage.db import Store


@dataclass(frozen=True, slots=True)
class PairUse:
    """A pair with the event in it; `role` is "chosen" or "rejected", `other` the event on the other side.

    It is None where the other side is no event, as the correction of this one.
    """

    pair_id: int
    role: str
    source: str
    margin: float
    other: int | None


@dataclass(frozen=True, slots=True)
class DatasetUse:
    """A dataset with the event in it. `run` and `version` (its name) are those that came of it, None while there are
    none; a dataset that several runs were started on is listed for each of them."""

    dataset_id: int
    split: str
    origin: str
    run: int | None
    run_status: str | None
    version: str | None


def pairs_of(store: Store, event_id: int) -> list[PairUse]:
    """The pairs with the event on either side, oldest first."""
    rows = store.rows(
        "SELECT id, 'chosen', source, margin, rejected_event FROM pairs WHERE chosen_event = ?1 "
        "UNION ALL SELECT id, 'rejected', source, margin, chosen_event FROM pairs WHERE rejected_event = ?1 ORDER BY 1",
        (event_id,),
    )
    return [PairUse(*row) for row in rows]


def datasets_of(store: Store, event_id: int) -> list[DatasetUse]:
    """The datasets with the event in them, newest first, with the runs on them and the versions that these made.

    Where it stands in a dataset more than once (augmented), the example that is the event itself is named.
    """
    rows = store.rows(
        "SELECT i.dataset_id, i.split, i.origin, r.id, r.status, v.name FROM ("
        "SELECT dataset_id, split, origin, row_number() OVER (PARTITION BY dataset_id "
        "ORDER BY origin NOT IN ('event', 'replay'), position) AS place FROM dataset_items WHERE event_id = ?) i "
        "LEFT JOIN runs r ON r.dataset_id = i.dataset_id LEFT JOIN versions v ON v.run_id = r.id AND v.number > 0 "
        "WHERE i.place = 1 ORDER BY i.dataset_id DESC, r.id DESC",
        (event_id,),
    )
    return [DatasetUse(*row) for row in rows]
