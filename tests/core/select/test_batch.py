from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.select.batch import batch_size, direction, fixed_batch_size

UP, DOWN = [50.0, 60.0], [60.0, 50.0]


@pytest.mark.parametrize(
    ("available", "quality", "total", "trend", "size"),
    [
        (19, 0.9, 1_000, [], 0),
        (20, 0.5, 1_000, [], 20),
        (49, 0.5, 1_000, UP, 24),
        (50, 0.5, 1_000, [], 50),
        (99, 0.6, 1_000, [], 35),
        (99, 0.5, 99, [], 30),
        (100, 0.5, 1_000, [], 75),
        (100, 0.5, 1_000, UP, 90),
        (100, 0.5, 1_000, DOWN, 60),
        (100, 0.6, 1_000, [], 53),
        (60, 0.9, 60, DOWN, 20),
    ],
)
def test_sizes_by_hand(available: int, quality: float, total: int, trend: list[float], size: int) -> None:
    assert batch_size(available, average_quality=quality, total=total, trend=trend) == size


@given(st.integers(0, 10**5), st.floats(0, 1), st.integers(0, 10**6), st.lists(st.floats(0, 100), max_size=9))
def test_a_batch_waits_or_fits(available: int, quality: float, total: int, trend: list[float]) -> None:
    size = batch_size(available, average_quality=quality, total=total, trend=trend)
    assert size == 0 if available < 20 else 20 <= size <= min(100, available)


def test_direction_ignores_noise() -> None:
    assert [direction(scores) for scores in ([], [50.0], [50.0, 50.9], UP, DOWN, [50, 99, 60])] == [0, 0, 0, 1, -1, 1]


def test_fixed_takes_fifty() -> None:
    assert [fixed_batch_size(number) for number in (0, 49, 50, 500)] == [0, 0, 50, 50]
