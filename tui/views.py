"""What the scoreboard and the models screen show, read in a worker thread with a store of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from core.categories import load_categories
from core.config import load_config
from core.paths import Home
from core.release.retention import disk_use
from storage import ab_tests, ab_votes, aliases, datasets, deployments, versions
from storage.db import Store, open_store
from storage.deployments import DeploymentRow
from storage.errors import NotFoundError
from storage.rows import AbTestRow, AliasChange, AliasRow, DatasetRow, VersionRow

_POOLED: Final = 5
"""How many of the newest tests are weighed together with their votes in a list: each takes some 30 ms."""


@dataclass(frozen=True, slots=True)
class ScoreboardView:
    """A/B tests, newest first, versions by id, what is in production (version id → alias), the win rate asked for.

    `pooled` holds the result over everything known, by test, where votes or shadowed requests have a say.
    """

    tests: Sequence[AbTestRow]
    versions: Mapping[int, VersionRow]
    production: Mapping[int, str]
    min_win_rate: float
    pooled: Mapping[int, Mapping[str, Any]]

    def name(self, version_id: int) -> str:
        """A version's name, or its number where it is gone."""
        version = self.versions.get(version_id)
        return version.name if version is not None else f"version {version_id}"

    @property
    def candidate(self) -> VersionRow | None:
        """The newest trained version that is not in production: what an A/B test is wanted of next."""
        known = self.versions.values()
        trained = [version for version in known if version.number and version.id not in self.production]
        return max(trained, key=lambda version: version.id, default=None)


@dataclass(frozen=True, slots=True)
class ModelsView:
    """All versions, the aliases with their history, the datasets, and each version's newest A/B test as candidate with
    its result by everything known; what servers hold of each version; bytes on the disk of all versions."""

    versions: Sequence[VersionRow]
    aliases: Sequence[AliasRow]
    history: Mapping[str, Sequence[AliasChange]]
    datasets: Mapping[int, DatasetRow]
    tests: Mapping[int, AbTestRow]
    pooled: Mapping[int, Mapping[str, Any]]
    deployed: Sequence[DeploymentRow]
    disk: int

    @property
    def production(self) -> Mapping[int, str]:
        """The alias of each version that is in production."""
        return {alias.version_id: alias.name for alias in self.aliases}

    def version(self, version_id: int | None) -> VersionRow | None:
        """The version with this id, or None."""
        return next((version for version in self.versions if version.id == version_id), None)

    def name(self, version_id: int | None) -> str:
        """A version's name; `nothing` where there was none."""
        version = self.version(version_id)
        return version.name if version is not None else "nothing" if version_id is None else f"version {version_id}"

    def alias_of(self, category: str) -> AliasRow | None:
        """The alias of a category, or None while nothing was promoted."""
        return next((alias for alias in self.aliases if alias.category == category), None)


def read_scoreboard(home: Home) -> ScoreboardView:
    """Read the scoreboard. Raises FinetuneError."""
    with open_store(home.store) as store:
        tests = ab_tests.list_tests(store)
        return ScoreboardView(
            tests,
            {version.id: version for version in versions.list_versions(store)},
            {alias.version_id: alias.name for alias in aliases.list_aliases(store)},
            load_config(home).ab.min_win_rate,
            _pooled(store, home, tests),
        )


def read_models(home: Home) -> ModelsView:
    """Read the registry. Raises StoreError."""
    with open_store(home.store) as store:
        rows = versions.list_versions(store)
        pointers = aliases.list_aliases(store)
        sets: dict[int, DatasetRow] = {}
        for dataset_id in {version.dataset_id for version in rows if version.dataset_id is not None}:
            try:
                sets[dataset_id] = datasets.get(store, dataset_id)
            except NotFoundError:
                continue
        tests: dict[int, AbTestRow] = {}
        for test in ab_tests.list_tests(store):
            tests.setdefault(test.version_b, test)
        return ModelsView(
            rows,
            pointers,
            {alias.name: aliases.history(store, alias.name) for alias in pointers},
            sets,
            tests,
            _pooled(store, home, list(tests.values())),
            deployments.list_deployments(store),
            disk_use(home, rows)[1],
        )


def _pooled(store: Store, home: Home, tests: Sequence[AbTestRow]) -> dict[int, Mapping[str, Any]]:
    """The results of the newest of these tests where more than their own scores has a say. Raises FinetuneError."""
    voted = {vote.test_id for vote in ab_votes.in_force(store, [test.id for test in tests])}
    more = [test for test in tests if test.id in voted or test.source == "shadow"][:_POOLED]
    if not more:
        return {}
    # The statistics are not needed before anybody voted.
    from core.prove.pooled import outcomes, pooled

    config, known = load_config(home), load_categories(home)
    return {
        test.id: pooled(store, config, known[test.category], outcomes(store, test.version_a, test.version_b))
        for test in more
        if test.category in known
    }
