"""Paired differences over seeds, with t intervals, and what they say of each component."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Final, Literal

Verdict = Literal["helps", "no effect", "hurts"]
CONFIDENCE: Final = 0.95


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over seeds with its 95 % interval (Student's t; endless where there is only one seed)."""

    mean: float
    low: float
    high: float
    n: int

    @property
    def verdict(self) -> Verdict:
        """For a difference: whether the interval leaves zero on one side."""
        return "helps" if self.low > 0.0 else "hurts" if self.high < 0.0 else "no effect"

    def show(self, digits: int = 1, *, signed: bool = False, percent: bool = False) -> str:
        """`+3.1 (+1.0 to +5.2)`; shares times 100."""
        factor, sign = (100.0 if percent else 1.0), ("+" if signed else "")
        mean, low, high = (f"{value * factor:{sign}.{digits}f}" for value in (self.mean, self.low, self.high))
        return f"{mean} ({low} to {high})"


def estimate(values: Sequence[float]) -> Estimate:
    """The mean of one value for each seed."""
    n = len(values)
    mean = fmean(values)
    if n < 2:
        return Estimate(mean, -math.inf, math.inf, n)
    from scipy.stats import t

    half = float(t.ppf(0.5 + CONFIDENCE / 2.0, n - 1)) * stdev(values) / math.sqrt(n)
    return Estimate(mean, mean - half, mean + half, n)


def paired(first: Mapping[int, float], second: Mapping[int, float]) -> Estimate | None:
    """The mean difference second − first over the seeds that both have; None when there is none."""
    seeds = sorted(first.keys() & second.keys())
    return estimate([second[seed] - first[seed] for seed in seeds]) if seeds else None


def relative(first: Mapping[int, float], second: Mapping[int, float]) -> Estimate | None:
    """Mean of the second over mean of the first, minus 1, over the seeds that both have; None where that is nothing.

    The interval is that of a ratio estimator (Cochran, Sampling Techniques, 1977, section 6.4): one seed whose first is
    near 0 does not decide, as it would in a mean of ratios.
    """
    seeds = sorted(first.keys() & second.keys())
    below = fmean(first[seed] for seed in seeds) if seeds else 0.0
    if not below:
        return None
    ratio = fmean(second[seed] for seed in seeds) / below
    spread = estimate([(second[seed] - ratio * first[seed]) / below for seed in seeds])
    return Estimate(ratio - 1.0, ratio - 1.0 + spread.low, ratio - 1.0 + spread.high, len(seeds))


def needed(curve: Sequence[tuple[float, float]], target: float) -> float | None:
    """How much of x it takes until y reaches the target: the first crossing, linear in log x; None when it never does.

    `curve` holds (x > 0, y) in rising x. Where the first point is above the target already, that point's x.
    """
    before: tuple[float, float] | None = None
    for x, y in curve:
        if y >= target:
            if before is None:
                return x
            share = (target - before[1]) / (y - before[1])
            return math.exp(math.log(before[0]) + share * (math.log(x) - math.log(before[0])))
        before = (x, y)
    return None
