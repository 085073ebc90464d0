"""What the dashboard shows, read in a worker thread with a store of its own."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.categories import Category, load_categories
from core.config import load_config
from core.errors import FinetuneError
from core.paths import Home
from storage import aliases, events, metrics, runs, totals, versions
from storage.db import Store, open_store
from storage.errors import NotFoundError
from storage.rows import CategoryCounts, RunRow, VersionRow

if TYPE_CHECKING:
    from core.next_step import Advice

RECENT_RUNS = 6
_VISIBLE = 200
"""A tenth of one of the twenty slices of a trend."""


@dataclass(frozen=True, slots=True)
class CategoryOverview:
    """One category: its counts, score trend (0-100, oldest first), what serves, the loop's stage, what to do next and
    on which screen. `fresh` usable outputs were not trained on yet; `enough` of them make a training worth it."""

    counts: CategoryCounts
    title: str
    trend: Sequence[float]
    production: VersionRow | None
    stage: str
    next_step: str
    place: str
    fresh: int
    enough: int


@dataclass(frozen=True, slots=True)
class Overview:
    """The whole dashboard. `active` is the run that is running, `recent` the last runs, newest first.

    `figures` are the newest figures of the active run by name.
    """

    categories: Sequence[CategoryOverview]
    active: RunRow | None
    recent: Sequence[RunRow]
    read_at: float
    figures: Mapping[str, float]

    @property
    def empty(self) -> bool:
        """Whether nothing was ever recorded."""
        return not self.categories


class Trends:
    """The score trend of each category, read anew when so much has come in that one could see it: half a percent."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[int, Sequence[float]]] = {}

    def of(self, store: Store, counts: CategoryCounts) -> Sequence[float]:
        """The trend of a category as it was when it had nearly as many events."""
        total, trend = self._known.get(counts.category, (0, ()))
        if not total or abs(counts.total - total) * _VISIBLE >= counts.total:
            trend = totals.score_trend(store, counts.category)
            self._known[counts.category] = (counts.total, trend)
        return trend


@dataclass(frozen=True, slots=True)
class _Told:
    stage: str
    advice: Advice
    fresh: int
    enough: int


def read_overview(home: Home, known: Trends | None = None) -> Overview:
    """Everything the dashboard shows; `known` keeps the trends from one reading to the next.

    Raises FinetuneError when the store cannot be read.
    """
    kept = known or Trends()
    now = time.time()
    with open_store(home.store) as store:
        counts = events.category_counts(store, now=now)
        active = runs.active(store)
        figures = metrics.latest(store, active.id) if active is not None else {}
        recent = runs.list_runs(store, limit=RECENT_RUNS)
        trends = {one.category: kept.of(store, one) for one in counts}
        serving: dict[str, VersionRow] = {}
        for alias in aliases.list_aliases(store):
            try:
                serving[alias.category] = versions.get(store, alias.version_id)
            except NotFoundError:
                continue
        told = _advice(store, home, counts)
    titles = _titles(home)
    return Overview(
        categories=[
            CategoryOverview(
                counts=one,
                title=titles.get(one.category, ""),
                trend=trends[one.category],
                production=serving.get(one.category),
                stage=told[one.category].stage,
                next_step=told[one.category].advice.text,
                place=told[one.category].advice.place,
                fresh=told[one.category].fresh,
                enough=told[one.category].enough,
            )
            for one in counts
        ],
        active=active,
        recent=recent,
        read_at=now,
        figures=figures,
    )


def _advice(store: Store, home: Home, counts: Sequence[CategoryCounts]) -> dict[str, _Told]:
    """Where each category stands; an error that the user can act on is the next step itself."""
    from core.next_step import Advice, next_step, stage, until_training

    try:
        config, known = load_config(home), load_categories(home)
        found: dict[str, _Told] = {}
        for one in counts:
            own = known.get(one.category) or Category(one.category, one.category)
            fresh, enough = until_training(store, one.category, one)
            found[one.category] = _Told(
                stage(store, config, own, one), next_step(store, config, own, one), fresh, enough
            )
        return found
    except FinetuneError as error:
        return {one.category: _Told("", Advice(str(error), "dashboard"), 0, 0) for one in counts}


def _titles(home: Home) -> dict[str, str]:
    try:
        return {name: one.title for name, one in load_categories(home).items()}
    except FinetuneError:
        return {}
