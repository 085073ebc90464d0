"""The figures that `stats` shows: what is there, how good it is, what serves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from statistics import fmean
from typing import Any

from core.categories import Category, select_of
from core.config import Config
from core.prove.watch import watch
from core.release.promote import alias_name
from core.select.lessons import reward_of
from core.select.own_reward import RewardFunction
from storage import ab_tests, aliases, events, totals, versions
from storage.db import Store
from storage.rows import CategoryCounts, EventFilter

REWARD_SAMPLE = 500
OwnReward = Callable[[Category], RewardFunction | None]


def figures(
    store: Store,
    config: Config,
    categories: Mapping[str, Category],
    *,
    now: float,
    next_step: Callable[[str], str],
    own_reward: OwnReward,
) -> dict[str, Any]:
    """All figures as JSON values. `mean_reward` is over the newest 500 events of a category, as of `now`."""
    counted = events.category_counts(store, now=now)
    results = [test.result for test in ab_tests.list_tests(store) if test.result and test.result.get("n")]
    return {
        "total": sum(one.total for one in counted),
        "tiers": {
            tier: sum(getattr(one, tier) for one in counted) for tier in ("gold", "silver", "bronze", "rejected")
        },
        "sources": totals.by_source(store),
        "feedback_types": totals.by_feedback_type(store),
        "judged": sum(one.judged for one in counted),
        "human_corrections": sum(one.corrected for one in counted),
        "rag_enhanced": totals.with_context(store),
        "pairs": totals.pairs(store),
        "batches": totals.datasets(store),
        "runs": totals.runs_by_status(store),
        "versions": sum(version.number > 0 for version in versions.list_versions(store)),
        "deployed": [
            {"alias": alias.name, "category": alias.category, "version": versions.get(store, alias.version_id).name}
            for alias in aliases.list_aliases(store)
        ],
        "ab_tests": len(results),
        "mean_win_rate": fmean(result["win_rate"] for result in results) if results else None,
        "categories": [
            _category(
                store, config, categories.get(one.category), one, now=now, next_step=next_step, own_reward=own_reward
            )
            for one in counted
        ],
    }


def _category(
    store: Store,
    config: Config,
    known: Category | None,
    counts: CategoryCounts,
    *,
    now: float,
    next_step: Callable[[str], str],
    own_reward: OwnReward,
) -> dict[str, Any]:
    alias = aliases.get(store, alias_name(config, counts.category))
    return {
        **asdict(counts),
        "title": known.title if known else counts.category,
        "mean_reward": _mean_reward(store, config, known, counts, now=now, own_reward=own_reward),
        "trend": totals.score_trend(store, counts.category, buckets=10),
        "alias": alias.name if alias else None,
        "serving": versions.get(store, alias.version_id).name if alias else None,
        "production": _production(store, config, known, counts.category, now=now) if alias else None,
        "next_step": next_step(counts.category),
    }


def _production(
    store: Store, config: Config, known: Category | None, category: str, *, now: float
) -> dict[str, Any] | None:
    """How what serves does against what served before; None where there is nothing to compare."""
    score = (known or Category(category, category)).success_score
    found = watch(store, config, category, success_score=score, now=now)
    return None if found.verdict == "nothing to watch" else found.to_json()


def _mean_reward(
    store: Store,
    config: Config,
    known: Category | None,
    counts: CategoryCounts,
    *,
    now: float,
    own_reward: OwnReward,
) -> float | None:
    newest = events.event_ids(store, EventFilter(category=counts.category), order="newest")[:REWARD_SAMPLE]
    own = known or Category(counts.category, counts.category)
    constants, function = select_of(own, config), own_reward(own)
    values = [
        reward_of(event, event.score, own, now=now, recent=counts.recent, constants=constants, own=function).value
        for event in events.get_many(store, newest)
    ]
    return fmean(values) if values else None
