"""What the scoreboard and the models screen show, read in a worker thread with a store of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from core.categories import load_categories
from core.config import load_config
from core.errors import ConfigError
from core.paths import Home
from core.release.retention import clean_up_files, disk_use, needed
from storage import ab_tests, ab_votes, aliases, datasets, deployments, versions
from storage.ab_votes import AbVoteRow
from storage.db import Store, open_store
from storage.deployments import DeploymentRow
from storage.errors import NotFoundError
from storage.rows import AbTestRow, AliasChange, AliasRow, DatasetRow, VersionRow
from tui.versions.served import Served, read_served

_POOLED: Final = 5
"""How many of the newest tests are weighed together with their votes in a list: each takes milliseconds, one of ten
thousand prompts 150 ms."""


@dataclass(frozen=True, slots=True)
class ScoreboardView:
    """A/B tests, newest first, versions by id, what is in production (version id → alias), the win rate asked for.

    `pooled` holds the result over everything known, by test, where votes or shadowed requests have a say; `served` what
    serves, by category; `votes` how many votes are in force, and the newest of them.
    """

    tests: Sequence[AbTestRow]
    versions: Mapping[int, VersionRow]
    production: Mapping[int, str]
    min_win_rate: float
    pooled: Mapping[int, Mapping[str, Any]]
    served: Mapping[str, Served] = field(default_factory=dict)
    votes: tuple[int, int] = (0, 0)

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
    its result by everything known; what servers hold of each version; bytes on the disk of all versions.

    By version: `sizes` in bytes on the disk, `freed` the bytes that a clean-up would free now, and `kept` why it would
    leave the files of the others. `served` is what serves, by category.
    """

    versions: Sequence[VersionRow]
    aliases: Sequence[AliasRow]
    history: Mapping[str, Sequence[AliasChange]]
    datasets: Mapping[int, DatasetRow]
    tests: Mapping[int, AbTestRow]
    pooled: Mapping[int, Mapping[str, Any]]
    deployed: Sequence[DeploymentRow]
    disk: int
    sizes: Mapping[int, int] = field(default_factory=dict)
    freed: Mapping[int, int] = field(default_factory=dict)
    kept: Mapping[int, str] = field(default_factory=dict)
    served: Mapping[str, Served] = field(default_factory=dict)

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
        votes = ab_votes.in_force(store, [test.id for test in tests])
        return ScoreboardView(
            tests,
            {version.id: version for version in versions.list_versions(store)},
            {alias.version_id: alias.name for alias in aliases.list_aliases(store)},
            load_config(home).ab.min_win_rate,
            _pooled(store, home, tests, votes),
            read_served(store),
            (len(votes), votes[-1].id if votes else 0),
        )


def read_models(home: Home) -> ModelsView:
    """Read the registry. Raises FinetuneError."""
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
        newest = list(tests.values())
        sizes, disk = disk_use(home, rows)
        freed, kept = _clean_up(store, home, rows)
        return ModelsView(
            rows,
            pointers,
            {alias.name: aliases.history(store, alias.name) for alias in pointers},
            sets,
            tests,
            _pooled(store, home, newest, ab_votes.in_force(store, [test.id for test in newest])),
            deployments.list_deployments(store),
            disk,
            sizes,
            freed,
            kept,
            read_served(store),
        )


def _clean_up(store: Store, home: Home, rows: Sequence[VersionRow]) -> tuple[Mapping[int, int], Mapping[int, str]]:
    """What a clean-up would free now in bytes, by version, and why it would leave the others their files; nothing of
    either where the settings, which say how many versions are kept, cannot be read."""
    try:
        config = load_config(home)
    except ConfigError:
        return {}, {}
    ids = {version.name: version.id for version in rows}
    planned = clean_up_files(store, home, config, now=0.0, dry_run=True)
    kept: dict[int, str] = {}
    for category in {version.category for version in rows} if config.publish.keep_versions else ():
        kept |= needed(store, config, category)
    return {ids[each.version]: each.bytes for each in planned if each.bytes and each.version in ids}, kept


def _pooled(
    store: Store, home: Home, tests: Sequence[AbTestRow], votes: Sequence[AbVoteRow]
) -> dict[int, Mapping[str, Any]]:
    """The results of the newest of these tests where more than their own scores has a say. Raises FinetuneError."""
    voted = {vote.test_id for vote in votes}
    more = [test for test in tests if test.id in voted or test.source == "shadow"][:_POOLED]
    if not more:
        return {}
    # The statistics are not needed before anybody voted.
    from core.prove.pooled import outcomes, pooled

    config, known = load_config(home), load_categories(home)
    return {
        test.id: pooled(
            store, config, known[test.category], outcomes(store, test.version_a, test.version_b), bootstrap=False
        )
        for test in more
        if test.category in known
    }
