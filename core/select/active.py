"""Active learning: what teaches most, chosen greedily against what is already chosen.

value = 0.4 × uncertainty + 0.3 × diversity + 0.3 × quality
uncertainty = 0.4 × (1 − score / 100) + 0.3 × corrected + 0.3 × type
diversity = 1 − max over chosen of (0.3 × same category + 0.4 × prompt similarity + 0.3 × output similarity)

Similarities are cosines of `embed`, a negative one counting as 0. Values are compared on six digits.

The more is chosen, the less a candidate is worth, so a value worked out earlier bounds the present one from above, and
only candidates whose bound reaches the best present value are looked at again (lazy greedy: Minoux 1978, "Accelerated
greedy algorithms for maximizing submodular set functions"). Only what is looked at is embedded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.config import Select
from core.select.alike.vectors import Embed, Vectors, vectors
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
_DIGITS: Final = 6
_DEFAULTS: Final = Select()
# Candidates brought up to date together, at first and at most; doubled while one choice is being made.
_FEWEST: Final = 64
_MOST: Final = 1_024
# Unit vectors are held in steps of 2**-24: float32 has them exactly, and in float64 every sum of a product of two of
# them is exact, so that no order of summation, number of rows or threads changes a cosine, and with it a choice.
_STEPS: Final = 2.0**24


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


@dataclass(frozen=True, slots=True)
class Parts:
    """What a candidate's value is made of, apart from what is chosen: each 0-1, unweighted.

    `own` is the weighted sum of uncertainty and quality, to which the weighted diversity is added.
    """

    missed: float
    corrected: float
    type: float
    uncertainty: float
    quality: float
    own: float


def uncertainty(score: float | None, feedback_type: FeedbackType) -> float:
    """How unsure the model is of an event, 0.03-1."""
    corrected = float(feedback_type == "user_correction")
    return 0.4 * _missed(score) + 0.3 * corrected + 0.3 * TYPE_UNCERTAINTY[feedback_type]


def value_parts(candidate: Candidate, constants: Select = _DEFAULTS) -> Parts:
    """The parts of a candidate's value that do not depend on what is chosen."""
    unsure = uncertainty(candidate.score, candidate.feedback_type)
    return Parts(
        missed=_missed(candidate.score),
        corrected=float(candidate.feedback_type == "user_correction"),
        type=TYPE_UNCERTAINTY[candidate.feedback_type],
        uncertainty=unsure,
        quality=candidate.quality,
        own=_own(candidate, constants),
    )


def choose(
    candidates: Sequence[Candidate],
    limit: int,
    *,
    greedy: int | None = None,
    constants: Select = _DEFAULTS,
    embed: Embed = vectors,
    against: Sequence[Candidate] = (),
) -> list[int]:
    """Up to `limit` event ids, the most informative first, whatever order the candidates came in; ties by event id.

    Only the first `greedy` (all, when None) are weighed against each other; the rest follow by their value at that
    point. `against` are events chosen or labelled before: what is like them is worth less, and they are not returned.
    `embed` is asked for each text at most once, and only for texts that may matter to the choice.
    """
    before = {candidate.event_id for candidate in against}
    pool = sorted(
        (candidate for candidate in candidates if candidate.event_id not in before), key=lambda each: each.event_id
    )
    limit = min(limit, len(pool))
    if limit <= 0:
        return []
    worth = _Worth(pool, against, constants, embed)
    chosen: list[int] = []
    for _ in range(limit if greedy is None else min(limit, greedy)):
        best = worth.best()
        chosen.append(best)
        worth.take(best)
    chosen.extend(worth.ranked(limit - len(chosen)))
    return [pool[index].event_id for index in chosen]


def _missed(score: float | None) -> float:
    return 1.0 - (50.0 if score is None else score) / 100.0


def _own(candidate: Candidate, constants: Select) -> float:
    return (
        constants.uncertainty_weight * uncertainty(candidate.score, candidate.feedback_type)
        + constants.quality_weight * candidate.quality
    )


class _Texts:
    """The vectors of the texts asked for so far; `count` is the largest number of different texts to come."""

    def __init__(self, embed: Embed, count: int) -> None:
        self._embed = embed
        self._count = count
        self._row_of: dict[str, int] = {}
        self._rows: Vectors = np.zeros((0, 0), dtype=np.float32)

    def rows(self, texts: Sequence[str]) -> NDArray[np.intp]:
        """The row of each text in the table; those not seen before are embedded in one call."""
        known = len(self._row_of)
        rows = np.array([self._row_of.setdefault(text, len(self._row_of)) for text in texts], dtype=np.intp)
        if len(self._row_of) > known:
            fresh = self._embed(list(self._row_of)[known:])
            if not known:
                # Pages that nothing is written to take no memory.
                self._rows = np.empty((self._count, fresh.shape[1]), dtype=np.float32)
            steps = fresh * np.float32(_STEPS)
            np.rint(steps, out=steps)
            np.divide(steps, np.float32(_STEPS), out=self._rows[known : len(self._row_of)])
        return rows

    def cosines(self, first: NDArray[np.intp], second: NDArray[np.intp]) -> NDArray[np.float64]:
        """Of all pairs of two lists of rows, 0-1."""
        product = self._rows[first].astype(np.float64) @ self._rows[second].astype(np.float64).T
        return np.clip(product, 0.0, 1.0, out=product)


