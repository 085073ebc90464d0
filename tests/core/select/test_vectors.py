from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from core.select.alike.vectors import DIMENSIONS, Vectors, close_pairs, vectors

MULTIPLIERS = (0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D, 0x27D4EB2F)


def text_by_text(texts: list[str], dimensions: int = DIMENSIONS) -> Vectors:
    """The definition, one text and one 4-gram at a time."""
    rows = np.zeros((len(texts), dimensions))
    for row, text in enumerate(texts):
        data = text[:4_000].casefold().encode("utf-8", "surrogatepass") + b"   "
        for start in range(len(data) - 3):
            hashed = 0
            for code, multiplier in zip(data[start : start + 4], MULTIPLIERS, strict=True):
                hashed = (hashed ^ code) * multiplier % 2**32
            rows[row, hashed * dimensions >> 32] += 1
    rows = np.sqrt(rows).astype(np.float32)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(norms > 0.0, norms, np.float32(1.0))


@given(st.lists(st.text(max_size=30), max_size=8), st.sampled_from([16, 256]))
def test_a_block_of_texts_is_hashed_as_each_text_alone(texts: list[str], dimensions: int) -> None:
    assert np.array_equal(vectors(texts, dimensions), text_by_text(texts, dimensions))


def test_many_blocks_and_long_texts() -> None:
    texts = [f"entity {number} {'owns ' * (number % 7)}" for number in range(2_500)]
    texts[1_000] = "Zürich 東京 " * 1_000
    texts[1_700] = "a" * 200_000
    rows = vectors(texts)
    for index in (0, 1, 999, 1_000, 1_001, 1_023, 1_024, 1_699, 1_700, 1_701, 2_499):
        assert np.array_equal(rows[index], text_by_text([texts[index]])[0])


def test_no_texts_and_empty_texts() -> None:
    assert vectors([]).shape == (0, DIMENSIONS)
    assert not vectors(["", ""]).any()
    assert vectors(["\ud800"]).any()


@given(st.lists(st.text(max_size=30), min_size=1, max_size=6))
def test_vectors_have_unit_length_and_do_not_depend_on_their_neighbours(texts: list[str]) -> None:
    rows = vectors(texts)
    assert np.allclose(np.linalg.norm(rows, axis=1), [1.0 if text else 0.0 for text in texts], atol=1e-5)
    assert np.array_equal(rows[-1], vectors(texts[-1:])[0])
    assert (rows >= 0).all()


def test_close_pairs_cross_blocks() -> None:
    rows = vectors([f"text number {number % 700} of many" for number in range(1_500)])
    found = dict(close_pairs(rows, 0.999999))
    assert 0 in found[700]
    assert 799 in found[1_499]
    assert all((earlier < index).all() for index, earlier in found.items())
