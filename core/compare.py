"""Comparing versions on demand: whom a version is tested against, the test itself, and what the last one said."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from core.categories import Category
from core.config import Config
from core.errors import FinetuneError, NotFoundError
from core.paths import Home
from core.release import promote, registry
from core.release.files import version_problem
from storage import ab_tests, versions
from storage.db import Store
from storage.rows import AbTestRow, VersionRow


def opponent_of(store: Store, config: Config, candidate: VersionRow) -> VersionRow:
    """What a version is compared with unless told otherwise: what serves today, else the untouched base.

    Raises NotFoundError when there is neither.
    """
    current = promote.serving(store, config, candidate.category)
    if current is not None and current.id != candidate.id:
        return current
    base = registry.base_of(store, candidate.category, candidate.base_model)
    if base is None:
        raise NotFoundError(
            f"The base of {candidate.name} was never exported.", hint="Name another version to compare with."
        )
    return base


def compare(
    store: Store,
    home: Home,
    config: Config,
    *,
    category: Category,
    opponent: VersionRow,
    candidate: VersionRow,
    prompts: int | None,
    seed: int,
    progress: Callable[[int, int], None] | None,
) -> Mapping[str, Any]:
    """Both versions answer held-out prompts anew; one that was broken off goes on where it was. See `told`.

    Raises FinetuneError when a version's file is missing or there is nothing to compare on.
    """
    from core.backends.llamacpp import LlamaCppBackend
    from core.prove.ab import run_ab
    from core.prove.evaluate import sampling_of
    from core.select.held_out import held_out_events

    for version in (candidate, opponent):
        if (problem := version_problem(home, version, thorough=False)) is not None:
            raise FinetuneError(f"{problem}.", title="Nothing to compare", hint="Compare other versions.")
    most = config.select.max_test
    asked = held_out_events(
        store,
        candidate.category,
        limit=min(prompts or most, most),
        held_out_percent=config.select.held_out_percent,
    )
    with LlamaCppBackend(num_ctx=config.publish.num_ctx, log=home.logs / "llamacpp.txt") as backend:
        test = run_ab(
            store,
            home,
            backend,
            opponent,
            candidate,
            category=category,
            events=asked,
            sampling=sampling_of(config.publish),
            seed=seed,
            config=config,
            progress=progress,
            again=True,
        )
    return told(test)


def latest(store: Store, candidate: VersionRow, *, against: int | None) -> Mapping[str, Any] | None:
    """The newest finished test of a version as candidate, against a version's id or any."""
    for test in ab_tests.list_tests(store, candidate.category):
        if test.version_b == candidate.id and test.result and against in (None, test.version_a):
            return told(test)
    return None


def report(store: Store, config: Config, category: Category, *, version_a: int, version_b: int) -> dict[str, Any]:
    """Everything that is known of a candidate against `version_a`, as JSON values.

    `pooled`: the result over stored prompts, shadowed requests and votes, with `sources` and `agreement`;
    `breakdown`: the same by category and by pattern of failure; `ratings`: all versions of the category, in Elo points
    over its base, with the parameters of the model.
    """
    from core.prove.breakdown import breakdown
    from core.prove.pooled import choices_of, outcomes, pooled
    from core.prove.rating import ratings

    pool = outcomes(store, version_a, version_b)
    rated, fit = ratings(store, category.name)
    names = {version.id: version.name for version in versions.list_versions(store, category.name)}
    return {
        "pooled": pooled(store, config, category, pool) | {"votes": choices_of(pool.votes)},
        "breakdown": [asdict(part) for part in breakdown(store, config, category, pool)],
        "ratings": [{"name": names.get(each.version, ""), **asdict(each)} for each in rated],
        "rating_model": {"ties": fit.ties, "separated": fit.separated} if fit is not None else None,
    }


def told(test: AbTestRow) -> dict[str, Any]:
    """A test's result with test_id, version_a, version_b and created_at."""
    return {
        **(test.result or {}),
        "test_id": test.id,
        "version_a": test.version_a,
        "version_b": test.version_b,
        "created_at": test.created_at,
    }
