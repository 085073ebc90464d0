"""All that is known of an event when it is judged, read in a worker thread."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from core.categories import Category, load_categories
from core.config import Config, load_config
from core.paths import Home
from core.validate.validator import Validation
from storage import events
from storage.db import open_store
from storage.rows import EventRow, Tier

_DAY = 86_400.0
_KEPT = 64


@dataclass(frozen=True, slots=True)
class ReviewItem:
    """One event with the reasons for its tier and its reward as of now. `held` says why it would not be trained on."""

    event: EventRow
    tier: Tier
    quality: float
    quality_parts: Mapping[str, float]
    reward: float
    reward_parts: Mapping[str, float]
    held: str


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

    def forget(self, event_id: int) -> None:
        """It has changed and must be read again."""
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
    config, categories = load_config(home), load_categories(home)
    now = time.time()
    recent: dict[str, int] = {}
    with open_store(home.store) as store:
        found = events.get_many(store, ids)
        for event in found:
            if event.category not in recent:
                since = now - events.RECENT_SECONDS
                recent[event.category] = events.recent_count(store, event.category, since)
    return [_item(event, categories, config, now, recent[event.category]) for event in found]


def _item(event: EventRow, categories: Mapping[str, Category], config: Config, now: float, recent: int) -> ReviewItem:
    from core.select.difficulty import difficulty
    from core.select.lessons import lessons_from
    from core.select.reward import reward
    from core.validate.feedback import current_feedback_type
    from core.validate.gate import Held
    from core.validate.quality import assess_event

    own = categories.get(event.category) or Category(name=event.category, title="")
    assessment = assess_event(event, own)
    worth = reward(
        event.score,
        current_feedback_type(event),
        age_days=(now - event.created_at) / _DAY,
        difficulty=difficulty(own.complexity, len(event.prompt), len(event.context)),
        recent=recent,
        constants=config.select,
    )
    lesson = next(iter(lessons_from([event], own, now=now, recent=recent, common=(), constants=config.select)), None)
    return ReviewItem(
        event=event,
        tier=assessment.tier,
        quality=assessment.quality,
        quality_parts=assessment.parts,
        reward=worth.value,
        reward_parts={
            "score": worth.base,
            "feedback": worth.bonus,
            "age ×": worth.decay,
            "difficulty ×": worth.difficulty_factor,
            "balance ×": worth.balance,
        },
        held=str(lesson) if isinstance(lesson, Held) else "",
    )
