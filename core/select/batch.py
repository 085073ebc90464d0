"""How many examples a batch of automatic training takes."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Final

SMALLEST: Final = 20
LARGEST: Final = 100
FIXED: Final = 50
_GOOD_QUALITY: Final = 0.6
_RARE_BELOW: Final = 100
_TREND_POINTS: Final = 1.0


def batch_size(available: int, *, average_quality: float, total: int, trend: Sequence[float] = ()) -> int:
    """The size of the next batch, 0 (wait) or 20-100, never more than `available` (eligible examples).

    < 20 → 0; < 50 → 20; < 100 → 50; else 75; × 0.7 when `average_quality` (0-1) ≥ 0.6, since good examples need fewer;
    × 0.6 when the category has fewer than 100 events in all; × 1.2 when `trend` (mean scores, oldest first) improves,
    × 0.8 when it falls; clamped to 20-100.
    """
    if available < SMALLEST:
        return 0
    size = 20.0 if available < 50 else 50.0 if available < 100 else 75.0
    if average_quality >= _GOOD_QUALITY:
        size *= 0.7
    if total < _RARE_BELOW:
        size *= 0.6
    size *= {1: 1.2, 0: 1.0, -1: 0.8}[direction(trend)]
    return min(available, max(SMALLEST, min(LARGEST, int(size + 0.5))))


def fixed_batch_size(available: int) -> int:
    """The alternative of the first generation: 50 as soon as there are 50."""
    return FIXED if available >= FIXED else 0


def direction(trend: Sequence[float]) -> int:
    """1 when the later half of the scores is better than the earlier by over a point, −1 when worse, else 0."""
    half = len(trend) // 2
    if half == 0:
        return 0
    change = fmean(trend[-half:]) - fmean(trend[:half])
    return 1 if change > _TREND_POINTS else -1 if change < -_TREND_POINTS else 0
