"""The statistics against worked examples, against scipy, and against simulation."""

from __future__ import annotations

import functools
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, optimize, special
from scipy import stats as scipy_stats

from core.prove import stats

COUNTS = [(0, 0), (1, 0), (7, 0), (6, 0), (0, 9), (60, 40), (71, 29), (500, 420), (3_000, 2_800)]


def test_seven_to_nothing_is_the_earliest_promotion() -> None:
    assert stats.evidence(7, 0) == pytest.approx(31.875, abs=1e-9)  # 2 · 2^7 / 8 · (1 − 2^−8)
    assert stats.evidence(6, 0) == pytest.approx(18.142857142857, abs=1e-9)  # 2 · 2^6 / 7 · (1 − 2^−7)
    assert stats.evidence(0, 0) == pytest.approx(1.0)


@pytest.mark.parametrize(("wins", "losses"), COUNTS)
def test_evidence_equals_the_beta_function_formula(wins: int, losses: int) -> None:
    log_mixture = (wins + losses) * math.log(2) + special.betaln(1 + wins, 1 + losses)
    expected = 2 * math.exp(log_mixture) * special.betainc(1 + losses, 1 + wins, 0.5)
    assert stats.evidence(wins, losses) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("wins", "losses"), [(5, 2), (2, 5), (12, 9)])
def test_evidence_is_the_integral_that_it_stands_for(wins: int, losses: int) -> None:
    """Second derivation: the mean likelihood ratio over win rates uniform on (½, 1)."""
    steps = 20_000
    width = 0.5 / steps
    total = sum((2 * p) ** wins * (2 * (1 - p)) ** losses for p in (0.5 + width * (i + 0.5) for i in range(steps)))
    assert stats.evidence(wins, losses) == pytest.approx(2 * width * total, rel=1e-6)


@given(st.integers(1, 400), st.integers(0, 400))
def test_fair_tail_equals_the_binomial_survival_function(n: int, k: int) -> None:
    assert stats.fair_tail(n, k) == pytest.approx(scipy_stats.binom.sf(k - 1, n, 0.5), rel=1e-6, abs=1e-12)


@pytest.mark.parametrize("highest", [0.55, 0.65, 0.8, 0.99])
@pytest.mark.parametrize(("wins", "losses"), [*COUNTS, (64, 36), (2, 300), (300, 2)])
def test_a_narrower_mixture_is_the_integral_that_it_stands_for(wins: int, losses: int, highest: float) -> None:
    def likelihood(p: float) -> float:
        return math.exp((wins + losses) * math.log(2) + wins * math.log(p) + losses * math.log1p(-p))

    peak = min(max(wins / max(1, wins + losses), 0.5), highest)
    total = integrate.quad(likelihood, 0.5, peak, epsabs=0, limit=500)[0] if peak > 0.5 else 0.0
    total += integrate.quad(likelihood, peak, highest, epsabs=0, limit=500)[0] if peak < highest else 0.0
    assert stats.evidence(wins, losses, highest=highest) == pytest.approx(total / (highest - 0.5), rel=1e-6)


def test_evidence_of_a_fair_coin_has_mean_one_at_every_length() -> None:
    for n in (1, 5, 20, 60):
        for highest in (0.8, 1.0):
            mean = sum(math.comb(n, k) / 2**n * stats.evidence(k, n - k, highest=highest) for k in range(n + 1))
            assert mean == pytest.approx(1.0, rel=1e-9)


def test_evidence_stays_finite_for_very_long_tests() -> None:
    assert math.isfinite(stats.evidence(100_000, 0))
    assert stats.evidence(0, 100_000) == 0.0


