"""Retention: a category keeps at most so many events; the oldest of the lowest tier go first.

Never removed are events with a human judgment, held-out events (the bucket of their prompt is below
`select.held_out_percent`), members of a frozen dataset, and those that a pair or an A/B test refers to.

Held-out events are never removed and so grow with the stream; half of the limit is kept for the others, or a category
would end with nothing but tests. It then has more events than the limit, and the report says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from core.config import Config
from core.select.alike.near import near_keys
from storage import events, retention
from storage.db import Store
from storage.retention import Removable
from storage.rows import Tier

DAY: Final = 86_400.0
BATCH: Final = 500
"""Events removed in one transaction, so that nobody waits long for the store."""
WORDS: Final[Mapping[str, str]] = {
    "held out": "held out for testing",
    "judgments": "judged by a person",
    "dataset_items": "in a dataset",
    "pairs": "in a preference pair",
    "ab_pairs": "in an A/B test",
    "comparisons": "ranked by a person",
}


@dataclass(frozen=True, slots=True)
class CleanedUp:
    """What became of a category with more than `limit` events, or what would become of it.

    `removed` counts by tier, `youngest_days` is the age of the youngest event that went, None when none did. When more
    than the limit remains, `protected` says how many are kept for which reason; an event may have several.
    """

    category: str
    limit: int
    before: int
    removed: Mapping[Tier, int]
    youngest_days: float | None
    protected: Mapping[str, int]

    @property
    def remaining(self) -> int:
        """How many events are left."""
        return self.before - sum(self.removed.values())

    @property
    def over(self) -> int:
        """How many more than the limit are left because they are protected."""
        return max(0, self.remaining - self.limit)


def clean_up(
    store: Store, config: Config, categories: Iterable[str] | None = None, *, now: float, dry_run: bool = False
) -> list[CleanedUp]:
    """Brings each category (all of them without `categories`) down to `capture.retention` events, as far as allowed.

    One report for each category that had too many, by name. Short transactions: others may write in between, and what
    they protect meanwhile stays. With `dry_run` nothing is removed. `now` is in seconds since the epoch.
    """
    limit = config.capture.retention
    counts = (
        retention.totals(store)
        if categories is None
        else {name: retention.total(store, name) for name in sorted(set(categories))}
    )
    return [_clean_up(store, config, name, now, dry_run) for name, count in counts.items() if count > limit]


def _clean_up(store: Store, config: Config, category: str, now: float, dry_run: bool) -> CleanedUp:
    limit, held_out = config.capture.retention, config.select.held_out_percent
    before = retention.total(store, category)
    removed: dict[Tier, int] = {}
    youngest: float | None = None
    for tier, batch in (_planned if dry_run else _gone)(store, category, config):
        removed[tier] = removed.get(tier, 0) + len(batch)
        last = batch[-1].created_at
        youngest = last if youngest is None else max(youngest, last)
    over = before - sum(removed.values()) > limit
    kept = retention.protected(store, category, held_out_percent=held_out) if over else {}
    return CleanedUp(
        category=category,
        limit=limit,
        before=before,
        removed=removed,
        youngest_days=None if youngest is None else (now - youngest) / DAY,
        protected={WORDS.get(reason, reason): count for reason, count in kept.items()},
    )


def _planned(store: Store, category: str, config: Config) -> Iterator[tuple[Tier, list[Removable]]]:
    """What would go, tier by tier, in batches."""
    excess = _excess(store, category, config)
    for tier in retention.TIERS:
        after = retention.START
        while batch := _oldest(store, category, tier, config, after=after, excess=excess):
            yield tier, batch
            excess, after = excess - len(batch), batch[-1]


def _gone(store: Store, category: str, config: Config) -> Iterator[tuple[Tier, list[Removable]]]:
    """What went, tier by tier; each batch is chosen and removed under the write lock."""
    seen = store.data_version()
    excess = _excess(store, category, config)
    for tier in retention.TIERS:
        after = retention.START
        while excess > 0:
            with store.transaction():
                # Counted anew only when another process has written since: counting a large category takes a while.
                version = store.data_version()
                if version != seen:
                    excess, seen = _excess(store, category, config), version
                batch = _oldest(store, category, tier, config, after=after, excess=excess)
                if not batch:
                    break
                _remove(store, [one.id for one in batch])
            yield tier, batch
            excess, after = excess - len(batch), batch[-1]


def _excess(store: Store, category: str, config: Config) -> int:
    """How many events should go."""
    limit = config.capture.retention
    over = retention.total(store, category) - limit
    if over <= 0:
        return 0
    trainable = retention.trainable(store, category, held_out_percent=config.select.held_out_percent)
    return min(over, trainable - limit // 2)


def _oldest(
    store: Store, category: str, tier: Tier, config: Config, *, after: Removable, excess: int
) -> list[Removable]:
    """The next batch to go, of at most `excess` events."""
    if excess <= 0:
        return []
    held_out = config.select.held_out_percent
    limit = min(excess, BATCH)
    return retention.removable(store, category, tier, held_out_percent=held_out, after=after, limit=limit)


def _remove(store: Store, ids: Sequence[int]) -> None:
    # The keys of a chat's later turns were made with the earlier ones; they go with the next sweep of lone keys.
    keys = [
        (key, row.id)
        for row in events.get_many(store, ids)
        for key in near_keys(row.category, row.prompt, row.response)
    ]
    retention.remove(store, ids, keys)
