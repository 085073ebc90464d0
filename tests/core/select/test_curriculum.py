from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.select.curriculum import MIXED, STAGES, Stage, calibrate, level_of, order, quotas, stage_of

DIFFICULTIES = st.dictionaries(st.integers(1, 10**6), st.floats(0, 1), min_size=1, max_size=60)


def test_stage_edges() -> None:
    assert [stage_of(value) for value in (0.0, 0.349, 0.35, 0.649, 0.65, 1.0)] == [
        "easy", "easy", "medium", "medium", "hard", "hard",
    ]  # fmt: skip


def test_calibration_by_hand() -> None:
    assert calibrate({7: 0.2, 3: 0.1, 9: 0.2}) == {3: pytest.approx(1 / 6), 7: 0.5, 9: pytest.approx(5 / 6)}


@given(DIFFICULTIES)
def test_calibration_leaves_no_stage_empty_and_keeps_the_order(difficulties: dict[int, float]) -> None:
    found = calibrate(difficulties)
    if len(difficulties) >= 3:
        assert {stage_of(value) for value in found.values()} == set(STAGES)
    ranked = sorted(difficulties, key=lambda event: (difficulties[event], event))
    assert sorted(found, key=lambda event: found[event]) == ranked
    shuffled = list(difficulties.items())
    random.Random(1).shuffle(shuffled)
    assert calibrate(dict(shuffled)) == found


def test_levels_advance_on_three_good_evaluations() -> None:
    assert level_of([]) == 0
    assert level_of([80, 80]) == 0
    assert level_of([80, 80, 80]) == 1
    assert level_of([75, 75, 75]) == 0
    assert level_of([60, 80, 80, 80]) == 1
    assert level_of([80] * 6) == 2
    assert level_of([99] * 50) == MIXED


def sizes(easy: int, medium: int, hard: int, level: int, size: int) -> tuple[int, ...]:
    return tuple(quotas({"easy": easy, "medium": medium, "hard": hard}, level, size)[stage] for stage in STAGES)


@pytest.mark.parametrize(
    ("level", "expected"), [(0, (20, 0, 0)), (1, (14, 6, 0)), (2, (10, 6, 4)), (MIXED, (10, 5, 5))]
)
def test_mixes(level: int, expected: tuple[int, int, int]) -> None:
    assert sizes(100, 50, 50, level, 20) == expected


def test_a_short_stage_is_filled_from_its_neighbours() -> None:
    assert sizes(5, 50, 50, 0, 20) == (5, 15, 0)
    assert sizes(5, 5, 50, 0, 20) == (5, 5, 10)
    assert sizes(50, 0, 50, 1, 20) == (20, 0, 0)
    assert sizes(50, 50, 0, 2, 20) == (10, 10, 0)


@given(st.tuples(*[st.integers(0, 40)] * 3), st.integers(0, MIXED), st.integers(0, 60))
def test_a_mix_is_as_large_as_it_can_be(counts: tuple[int, int, int], level: int, size: int) -> None:
    found = sizes(*counts, level, size)
    assert sum(found) == min(size, sum(counts))
    assert all(taken <= there for taken, there in zip(found, counts, strict=True))


@given(st.dictionaries(st.integers(1, 10**6), st.sampled_from(STAGES), max_size=60), st.integers(0, 99))
def test_the_order_is_easy_to_hard_and_depends_on_the_seed_alone(stages: dict[int, Stage], seed: int) -> None:
    found = order(stages, seed)
    assert sorted(found) == sorted(stages)
    ranks = [STAGES.index(stages[event]) for event in found]
    assert ranks == sorted(ranks)
    assert order(dict(reversed(stages.items())), seed) == found


def test_another_seed_shuffles_otherwise() -> None:
    stages: dict[int, Stage] = dict.fromkeys(range(50), "easy")
    assert order(stages, 1) != order(stages, 2)
