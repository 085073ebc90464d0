from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.config import Loop
from core.triggers import Outlook, decide, fewest_fresh

OUTLOOK = Outlook(fresh=0, eligible=0, gold=0, total=1_000, mean_quality=0.5, fresh_quality=0.5)


@pytest.mark.parametrize(
    ("fresh", "total", "quality", "limit"),
    [
        (19, 1_000, 0.5, 0),
        (20, 1_000, 0.5, 20),
        (60, 1_000, 0.5, 50),
        (200, 1_000, 0.5, 75),
        (200, 1_000, 0.6, 53),  # 75 × 0.7 = 52.5
        (60, 99, 0.5, 30),  # 50 × 0.6
    ],
)
def test_adaptive_takes_a_batch_of_what_is_fresh(fresh: int, total: int, quality: float, limit: int) -> None:
    found = decide(replace(OUTLOOK, fresh=fresh, total=total, fresh_quality=quality), Loop())
    assert (found.due, found.limit) == (limit > 0, limit)


@pytest.mark.parametrize(("fresh", "due"), [(49, False), (50, True), (5_000, True)])
def test_fixed_takes_fifty(fresh: int, due: bool) -> None:
    found = decide(replace(OUTLOOK, fresh=fresh), Loop(policy="fixed"))
    assert (found.due, found.limit) == (due, 50 if due else 0)


TIERED = Outlook(fresh=50, eligible=2_000, gold=500, total=9_000, mean_quality=0.85, fresh_quality=0.1)


def test_tiered_takes_everything_once_there_is_enough() -> None:
    found = decide(TIERED, Loop(policy="tiered"))
    assert found.due
    assert found.limit is None


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        ({"gold": 499}, "499 of 500 gold examples"),
        ({"eligible": 1_999}, "1,999 of 2,000 eligible examples"),
        ({"mean_quality": 0.8}, "mean quality 0.80 of 0.85"),
        ({"fresh": 49}, "49 of 50 fresh examples"),
    ],
)
def test_tiered_names_what_is_missing(missing: dict[str, int], words: str) -> None:
    found = decide(replace(TIERED, **missing), Loop(policy="tiered"))
    assert not found.due
    assert found.reason == words


@given(st.integers(0, 5_000), st.sampled_from(["adaptive", "fixed", "tiered"]))
def test_below_the_fewest_nothing_is_due(fresh: int, policy: str) -> None:
    loop = Loop(policy=policy)
    found = decide(replace(TIERED, fresh=fresh), loop)
    if fresh < fewest_fresh(loop):
        assert not found.due
    elif policy != "tiered":
        assert found.due
        assert found.limit is not None
        assert 20 <= found.limit <= min(fresh, 100)
