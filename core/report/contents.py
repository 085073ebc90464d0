"""What a report holds, gathered from the store. Nothing here knows how it is drawn."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from core.categories import Category, select_of
from core.config import Config
from core.errors import FinetuneError
from core.paths import Home
from core.prove.pooled import outcomes, pooled
from core.select.lessons import reward_of
from core.select.own_reward import reward_function
from storage import ab_tests, aliases, datasets, events, metrics, periods, runs, versions
from storage.db import Store
from storage.periods import Judged, Slice
from storage.rows import AliasChange, DatasetRow, EventFilter, RunRow, VersionRow

SLICES_MOST: Final = 48
REWARDS_MOST: Final = 2_000
REWARD_BINS: Final = 20
RUNS_MOST: Final = 60
_DAY: Final = 86_400.0
_STEPS: Final = (3_600.0, 6 * 3_600.0, _DAY, 7 * _DAY, 30 * _DAY, 91 * _DAY, 365 * _DAY)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a report is wanted of: one category or all, from `since` (inclusive) to `until` (exclusive), seconds since
    the epoch, None for the first and the last event; or one version, whose category and time it then is."""

    category: str | None = None
    since: float | None = None
    until: float | None = None
    version: str | None = None


@dataclass(frozen=True, slots=True)
class Period:
    """The time that a report covers, cut into slices of `seconds`; `open` where no end was asked for."""

    since: float
    until: float
    seconds: float
    open: bool

    @property
    def count(self) -> int:
        """How many slices there are."""
        return max(1, -int(-(self.until - self.since) // self.seconds))


@dataclass(frozen=True, slots=True)
class Rewards:
    """How the rewards (−1 to 1, as of now) of the newest events spread: `counts` over equal bins from −1 to 1."""

    counts: tuple[int, ...]
    mean: float | None
    of: int


@dataclass(frozen=True, slots=True)
class RunFigures:
    """A run with its loss (step, value), oldest first, and what became of it."""

    run: RunRow
    loss: tuple[tuple[int, float], ...]
    version: VersionRow | None


@dataclass(frozen=True, slots=True)
class Change:
    """One promotion, roll-back or undo with the names of the versions."""

    change: AliasChange
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class VersionFigures:
    """A version with what it was made from."""

    version: VersionRow
    parent: str
    dataset: DatasetRow | None
    run: RunFigures | None
    serves: bool


@dataclass(frozen=True, slots=True)
class Contents:
    """Everything that a report shows. `tests` are results over everything known, the newest first."""

    asked: Asked
    made_at: float
    period: Period
    slices: Sequence[Slice]
    judged: Judged
    findings: Sequence[tuple[str, int]]
    rewards: Rewards
    runs: Sequence[RunFigures]
    tests: Sequence[Mapping[str, Any]]
    versions: Sequence[VersionFigures]
    changes: Sequence[Change]
    next_steps: Mapping[str, str]
    min_win_rate: float

    @property
    def total(self) -> int:
        """Events in the period."""
        return sum(one.total for one in self.slices)

    def of_tier(self, tier: str) -> int:
        """Events of a tier in the period."""
        return sum(getattr(one, tier) for one in self.slices)

    @property
    def mean_score(self) -> float | None:
        """Over all events of the period that have a score."""
        scored = sum(one.scored for one in self.slices)
        return sum((one.mean_score or 0.0) * one.scored for one in self.slices) / scored if scored else None


def contents(
    store: Store,
    home: Home,
    config: Config,
    categories: Mapping[str, Category],
    asked: Asked,
    *,
    next_steps: Mapping[str, str],
    now: float | None = None,
) -> Contents:
    """Gather a report. Raises FinetuneError for an unknown category or version, or where there is nothing to tell."""
    at = time.time() if now is None else now
    chosen = versions.by_name(store, asked.version) if asked.version else None
    category = chosen.category if chosen is not None else asked.category
    known = _known(store, categories, category, at)
    everything = EventFilter(category=category, since=asked.since, until=asked.until)
    period = _period(periods.extent(store, everything), asked, at)
    within = EventFilter(category=category, since=period.since, until=period.until)
    scope = _Scope(store, home, config, categories, category, chosen, period)
    return Contents(
        asked=asked,
        made_at=at,
        period=period,
        slices=periods.slices(store, within, start=period.since, seconds=period.seconds),
        judged=periods.judged(
            store, category=category, since=period.since, until=math.inf if period.open else period.until
        ),
        findings=periods.findings(store, within),
        rewards=scope.rewards(within, at),
        runs=scope.runs(),
        tests=scope.tests(),
        versions=scope.versions(),
        changes=scope.changes(),
        next_steps={name: step for name, step in next_steps.items() if name in known and category in (None, name)},
        min_win_rate=config.ab.min_win_rate,
    )


def _known(store: Store, categories: Mapping[str, Category], category: str | None, now: float) -> set[str]:
    """The categories that have events. Raises FinetuneError for another one, or where there is none."""
    known = {one.category for one in events.category_counts(store, now=now)}
    if not known:
        raise FinetuneError(
            "Nothing has been recorded yet.", title="No report", hint="Record or import some outputs first."
        )
    if category is not None and category not in known | set(categories):
        raise FinetuneError(
            f"There is no category {category}.", title="No report", hint=f"Known are: {', '.join(sorted(known))}."
        )
    return known


def _period(extent: tuple[float, float] | None, asked: Asked, now: float) -> Period:
    first, last = extent or (now - _DAY, now)
    since = first if asked.since is None else asked.since
    until = last + 1.0 if asked.until is None else asked.until
    if until <= since:
        raise FinetuneError(
            "The period ends before it begins.", title="No report", hint="Give a --since that is before --until."
        )
    seconds = next((step for step in _STEPS if (until - since) / step <= SLICES_MOST), _STEPS[-1])
    return Period(since, until, seconds, asked.until is None)


@dataclass(frozen=True, slots=True)
class _Scope:
    """Where to look, and for what: `category` None means all, `chosen` is the version that was asked for."""

    store: Store
    home: Home
    config: Config
    categories: Mapping[str, Category]
    category: str | None
    chosen: VersionRow | None
    period: Period

    def rewards(self, within: EventFilter, now: float) -> Rewards:
        counts = {one.category: one.recent for one in events.category_counts(self.store, now=now)}
        newest = events.event_ids(self.store, within, order="newest")[:REWARDS_MOST]
        functions = {name: reward_function(own, self.home) for name, own in self.categories.items()}
        bins, total = [0] * REWARD_BINS, 0.0
        for event in events.get_many(self.store, newest):
            own = self._own(event.category)
            value = reward_of(
                event,
                event.score,
                own,
                now=now,
                recent=counts[event.category],
                constants=select_of(own, self.config),
                own=functions.get(event.category),
            ).value
            bins[min(REWARD_BINS - 1, int((value + 1.0) / 2.0 * REWARD_BINS))] += 1
            total += value
        return Rewards(tuple(bins), total / len(newest) if len(newest) else None, len(newest))

    def runs(self) -> list[RunFigures]:
        made = {version.run_id: version for version in versions.list_versions(self.store, self.category)}
        rows = runs.list_runs(self.store, category=self.category, limit=RUNS_MOST)
        wanted = [run for run in rows if self._concerns(run)]
        return [self._run(run, made.get(run.id)) for run in wanted]

    def _concerns(self, run: RunRow) -> bool:
        if self.chosen is not None:
            return run.id == self.chosen.run_id
        return self._in_time(run.created_at)

    def _in_time(self, at: float) -> bool:
        """Training follows what was recorded: without an end that was asked for, all that came after belongs to it."""
        return at >= self.period.since and (self.period.open or at < self.period.until)

    def _run(self, run: RunRow, version: VersionRow | None) -> RunFigures:
        loss = tuple((metric.step, metric.value) for metric in metrics.metrics(self.store, run.id, names=("loss",)))
        return RunFigures(run, loss, version)

    def versions(self) -> list[VersionFigures]:
        rows = versions.list_versions(self.store, self.category)
        names = {version.id: version.name for version in rows}
        serving = {alias.version_id for alias in aliases.list_aliases(self.store)}
        return [
            VersionFigures(
                version,
                names.get(version.parent_id or 0, ""),
                datasets.get(self.store, version.dataset_id) if version.dataset_id is not None else None,
                self._run(runs.get(self.store, version.run_id), version) if version.run_id is not None else None,
                version.id in serving,
            )
            for version in sorted(rows, key=lambda each: -each.id)
            if self.chosen is None or version.id == self.chosen.id
        ]

    def tests(self) -> list[Mapping[str, Any]]:
        found: list[Mapping[str, Any]] = []
        seen: set[tuple[int, int]] = set()
        for test in ab_tests.list_tests(self.store, self.category):
            arms = (test.version_a, test.version_b)
            wanted = self.chosen.id in arms if self.chosen is not None else self._in_time(test.created_at)
            pool = outcomes(self.store, *arms) if wanted and arms not in seen else None
            seen.add(arms)
            if pool is not None and pool.outcomes:
                found.append(pooled(self.store, self.config, self._own(test.category), pool, bootstrap=False))
        return found

    def changes(self) -> list[Change]:
        names = {version.id: version.name for version in versions.list_versions(self.store)}
        found = [
            Change(change, names.get(change.from_version or 0, "the base model"), names.get(change.to_version, "?"))
            for alias in aliases.list_aliases(self.store)
            if self.category in (None, alias.category)
            for change in aliases.history(self.store, alias.name)
            if self.chosen is None or self.chosen.id in (change.from_version, change.to_version)
        ]
        return sorted(found, key=lambda each: -each.change.at)

    def _own(self, category: str) -> Category:
        return self.categories.get(category) or Category(category, category)
