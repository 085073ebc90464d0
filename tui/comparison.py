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
from core.prove.rating import Rating, ratings
from core.prove.voting import Sitting, sitting
from storage import ab_tests, aliases
from storage.db import Store, open_store
from storage.rows import AbPairRow, AbTestRow

if TYPE_CHECKING:
    from core.prove.breakdown import Part


@dataclass(frozen=True, slots=True)
class ComparisonView:
    """One test: its pairs; the pooled result over votes and shadowed requests, None where the category is gone; what
    the candidate has forgotten; the versions of the category by strength, and whether a prior holds some of them;
    whether the candidate is in production."""

    pairs: Sequence[AbPairRow]
    pooled: Mapping[str, Any] | None
    forgotten: Sequence[str]
    ratings: Sequence[Rating]
    held_by_prior: bool
    serves: bool

    def beyond(self, test: AbTestRow) -> Mapping[str, Any] | None:
        """The pooled result where it says more than that of `test`: votes, other tests, or requests still coming in."""
        if self.pooled is None or test.id not in self.pooled["tests"]:
            return None
        more = self.pooled["sources"]["votes"] or len(self.pooled["tests"]) > 1 or test.source == "shadow"
        return self.pooled if more else None


def read_comparison(home: Home, test: AbTestRow) -> ComparisonView:
    """Read a test with everything that is known of its two versions. Raises FinetuneError."""
    with open_store(home.store) as store:
        category = load_categories(home).get(test.category)
        found = None
        if category is not None:
            found = pooled(store, load_config(home), category, outcomes(store, test.version_a, test.version_b))
        rated, fit = ratings(store, test.category)
        return ComparisonView(
            ab_tests.pairs(store, test.id),
            found,
            forgotten_by(store, test.version_b),
            rated,
            fit is not None and fit.separated,
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
