from __future__ import annotations

import math
import random
from collections.abc import Sequence
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.config import Select
from core.select.active import TYPE_UNCERTAINTY, Candidate, choose, uncertainty, value_parts
from core.select.alike.vectors import Embed, Vectors, vectors

SCORES = st.none() | st.floats(0, 100)
TYPES = st.sampled_from(sorted(TYPE_UNCERTAINTY))
CANDIDATES = st.lists(
    st.builds(
        Candidate,
        event_id=st.integers(1, 10**6),
        category=st.sampled_from(["erd", "poems"]),
        prompt=st.text("ab ", max_size=12),
        output=st.text("cd ", max_size=12),
        score=SCORES,
        feedback_type=TYPES,
        quality=st.floats(0, 1),
    ),
    max_size=25,
    unique_by=lambda candidate: candidate.event_id,
)


def made(event_id: int, prompt: str = "p", output: str = "o", **over: object) -> Candidate:
    values: dict[str, object] = {"category": "erd", "score": 90.0, "feedback_type": "success", "quality": 0.5, **over}
    return Candidate(event_id=event_id, prompt=prompt, output=output, **values)  # type: ignore[arg-type]


def test_uncertainty_by_hand() -> None:
    assert uncertainty(40.0, "validation_failure") == pytest.approx(0.24 + 0.0 + 0.3)
    assert uncertainty(40.0, "user_correction") == pytest.approx(0.24 + 0.3 + 0.24)
    assert uncertainty(100.0, "success") == pytest.approx(0.03)
    assert uncertainty(None, "explicit_negative") == pytest.approx(0.2 + 0.27)


@given(SCORES, TYPES)
def test_uncertainty_is_bounded(score: float | None, kind: str) -> None:
    assert 0.03 - 1e-12 <= uncertainty(score, kind) <= 1.0  # type: ignore[arg-type]


def test_it_does_not_choose_the_same_thing_twice() -> None:
    pool = [
        made(1, "draw a shop with orders", "shop order", score=10.0, feedback_type="validation_failure"),
        made(2, "draw a shop with orders", "shop order", score=12.0, feedback_type="validation_failure"),
        made(3, "how many planets are there", "eight of them", score=30.0, feedback_type="validation_failure"),
    ]
    assert choose(pool, 2) == [1, 3]
    greedy_off = Select(diversity_weight=0.0)
    assert choose(pool, 2, constants=greedy_off) == [1, 2]


def test_ties_belong_to_the_lower_id() -> None:
    assert choose([made(number) for number in (9, 4, 7)], 3) == [4, 7, 9]


@settings(max_examples=60)
@given(CANDIDATES, st.integers(0, 30), st.randoms(use_true_random=False))
def test_the_choice_depends_on_the_candidates_alone(pool: list[Candidate], limit: int, rng: random.Random) -> None:
    chosen = choose(pool, limit)
    assert len(chosen) == len(set(chosen)) == min(limit, len(pool))
    assert set(chosen) <= {candidate.event_id for candidate in pool}
    shuffled = pool[:]
    rng.shuffle(shuffled)
    assert choose(shuffled, limit) == chosen
    assert choose(pool, limit - 1 if limit else 0) == chosen[: max(0, limit - 1)]


VECTORS = st.integers(2, 5).flatmap(
    lambda size: st.lists(st.lists(st.floats(-1, 1, width=32), min_size=size, max_size=size), min_size=1, max_size=6)
)


def directions(rows: list[list[float]]) -> Embed:
    """An embedding with few directions, some opposite, shared by several texts; a text always gets the same one."""
    table = np.array(rows, dtype=np.float64)
    norms = np.linalg.norm(table, axis=1, keepdims=True)
    units = (table / np.where(norms > 1e-6, norms, np.inf)).astype(np.float32)
    return lambda texts: units[[sum(map(ord, text)) % len(units) for text in texts]]