class _Worth:
    """The value of every candidate of a sorted pool, up to date or an upper bound; what is taken counts no more."""

    def __init__(self, pool: Sequence[Candidate], against: Sequence[Candidate], constants: Select, embed: Embed):
        self._all = [*pool, *against]
        self._size = len(pool)
        self._weight = constants.diversity_weight
        self._texts = _Texts(embed, 2 * len(self._all))
        codes: dict[str, int] = {}
        self._category = np.array([codes.setdefault(each.category, len(codes)) for each in self._all])
        self._prompt = np.full(len(self._all), -1, dtype=np.intp)
        self._output = np.full(len(self._all), -1, dtype=np.intp)
        self._own = np.array([_own(each, constants) for each in pool])
        self._alike = np.zeros(len(pool))  # the largest likeness to those chosen that were looked at
        self._seen = np.zeros(len(pool), dtype=np.intp)  # how many of those chosen were looked at
        self._chosen: list[int] = list(range(len(pool), len(self._all)))
        self._taken = np.zeros(len(pool), dtype=bool)
        near = np.isin(self._category[: self._size], self._category[self._size :])
        self._alike[near] = _SAME_CATEGORY
        self._value = self._valued(np.arange(self._size))

    def take(self, index: int) -> None:
        """Chooses a candidate: its category counts for all others at once, its texts when they are looked at."""
        self._taken[index] = True
        self._chosen.append(index)
        near = np.flatnonzero(self._category[: self._size] == self._category[index])
        near = near[self._alike[near] < _SAME_CATEGORY]
        self._alike[near] = _SAME_CATEGORY
        self._value[near] = self._valued(near)
        self._value[index] = -np.inf

    def best(self) -> int:
        """The candidate of the highest value, the first among equals."""
        block = _FEWEST
        while self._seen[best := int(np.argmax(self._value))] < len(self._chosen):
            rivals = self._rivals()
            if len(rivals) > block:
                rivals = rivals[np.argpartition(-self._value[rivals], block)[:block]]
                # Among many of one value it is the first that decides.
                rivals = np.union1d(rivals, best)
            self._look_at(rivals)
            block = min(2 * block, _MOST)
        return best

    def ranked(self, count: int) -> list[int]:
        """The `count` candidates of the highest values, the highest first, lower indices first among equals."""
        while True:
            order = np.argsort(-self._value, kind="stable")[:count]
            stale = order[self._seen[order] < len(self._chosen)]
            if not len(stale):
                return [int(index) for index in order]
            for start in range(0, len(stale), _MOST):
                self._look_at(stale[start : start + _MOST])

    def _rivals(self) -> NDArray[np.intp]:
        """Those not up to date that may still come before the best one that is."""
        stale = self._seen < len(self._chosen)
        known = int(np.argmax(np.where(stale, -np.inf, self._value)))
        before = self._value > (-np.inf if stale[known] else self._value[known])
        if not stale[known]:
            before[:known] |= self._value[:known] == self._value[known]
        return np.flatnonzero(stale & before)

    def _look_at(self, indices: NDArray[np.intp]) -> None:
        """Brings the values of these candidates up to date."""
        start = int(self._seen[indices].min())
        for at in range(start, len(self._chosen), _MOST):
            others = np.array(self._chosen[at : at + _MOST])
            self._embed(np.concatenate([indices, others]))
            alike = _PROMPT * self._texts.cosines(self._prompt[indices], self._prompt[others])
            alike += _OUTPUT * self._texts.cosines(self._output[indices], self._output[others])
            alike += _SAME_CATEGORY * (self._category[indices][:, None] == self._category[others])
            self._alike[indices] = np.maximum(self._alike[indices], alike.max(axis=1))
        self._seen[indices] = len(self._chosen)
        self._value[indices] = self._valued(indices)

    def _embed(self, indices: NDArray[np.intp]) -> None:
        fresh = np.unique(indices[self._prompt[indices] < 0])
        rows = self._texts.rows(
            [self._all[index].prompt for index in fresh] + [self._all[index].output for index in fresh]
        )
        self._prompt[fresh], self._output[fresh] = rows[: len(fresh)], rows[len(fresh) :]

    def _valued(self, indices: NDArray[np.intp]) -> NDArray[np.float64]:
        return np.round(self._own[indices] + self._weight * (1.0 - self._alike[indices]), _DIGITS)
