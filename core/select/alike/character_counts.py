"""Which texts can be alike at all, from how often each character occurs in them.

The Indel distance of two texts is at least the sum of the differences of their character counts, since an insertion
or deletion changes one count by one. Counts are kept in 32 bins and capped, which only lowers that sum, so that nothing
alike is ever missed (the filter of Grossi and Luccio 1989, "Simple and efficient string matching with k mismatches").
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

_BINS: Final = 32
# 32 capped counts sum to less than 2**15, so that int16 holds every distance.
_CAP: Final = 1_023
_CHUNK: Final = 4_096
# More than what float32 loses on lengths of tens of thousands.
_ROUNDING: Final = 1e-2

Counts = NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Counted:
    """A text's length in characters and the capped counts of its characters, [32]."""

    length: int
    counts: Counts


def counted(text: str) -> Counted:
    """Counts the characters of a text by the low five bits of their code points."""
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    counts = np.bincount(codes & np.uint32(_BINS - 1), minlength=_BINS)
    return Counted(len(codes), np.minimum(counts, _CAP).astype(np.int16))


class _Bucket:
    """Pairs whose first texts are of about the same length."""

    def __init__(self) -> None:
        self._size = 0
        self._keys = np.empty(16, dtype=np.intp)
        self._allowed = np.empty((2, 16), dtype=np.float32)
        self._first = np.empty((_BINS, 16), dtype=np.int16)
        self._second = np.empty((16, _BINS), dtype=np.int16)

    def add(self, key: int, first: Counted, second: Counted, share: float) -> None:
        at = self._size
        if at == len(self._keys):
            self._keys = np.concatenate([self._keys, self._keys])
            self._allowed = np.concatenate([self._allowed, self._allowed], axis=1)
            self._first = np.concatenate([self._first, self._first], axis=1)
            self._second = np.concatenate([self._second, self._second])
        self._keys[at] = key
        self._allowed[:, at] = share * first.length + _ROUNDING, share * second.length + _ROUNDING
        self._first[:, at] = first.counts
        self._second[at] = second.counts
        self._size += 1

    def possible(self, first: Counted, second: Counted, share: float, scratch: Counts) -> list[int]:
        found: list[int] = []
        column = first.counts[:, None]
        for start in range(0, self._size, _CHUNK):
            part = slice(start, min(start + _CHUNK, self._size))
            apart = np.subtract(self._first[:, part], column, out=scratch[:, : part.stop - start])
            distance = np.abs(apart, out=apart).sum(axis=0, dtype=np.int16)
            near = np.flatnonzero(distance <= self._allowed[0, part] + np.float32(share * first.length))
            if len(near):
                near += start
                distance = np.abs(self._second[near] - second.counts).sum(axis=1, dtype=np.int16)
                near = near[distance <= self._allowed[1, near] + np.float32(share * second.length)]
                found.extend(self._keys[near].tolist())
        return found


class CountIndex:
    """Pairs of texts by key; finds those that another pair may be alike to, both texts, by Indel similarity >= `floor`.

    `floor` is 0-1 and above 0. The first text of a pair is looked at first, so it should be the longer one.
    """

    def __init__(self, floor: float) -> None:
        self._share = 1.0 - floor
        # Of two texts that are alike, the longer one is at most this many times as long.
        self._ratio = math.log((2.0 - floor) / floor) + 1e-9
        self._buckets: dict[int, _Bucket] = {}
        self._scratch = np.empty((_BINS, _CHUNK), dtype=np.int16)

    def add(self, key: int, first: Counted, second: Counted) -> None:
        self._buckets.setdefault(self._bucket(first), _Bucket()).add(key, first, second, self._share)

    def possible(self, first: Counted, second: Counted) -> list[int]:
        """The keys of the pairs that may be alike to this one, ascending."""
        middle = self._bucket(first)
        found: list[int] = []
        for at in (middle - 1, middle, middle + 1):
            if at in self._buckets:
                found.extend(self._buckets[at].possible(first, second, self._share, self._scratch))
        return sorted(found)

    def _bucket(self, text: Counted) -> int:
        return int(math.log(text.length) / self._ratio) if text.length else -2
