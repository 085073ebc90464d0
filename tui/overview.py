"""What the dashboard shows, read in a worker thread with a store of its own."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core.categories import Category, load_categories
from core.config import load_config
from core.errors import FinetuneError
from core.paths import Home
from storage import aliases, events, metrics, runs, versions
from storage.db import Store, open_store
from storage.errors import NotFoundError
from storage.rows import CategoryCounts, RunRow, VersionRow

RECENT_RUNS = 6


@dataclass(frozen=True, slots=True)
class CategoryOverview:
    """One category: its counts, score trend (0-100, oldest first), what serves, the loop's stage, what to do next."""

    counts: CategoryCounts
    title: str
    trend: Sequence[float]
    production: VersionRow | None
    stage: str
    next_step: str


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


def read_overview(home: Home) -> Overview:
    """Everything the dashboard shows. Raises FinetuneError when the store cannot be read."""
    now = time.time()
    with open_store(home.store) as store:
        counts = events.category_counts(store, now=now)
        active = runs.active(store)
        figures = metrics.latest(store, active.id) if active is not None else {}
        recent = runs.list_runs(store, limit=RECENT_RUNS)
        trends = {one.category: events.score_trend(store, one.category) for one in counts}
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
                stage=told[one.category][0],
                next_step=told[one.category][1],
            )
            for one in counts
        ],
        active=active,
        recent=recent,
        read_at=now,
        figures=figures,
    )


def _advice(store: Store, home: Home, counts: Sequence[CategoryCounts]) -> dict[str, tuple[str, str]]:
    """Stage and next step by category; an error that the user can act on is the next step itself."""
    from core.next_step import next_step, stage

    try:
        config, known = load_config(home), load_categories(home)
        found: dict[str, tuple[str, str]] = {}
        for one in counts:
            own = known.get(one.category) or Category(one.category, one.category)
            found[one.category] = stage(store, config, own, one), next_step(store, config, own, one)
        return found
    except FinetuneError as error:
        return {one.category: ("", str(error)) for one in counts}


def _titles(home: Home) -> dict[str, str]:
    try:
        return {name: one.title for name, one in load_categories(home).items()}
    except FinetuneError:
        return {}
