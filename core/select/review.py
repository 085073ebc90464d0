"""The order of the review queue: label next what teaches most."""

from __future__ import annotations

from array import array

from core.select.active import Candidate, choose
from core.validate.feedback import current_feedback_type
from storage import events
from storage.db import Store
from storage.rows import EventFilter

_POOL = 4_000
_GREEDY = 300


def review_order(store: Store, chosen: EventFilter, *, limit: int = 2_000) -> array[int]:
    """Up to `limit` ids of events that pass the filter, the most informative first.

    Only 4,000 events are weighed, the lowest scores and the newest half each; the first 300 are chosen against each
    other, so that the first screens never show the same thing twice, and the rest follow by value.
    """
    lowest = events.event_ids(store, chosen, order="score")
    if len(lowest) > _POOL:
        newest = events.event_ids(store, chosen, order="newest")[: _POOL // 2]
        lowest = array("q", dict.fromkeys([*newest, *lowest[: _POOL // 2]]))
    pool = [
        Candidate(
            event.id,
            event.category,
            event.prompt,
            event.response,
            event.score,
            current_feedback_type(event),
            event.quality,
        )
        for event in events.get_many(store, lowest)
    ]
    return array("q", choose(pool, limit, greedy=_GREEDY))