def exact(
    pool: list[Candidate],
    limit: int,
    embed: Embed,
    *,
    greedy: int | None = None,
    constants: Select | None = None,
    against: Sequence[Candidate] = (),
) -> list[int]:
    """The greedy rule written out pair by pair, every value anew for every choice.

    Vectors are held to 2**-24, as `choose` does, so that both sum exactly.
    """
    constants = constants or Select()
    labelled = {each.event_id for each in against}
    pool = sorted((each for each in pool if each.event_id not in labelled), key=lambda each: each.event_id)

    def held(text: str) -> list[float]:
        return [float(round(float(x) * 2**24)) / 2**24 for x in embed([text])[0]]

    texts = {text: held(text) for each in [*pool, *against] for text in (each.prompt, each.output)}

    @cache
    def cosine(one: str, other: str) -> float:
        return min(1.0, max(0.0, math.fsum(x * y for x, y in zip(texts[one], texts[other], strict=True))))

    def value(each: Candidate, chosen: Sequence[Candidate]) -> float:
        alike = [
            0.4 * cosine(each.prompt, other.prompt)
            + 0.3 * cosine(each.output, other.output)
            + 0.3 * (each.category == other.category)
            for other in chosen
        ]
        own = (
            constants.uncertainty_weight * uncertainty(each.score, each.feedback_type)
            + constants.quality_weight * each.quality
        )
        return float(np.round(own + constants.diversity_weight * (1.0 - max(alike, default=0.0)), 6))

    chosen: list[Candidate] = []
    left = list(pool)
    while left and len(chosen) < min(limit, limit if greedy is None else greedy):
        best = max(left, key=lambda each: (value(each, [*against, *chosen]), -each.event_id))
        chosen.append(best)
        left.remove(best)
    if len(chosen) < limit:
        now = [*against, *chosen]
        left.sort(key=lambda each: (-value(each, now), each.event_id))
        chosen.extend(left[: limit - len(chosen)])
    return [each.event_id for each in chosen]


@settings(max_examples=100)
@given(CANDIDATES, CANDIDATES, st.integers(0, 30), st.none() | st.integers(0, 12), st.none() | VECTORS)
def test_it_agrees_with_the_rule_written_out(
    pool: list[Candidate],
    against: list[Candidate],
    limit: int,
    greedy: int | None,
    rows: list[list[float]] | None,
) -> None:
    embed = vectors if rows is None else directions(rows)
    expected = exact(pool, limit, embed, greedy=greedy, against=against)
    assert choose(pool, limit, greedy=greedy, embed=embed, against=against) == expected


@settings(max_examples=40)
@given(CANDIDATES, st.sampled_from([(0.0, 1.0, 0.0), (0.0, 0.3, 0.3), (1.0, 0.0, 0.5), (0.1, 0.9, 0.1)]))
def test_it_agrees_under_other_weights(pool: list[Candidate], weights: tuple[float, float, float]) -> None:
    constants = Select(uncertainty_weight=weights[0], diversity_weight=weights[1], quality_weight=weights[2])
    expected = exact(pool, 20, vectors, constants=constants)
    assert choose(pool, 20, constants=constants) == expected


def clustered(count: int, *, equal: bool, seed: int = 0) -> tuple[list[Candidate], Embed]:
    """Candidates enough for several blocks, with vectors around a few centres."""
    draw = np.random.default_rng(seed)
    centres = draw.normal(size=(12, 24))
    table = centres[draw.integers(12, size=2 * count)] + 0.5 * draw.normal(size=(2 * count, 24))
    table /= np.linalg.norm(table, axis=1, keepdims=True)
    rows = table.astype(np.float32)
    kinds = sorted(TYPE_UNCERTAINTY)
    pool = [
        made(
            number + 1,
            f"{2 * number}",
            f"{2 * number + 1}",
            category="erd" if number % 3 else "poems",
            score=50.0 if equal else float(draw.uniform(0, 100)),
            feedback_type="neutral" if equal else kinds[draw.integers(len(kinds))],
            quality=0.5 if equal else float(draw.uniform()),
        )
        for number in range(count)
    ]
    return pool, lambda texts: rows[[int(text) for text in texts]]


