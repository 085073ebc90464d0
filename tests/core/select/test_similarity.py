from __future__ import annotations

import random
import re
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rapidfuzz import fuzz
from sacrebleu.metrics import BLEU

from core.select.alike.similarity import bleu, is_typo, near_duplicates, similarities, similarity
from core.select.alike.vectors import Vectors, vectors

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


@settings(max_examples=40)
@given(TEXT, TEXT)
def test_similarity_is_symmetric_bounded_and_one_for_the_same(first: str, second: str) -> None:
    there, back = similarity(first, second), similarity(second, first)
    assert there.value == pytest.approx(back.value)
    assert 0.0 <= there.value <= 1.0
    assert similarity(first, first).value == pytest.approx(1.0)


def test_a_typo_is_no_real_correction() -> None:
    assert is_typo(similarity(DIAGRAM, DIAGRAM.replace("takes", "take")))
    assert not is_typo(similarity(DIAGRAM, DIAGRAM.replace("string name", "string name\n        int owner_id FK")))


def test_the_first_of_near_duplicates_stays() -> None:
    prompts = ["Draw a shop with orders and items, please.", "Draw a zoo with cages and keepers, please!"]
    outputs = [DIAGRAM, DIAGRAM.replace("shop", "zoo").replace("order", "cage")]
    repeated = near_duplicates([*prompts, prompts[0] + "!", prompts[0]], [*outputs, DIAGRAM, "something else"], 0.9)
    assert repeated == {2: 0}


@settings(max_examples=30)
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


@settings(max_examples=60)
@given(TEXT, TEXT)
def test_bleu_is_that_of_sacrebleu(first: str, second: str) -> None:
    ours, theirs = re.findall(r"\w+|[^\w\s]", first), re.findall(r"\w+|[^\w\s]", second)
    if ours and theirs:
        metric = BLEU(effective_order=True, tokenize="none")
        expected = metric.sentence_score(" ".join(ours), [" ".join(theirs)]).score / 100
        assert bleu(first, second) == pytest.approx(expected, abs=1e-9)


def test_the_parts_and_the_value_by_hand() -> None:
    # Three edits in eight characters; one word of two in common, and of the one pair half (smoothed).
    found = similarity("draw abc", "draw xyz", embedded=([1.0, 0.0], [-1.0, 0.0]))
    assert found.levenshtein == pytest.approx(1 - 3 / 8)
    assert found.bleu == pytest.approx((0.5 * 0.5) ** 0.5)
    assert found.cosine == 0.0
    assert found.value == pytest.approx(0.4 * 5 / 8 + 0.3 * 0.5)


@settings(max_examples=40)
@given(st.lists(TEXT, max_size=4), st.lists(TEXT, max_size=4), st.booleans())
def test_many_against_many_is_the_same_as_one_by_one(first: list[str], second: list[str], embedded: bool) -> None:
    asked: list[str] = []

    def embed(texts: Sequence[str]) -> Vectors:
        asked.extend(texts)
        return vectors(texts)

    table = similarities(first, second, embed=embed if embedded else None)
    assert table.value.shape == table.levenshtein.shape == table.bleu.shape == (len(first), len(second))
    assert (table.cosine is not None) == embedded
    assert len(asked) == len(set(asked))
    for row, one in enumerate(first):
        for column, other in enumerate(second):
            pair = (vectors([one])[0].tolist(), vectors([other])[0].tolist()) if embedded else None
            alone = similarity(one, other, embedded=pair)
            assert table.value[row, column] == pytest.approx(alone.value, abs=1e-6)
            assert table.levenshtein[row, column] == pytest.approx(alone.levenshtein, abs=1e-6)
            assert table.bleu[row, column] == pytest.approx(alone.bleu, abs=1e-6)
            if table.cosine is not None:
                assert table.cosine[row, column] == pytest.approx(alone.cosine, abs=1e-6)


def test_bleu_only_where_it_is_asked_for() -> None:
    texts = ["a shop with orders", "a shop with order", "planets, moons"]
    every = similarities(texts, texts)
    some = similarities(texts, texts, bleu_above=0.8)
    near = every.levenshtein >= 0.8
    assert near.sum() == 5
    assert np.array_equal(np.isnan(some.bleu), ~near)
    assert np.array_equal(some.value[near], every.value[near])
    assert np.array_equal(some.value[~near], every.levenshtein[~near])


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.text("ab", max_size=8), st.text("cde", max_size=8)), max_size=25),
    st.sampled_from([0.5, 0.8, 0.9]),
)
def test_near_duplicates_are_found_whatever_the_texts(items: list[tuple[str, str]], floor: float) -> None:
    kept: list[int] = []
    expected: dict[int, int] = {}
    for index, texts in enumerate(items):
        for other in kept:
            if all(fuzz.ratio(*pair) >= 100 * floor for pair in zip(texts, items[other], strict=True)):
                expected[index] = other
                break
        else:
            kept.append(index)
    assert near_duplicates([one for one, _ in items], [other for _, other in items], floor) == expected
