"""Ratings against a published worked example, against choix and against scipy; and what has no finite maximum."""

from __future__ import annotations

import math
import random

import choix
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize
from versions_kit import add_version

from core.paths import Home
from core.prove.rating import ELO, Games, fit, games_of, ratings
from storage import ab_tests
from storage.db import Store
from storage.rows import AbPairRow, Winner

# Agresti, Categorical Data Analysis (2nd ed., 2002), section 10.6: baseball, Eastern Division of the American League,
# 1987. Row beats column. Milwaukee, Detroit, Toronto, New York, Boston, Cleveland, Baltimore.
BASEBALL = [
    [0, 7, 9, 7, 7, 9, 11],
    [6, 0, 7, 5, 11, 9, 9],
    [4, 6, 0, 7, 7, 8, 12],
    [6, 8, 6, 0, 6, 7, 10],
    [6, 2, 6, 7, 0, 7, 12],
    [4, 4, 5, 6, 6, 0, 6],
    [2, 4, 1, 3, 1, 7, 0],
]
# Davidson (1970): chocolate puddings of six brands, with ties. (i, j): i preferred, j preferred, no preference.
PUDDING: Games = {
    (1, 2): (19, 22, 16), (1, 3): (16, 19, 12), (2, 3): (19, 19, 10), (1, 4): (18, 23, 13), (2, 4): (23, 19, 9),
    (3, 4): (19, 20, 15), (1, 5): (13, 19, 18), (2, 5): (16, 20, 12), (3, 5): (16, 15, 17), (4, 5): (17, 14, 16),
    (1, 6): (18, 21, 12), (2, 6): (22, 20, 12), (3, 6): (13, 18, 10), (4, 6): (14, 19, 18), (5, 6): (11, 21, 12),
}  # fmt: skip


def baseball() -> Games:
    return {(i, j): (BASEBALL[i][j], BASEBALL[j][i], 0) for i in range(7) for j in range(i)}


def test_the_baseball_table_gives_the_published_strengths() -> None:
    found = fit(baseball(), 6)
    assert not found.separated and found.ties == 0.0
    published = [1.58, 1.44, 1.29, 1.25, 1.11, 0.68, 0.0]
    assert [round(found.theta[team], 2) for team in range(7)] == published
    assert all(0.3 < found.errors[team] < 0.35 for team in range(6)) and found.errors[6] == 0.0


def test_without_ties_it_is_what_choix_finds() -> None:
    draw = random.Random(4)
    for games in (
        baseball(),
        {(i, j): (draw.randint(1, 9), draw.randint(1, 9), 0) for i in range(5) for j in range(i)},
    ):
        size = max(max(pair) for pair in games) + 1
        told = [pair for (i, j), won in games.items() for pair in [(i, j)] * won[0] + [(j, i)] * won[1]]
        theirs = choix.ilsr_pairwise(size, told, alpha=0.0, tol=1e-12, max_iter=10_000)
        found = fit(games, 0)
        assert [found.theta[each] for each in range(size)] == pytest.approx(list(theirs - theirs[0]), abs=1e-6)


def negative(values: np.ndarray, games: Games, names: list[int]) -> float:
    """Davidson's likelihood in its own words: shares of exp θi, exp θj and ν times the root of both."""
    worth = dict(zip(names, [1.0, *np.exp(values[:-1])], strict=True))
    total, nu = 0.0, math.exp(values[-1])
    for (i, j), (first, second, ties) in games.items():
        middle = nu * math.sqrt(worth[i] * worth[j])
        norm = worth[i] + worth[j] + middle
        total += first * math.log(worth[i] / norm) + second * math.log(worth[j] / norm) + ties * math.log(middle / norm)
    return -total


def test_with_ties_it_is_the_maximum_found_numerically() -> None:
    names = [1, 2, 3, 4, 5, 6]
    found = fit(PUDDING, 1)
    best = optimize.minimize(negative, np.zeros(6), (PUDDING, names), method="BFGS", options={"gtol": 1e-9})
    assert [found.theta[each] for each in names[1:]] == pytest.approx(list(best.x[:-1]), abs=1e-6)
    assert found.ties == pytest.approx(math.exp(best.x[-1]), abs=1e-6)
    assert found.ties == pytest.approx(0.747, abs=5e-4)
    ours = np.array([*(found.theta[each] for each in names[1:]), math.log(found.ties)])
    width = 1e-3
    hessian = np.array([
        [
            (
                negative(ours + width * (one + other), PUDDING, names)
                - negative(ours + width * (one - other), PUDDING, names)
                - negative(ours - width * (one - other), PUDDING, names)
                + negative(ours - width * (one + other), PUDDING, names)
            )
            / (4 * width * width)
            for other in np.eye(6)
        ]
        for one in np.eye(6)
    ])  # fmt: skip
    errors = np.sqrt(np.diag(np.linalg.inv(hessian)))
    assert [found.errors[each] for each in names[1:]] == pytest.approx(list(errors[:-1]), rel=1e-4)


