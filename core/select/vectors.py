"""Texts as vectors without a model: hashed n-grams of bytes, fast, deterministic, offline."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

DIMENSIONS: Final = 256
_GRAM: Final = 4
_CHARS: Final = 4_000
_BLOCK: Final = 1_024
_MULTIPLIERS: Final = np.array([0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D, 0x27D4EB2F], dtype=np.uint32)

Vectors = NDArray[np.float32]


def vectors(texts: Sequence[str], dimensions: int = DIMENSIONS) -> Vectors:
    """One row of unit length per text, float32 [n, dimensions] (a power of two); a dot product is a cosine in 0-1.

    The square roots of the counts of hashed 4-grams over the lower-case UTF-8 bytes of the first 4,000 characters.
    """
    rows = np.zeros((len(texts), dimensions), dtype=np.float32)
    shift = np.uint32(32 - (dimensions.bit_length() - 1))
    for row, text in enumerate(texts):
        data = text[:_CHARS].casefold().encode("utf-8", "surrogatepass") + b" " * (_GRAM - 1)
        codes = np.frombuffer(data, dtype=np.uint8).astype(np.uint32)
        size = len(codes) - _GRAM + 1
        if size < 1:
            continue
        # Multiplicative hashing (Knuth, TAOCP 3, 6.4): the top bits of the product are the well-mixed ones.
        hashed = np.zeros(size, dtype=np.uint32)
        for offset in range(_GRAM):
            hashed = (hashed ^ codes[offset : offset + size]) * _MULTIPLIERS[offset]
        rows[row] = np.sqrt(np.bincount(hashed >> shift, minlength=dimensions))
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    rows /= np.where(norms > 0.0, norms, 1.0)
    return rows


def close_pairs(rows: Vectors, floor: float) -> Iterator[tuple[int, NDArray[np.intp]]]:
    """For each row that has any: its index and the indices of the earlier rows with a cosine of at least `floor`."""
    for start in range(0, len(rows), _BLOCK):
        block = rows[start : start + _BLOCK] @ rows[: start + _BLOCK].T
        for offset in range(len(block)):
            index = start + offset
            earlier = np.flatnonzero(block[offset, :index] >= floor)
            if len(earlier):
                yield index, earlier
