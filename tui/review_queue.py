"""The review queue: which events stand in it, in which order, and what is remembered of it."""

from __future__ import annotations

import time
from array import array
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from core.config import load_config
from core.paths import Home
from storage import events, ui_state
from storage.db import Store, open_store
from storage.rows import EventFilter, Verdict

FilterName = Literal["pending", "all", "good", "bad", "corrected", "rejected", "skipped"]
OrderName = Literal["informative", "newest", "score"]

FILTERS: Final[Mapping[FilterName, Verdict | Literal["pending"] | None]] = {
    "pending": "pending",
    "all": None,
    "good": "good",
    "bad": "bad",
    "corrected": "correct",
    "rejected": "reject",
    "skipped": "skip",
}
ORDERS: Final[tuple[OrderName, ...]] = ("informative", "newest", "score")
_STATE = "review.choice"


@dataclass(frozen=True, slots=True)
class Choice:
    """What the queue holds. An empty `category` means all of them."""

    filter: FilterName = "pending"
    order: OrderName = "informative"
    category: str = ""
    text: str = ""

    @property
    def event_filter(self) -> EventFilter:
        """The same for the store."""
        return EventFilter(category=self.category or None, verdict=FILTERS[self.filter], text=self.text)

    def for_category(self, category: str) -> Choice:
        """What is pending in one category."""
        return Choice(order=self.order, category=category)

    def with_next_filter(self) -> Choice:
        """The filter after this one, round and round."""
        names = list(FILTERS)
        return replace(self, filter=names[(names.index(self.filter) + 1) % len(names)])

    def with_next_order(self) -> Choice:
        """The order after this one, round and round."""
        return replace(self, order=ORDERS[(ORDERS.index(self.order) + 1) % len(ORDERS)])

    def with_next_category(self, known: Sequence[str]) -> Choice:
        """The category after this one; after the last one all of them."""
        names = ["", *known]
        at = names.index(self.category) if self.category in names else 0
        return replace(self, category=names[(at + 1) % len(names)])


def load_choice(store: Store) -> tuple[Choice, int | None]:
    """What was shown last time, and the event that the cursor stood on; unknown values are ignored."""
    state = ui_state.load(store, _STATE, {})
    if not isinstance(state, dict):
        return Choice(), None
    choice = Choice(
        filter=state.get("filter") if state.get("filter") in FILTERS else "pending",  # type: ignore[arg-type]
        order=state.get("order") if state.get("order") in ORDERS else "informative",  # type: ignore[arg-type]
        category=str(state.get("category") or ""),
    )
    current = state.get("current")
    return choice, current if isinstance(current, int) else None


def save_choice(store: Store, choice: Choice, current: int | None) -> None:
    """Remember what is shown. The search is not remembered: it would hide the queue next time."""
    state = {"filter": choice.filter, "order": choice.order, "category": choice.category, "current": current}
    ui_state.save(store, _STATE, state)


def read_queue(home: Home, choice: Choice, labelled: Sequence[int] = ()) -> array[int]:
    """The ids in order. `informative` weighs a few thousand events; the others follow, newest first.

    What is like the events `labelled` before comes later. A search is shown newest first instead, because it is read
    again at every key.
    """
    wanted = choice.event_filter
    with open_store(home.store) as store:
        if choice.order == "score":
            return events.event_ids(store, wanted, order="score")
        newest = events.event_ids(store, wanted, order="newest")
        if choice.order == "newest" or choice.text or len(newest) < 3:
            return newest
        from core.select.alike.meaning import preview
        from core.select.review import review_order

        config = load_config(home)
        first = preview(
            store,
            config,
            lambda meaning: review_order(
                store, wanted, labelled=labelled, constants=config.select, embed=meaning.embed
            ),
        )
        seen = set(first)
        first.extend(event_id for event_id in newest if event_id not in seen)
        return first


def read_order(home: Home, ids: Sequence[int], labelled: Sequence[int]) -> array[int]:
    """`ids` in the order in which they teach most after the events that were `labelled`."""
    from core.select.alike.meaning import preview
    from core.select.review import reordered

    config = load_config(home)
    with open_store(home.store) as store:
        return preview(
            store,
            config,
            lambda meaning: reordered(store, ids, labelled, constants=config.select, embed=meaning.embed),
        )


def with_order(ids: Sequence[int], order: Sequence[int], start: int, fixed: Collection[int]) -> list[int]:
    """What stands at `start` and after it in `ids`, in the new `order`.

    Those that are `fixed`, or that the order does not know, keep their places; what the order has besides is left out.
    """
    tail = ids[start:]
    free = set(order).intersection(tail).difference(fixed)
    following = iter([event_id for event_id in order if event_id in free])
    return [next(following) if event_id in free else event_id for event_id in tail]


def total(store: Store) -> int:
    """How many events there are."""
    return events.count(store, EventFilter())


def following(choice: Choice, what: str, store: Store) -> Choice:
    """The choice with its next `filter`, `order` or `category` (of those that have events)."""
    if what == "filter":
        return choice.with_next_filter()
    if what == "order":
        return choice.with_next_order()
    return choice.with_next_category([one.category for one in events.category_counts(store, now=time.time())])
