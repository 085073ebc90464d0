from __future__ import annotations

import math

import pytest

from benchmarks.learning.report import estimate, needed, paired, relative


def test_interval_is_that_of_students_t() -> None:
    found = estimate([1.0, 2.0, 3.0, 4.0, 5.0])
    # t(0.975, 4) = 2.776445, standard error = sqrt(2.5 / 5): any table of the distribution
    half = 2.776445 * math.sqrt(2.5 / 5)
    assert (found.mean, found.n) == (3.0, 5)
    assert found.low == pytest.approx(3.0 - half, abs=1e-5)
    assert found.high == pytest.approx(3.0 + half, abs=1e-5)


@pytest.mark.parametrize(
    ("differences", "verdict"),
    [([1.0, 1.1, 0.9], "helps"), ([-1.0, -1.1, -0.9], "hurts"), ([1.0, -1.0, 0.5], "no effect"), ([5.0], "no effect")],
)
def test_a_verdict_needs_an_interval_beyond_zero(differences: list[float], verdict: str) -> None:
    assert estimate(differences).verdict == verdict


def test_pairs_are_seeds_that_both_arms_have() -> None:
    first, second = {0: 70.0, 1: 80.0, 2: 60.0}, {1: 84.0, 2: 66.0, 3: 99.0}
    difference, change = paired(first, second), relative(first, second)
    assert difference is not None
    assert change is not None
    assert (difference.mean, difference.n) == (5.0, 2)
    assert change.mean == pytest.approx(150.0 / 140.0 - 1.0)
    assert paired({0: 1.0}, {1: 1.0}) is None


def test_a_change_that_all_seeds_share_has_no_spread() -> None:
    change = relative({0: 10.0, 1: 50.0, 2: 20.0}, {0: 15.0, 1: 75.0, 2: 30.0})
    assert change is not None
    assert (change.mean, change.low, change.high) == pytest.approx((0.5, 0.5, 0.5))


def test_a_seed_near_zero_does_not_decide_a_change() -> None:
    change = relative({0: 0.1, 1: 50.0, 2: 50.0}, {0: 50.0, 1: 50.0, 2: 50.0})
    assert change is not None
    assert change.mean == pytest.approx(0.5, abs=0.01)
    assert relative({0: 0.0}, {0: 5.0}) is None


def test_a_curve_is_crossed_on_a_logarithmic_axis() -> None:
    curve = [(10.0, 60.0), (100.0, 80.0), (1000.0, 90.0)]
    assert needed(curve, 70.0) == pytest.approx(math.sqrt(10.0 * 100.0))
    assert needed(curve, 80.0) == pytest.approx(100.0)
    assert needed(curve, 50.0) == 10.0
    assert needed(curve, 95.0) is None


def test_the_first_crossing_counts() -> None:
    assert needed([(1.0, 0.0), (2.0, 10.0), (4.0, 0.0), (8.0, 10.0)], 10.0) == pytest.approx(2.0)
