"""How good an event is as a lesson, −1 to 1, as of the moment of asking.

base = tanh((score − 50) / 50); strength = (base + bonus(type)) × (1 + 1.5 × difficulty);
raw = strength × 0.95^age_days × balance with balance = min(1, √(100 / recent)); value = clamp(raw, −1, 1).
The constants are those of `config.Select`.

A reward function of the user's own gives `own`, −1 to 1: how good the lesson is by itself. It takes the place of the
strength; age and balance weigh it as they weigh the built-in one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
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
# Room above 1 in which lessons that an own function clamped are ordered; too little to show in any weight.
_BEYOND: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Reward:
    """A reward with its parts, unclamped, so that two events that both clamp to 1 can still be ordered by `raw`.

    `own` is what the user's own function said, None where the built-in reward holds.
    """

    base: float
    bonus: float
    decay: float
    difficulty_factor: float
    balance: float
    raw: float
    value: float
    own: float | None = None

    @property
    def strength(self) -> float:
        """The reward before clamping, without age and balance: orders lessons the same way at any time.

        With an own reward it is that; where that one is at −1 or 1, a trace of the built-in strength is left, so that
        lessons which the function clamped keep their order.
        """
        built_in = (self.base + self.bonus) * self.difficulty_factor
        if self.own is None or abs(self.own) < 1.0:
            return built_in if self.own is None else self.own
        place = 0.5 + 0.5 * built_in / (1.0 + abs(built_in))
        return 1.0 + _BEYOND * place if self.own > 0.0 else -1.0 - _BEYOND * (1.0 - place)

    @property
    def worth(self) -> float:
        """The lesson's own worth, −1 to 1: the reward without age and balance, which say when, not what."""
        return _clamp(self.strength)

    def replaced_by(self, own: float | None) -> Reward:
        """The same event with what the user's own function said of it (−1 to 1); None leaves it as it is."""
        if own is None:
            return self
        said = replace(self, own=own)
        raw = said.strength * self.decay * self.balance
        return replace(said, raw=raw, value=_clamp(raw))


def reward(
    score: float | None,
    feedback_type: FeedbackType,
    *,
    age_days: float,
    difficulty: float,
    recent: int,
    constants: Select = _DEFAULTS,
) -> Reward:
    """The built-in reward of an event of that score (0-100, None counts as 50), age and difficulty (0-1).

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
