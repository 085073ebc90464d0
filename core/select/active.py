"""Active learning: what teaches most, chosen greedily against what is already chosen.

value = 0.4 × uncertainty + 0.3 × diversity + 0.3 × quality
uncertainty = 0.4 × (1 − score / 100) + 0.3 × corrected + 0.3 × type
diversity = 1 − max over chosen of (0.3 × same category + 0.4 × prompt similarity + 0.3 × output similarity)

Similarities are cosines of hashed n-grams. After each choice the largest similarity of every candidate is brought up
to date in one matrix product, so k of n cost k × n dot products.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from core.config import Select
from core.select.vectors import vectors
from storage.rows import FeedbackType

TYPE_UNCERTAINTY: Final[dict[FeedbackType, float]] = {
    "validation_failure": 1.0,
    "explicit_negative": 0.9,
    "user_correction": 0.8,
    "neutral": 0.5,
    "success": 0.1,
    "explicit_positive": 0.1,
}
_SAME_CATEGORY: Final = 0.3
_PROMPT: Final = 0.4
_OUTPUT: Final = 0.3
_DEFAULTS: Final = Select()


@dataclass(frozen=True, slots=True)
class Candidate:
    """An event that may be chosen; `score` 0-100 or None (counts as 50), `quality` 0-1."""

    event_id: int
    category: str
    prompt: str
    output: str
    score: float | None
    feedback_type: FeedbackType
    quality: float


def uncertainty(score: float | None, feedback_type: FeedbackType) -> float:
    """How unsure the model is of an event, 0.03-1."""
    missed = 1.0 - (50.0 if score is None else score) / 100.0
    corrected = float(feedback_type == "user_correction")
    return 0.4 * missed + 0.3 * corrected + 0.3 * TYPE_UNCERTAINTY[feedback_type]


def choose(
    candidates: Sequence[Candidate], limit: int, *, greedy: int | None = None, constants: Select = _DEFAULTS
) -> list[int]:
    """Up to `limit` event ids, the most informative first, whatever order the candidates came in; ties by event id.

    Only the first `greedy` (all, when None) are weighed against each other; the rest follow by their value at that
    point.
    """
    pool = sorted(candidates, key=lambda candidate: candidate.event_id)
    limit = min(limit, len(pool))
    if limit <= 0:
        return []
    ids = np.array([candidate.event_id for candidate in pool])
    names = np.unique([candidate.category for candidate in pool], return_inverse=True)[1]
    own = np.array(
        [
            constants.uncertainty_weight * uncertainty(candidate.score, candidate.feedback_type)
            + constants.quality_weight * candidate.quality
            for candidate in pool
        ]
    )
    # One row holds prompt and output, scaled so that a single product gives the weighted sum of both cosines.
    both = np.hstack(
        [
            np.float32(_PROMPT**0.5) * vectors([candidate.prompt for candidate in pool]),
            np.float32(_OUTPUT**0.5) * vectors([candidate.output for candidate in pool]),
        ]
    )
    nearest = np.zeros(len(pool))
    free = np.ones(len(pool), dtype=bool)
    chosen: list[int] = []
    for _ in range(limit if greedy is None else min(limit, greedy)):
        # Rounded: equal texts may differ in the last bit of a product, and ties belong to the lower id.
        value = np.where(free, np.round(own + constants.diversity_weight * (1.0 - nearest), 6), -np.inf)
        best = int(np.argmax(value))
        chosen.append(best)
        free[best] = False
        alike = both @ both[best] + _SAME_CATEGORY * (names == names[best])
        np.maximum(nearest, alike, out=nearest)
    left = limit - len(chosen)
    if left > 0:
        value = np.where(free, np.round(own + constants.diversity_weight * (1.0 - nearest), 6), -np.inf)
        chosen.extend(int(index) for index in np.argsort(-value, kind="stable")[:left])
    return [int(ids[index]) for index in chosen]
