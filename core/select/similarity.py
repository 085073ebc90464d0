"""How alike two texts are: 0.4 × normalised Levenshtein + 0.3 × BLEU + 0.3 × embedding cosine, each 0-1.

Without embeddings the other two are re-weighted to sum to 1, and the result says so. BLEU is that of sacrebleu with
effective order, over words and single punctuation marks, since its own tokenisers mangle code.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from rapidfuzz import fuzz, process
from rapidfuzz.distance import Levenshtein

from core.select.vectors import close_pairs, vectors

LEVENSHTEIN_WEIGHT: Final = 0.4
BLEU_WEIGHT: Final = 0.3
COSINE_WEIGHT: Final = 0.3
TYPO_FROM: Final = 0.92
COMPARED: Final = 20_000
_TOKEN = re.compile(r"\w+|[^\w\s]")
# How far the cosine of hashed n-grams may lie below the edit similarity of the same pair.
_CANDIDATE_MARGIN: Final = 0.25


@dataclass(frozen=True, slots=True)
class Similarity:
    """`value` 0-1 and its parts; `cosine` is None when no embeddings were at hand and the weights were shared out."""

    value: float
    levenshtein: float
    bleu: float
    cosine: float | None


def similarity(
    first: str, second: str, *, embedded: tuple[Sequence[float], Sequence[float]] | None = None
) -> Similarity:
    """Compares two texts on their first 20,000 characters; `embedded` are their embeddings, where there are any.

    BLEU is the mean of both directions, so that the whole is symmetric.
    """
    first, second = first[:COMPARED], second[:COMPARED]
    edit = Levenshtein.normalized_similarity(first, second)
    overlap = (bleu(first, second) + bleu(second, first)) / 2.0
    if embedded is None:
        value = (LEVENSHTEIN_WEIGHT * edit + BLEU_WEIGHT * overlap) / (LEVENSHTEIN_WEIGHT + BLEU_WEIGHT)
        return Similarity(value, edit, overlap, None)
    cosine = _cosine(*embedded)
    value = LEVENSHTEIN_WEIGHT * edit + BLEU_WEIGHT * overlap + COSINE_WEIGHT * cosine
    return Similarity(value, edit, overlap, cosine)


def edit_similarities(first: Sequence[str], second: Sequence[str], *, floor: float = 0.0) -> NDArray[np.float32]:
    """Normalised Levenshtein of many against many in one call, float32 [len(first), len(second)].

    Values below `floor` are given as 0, which makes the call several times faster.
    """
    return process.cdist(first, second, scorer=Levenshtein.normalized_similarity, score_cutoff=floor, dtype=np.float32)


def bleu(hypothesis: str, reference: str) -> float:
    """Sentence BLEU, 0-1; two texts without any token are alike."""
    ours, theirs = _TOKEN.findall(hypothesis), _TOKEN.findall(reference)
    if not ours or not theirs:
        return float(ours == theirs)
    if ours == theirs:
        return 1.0
    score = _metric().sentence_score(" ".join(ours), [" ".join(theirs)]).score
    return min(1.0, max(0.0, float(score) / 100.0))


def is_typo(alike: Similarity) -> bool:
    """Whether a correction changes so little that it mends a typo and prefers nothing."""
    return alike.value >= TYPO_FROM


def near_duplicates(prompts: Sequence[str], outputs: Sequence[str], floor: float) -> dict[int, int]:
    """For each item that nearly repeats an earlier *kept* one: its index and that one's.

    Two items are near-duplicates when both their prompts and their outputs (the first 20,000 characters of each) have a
    normalised Indel similarity of at least `floor`. Items are looked at in the order given, so the best should come
    first. Hashed n-grams find the candidates, so the time grows with the number of alike prompts, not with all pairs.
    """
    prompts = [text[:COMPARED] for text in prompts]
    outputs = [text[:COMPARED] for text in outputs]
    repeated: dict[int, int] = {}
    for index, earlier in close_pairs(vectors(prompts), floor - _CANDIDATE_MARGIN):
        kept = [int(other) for other in earlier if int(other) not in repeated]
        for other in _alike(prompts[index], ((each, prompts[each]) for each in kept), floor):
            if fuzz.ratio(outputs[index], outputs[other], score_cutoff=100.0 * floor) > 0.0:
                repeated[index] = other
                break
    return repeated


def _alike(text: str, others: Iterable[tuple[int, str]], floor: float) -> list[int]:
    choices = dict(others)
    found = process.extract(text, choices, scorer=fuzz.ratio, score_cutoff=100.0 * floor, limit=None)
    return sorted(key for _, _, key in found)


@cache
def _metric() -> Any:
    from sacrebleu.metrics import BLEU

    return BLEU(effective_order=True, tokenize="none")


def _cosine(first: Sequence[float], second: Sequence[float]) -> float:
    one, two = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    norm = float(np.linalg.norm(one) * np.linalg.norm(two))
    return max(0.0, min(1.0, float(one @ two) / norm)) if norm > 0.0 else 0.0
