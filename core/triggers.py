"""When a category is due for a training of its own accord, and how large its batch is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from core.config import Loop
from core.select.batch import FIXED, SMALLEST, batch_size, fixed_batch_size

TIERED_GOLD: Final = 500
TIERED_TOTAL: Final = 2_000
TIERED_QUALITY: Final = 0.85


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a trigger looks at. `fresh` counts eligible examples that no run of the category has taken yet, `eligible`
    all of them and `gold` their gold ones; `mean_quality` (0-1) is that of the fresh ones for `adaptive`, of all for
    `tiered`; `total` counts the category's events; `trend` holds its mean scores, oldest first."""

    fresh: int
    eligible: int
    gold: int
    total: int
    mean_quality: float
    fresh_quality: float
    trend: Sequence[float] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether to train now; `limit` is the batch's size (None: everything fresh) and `reason` says why, in words."""

    due: bool
    limit: int | None
    reason: str


def decide(outlook: Outlook, loop: Loop) -> Decision:
    """Whether the policy of the category says that it is due.

    `adaptive`: the batch size of `core.select.batch.batch_size` of what is fresh; `fixed`: 50 fresh ones; `tiered`: at
    least 500 gold and 2,000 eligible ones in all of a mean quality of 0.85, and 50 fresh ones among them.
    """
    if loop.policy == "tiered":
        return _tiered(outlook)
    if loop.policy == "fixed":
        size = fixed_batch_size(outlook.fresh)
        return _sized(size, outlook, f"{FIXED}")
    size = batch_size(outlook.fresh, average_quality=outlook.fresh_quality, total=outlook.total, trend=outlook.trend)
    return _sized(size, outlook, f"{SMALLEST}")


def fewest_fresh(loop: Loop) -> int:
    """The number of fresh examples below which the policy never says that it is due."""
    return SMALLEST if loop.policy == "adaptive" else FIXED


def _sized(size: int, outlook: Outlook, needed: str) -> Decision:
    if size:
        return Decision(True, size, f"{outlook.fresh} fresh examples; a batch of {size}")
    return Decision(False, 0, f"{outlook.fresh} of {needed} fresh examples")


def _tiered(outlook: Outlook) -> Decision:
    missing = [
        words
        for met, words in (
            (outlook.gold >= TIERED_GOLD, f"{outlook.gold} of {TIERED_GOLD} gold examples"),
            (outlook.eligible >= TIERED_TOTAL, f"{outlook.eligible:,} of {TIERED_TOTAL:,} eligible examples"),
            (outlook.mean_quality >= TIERED_QUALITY, f"mean quality {outlook.mean_quality:.2f} of {TIERED_QUALITY}"),
            (outlook.fresh >= FIXED, f"{outlook.fresh} of {FIXED} fresh examples"),
        )
        if not met
    ]
    if missing:
        return Decision(False, 0, ", ".join(missing))
    return Decision(True, None, f"{outlook.gold} gold among {outlook.eligible:,} examples, all fresh ones")
