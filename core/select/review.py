"""The order of the review queue: label next what teaches most.

The formula is that of `core.select.active`: uncertainty, diversity and quality. Diversity counts against what stands
above in the queue and against what was labelled before, so that two alike outputs are not asked about in one sitting.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence

from core.config import Select
from core.select.active import Candidate, choose
from core.select.alike.vectors import Embed, vectors
from core.validate.feedback import current_feedback_type
from storage import events
from storage.db import Store
from storage.rows import EventFilter

_POOL = 4_000
_GREEDY = 300
_DEFAULTS = Select()


def review_order(
    store: Store,
    chosen: EventFilter,
    *,
    limit: int = 2_000,
    labelled: Sequence[int] = (),
    constants: Select = _DEFAULTS,
    embed: Embed = vectors,
) -> array[int]:
    """Up to `limit` ids of events that pass the filter, the most informative first, then those `labelled` already.

    Only 4,000 events are weighed, the lowest scores and the newest half each; the first 300 are chosen against each
    other, so that the first screens never show the same thing twice, and the rest follow by value.
    """
    lowest = events.first_ids(store, chosen, _POOL + 1, order="score")
    if len(lowest) > _POOL:
        newest = events.first_ids(store, chosen, _POOL // 2, order="newest")
        lowest = array("q", dict.fromkeys([*newest, *lowest[: _POOL // 2]]))
    order = _chosen(store, lowest, labelled, limit=limit, constants=constants, embed=embed)
    known = set(labelled)
    order.extend([event_id for event_id in lowest if event_id in known][: limit - len(order)])
    return order


def reordered(
    store: Store,
    ids: Sequence[int],
    labelled: Sequence[int],
    *,
    constants: Select = _DEFAULTS,
    embed: Embed = vectors,
) -> array[int]:
    """`ids` (a part of the queue that was not reached yet) ordered anew after what was `labelled` meanwhile.

    Only the first 4,000 are weighed; the others, and what is gone from the store or labelled, follow as they stood.
    """
    order = _chosen(store, ids[:_POOL], labelled, limit=len(ids), constants=constants, embed=embed)
    seen = set(order)
    order.extend(event_id for event_id in ids if event_id not in seen)
    return order


def _chosen(
    store: Store, ids: Sequence[int], labelled: Sequence[int], *, limit: int, constants: Select, embed: Embed
) -> array[int]:
    pool, against = list(_candidates(store, ids)), list(_candidates(store, labelled))
    return array("q", choose(pool, limit, greedy=_GREEDY, constants=constants, embed=embed, against=against))


def _candidates(store: Store, ids: Sequence[int]) -> Iterator[Candidate]:
    for event in events.get_many(store, ids):
        yield Candidate(
            event.id,
            event.category,
            event.prompt,
            event.response,
            event.score,
            current_feedback_type(event),
            event.quality,
        )