@pytest.mark.parametrize(("wins", "losses", "ties"), [(7, 0, 0), (60, 40, 0), (30, 10, 11), (0, 5, 0), (0, 0, 4)])
def test_the_interval_ends_where_the_mixture_says_so(wins: int, losses: int, ties: int) -> None:
    n, score = wins + losses + ties, wins + ties / 2
    bound = math.log(0.05) + special.betaln(1 + score, 1 + n - score)

    def excess(p: float) -> float:
        return float(special.xlogy(score, p) + special.xlog1py(n - score, -p)) - bound

    low, high = stats.win_rate_interval(wins, losses, ties)
    rate = score / n
    assert low == (pytest.approx(optimize.brentq(excess, 1e-12, rate), abs=1e-6) if rate else 0.0)
    assert high == (pytest.approx(optimize.brentq(excess, rate, 1 - 1e-12), abs=1e-6) if rate < 1 else 1.0)


def test_nothing_is_known_before_the_first_test() -> None:
    assert stats.win_rate_interval(0, 0) == (0.0, 1.0)
    assert stats.wilson(0, 0) == (0.0, 1.0)


@given(low=st.integers(0, 40), first=st.integers(1, 40), after=st.integers(0, 40))
def test_the_smallest_number_is_the_first_after_the_lower_end(low: int, first: int, after: int) -> None:
    edge = low + first
    assert stats.smallest(lambda count: count >= edge, low, edge + after) == edge


def test_wilson_agrees_with_newcombes_published_example_and_scipy() -> None:
    # Newcombe, Statistics in Medicine 17 (1998) 857: 81 of 263 gives 0.2553 to 0.3662.
    assert stats.wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    for successes, n in ((81, 263), (0, 20), (20, 20), (15, 148)):
        interval = scipy_stats.binomtest(successes, n).proportion_ci(method="wilson")
        assert stats.wilson(successes, n) == pytest.approx((interval.low, interval.high), abs=1e-6)


@pytest.mark.parametrize(("first", "second"), [(0, 0), (5, 0), (59, 6), (121, 59), (8, 9)])
def test_sign_test_equals_the_exact_binomial_test(first: int, second: int) -> None:
    expected = scipy_stats.binomtest(first, first + second).pvalue if first + second else 1.0
    assert stats.sign_test(first, second) == pytest.approx(expected, rel=1e-6)


def test_non_inferiority_agrees_with_the_constrained_likelihood_found_numerically() -> None:
    for b, c, n, margin in ((5, 3, 100, 0.05), (0, 0, 100, 0.05), (2, 9, 150, 0.1), (30, 10, 200, 0.05)):
        delta = -margin

        def negative(q: float, b: int = b, c: int = c, n: int = n, delta: float = delta) -> float:
            return -float(
                special.xlogy(b, q + delta) + special.xlogy(c, q) + special.xlogy(n - b - c, 1 - 2 * q - delta)
            )

        found = optimize.minimize_scalar(
            negative, bounds=(-delta, (1 - delta) / 2), method="bounded", options={"xatol": 1e-13}
        )
        variance = n * (2 * found.x + delta * (1 - delta))
        z = (b - c - n * delta) / math.sqrt(variance)
        assert stats.non_inferiority(b, c, n, margin) == pytest.approx(scipy_stats.norm.sf(z), abs=1e-6)


def test_non_inferiority_agrees_with_tangos_published_example() -> None:
    # Tango, Statistics in Medicine 17 (1998) 891, crossover of soft lenses: 44 pairs, 0 and 1 discordant, margin 0.1,
    # gives z = 1.709 and a one-sided p of 0.044.
    assert stats.non_inferiority(0, 1, 44, 0.1) == pytest.approx(0.044, abs=5e-4)


@pytest.mark.parametrize("df", [1, 2, 3, 4, 7, 10, 99, 200, 1_001])
@pytest.mark.parametrize("t", [-4.0, -0.3, 0.0, 0.5, 1.96, 12.0])
def test_student_equals_scipy(df: int, t: float) -> None:
    assert stats.student_cdf(t, df) == pytest.approx(scipy_stats.t.cdf(t, df), abs=1e-9)
    assert stats.student_quantile(0.975, df) == pytest.approx(scipy_stats.t.ppf(0.975, df), rel=1e-6)


