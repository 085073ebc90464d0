"""The statistics of a comparison, from the standard library alone.

What decides is valid at every look: a mixture e-value and its confidence sequence. What is only shown beside it (sign
test, Wilson) holds for a number of tests fixed beforehand. All intervals are two-sided with error `alpha`.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from statistics import NormalDist, fmean, stdev

_LARGEST_LOG = 700.0  # e**700 is the last power of ten that a float still holds with room to multiply
_BISECTIONS = 80


def log_beta(a: float, b: float) -> float:
    """ln B(a, b) for a, b > 0."""
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def binomial_tail(n: int, k: int, p: float) -> float:
    """P(X ≥ k) for X ~ Binomial(n, p), 0 < p < 1; equals the regularised incomplete beta I_p(k, n − k + 1) for
    1 ≤ k ≤ n."""
    if k <= 0:
        return 1.0
    if k > n:
        return 0.0
    if k <= n * p:
        return 1.0 - binomial_tail(n, n - k + 1, 1.0 - p)
    # From the largest term down; each next one is the last times (n − j) / (j + 1) and the odds.
    odds = p / (1.0 - p)
    term = total = 1.0
    for j in range(k, n):
        term *= (n - j) / (j + 1) * odds
        total += term
        if term < 1e-17 * total:
            break
    log_choose = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
    return min(1.0, math.exp(log_choose + k * math.log(p) + (n - k) * math.log1p(-p)) * total)


def fair_tail(n: int, k: int) -> float:
    """P(X ≥ k) for X ~ Binomial(n, ½)."""
    return binomial_tail(n, k, 0.5)


def evidence(wins: int, losses: int, *, highest: float = 1.0) -> float:
    """The e-value against "the candidate wins at most half of the decisive tests", valid at every look.

    A uniform mixture over win rates from one half to `highest` (½ … 1): with n = wins + losses it is
    2^n · B(1 + wins, 1 + losses) · (I_highest(1 + wins, 1 + losses) − I_½(1 + wins, 1 + losses)) / (highest − ½).
    By Ville's inequality it ever reaches 1/α with probability at most α when the candidate is no better, whatever
    `highest` is; 20 stands for α = 0.05. `evidence(losses, wins)` is that against "the candidate wins at least half".
    """
    n = wins + losses
    if highest >= 1.0:
        share = fair_tail(n + 1, losses + 1)
    elif 2 * (wins + 1) > (0.5 + highest) * (n + 1):
        share = binomial_tail(n + 1, wins + 1, highest) - fair_tail(n + 1, wins + 1)
    else:
        # Both tails are near one here: their complements keep the digits of the difference.
        share = fair_tail(n + 1, losses + 1) - binomial_tail(n + 1, losses + 1, 1.0 - highest)
    if share <= 0.0:
        return 0.0
    log_value = n * math.log(2.0) + log_beta(1 + wins, 1 + losses) + math.log(share / (min(1.0, highest) - 0.5))
    return math.exp(min(_LARGEST_LOG, log_value))


def win_rate_interval(wins: int, losses: int, ties: int = 0, *, alpha: float = 0.05) -> tuple[float, float]:
    """The confidence sequence for the win rate, a tie counting one half; covers at all looks together.

    {p : p^S (1−p)^(n−S) > α · B(1+S, 1+n−S)} with S = wins + ties/2. The mixture is a supermartingale for outcomes
    anywhere in [0, 1], since a Bernoulli variable has the largest moment generating function of that mean (Howard et
    al., Time-uniform Chernoff bounds, 2020; Robbins 1970 for the mixture).
    """
    n = wins + losses + ties
    if n == 0:
        return 0.0, 1.0
    score = wins + ties / 2
    bound = math.log(alpha) + log_beta(1 + score, 1 + n - score)

    def inside(p: float) -> bool:
        return _log_power(p, score) + _log_power(1 - p, n - score) > bound

    rate = score / n
    return _edge(inside, rate, 0.0), _edge(inside, rate, 1.0)


def _log_power(base: float, exponent: float) -> float:
    if exponent == 0:
        return 0.0
    return exponent * math.log(base) if base > 0 else -math.inf


def _edge(inside: Callable[[float], bool], within: float, limit: float) -> float:
    """Where `inside` ends between a point that is in and a limit."""
    if inside(limit):
        return limit
    outside = limit
    for _ in range(_BISECTIONS):
        middle = (within + outside) / 2
        if inside(middle):
            within = middle
        else:
            outside = middle
    return outside


def smallest(holds: Callable[[int], bool], low: int, high: int) -> int:
    """The first whole number after `low` at which a condition holds that holds at `high` and, once true, stays so."""
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


def wilson(successes: float, n: int, *, alpha: float = 0.05) -> tuple[float, float]:
    """Wilson's score interval for a share (Wilson 1927), for a number of tests fixed beforehand."""
    if n == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf(1 - alpha / 2)
    share = successes / n
    centre = share + z * z / (2 * n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    return max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale)


def sign_test(first: int, second: int) -> float:
    """Two-sided p of the exact sign test; on discordant pairs of pass and fail it is McNemar's exact test."""
    return min(1.0, 2 * fair_tail(first + second, max(first, second)))


