"""Groups of texts that are about the same thing, whatever they are compared with.

Within one category all prompts look alike, and how much depends on what makes the vectors. So the mean of them all is
taken away first (Arora et al. 2017, "A simple but tough-to-beat baseline for sentence embeddings"): what is left tells
them apart, and cosines of unrelated texts lie around 0, of n-grams and of sentence models alike. Two texts are close
when their cosine is among the highest tenth of all pairs, but at least 0.1; 0.3 is always enough. (Measured on requests
for ER diagrams: nine of ten unrelated pairs are below 0.1 with either.)

Groups are found as by Taylor and Butina (Butina 1999): the text with the most close neighbours leads the first group,
and so on among those left. That is done on a sample; then every text joins the nearest mean of a group, where half of
that closeness will do, because a mean has less noise than a text.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.select.alike.vectors import Vectors

CLOSEST_SHARE: Final = 0.1
CLOSE_FROM: Final = 0.1
CLOSE_TO: Final = 0.3
SMALLEST: Final = 3
_SAMPLE: Final = 1_500
_FEW: Final = 8
_ROUNDS: Final = 2
_NOBODY: Final = -1

Labels = NDArray[np.intp]


def centred(rows: Vectors, mean: Vectors) -> Vectors:
    """`rows` without `mean` ([dimensions]), again of unit length; a row that is the mean itself becomes zero."""
    left = rows - mean
    norms = np.linalg.norm(left, axis=1, keepdims=True)
    # What is left of equal texts is the noise of the subtraction: no direction at all.
    unit: Vectors = np.divide(left, norms, out=np.zeros_like(left), where=norms > 1e-3)
    return unit


def clusters(rows: Vectors) -> list[list[int]]:
    """Groups of row indices, each ascending, the largest first; rows that belong nowhere are in none.

    `rows` are centred unit vectors [n, dimensions]. A group has at least 3 rows and 1 % of them; below 8 rows there
    is nothing to tell. The same rows in the same order give the same groups. Time grows with n × groups.
    """
    if len(rows) < _FEW:
        return []
    least = max(SMALLEST, len(rows) // 100)
    sample = np.unique(np.linspace(0, len(rows) - 1, min(len(rows), _SAMPLE)).astype(np.intp))
    alike = np.round(rows[sample] @ rows[sample].T, 4)
    pairs = alike[np.triu_indices(len(sample), 1)]
    close = float(np.clip(np.quantile(pairs, 1.0 - CLOSEST_SHARE), CLOSE_FROM, CLOSE_TO))
    led = _led(alike >= close, max(2, round(least * len(sample) / len(rows))))
    groups = [sample[members] for members in led]
    for _ in range(_ROUNDS):
        if not groups:
            return []
        means = np.stack([rows[members].mean(axis=0) for members in groups])
        means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-6)
        labels = _nearest(rows, means, close / 2)
        groups = [np.flatnonzero(labels == label) for label in range(len(means))]
        groups = [members for members in groups if len(members) >= least]
    return [list(map(int, members)) for members in sorted(groups, key=lambda each: (-len(each), int(each[0])))]


def _led(close: NDArray[np.bool_], least: int) -> list[Labels]:
    """Groups around the rows with the most close neighbours, none smaller than `least`; `close` is symmetric."""
    free: NDArray[np.bool_] = np.asarray(close.any(axis=1))
    counts = close.sum(axis=1)
    groups: list[Labels] = []
    while True:
        leader = int(np.argmax(np.where(free, counts, _NOBODY)))
        if not free[leader] or counts[leader] < least:
            return groups
        members = np.flatnonzero(close[leader] & free)
        groups.append(members)
        free[members] = False
        counts -= close[:, members].sum(axis=1)


def _nearest(rows: Vectors, means: Vectors, least: float) -> Labels:
    alike = np.round(rows @ means.T, 4)
    best = alike.argmax(axis=1)
    return np.where(alike[np.arange(len(rows)), best] >= least, best, _NOBODY)
