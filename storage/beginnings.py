"""What was done first in a store: few and quick questions, asked after every change of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from storage.db import Store


@dataclass(frozen=True, slots=True)
class Done:
    """What there is since a moment: whether events, and how many judgments and comparisons of a person, trained
    versions that passed their proof, and promotions; whether a run waits or is at work; the `verdict` of the newest A/B
    test that has one, else empty."""

    events: bool
    judgments: int
    comparisons: int
    versions: int
    promotions: int
    run_at_work: bool
    verdict: str


_VERDICT: Final = (
    "SELECT json_extract(result, '$.verdict') FROM ab_tests WHERE created_at >= ? AND result IS NOT NULL "
    "ORDER BY id DESC LIMIT 1"
)


def anything(store: Store) -> bool:
    """Whether the store holds any event or run."""
    return bool(store.value("SELECT EXISTS (SELECT 1 FROM events) OR EXISTS (SELECT 1 FROM runs)"))


def done_since(store: Store, since: float) -> Done:
    """What there is since `since`, seconds since the epoch. Judgments and comparisons that came in with a recording
    took nobody any time and do not count."""
    return Done(
        events=anything(store),
        judgments=_count(store, "effective_judgments WHERE created_at >= ? AND seconds IS NOT NULL", since),
        comparisons=_count(store, "comparisons WHERE at >= ? AND choice <> 'undo' AND seconds IS NOT NULL", since),
        versions=_count(store, "versions WHERE created_at >= ? AND number > 0 AND proved", since),
        promotions=_count(store, "alias_changes WHERE at >= ? AND action = 'promote'", since),
        run_at_work=bool(store.value("SELECT EXISTS (SELECT 1 FROM runs WHERE status IN ('queued', 'running'))")),
        verdict=str(store.value(_VERDICT, (since,)) or ""),
    )


def _count(store: Store, what: str, since: float) -> int:
    return int(store.value(f"SELECT count(*) FROM {what}", (since,)) or 0)
