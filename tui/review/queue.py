"""The review queue: which events stand in it, in which order, and what a query makes of it."""

from __future__ import annotations

import time
from array import array
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from core.config import load_config
from core.paths import Home
from core.query import Query, parse
from storage import events
from storage.db import Store, open_store
from storage.search import SHORTEST_BEGINNING, added, newest
from tui.ids import index_of, places_of, without
from tui.stale import reading

START: Final = "is:pending"
FILTERS: Final = ("pending", "", "good", "bad", "corrected", "rejected", "skipped")
"""The values of `is:` that one key goes through; the empty one is all."""
ORDERS: Final = ("informative", "newest", "score")
FIRST: Final = 500
"""What a search reads at once; the rest follows when the typing rests."""
NEAR: Final = 50_000
"""The events, from the newest on, that it looks at for that where no index helps."""

ORDERED: Final = 4_000
"""So many of those that come next are put in a new order at most: what lies further down is ordered when it is near."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What the queue holds, and whether that is still being typed."""

    query: Query
    typing: bool = False

    @property
    def order(self) -> str:
        """One of `core.query.SORTS`. What is searched for comes newest first, because it is read at every key."""
        return self.query.sort or ("newest" if self.query.searches_text or self.typing else "informative")

    @property
    def filter(self) -> str:
        """The verdict that is looked for, `all` for any."""
        return self.query.value("is") or "all"

    @property
    def category(self) -> str:
        """The category, empty for all of them."""
        return self.query.value("category")

    @property
    def in_steps(self) -> bool:
        """Whether the first few hundred are read before the rest."""
        return self.order == "newest"


def choose(text: str, *, typing: bool = False) -> Choice:
    """What a query asks for. While it is typed a last word of one or two letters is waited for to go on."""
    query = parse(text, now=time.time())
    if typing and query.terms:
        last = query.terms[-1]
        short = len(last.value) < SHORTEST_BEGINNING and last.value.isascii() and last.value.isalpha()
        if not last.field and not last.phrase and short and last.end == len(text):
            query = parse(query.without(last), now=time.time())
    return Choice(query, typing)


def asked_text(asked: Mapping[str, Any], query: Query | None, shown: Collection[int]) -> str | None:
    """The query for what another screen asks (a category, a query, an event); None where what is shown will do."""
    text = asked.get("query")
    category, event = asked.get("category"), asked.get("event")
    if isinstance(text, str):
        return text
    if isinstance(event, int) and not isinstance(event, bool):
        return None if event in shown else f"id:{event}"
    if isinstance(category, str) and (query is None or query.value("category") != category):
        kept = parse(START, now=0.0).with_field("category", category)
        return parse(kept, now=0.0).with_field("sort", query.sort if query is not None else "")
    return None


def following(query: Query, what: str, store: Store) -> str:
    """The query with its next `filter`, `order` or `category` (of those that have events), round and round."""
    if what == "filter":
        return query.with_field("is", _after(FILTERS, query.value("is")))
    if what == "order":
        value = _after(ORDERS, query.sort or ("newest" if query.searches_text else "informative"))
        return query.with_field("sort", "" if value == ORDERS[0] and not query.searches_text else value)
    known = events.category_names(store)
    return query.with_field("category", _after(("", *known), query.value("category")))


def _after(values: Sequence[str], value: str) -> str:
    at = values.index(value) if value in values else -1
    return values[(at + 1) % len(values)]


def read_first(home: Home, choice: Choice) -> tuple[array[int], bool]:
    """The first ids of a choice that is read in steps, the newest first, and whether they are all of them."""
    with reading(home.store) as store:
        return newest(store, choice.query.filter, FIRST, within=NEAR)


def read_queue(home: Home, choice: Choice, labelled: Sequence[int] = ()) -> array[int]:
    """The ids in order. `informative` weighs a few thousand events; the others follow, newest first.

    What is like the events `labelled` before comes later.
    """
    wanted, order = choice.query.filter, choice.order
    with reading(home.store) as store:
        if order == "score":
            return events.event_ids(store, wanted, order="score")
        found = events.event_ids(store, wanted, order="oldest" if order == "oldest" else "newest")
        if order != "informative" or len(found) < 3:
            return found
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
        first.extend(event_id for event_id in found if event_id not in seen)
        return first


@dataclass(frozen=True, slots=True)
class Rest:
    """A queue as it was read whole while its `first` ids were shown already; `places` tells where those stand in it."""

    ids: array[int]
    first: frozenset[int]
    places: Mapping[int, int]

    def after(self, shown: Sequence[int]) -> array[int]:
        """The queue without what is `shown`, most of which is among the first."""
        others = {event_id: index_of(self.ids, event_id) for event_id in shown if event_id not in self.first}
        found = {event_id: at for event_id, at in others.items() if at >= 0}
        return without(self.ids, {**self.places, **found}, shown)


def read_rest(home: Home, choice: Choice, labelled: Sequence[int], first: Sequence[int]) -> Rest:
    """The whole queue of which the `first` are shown."""
    ids, among = read_queue(home, choice, labelled), frozenset(first)
    return Rest(ids, among, places_of(ids, among))


def read_news(home: Home, choice: Choice, last: int, shown: Sequence[int] | None = None) -> array[int]:
    """What came in after the event `last`, belongs to the choice and is not `shown`, oldest first."""
    with open_store(home.store) as store:
        found = added(store, choice.query.filter, last)
    if shown is None:
        return found
    known = {event_id for event_id in shown if event_id > last}
    return array("q", (event_id for event_id in found if event_id not in known))


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
    following_ids = iter([event_id for event_id in order if event_id in free])
    return [next(following_ids) if event_id in free else event_id for event_id in tail]


def with_repeat(ids: Sequence[int], current: int, repeat: int) -> array[int]:
    """The list with `repeat` after the `current` event and nowhere else."""
    found = array("q", ids)
    if (before := index_of(found, repeat)) >= 0:
        del found[before]
    found.insert(index_of(found, current) + 1, repeat)
    return found