def non_inferiority(only_candidate: int, only_base: int, n: int, margin: float) -> float:
    """One-sided p against "the candidate's pass rate is lower by `margin` or more", on n paired tests.

    `only_candidate` and `only_base` are the discordant pairs. Score test with the restricted maximum-likelihood
    estimate (Tango, Statistics in Medicine 17, 1998). A margin of 0 asks for proof that the candidate is better.
    """
    if n == 0:
        return 1.0
    b, c, delta = only_candidate, only_base, -margin
    linear = -b - c + (2 * n - b + c) * delta
    constant = -c * delta * (1 - delta)
    restricted = (math.sqrt(max(0.0, linear * linear - 8 * n * constant)) - linear) / (4 * n)
    variance = n * (2 * restricted + delta * (1 - delta))
    difference = b - c - n * delta
    if variance <= 0:
        return 0.0 if difference > 0 else 1.0
    return 1 - NormalDist().cdf(difference / math.sqrt(variance))


def student_cdf(t: float, df: int) -> float:
    """P(T ≤ t) for Student's t with whole degrees of freedom (Abramowitz and Stegun 26.7.3 and 26.7.4)."""
    angle = math.atan2(abs(t), math.sqrt(df))
    cosine = math.cos(angle)
    square, term, total = cosine * cosine, 1.0, 0.0
    if df % 2:
        term = cosine
        for j in range(1, df - 1, 2):
            total += term
            term *= square * (j + 1) / (j + 2)
        central = 2 / math.pi * (angle + math.sin(angle) * total)
    else:
        for j in range(0, df - 1, 2):
            total += term
            term *= square * (j + 1) / (j + 2)
        central = math.sin(angle) * total
    return 0.5 + math.copysign(central / 2, t)


def student_quantile(probability: float, df: int) -> float:
    """The t with P(T ≤ t) = probability, for 0.5 ≤ probability < 1."""
    high = 1.0
    while student_cdf(high, df) < probability:
        high *= 2
    low = 0.0
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if student_cdf(middle, df) < probability else (low, middle)
    return (low + high) / 2


def mean_interval(values: Sequence[float], *, alpha: float = 0.05) -> tuple[float, float]:
    """Student's t interval for a mean, here of paired differences; infinite with fewer than two values."""
    n = len(values)
    if n < 2:
        return -math.inf, math.inf
    mean = fmean(values)
    half = student_quantile(1 - alpha / 2, n - 1) * stdev(values, mean) / math.sqrt(n)
    return mean - half, mean + half


def bootstrap_interval(
    values: Sequence[float], *, seed: int, alpha: float = 0.05, resamples: int = 2_000
) -> tuple[float, float]:
    """Expanded percentile bootstrap interval for a mean; infinite with fewer than two values.

    The plain one (Efron 1979) is too narrow for small samples, as if n were the n − 1 of a variance and the normal
    quantile that of Student; so its share of the resamples is widened by both (Hesterberg, The American Statistician
    69, 2015).
    """
    n = len(values)
    if n < 2:
        return -math.inf, math.inf
    alpha = 2 * NormalDist().cdf(-student_quantile(1 - alpha / 2, n - 1) * math.sqrt(n / (n - 1)))
    draw = random.Random(seed).choices
    means = sorted(sum(draw(values, k=n)) / n for _ in range(resamples))
    skip = min(resamples // 2 - 1, math.floor(resamples * alpha / 2))
    return means[skip], means[-1 - skip]


def length_adjusted_rate(outcomes: Sequence[float], length_differences: Sequence[float]) -> float:
    """The win rate (outcomes 1, ½, 0) at equal length of both answers.

    A logistic model of the outcome on tanh(length difference / its root mean square), read at a difference of zero,
    after the length-controlled win rate of AlpacaEval 2 (arXiv 2404.04475). The slope has a normal prior of standard
    deviation 3, the intercept one of 10, so that clean separation stays finite.
    """
    n = len(outcomes)
    scale = math.sqrt(fmean([d * d for d in length_differences])) if n else 0.0
    if scale == 0.0:
        return fmean(outcomes) if n else 0.5
    lengths = [math.tanh(d / scale) for d in length_differences]
    intercept = slope = 0.0
    for _ in range(100):
        gradient_i, gradient_s = -intercept / 100, -slope / 9
        h_ii, h_is, h_ss = 1 / 100, 0.0, 1 / 9
        for outcome, x in zip(outcomes, lengths, strict=True):
            p = 1 / (1 + math.exp(-max(-30.0, min(30.0, intercept + slope * x))))
            w = p * (1 - p)
            gradient_i += outcome - p
            gradient_s += (outcome - p) * x
            h_ii, h_is, h_ss = h_ii + w, h_is + w * x, h_ss + w * x * x
        determinant = h_ii * h_ss - h_is * h_is
        step_i = (h_ss * gradient_i - h_is * gradient_s) / determinant
        step_s = (h_ii * gradient_s - h_is * gradient_i) / determinant
        # A Newton step may overshoot where the curve is flat; half the odds' range at most.
        shrink = min(1.0, 5.0 / max(1e-12, abs(step_i), abs(step_s)))
        intercept, slope = intercept + shrink * step_i, slope + shrink * step_s
        if max(abs(step_i), abs(step_s)) < 1e-10:
            break
    return 1 / (1 + math.exp(-intercept))