@pytest.mark.parametrize("equal", [False, True])
def test_several_blocks_agree_with_the_rule_written_out(equal: bool) -> None:
    pool, embed = clustered(400, equal=equal)
    assert choose(pool, 12, embed=embed) == exact(pool, 12, embed)


@pytest.mark.parametrize("equal", [False, True])
def test_each_text_is_embedded_at_most_once_and_only_when_it_matters(equal: bool) -> None:
    pool, embed = clustered(3_000, equal=equal)
    asked: list[str] = []

    def counted(texts: Sequence[str]) -> Vectors:
        asked.extend(texts)
        return embed(texts)

    choose(pool, 20, embed=counted, against=pool[:5])
    assert len(asked) == len(set(asked))
    assert len(asked) == 6_000 if equal else len(asked) < 3_000


def test_nothing_is_embedded_for_the_first_choice() -> None:
    def never(texts: Sequence[str]) -> Vectors:
        raise AssertionError(texts)

    assert choose([made(1, quality=0.4), made(2, quality=0.6)], 1, embed=never) == [2]


def test_value_by_hand() -> None:
    """Unit vectors (1, 0), (0, 1) and (0.6, 0.8): cosines 0, 0.6 and 0.8."""
    rows = {"x": [1.0, 0.0], "y": [0.0, 1.0], "z": [0.6, 0.8], "-": [-1.0, 0.0]}

    def embed(texts: Sequence[str]) -> Vectors:
        return np.array([rows[text] for text in texts], dtype=np.float32)

    # Own value 0.4 × (0.4 × 0.1 + 0.3 × 0.1) + 0.3 × quality = 0.028 + 0.3 × quality.
    first = made(1, "x", "x", quality=1.0)
    # Of another category, alike 0.4 × 0.6 + 0.3 × 0 = 0.24: 0.028 + 0.3 × 0.5 + 0.3 × 0.76 = 0.406.
    other = made(2, "z", "y", quality=0.5, category="poems")
    # Of the same category, prompts opposite (0, not -1), outputs 0.6: alike 0.3 + 0.18: 0.028 + 0.3 × q + 0.3 × 0.52.
    for quality, expected in ((0.739, [1, 2, 3]), (0.741, [1, 3, 2])):
        same = made(3, "-", "z", quality=quality)
        assert choose([first, other, same], 3, embed=embed) == expected


def test_what_is_labelled_counts_for_diversity_and_is_not_returned() -> None:
    labelled = made(1, "draw a shop with orders", "shop order")
    pool = [
        labelled,
        made(2, "draw a shop with orders", "shop order", score=80.0),
        made(3, "how many planets are there", "eight of them", score=90.0),
    ]
    assert choose(pool, 3) == [2, 3, 1]
    assert choose(pool, 3, against=[labelled]) == [3, 2]
    assert choose([labelled], 1, against=[labelled]) == []


def test_parts_by_hand() -> None:
    found = value_parts(made(1, score=40.0, feedback_type="user_correction", quality=0.5))
    assert (found.missed, found.corrected, found.type, found.quality) == (pytest.approx(0.6), 1.0, 0.8, 0.5)
    assert found.uncertainty == pytest.approx(0.24 + 0.3 + 0.24)
    assert found.own == pytest.approx(0.4 * 0.78 + 0.3 * 0.5)
    assert value_parts(made(1, score=None), Select(uncertainty_weight=1.0)).own == pytest.approx(0.23 + 0.15)


def test_after_the_greedy_part_the_rest_follow_by_value() -> None:
    pool = [made(number, f"prompt {number}", score=float(number)) for number in range(1, 31)]
    chosen = choose(pool, 30, greedy=5)
    assert chosen[:5] == choose(pool, 5)
    assert sorted(chosen) == list(range(1, 31))