def test_mean_interval_on_students_own_sleep_data() -> None:
    # Student, Biometrika 6 (1908): additional sleep, two drugs, ten patients: 0.70 to 2.46.
    differences = [1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4]
    assert stats.mean_interval(differences) == pytest.approx((0.700, 2.460), abs=1e-3)
    expected = scipy_stats.ttest_1samp(differences, 0).confidence_interval()
    assert stats.mean_interval(differences) == pytest.approx((expected.low, expected.high), abs=1e-6)
    low, high = stats.bootstrap_interval(differences, seed=1)
    assert 0.7 < low < 1.1
    assert 2.1 < high < 2.6
    assert stats.bootstrap_interval(differences, seed=1) == (low, high)


def test_intervals_of_too_few_values_are_infinite() -> None:
    assert stats.mean_interval([3.0]) == (-math.inf, math.inf)
    assert stats.bootstrap_interval([], seed=0) == (-math.inf, math.inf)


def test_length_adjustment_equals_the_penalised_likelihood_found_numerically() -> None:
    draw = random.Random(3)
    lengths = [draw.gauss(0, 80) for _ in range(120)]
    outcomes = [float(draw.random() < 1 / (1 + math.exp(-0.4 - length / 60))) for length in lengths]
    outcomes[:10] = [0.5] * 10
    scale = math.sqrt(sum(length**2 for length in lengths) / len(lengths))

    def negative(beta: list[float]) -> float:
        value = beta[0] ** 2 / 200 + beta[1] ** 2 / 18
        for outcome, length in zip(outcomes, lengths, strict=True):
            eta = beta[0] + beta[1] * math.tanh(length / scale)
            value -= outcome * eta - math.log1p(math.exp(eta))
        return value

    found = optimize.minimize(negative, [0.0, 0.0], tol=1e-12)
    expected = 1 / (1 + math.exp(-found.x[0]))
    assert stats.length_adjusted_rate(outcomes, lengths) == pytest.approx(expected, abs=1e-5)


def test_a_win_by_length_alone_does_not_hold_at_equal_length() -> None:
    # Of 80 longer answers 64 win, of 20 shorter ones 4: a win rate of 68 % that is all length.
    outcomes = [1.0] * 64 + [0.0] * 16 + [1.0] * 4 + [0.0] * 16
    differences = [50.0] * 80 + [-50.0] * 20
    assert stats.length_adjusted_rate(outcomes, differences) == pytest.approx(0.5, abs=0.01)
    assert stats.length_adjusted_rate(outcomes, [0.0] * 100) == pytest.approx(0.68)
    assert stats.length_adjusted_rate([1.0] * 50, [1.0, -1.0] * 25) > 0.9


evidence = functools.cache(stats.evidence)
interval = functools.cache(stats.win_rate_interval)


def _first_decision(draw: random.Random, rate: float, pairs: int) -> str:
    """Looks after every pair."""
    wins = losses = 0
    for _ in range(pairs):
        if draw.random() < rate:
            wins += 1
        else:
            losses += 1
        if wins - losses >= 7 and evidence(wins, losses) >= 20:
            return "promote"
        if losses - wins >= 7 and evidence(losses, wins) >= 20:
            return "keep"
    return "more"


def test_looking_after_every_pair_keeps_false_promotions_below_five_percent() -> None:
    draw = random.Random(11)
    promoted = sum(_first_decision(draw, 0.5, 150) == "promote" for _ in range(300))
    assert promoted / 300 <= 0.05


def test_a_true_difference_is_found() -> None:
    draw = random.Random(12)
    assert sum(_first_decision(draw, 0.65, 200) == "promote" for _ in range(150)) / 150 >= 0.85
    assert sum(_first_decision(draw, 0.7, 100) == "promote" for _ in range(150)) / 150 >= 0.9


def test_the_interval_covers_at_every_look() -> None:
    draw = random.Random(13)
    missed = 0
    for _ in range(60):
        wins = losses = ties = 0
        for _ in range(40):
            value = draw.random()
            wins, losses, ties = wins + (value < 0.5), losses + (value > 0.7), ties + (0.5 <= value <= 0.7)
            low, high = interval(wins, losses, ties)
            if not low <= 0.6 <= high:
                missed += 1
                break
    assert missed / 60 <= 0.06
