from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rapidfuzz import fuzz

from core.select.alike.character_counts import CountIndex, counted

TEXT = st.text("abcé東 \n", max_size=30)


def test_counts_by_hand() -> None:
    found = counted("abba")
    assert found.length == 4
    assert (found.counts[ord("a") % 32], found.counts[ord("b") % 32]) == (2, 2)
    assert found.counts.sum() == 4
    assert counted("").counts.sum() == 0
    assert counted("x" * 30_000).counts.max() == 1_023


@settings(max_examples=200)
@given(st.lists(st.tuples(TEXT, TEXT), max_size=8), TEXT, TEXT, st.floats(0.5, 1.0))
@example([("", "")], "", "", 0.9)
@example([("a" * 9, "b")], "a" * 11, "b", 0.9)
@example([("a" * 11, "b")], "a" * 9, "b", 0.9)
def test_nothing_alike_is_missed(pairs: list[tuple[str, str]], first: str, second: str, floor: float) -> None:
    index = CountIndex(floor)
    for key, (one, other) in enumerate(pairs):
        index.add(key, counted(one), counted(other))
    possible = index.possible(counted(first), counted(second))
    assert possible == sorted(possible)
    for key, (one, other) in enumerate(pairs):
        if fuzz.ratio(one, first) >= 100 * floor and fuzz.ratio(other, second) >= 100 * floor:
            assert key in possible


@pytest.mark.parametrize("long", [1, 40])
def test_it_tells_other_texts_apart(long: int) -> None:
    index = CountIndex(0.9)
    for key in range(5_000):
        index.add(key, counted("abcdefghij" * long), counted("same"))
    index.add(5_000, counted("klmnopqrst" * long), counted("same"))
    assert index.possible(counted("klmnopqrst" * long), counted("same")) == [5_000]
    assert index.possible(counted("klmnopqrst" * long), counted("else, and longer")) == []
    assert len(index.possible(counted("abcdefghij" * long), counted("same"))) == 5_000
