"""What is known of two versions beyond one test, as the scoreboard shows it; read in a worker thread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from core.categories import load_categories
from core.config import load_config
from core.paths import Home
from core.prove.ab import forgotten_by
from core.prove.pooled import Pool, outcomes, pooled, settle
from core.prove.voting import Sitting, sitting
from storage import ab_tests, ab_votes, aliases
from storage.ab_votes import AbVoteRow
from storage.db import Store, open_store
from storage.rows import AbPairRow, AbTestRow
from tui.versions.standings import Standings

if TYPE_CHECKING:
    from core.prove.breakdown import Part


@dataclass(frozen=True, slots=True)
class Examples:
    """The pairs of a test by position, and the votes in force on them, oldest first, by position."""

    pairs: Sequence[AbPairRow]
    votes: Mapping[int, Sequence[AbVoteRow]]


@dataclass(frozen=True, slots=True)
class ComparisonView:
    """The pooled result of the two versions of a test over votes and shadowed requests, None where the category is
    gone; what the candidate has forgotten; the versions of the category by strength, empty until that was reckoned;
    whether the candidate is in production."""

    pooled: Mapping[str, Any] | None
    forgotten: Sequence[str]
    standings: Standings
    serves: bool

    def beyond(self, test: AbTestRow) -> Mapping[str, Any] | None:
        """The pooled result where it says more than that of `test`: votes, other tests, or requests still coming in."""
        if self.pooled is None or test.id not in self.pooled["tests"]:
            return None
        more = self.pooled["sources"]["votes"] or len(self.pooled["tests"]) > 1 or test.source == "shadow"
        return self.pooled if more else None


def read_examples(home: Home, test: AbTestRow) -> Examples:
    """Read the pairs of a test with their votes. Raises StoreError."""
    with open_store(home.store) as store:
        votes: dict[int, list[AbVoteRow]] = {}
        for vote in ab_votes.in_force(store, [test.id]):
            votes.setdefault(vote.position, []).append(vote)
        return Examples(ab_tests.pairs(store, test.id), votes)


def read_comparison(home: Home, test: AbTestRow, standings: Standings) -> ComparisonView:
    """Read what is known of the two versions of a test. Raises FinetuneError."""
    with open_store(home.store) as store:
        category = load_categories(home).get(test.category)
        found: Mapping[str, Any] | None = None
        if category is not None:
            pool = outcomes(store, test.version_a, test.version_b)
            found = pooled(store, load_config(home), category, pool, bootstrap=False)
        return ComparisonView(
            found,
            forgotten_by(store, test.version_b),
            standings,
            any(alias.version_id == test.version_b for alias in aliases.list_aliases(store)),
        )


def read_parts(home: Home, test: AbTestRow) -> tuple[Pool, Sequence[Part]]:
    """Read the outcomes by category and pattern; grouping the failures may take a second. Raises FinetuneError."""
    # It groups texts with numpy, which nothing else on this screen needs.
    from core.prove.breakdown import breakdown

    with open_store(home.store) as store:
        pool = outcomes(store, test.version_a, test.version_b)
        category = load_categories(home).get(test.category)
        return pool, breakdown(store, load_config(home), category, pool) if category is not None else ()


def read_sitting(home: Home, test: AbTestRow) -> Sitting:
    """Read what can be voted on. Raises StoreError."""
    with open_store(home.store) as store:
        return sitting(store, test.version_a, test.version_b)


def settled(store: Store, home: Home, test: AbTestRow) -> None:
    """After votes: ends the shadow test of these versions if everything together decides now."""
    category = load_categories(home).get(test.category)
    if category is not None:
        settle(store, load_config(home), category, test.version_a, test.version_b)
