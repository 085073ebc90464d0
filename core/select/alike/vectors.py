"""Texts as vectors without a model: hashed n-grams of bytes, fast, deterministic, offline."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

DIMENSIONS: Final = 256
_GRAM: Final = 4
_PADDING: Final = b" " * (_GRAM - 1)
_CHARS: Final = 4_000
_BLOCK: Final = 512
# Bytes and rows hashed in one pass: its arrays, a few megabytes, stay in the processor's cache.
_BYTES: Final = 1 << 17
_ROWS: Final = 1_024
_MULTIPLIERS: Final = np.array([0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D, 0x27D4EB2F], dtype=np.uint32)

Vectors = NDArray[np.float32]
Embed = Callable[[Sequence[str]], Vectors]
"""Texts to one row of unit length each."""


def vectors(texts: Sequence[str], dimensions: int = DIMENSIONS) -> Vectors:
    """One row of unit length per text, float32 [n, dimensions] (a power of two); a dot product is a cosine in 0-1.

    The square roots of the counts of hashed 4-grams over the lower-case UTF-8 bytes of the first 4,000 characters.
    """
    rows = np.empty((len(texts), dimensions), dtype=np.float32)
    done = 0
    for block in _blocks(texts):
        rows[done : done + len(block)] = _hashed_counts(block, dimensions)
        done += len(block)
    np.sqrt(rows, out=rows)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    rows /= np.where(norms > 0.0, norms, 1.0)
    return rows


def _blocks(texts: Sequence[str]) -> Iterator[list[bytes]]:
    block: list[bytes] = []
    size = 0
    for text in texts:
        data = text[:_CHARS].casefold().encode("utf-8", "surrogatepass") + _PADDING
        if block and (size + len(data) > _BYTES or len(block) == _ROWS):
            yield block
            block, size = [], 0
        block.append(data)
        size += len(data)
    if block:
        yield block


def _hashed_counts(block: Sequence[bytes], dimensions: int) -> NDArray[np.int64]:
    """How often each hash of a 4-gram occurs in each text, [len(block), dimensions], all texts in one pass."""
    lengths = np.array([len(data) for data in block])
    codes = np.frombuffer(b"".join(block) + _PADDING, dtype=np.uint8).astype(np.uint32)
    size = len(codes) - _GRAM + 1
    # Multiplicative hashing (Knuth, TAOCP 3, 6.4): the top bits of the product are the well-mixed ones.
    hashed = codes[:size] * _MULTIPLIERS[0]
    for offset in range(1, _GRAM):
        hashed ^= codes[offset : offset + size]
        hashed *= _MULTIPLIERS[offset]
    hashed >>= np.uint32(32 - (dimensions.bit_length() - 1))
    keys = np.repeat(np.arange(len(block)) * dimensions, lengths)
    keys += hashed
    # What starts within the padding would run into the next text: it goes to a bucket that is thrown away.
    unused = len(block) * dimensions
    for offset in range(1, _GRAM):
        keys[np.cumsum(lengths) - offset] = unused
    return np.bincount(keys, minlength=unused + 1)[:unused].reshape(len(block), dimensions)


def close_pairs(rows: Vectors, floor: float) -> Iterator[tuple[int, NDArray[np.intp]]]:
    """For each row that has any: its index and the indices of the earlier rows with a cosine of at least `floor`."""
    for start in range(0, len(rows), _BLOCK):
        block = rows[start : start + _BLOCK] @ rows[: start + _BLOCK].T
        for offset in range(len(block)):
            index = start + offset
            earlier = np.flatnonzero(block[offset, :index] >= floor)
            if len(earlier):
                yield index, earlier