def test_two_versions_have_the_closed_form() -> None:
    found = fit({(1, 2): (30, 60, 0)}, 1)
    assert found.theta[2] == pytest.approx(math.log(2))
    assert found.errors[2] == pytest.approx(math.sqrt(1 / 30 + 1 / 60))
    tied = fit({(1, 2): (30, 60, 10)}, 1)
    assert tied.theta[2] == pytest.approx(math.log(2))


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20), st.integers(0, 9)), min_size=3, max_size=3))
def test_the_anchor_only_moves_the_zero(counts: list[tuple[int, int, int]]) -> None:
    games: Games = dict(zip([(1, 2), (2, 3), (1, 3)], counts, strict=True))
    one, other = fit(games, 1), fit(games, 2)
    if one.separated or other.separated or 2 not in one.theta:
        return
    for each in one.theta:
        assert one.theta[each] - one.theta[2] == pytest.approx(other.theta[each], abs=1e-6)


def test_who_wins_everything_is_held_by_a_weak_prior_and_it_is_said() -> None:
    found = fit({(1, 2): (0, 8, 0), (2, 3): (5, 4, 0)}, 1)
    assert found.separated and 1.0 < found.theta[2] < 6.0 and found.errors[2] > 1.0
    only_ties = fit({(1, 2): (0, 0, 5)}, 1)
    assert only_ties.separated and only_ties.theta[2] == pytest.approx(0.0, abs=1e-9)
    # A tie may come from closeness or from a great tie parameter: only what else is known of that one tells.
    assert fit({(1, 2): (0, 8, 1)}, 1).separated
    pinned = fit({(1, 2): (0, 8, 1), (2, 3): (5, 4, 2)}, 1)
    assert not pinned.separated and 1.0 < pinned.theta[2] < 6.0


def test_who_never_met_the_rest_has_no_rating() -> None:
    found = fit({(1, 2): (3, 4, 0), (7, 8): (9, 1, 0)}, 1)
    assert set(found.theta) == {1, 2}


def a_test(store: Store, a: int, b: int, winners: str) -> None:
    test = ab_tests.start(store, created_at=1.0, category="erd", version_a=a, version_b=b, seed=0, settings={})
    known: dict[str, Winner] = {"a": "a", "b": "b", "t": "tie", "?": "tie"}
    pairs = [
        AbPairRow(test, at, None, f"p{at}", "x", "y", 50.0, 50.0, 1.0, 1.0, 1, 1, known[each], judged=each != "?")
        for at, each in enumerate(winners)
    ]
    ab_tests.add_pairs(store, pairs)
    ab_tests.finish(store, test, {}, 2.0)


def test_the_versions_of_a_category_are_rated_over_the_base(store: Store, home: Home) -> None:
    base, first, second, alone, other = (add_version(store, home, number) for number in range(5))
    a_test(store, base.id, first.id, "bbbbbbaaa")
    a_test(store, first.id, second.id, "bbbbaat??")
    a_test(store, alone.id, other.id, "ab")
    games = games_of(store, "erd")
    assert games == {(1, 2): (3, 6, 0), (2, 3): (2, 4, 1), (4, 5): (1, 1, 0)}
    rated, found = ratings(store, "erd")
    assert found is not None and not found.separated
    assert [each.version for each in rated] == [second.id, first.id, base.id, alone.id, other.id]
    assert rated[1].elo == pytest.approx(found.theta[first.id] * ELO)
    low, middle, high = rated[1].low, rated[1].elo, rated[1].high
    assert low is not None and middle is not None and high is not None and low < middle < high
    assert (rated[2].elo, rated[2].low, rated[2].games) == (0.0, None, 9)
    assert rated[3].elo is None
    assert ratings(store, "workflows") == ([], None)
