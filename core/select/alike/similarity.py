"""How alike two texts are: 0.4 × normalised Levenshtein + 0.3 × BLEU + 0.3 × embedding cosine, each 0-1.

Without embeddings the other two are re-weighted to sum to 1, and the result says so. BLEU is that of sacrebleu with
effective order, over words and single punctuation marks, since its own tokenisers mangle code.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from rapidfuzz import fuzz, process
from rapidfuzz.distance import Levenshtein

from core.select.alike.character_counts import CountIndex, counted
from core.select.alike.vectors import Embed

LEVENSHTEIN_WEIGHT: Final = 0.4
BLEU_WEIGHT: Final = 0.3
COSINE_WEIGHT: Final = 0.3
TYPO_FROM: Final = 0.92
COMPARED: Final = 20_000
_TOKEN = re.compile(r"\w+|[^\w\s]")
_ORDERS: Final = 4

Table = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Similarity:
    """`value` 0-1 and its parts; `cosine` is None when no embeddings were at hand and the weights were shared out."""

    value: float
    levenshtein: float
    bleu: float
    cosine: float | None


@dataclass(frozen=True, slots=True)
class Similarities:
    """As `Similarity`, of many against many: float32 [len(first), len(second)] each.

    `bleu` is NaN where it was not worked out, and `value` is then the other parts with the weights shared out.
    """

    value: Table
    levenshtein: Table
    bleu: Table
    cosine: Table | None


def similarity(
    first: str, second: str, *, embedded: tuple[Sequence[float], Sequence[float]] | None = None
) -> Similarity:
    """Compares two texts on their first 20,000 characters; `embedded` are their embeddings, where there are any.

    BLEU is the mean of both directions, so that the whole is symmetric.
    """
    first, second = first[:COMPARED], second[:COMPARED]
    edit = Levenshtein.normalized_similarity(first, second)
    overlap = _overlap(_grams(first), _grams(second))
    if embedded is None:
        value = (LEVENSHTEIN_WEIGHT * edit + BLEU_WEIGHT * overlap) / (LEVENSHTEIN_WEIGHT + BLEU_WEIGHT)
        return Similarity(value, edit, overlap, None)
    one, other = _units(np.asarray(embedded[0])[None]), _units(np.asarray(embedded[1])[None])
    cosine = min(1.0, max(0.0, (one @ other.T).item()))
    value = LEVENSHTEIN_WEIGHT * edit + BLEU_WEIGHT * overlap + COSINE_WEIGHT * cosine
    return Similarity(value, edit, overlap, cosine)


def similarities(
    first: Sequence[str],
    second: Sequence[str],
    *,
    embed: Embed | None = None,
    bleu_above: float = 0.0,
) -> Similarities:
    """Compares many texts with many in one call, each as `similarity` does; `embed` is asked once for each text.

    BLEU takes nearly all of the time, some 15 µs a pair. With `bleu_above` (0-1) it is worked out only where the other
    parts, their weights shared out, are at least that; by default everywhere.
    """
    first, second = [text[:COMPARED] for text in first], [text[:COMPARED] for text in second]
    edit: Table = process.cdist(first, second, scorer=Levenshtein.normalized_similarity, dtype=np.float32)
    edit = edit.reshape(len(first), len(second))
    cosine = _cosines(first, second, embed) if embed is not None else None
    rest, weight = LEVENSHTEIN_WEIGHT * edit, LEVENSHTEIN_WEIGHT
    if cosine is not None:
        rest, weight = rest + COSINE_WEIGHT * cosine, weight + COSINE_WEIGHT
    bleus = np.full(edit.shape, np.nan, dtype=np.float32)
    rows, columns = np.nonzero(rest >= np.float32(bleu_above * weight))
    ours = {row: _grams(first[row]) for row in np.unique(rows)}
    theirs = {column: _grams(second[column]) for column in np.unique(columns)}
    for row, column in zip(rows, columns, strict=True):
        bleus[row, column] = _overlap(ours[row], theirs[column])
    value = np.where(np.isnan(bleus), rest / weight, (rest + BLEU_WEIGHT * bleus) / (weight + BLEU_WEIGHT))
    return Similarities(value.astype(np.float32), edit, bleus, cosine)


def bleu(hypothesis: str, reference: str) -> float:
    """Sentence BLEU, 0-1; two texts without any token are alike."""
    return _bleu(_grams(hypothesis), _grams(reference))


def is_typo(alike: Similarity) -> bool:
    """Whether a correction changes so little that it mends a typo and prefers nothing."""
    return alike.value >= TYPO_FROM


def near_duplicates(prompts: Sequence[str], outputs: Sequence[str], floor: float, *, always: int = 0) -> dict[int, int]:
    """For each item that nearly repeats an earlier *kept* one: its index and that one's.

    Two items are near-duplicates when both their prompts and their outputs (the first 20,000 characters of each) have a
    normalised Indel similarity of at least `floor`. Items are looked at in the order given, so the best should come
    first; the first `always` are kept whatever they repeat. None is missed; the counts of characters leave few pairs to
    compare.
    """
    prompts, outputs = [text[:COMPARED] for text in prompts], [text[:COMPARED] for text in outputs]
    # The longer side tells most items apart.
    sides = sorted((prompts, outputs), key=lambda texts: -sum(map(len, texts)))
    index = CountIndex(floor)
    repeated: dict[int, int] = {}
    first_of: dict[tuple[str, ...], int] = {}
    for item, texts in enumerate(zip(*sides, strict=True)):
        first = first_of.setdefault(texts, item)
        if first != item:
            repeated[item] = repeated.get(first, first)
            continue
        counts = counted(texts[0]), counted(texts[1])
        alike = index.possible(*counts)
        for text, side in zip(reversed(texts), reversed(sides), strict=True):
            alike = _alike(text, side, alike, floor)
        if alike and item >= always:
            repeated[item] = alike[0]
        else:
            index.add(item, *counts)
    return repeated


def _alike(text: str, texts: Sequence[str], which: Sequence[int], floor: float) -> list[int]:
    """Those of the texts asked for that have an Indel similarity of at least `floor` to this one, in the same order."""
    if not which:
        return []
    others = [texts[index] for index in which]
    ratios = process.cdist([text], others, scorer=fuzz.ratio, score_cutoff=100.0 * floor)[0]
    return [index for index, ratio in zip(which, ratios, strict=True) if ratio > 0.0]


@dataclass(frozen=True, slots=True)
class _Grams:
    """The number of tokens of a text and its n-grams of 1 to 4 tokens, each with the how-manieth of its kind it is."""

    size: int
    of_order: tuple[frozenset[tuple[tuple[str, ...], int]], ...]


def _grams(text: str) -> _Grams:
    tokens = _TOKEN.findall(text)
    orders = []
    for order in range(1, _ORDERS + 1):
        seen: Counter[tuple[str, ...]] = Counter()
        grams = set()
        for gram in zip(*(tokens[start:] for start in range(order)), strict=False):
            grams.add((gram, seen[gram]))
            seen[gram] += 1
        orders.append(frozenset(grams))
    return _Grams(len(tokens), tuple(orders))


def _overlap(first: _Grams, second: _Grams) -> float:
    return (_bleu(first, second) + _bleu(second, first)) / 2.0


def _bleu(ours: _Grams, theirs: _Grams) -> float:
    if not ours.size or not theirs.size:
        return float(ours.size == theirs.size)
    # A gram counts as often as both have it (Papineni et al. 2002): so often do the numbered ones meet.
    correct = [len(mine & other) for mine, other in zip(ours.of_order, theirs.of_order, strict=True)]
    total = [len(grams) for grams in ours.of_order]
    return min(1.0, max(0.0, _score()(correct, total, ours.size, theirs.size) / 100.0))


@cache
def _score() -> Callable[[list[int], list[int], int, int], float]:
    from sacrebleu.metrics import BLEU

    def score(correct: list[int], total: list[int], size: int, reference: int) -> float:
        found = BLEU.compute_bleu(correct, total, size, reference, smooth_method="exp", effective_order=True)
        return float(found.score)

    return score


def _cosines(first: Sequence[str], second: Sequence[str], embed: Embed) -> Table:
    row_of = {text: row for row, text in enumerate(dict.fromkeys([*first, *second]))}
    rows = _units(embed(list(row_of)))
    product = rows[[row_of[text] for text in first]] @ rows[[row_of[text] for text in second]].T
    return np.clip(product, 0.0, 1.0).astype(np.float32)


def _units(rows: NDArray[np.floating]) -> NDArray[np.float64]:
    wide = rows.astype(np.float64)
    norms = np.linalg.norm(wide, axis=1, keepdims=True)
    return wide / np.where(norms > 0.0, norms, 1.0)
