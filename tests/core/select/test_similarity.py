from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rapidfuzz.distance import Levenshtein

from core.select.similarity import bleu, edit_similarities, is_typo, near_duplicates, similarity
from core.select.vectors import close_pairs, vectors

TEXT = st.text("abc d\n", max_size=40)
DIAGRAM = "erDiagram\n    shop ||--o{ order : takes\n    shop {\n        int id PK\n        string name\n    }"


def test_levenshtein_of_the_classic_example() -> None:
    # kitten → sitting takes three edits over seven characters.
    assert similarity("kitten", "sitting").levenshtein == pytest.approx(1 - 3 / 7)


def test_bleu_of_the_published_example() -> None:
    # Papineni et al. 2002, example 2: "the the the…" matches "the" twice at most.
    assert bleu("the the the the the the the", "the cat is on the mat") < 0.2
    assert bleu("the cat is on the mat", "the cat is on the mat") == 1.0
    assert bleu("", "") == 1.0
    assert bleu("", "word") == 0.0


def test_without_embeddings_the_weights_are_shared_out_and_it_says_so() -> None:
    found = similarity("a b c d e", "a b c d f")
    assert found.cosine is None
    assert found.value == pytest.approx((0.4 * found.levenshtein + 0.3 * found.bleu) / 0.7)
    full = similarity("a b c d e", "a b c d f", embedded=([1.0, 0.0], [1.0, 1.0]))
    assert full.cosine == pytest.approx(0.5**0.5)
    assert full.value == pytest.approx(0.4 * found.levenshtein + 0.3 * found.bleu + 0.3 * 0.5**0.5)


@settings(max_examples=40, deadline=None)
@given(TEXT, TEXT)
def test_similarity_is_symmetric_bounded_and_one_for_the_same(first: str, second: str) -> None:
    there, back = similarity(first, second), similarity(second, first)
    assert there.value == pytest.approx(back.value)
    assert 0.0 <= there.value <= 1.0
    assert similarity(first, first).value == pytest.approx(1.0)


@given(st.lists(TEXT, max_size=5), st.lists(TEXT, max_size=5))
def test_many_against_many_is_the_same_as_one_by_one(first: list[str], second: list[str]) -> None:
    table = edit_similarities(first, second)
    assert table.shape == (len(first), len(second))
    for row, one in enumerate(first):
        for column, other in enumerate(second):
            assert table[row, column] == pytest.approx(Levenshtein.normalized_similarity(one, other), abs=1e-6)


def test_a_typo_is_no_real_correction() -> None:
    assert is_typo(similarity(DIAGRAM, DIAGRAM.replace("takes", "take")))
    assert not is_typo(similarity(DIAGRAM, DIAGRAM.replace("string name", "string name\n        int owner_id FK")))


def test_the_first_of_near_duplicates_stays() -> None:
    prompts = ["Draw a shop with orders and items, please.", "Draw a zoo with cages and keepers, please!"]
    outputs = [DIAGRAM, DIAGRAM.replace("shop", "zoo").replace("order", "cage")]
    repeated = near_duplicates([*prompts, prompts[0] + "!", prompts[0]], [*outputs, DIAGRAM, "something else"], 0.9)
    assert repeated == {2: 0}


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=12), st.randoms(use_true_random=False))
def test_near_duplicates_are_what_an_exhaustive_search_finds(picks: list[tuple[int, int]], rng: random.Random) -> None:
    asked = ["a list of planets in the sky", "a list of planets in the skies", "how to cook rice well", "unrelated zzz"]
    said = ["venus and mars and jupiter", "venus and mars and jupiter.", "boil it for ten minutes", "qqq qqq qqq qqq"]
    prompts, outputs = [asked[one] for one, _ in picks], [said[other] for _, other in picks]
    alike = {(0, 0), (0, 1), (1, 0), (1, 1), (2, 2), (3, 3)}
    kept: list[int] = []
    expected = set()
    for index, (one, other) in enumerate(picks):
        if any((one, picks[k][0]) in alike and (other, picks[k][1]) in alike for k in kept):
            expected.add(index)
        else:
            kept.append(index)
    assert set(near_duplicates(prompts, outputs, 0.9)) == expected


@given(st.lists(st.text(max_size=30), min_size=1, max_size=6))
def test_vectors_have_unit_length_and_do_not_depend_on_their_neighbours(texts: list[str]) -> None:
    rows = vectors(texts)
    assert np.allclose(np.linalg.norm(rows, axis=1), [1.0 if text else 0.0 for text in texts], atol=1e-5)
    assert np.array_equal(rows[-1], vectors(texts[-1:])[0])
    assert (rows >= 0).all()


def test_the_candidate_margin_is_wide_enough() -> None:
    """Texts changed in a tenth of their characters must still be found."""
    rng = random.Random(5)
    words = ["shop", "order", "customer", "invoice", "item", "draw", "diagram", "with", "please", "a", "the", "has"]
    lowest = 1.0
    for _ in range(200):
        text = " ".join(rng.choice(words) for _ in range(rng.randint(8, 40)))
        changed = list(text)
        for _ in range(len(text) // 10):
            changed[rng.randrange(len(changed))] = rng.choice("abcdefghij")
        one, other = vectors([text, "".join(changed)])
        lowest = min(lowest, float(one @ other))
    assert lowest > 0.65


def test_close_pairs_cross_blocks() -> None:
    rows = vectors([f"text number {number % 700} of many" for number in range(1_500)])
    found = dict(close_pairs(rows, 0.999999))
    assert 0 in found[700]
    assert 799 in found[1_499]
    assert all((earlier < index).all() for index, earlier in found.items())
