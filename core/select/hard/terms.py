"""The words by which some texts differ from others."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Final

_WORD = re.compile(r"\b[^\W\d_]\w{2,23}\b")
_PLACEHOLDER = re.compile(r"\[[A-Z][A-Z_]*_\d+\]")
_LEAST_Z: Final = 1.0
_LEAST_SHARE: Final = 0.2
_STOP_WORDS: Final = (
    "about above after all also and any are because been before being below between both but can could did does doing "
    "down each etc few for from further give had has have having her here hers him his how into its itself just let "
    "make may more most must need not now off once one only other our ours out over own please same shall she should "
    "show some such than that the their theirs them then there these they this those through too two under until use "
    "using very want was were what when where which while who whom why will with within without would write you your "
    "yours"
)
_STOP: Final = frozenset(_STOP_WORDS.split())


def words_of(text: str) -> set[str]:
    """The words of a text in lower case, of 3 to 24 letters and digits; no stop words, no placeholders for names."""
    return {word for word in _WORD.findall(_PLACEHOLDER.sub(" ", text).lower()) if word not in _STOP}


def distinctive(inside: Sequence[Collection[str]], every: Mapping[str, int], texts: int, limit: int) -> tuple[str, ...]:
    """Up to `limit` words that some texts have more often than all others, the most telling first.

    Each text is the set of its words; `every` counts in how many of all `texts` a word stands, those inside included.
    A word counts when a fifth of the texts inside have it, at least two of them where there are two. Weighted log-odds
    with a prior (Monroe, Colaresi and Quinn 2008, "Fightin' Words", eq. 16 and 22), a text counting once; ties by the
    alphabet. Of words that differ in their ending alone only the first is taken.
    """
    own = Counter(word for words in inside for word in words)
    outside = texts - len(inside)
    least = max(min(2, len(inside)), math.ceil(_LEAST_SHARE * len(inside)))
    weights: dict[str, float] = {}
    for word, count in own.items():
        if count < least:
            continue
        elsewhere = every[word] - count
        prior = 0.5 + every[word] / texts
        odds = (count + prior) / (len(inside) - count + 2.0 - prior)
        odds_elsewhere = (elsewhere + prior) / (outside - elsewhere + 2.0 - prior)
        spread = math.sqrt(1.0 / (count + prior) + 1.0 / (elsewhere + prior))
        weights[word] = round(math.log(odds / odds_elsewhere) / spread, 6)
    chosen: list[str] = []
    for word in sorted(weights, key=lambda each: (-weights[each], each)):
        if len(chosen) == limit or weights[word] < _LEAST_Z:
            break
        if not any(_same_stem(word, known) for known in chosen):
            chosen.append(word)
    return tuple(chosen)


def _same_stem(one: str, other: str) -> bool:
    short, long = sorted((one, other), key=len)
    return long.startswith(short) and len(long) - len(short) <= 2
