"""How good an event is as a lesson, −1 to 1, as of the moment of asking.

base = tanh((score − 50) / 50); raw = (base + bonus(type)) × 0.95^age_days × (1 + 1.5 × difficulty) × balance with
balance = min(1, √(100 / recent)); value = clamp(raw, −1, 1). The constants are those of `config.Select`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from core.config import Select
from storage.rows import FeedbackType

BONUS: Final[Mapping[FeedbackType, float]] = {
    "success": 0.3,
    "user_correction": 0.5,
    "validation_failure": -0.5,
    "explicit_positive": 0.4,
    "explicit_negative": -1.0,
    "neutral": 0.0,
}
_BUCKETS: Final = ((90.0, 0.6), (70.0, 0.3), (50.0, 0.0), (30.0, -0.3))
_LOWEST_BUCKET: Final = -0.6
_UNKNOWN_SCORE: Final = 50.0
_DEFAULTS: Final = Select()


@dataclass(frozen=True, slots=True)
class Reward:
    """A reward with its parts, unclamped, so that two events that both clamp to 1 can still be ordered by `raw`."""

    base: float
    bonus: float
    decay: float
    difficulty_factor: float
    balance: float
    raw: float
    value: float

    @property
    def worth(self) -> float:
        """The lesson's own worth, −1 to 1: the reward without age and balance, which say when, not what."""
        return _clamp((self.base + self.bonus) * self.difficulty_factor)


def reward(
    score: float | None,
    feedback_type: FeedbackType,
    *,
    age_days: float,
    difficulty: float,
    recent: int,
    constants: Select = _DEFAULTS,
) -> Reward:
    """The reward of an event of that score (0-100, None counts as 50), age and difficulty (0-1).

    `recent` is the number of recent events of the category. An event from the future counts as new.
    """
    known = _UNKNOWN_SCORE if score is None else score
    base = bucket_base(known) if constants.reward == "bucket" else math.tanh((known - 50.0) / 50.0)
    bonus = BONUS[feedback_type]
    decay = constants.decay_per_day ** max(0.0, age_days)
    factor = 1.0 + constants.difficulty_weight * difficulty
    balance = min(1.0, math.sqrt(constants.balance_at / recent)) if recent > 0 else 1.0
    raw = (base + bonus) * decay * factor * balance
    return Reward(base, bonus, decay, factor, balance, raw, _clamp(raw))


def bucket_base(score: float) -> float:
    """The base of the first-generation reward: ≥ 90 → 0.6, ≥ 70 → 0.3, ≥ 50 → 0, ≥ 30 → −0.3, else −0.6."""
    return next((base for low, base in _BUCKETS if score >= low), _LOWEST_BUCKET)


def _clamp(value: float) -> float:
    return max(-1.0, min(1.0, value))
