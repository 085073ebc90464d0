"""All that is known of an event when it is judged, read in a worker thread."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.categories import Category, load_categories
from core.config import load_config
from core.paths import Home
from core.validate.validator import Validation
from storage import comparisons, events, retention
from storage.db import open_store
from storage.rows import EventRow

if TYPE_CHECKING:
    from core.explain import Explanation
    from core.standing import Standings

_KEPT = 64


@dataclass(frozen=True, slots=True)
class ReviewItem:
    """One event with all that is known of it alone, as of the moment of reading."""

    event: EventRow
    why: Explanation


class ReadItems:
    """The items read last, so that the next one is there before it is wanted."""

    def __init__(self) -> None:
        self._items: dict[int, ReviewItem] = {}

    def get(self, event_id: int | None) -> ReviewItem | None:
        """The item if it was read."""
        return None if event_id is None else self._items.get(event_id)

    def missing(self, ids: Sequence[int]) -> list[int]:
        """Which of `ids` have to be read."""
        return [event_id for event_id in ids if event_id not in self._items]

    def keep(self, items: Sequence[ReviewItem]) -> None:
        """Add items; of all the last 64 stay."""
        for item in items:
            self._items[item.event.id] = item
        while len(self._items) > _KEPT:
            del self._items[next(iter(self._items))]

    def forget(self, event_ids: Iterable[int]) -> None:
        """They have changed and must be read again."""
        for event_id in event_ids:
            self._items.pop(event_id, None)


def checker(home: Home, event: EventRow) -> Callable[[str], Validation]:
    """The validator of the event's category, for a text in place of its response. Called in a thread."""

    def check(text: str) -> Validation:
        from core.validate.registry import validator_for

        own = load_categories(home).get(event.category) or Category(name=event.category, title="")
        expected = event.metadata.get("expected")
        known = expected if isinstance(expected, Mapping) else None
        return validator_for(own).validate(text, prompt=event.prompt, expected=known)

    return check


def read_items(home: Home, ids: Sequence[int]) -> list[ReviewItem]:
    """The events with the reasons that weigh on them; ids that do not exist are left out."""
    from core.explain import explain_event

    config, categories = load_config(home), load_categories(home)
    now = time.time()
    with open_store(home.store) as store:
        return [
            ReviewItem(
                event,
                explain_event(
                    store,
                    home,
                    config,
                    categories.get(event.category) or Category(name=event.category, title=""),
                    event,
                    now=now,
                ),
            )
            for event in events.get_many(store, ids)
        ]


def count_answers(home: Home, event_id: int) -> int:
    """How many different answers there are to the prompt of an event."""
    with open_store(home.store) as store:
        return len(comparisons.answers_to(store, event_id))


def read_standings(home: Home, category: str) -> Standings | None:
    """Where each event of a category stands, with the next batch; None where the category is not configured, or has too
    many events for that."""
    from core.standing import LARGEST, standings

    own = load_categories(home).get(category)
    if own is None:
        return None
    with open_store(home.store) as store:
        if retention.total(store, category) > LARGEST:
            return None
        return standings(store, home, load_config(home), own, now=time.time())
