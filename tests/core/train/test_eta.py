from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.train.eta import Eta

POSITIVE = st.floats(1e-3, 1e3)


def lengths(count: int, seed: int) -> list[int]:
    """Tokens of steps of eight examples with log-normal lengths."""
    chance = random.Random(seed)
    return [sum(min(2_048, int(chance.lognormvariate(5.0, 0.7))) for _ in range(8)) for _ in range(count)]


def relative_errors(
    costs: Sequence[int],
    seconds: Sequence[float],
    evaluations: Sequence[int],
    evaluation_seconds: Callable[[int], float],
) -> dict[int, float]:
    """(estimate - truth) / truth after each step, the evaluation that follows it done; without the end itself."""
    eta = Eta(costs, evaluations)
    eta.evaluated(evaluation_seconds(0))
    estimates: dict[int, float] = {}
    clock, ends = 0.0, {}
    for step, took in enumerate(seconds, 1):
        eta.stepped(step, took)
        clock += took
        if step in evaluations:
            eta.evaluated(evaluation_seconds(step))
            clock += evaluation_seconds(step)
        told = eta.remaining(step)
        assert told is not None
        estimates[step], ends[step] = told, clock
    return {step: told / (clock - ends[step]) - 1 for step, told in estimates.items() if step < len(seconds)}


def trace(
    seed: int,
    *,
    total: int = 300,
    noise: float = 0.25,
    overhead: float = 0.0,
    speed: Callable[[float], float] = lambda share: 1.0,
) -> tuple[list[int], list[float], list[int], Callable[[int], float]]:
    """A run with log-normal noise on a cost by tokens, a first step twenty times as slow, ten noisy evaluations."""
    chance = random.Random(seed)
    costs = lengths(total, seed)
    seconds = [
        (overhead + cost * 1e-3) * speed(step / total) * chance.lognormvariate(0.0, noise)
        for step, cost in enumerate(costs)
    ]
    seconds[0] *= 20
    every = max(1, total // 10)
    evaluations = [*range(every, total + 1, every)]
    each = {step: 6.0 * chance.lognormvariate(0.0, 0.1) for step in [0, *evaluations]}
    each[0] *= 1.5
    return costs, seconds, evaluations, each.__getitem__


@pytest.mark.parametrize("noise", [0.05, 0.25, 0.4])
@pytest.mark.parametrize("overhead", [0.0, 0.5])
def test_within_a_fifth_after_the_first_tenth(noise: float, overhead: float) -> None:
    seeds = 40
    right = 0
    for seed in range(seeds):
        errors = relative_errors(*trace(seed, noise=noise, overhead=overhead))
        right += all(abs(errors[step]) <= 0.2 for step in range(30, 151, 4))
    assert right >= 0.95 * seeds


def test_it_is_not_biased() -> None:
    """Step times are skewed: the median time would tell 4 % too little here."""
    after_half = [relative_errors(*trace(seed, noise=0.3))[150] for seed in range(60)]
    assert abs(sum(after_half) / len(after_half)) < 0.02


def test_a_slow_first_step_is_forgotten_with_the_second() -> None:
    eta = Eta([100] * 10, [])
    eta.stepped(1, 60.0)
    assert eta.remaining(1) == pytest.approx(540)
    eta.stepped(2, 1.0)
    assert eta.remaining(2) == pytest.approx(8)


def test_a_slow_drift_is_followed() -> None:
    for seed in range(20):
        errors = relative_errors(*trace(seed, total=600, speed=lambda share: 1 + 0.3 * share))
        assert all(abs(errors[step]) <= 0.2 for step in range(120, 540, 20))


def test_a_slower_stretch_is_seen_and_left_behind() -> None:
    """Twice as slow between 40 and 60 %: from 70 % on, the estimate is that of the usual speed again."""
    for seed in range(20):
        steps = trace(seed, total=1_000, speed=lambda share: 2.0 if 0.4 <= share < 0.6 else 1.0)
        errors = relative_errors(*steps)
        assert errors[500] > 0.3
        assert all(abs(errors[step]) <= 0.2 for step in range(720, 950, 10))


def test_a_computer_that_slept_counts_for_nothing() -> None:
    eta = Eta([100] * 200, [])
    for step in range(1, 101):
        eta.stepped(step, 8 * 3600.0 if step == 60 else 1.0)
    assert eta.remaining(100) == pytest.approx(100, rel=0.05)


def test_pauses_that_come_again_and_again_count() -> None:
    """Every tenth step waits 30 s until the card is cool."""
    eta = Eta([100] * 400, [])
    for step in range(1, 201):
        eta.stepped(step, 31.0 if step % 10 == 0 else 1.0)
    assert eta.remaining(200) == pytest.approx(200 + 20 * 30, rel=0.2)


def test_evaluations_are_counted_apart() -> None:
    eta = Eta([100] * 10, [5, 10])
    eta.evaluated(90.0)
    eta.stepped(1, 1.0)
    assert eta.remaining(1) == pytest.approx(9 + 2 * 90)
    for step in range(2, 6):
        eta.stepped(step, 1.0)
    assert eta.remaining(5) == pytest.approx(5 + 2 * 90)
    eta.evaluated(30.0)
    assert eta.remaining(5) == pytest.approx(5 + 30)


def test_an_evaluation_that_was_left_out_is_not_waited_for() -> None:
    eta = Eta([100] * 4, [2, 4])
    eta.evaluated(10.0)
    for step in (1, 2, 3):
        eta.stepped(step, 1.0)
    assert eta.remaining(3) == pytest.approx(1 + 10)


def test_a_resumed_run_knows_only_what_is_left() -> None:
    eta = Eta([100] * 100, [50, 100])
    assert eta.remaining(50) is None
    eta.stepped(51, 9.0)
    eta.stepped(52, 2.0)
    assert eta.remaining(52) == pytest.approx(96)
    eta.evaluated(4.0)
    assert eta.remaining(52) == pytest.approx(96 + 4)


def test_time_that_is_none_is_not_believed() -> None:
    eta = Eta([100] * 4, [])
    for seconds in (math.nan, -1.0, math.inf):
        eta.stepped(1, seconds)
    eta.stepped(99, 1.0)
    eta.stepped(0, 1.0)
    eta.evaluated(math.nan)
    assert eta.remaining(1) is None


@given(st.lists(st.tuples(st.integers(0, 10_000), POSITIVE), min_size=1, max_size=80), st.sets(st.integers(0, 80)))
def test_never_negative_and_nothing_at_the_end(steps: list[tuple[int, float]], evaluations: set[int]) -> None:
    eta = Eta([tokens for tokens, _ in steps], sorted(one for one in evaluations if one <= len(steps)))
    for step, (_, seconds) in enumerate(steps, 1):
        eta.stepped(step, seconds)
        if step in evaluations:
            eta.evaluated(seconds)
        told = eta.remaining(step)
        assert told is not None and math.isfinite(told) and told >= 0
    assert eta.remaining(len(steps)) == 0


@given(st.lists(st.tuples(st.integers(1, 10_000), POSITIVE), min_size=2, max_size=60), st.data())
def test_what_is_known_being_the_same_a_later_step_is_nearer_the_end(
    steps: list[tuple[int, float]], data: st.DataObject
) -> None:
    eta = Eta([tokens for tokens, _ in steps], [len(steps)])
    eta.evaluated(3.0)
    for step in range(1, data.draw(st.integers(1, len(steps))) + 1):
        eta.stepped(step, steps[step - 1][1])
    told = [eta.remaining(step) or 0.0 for step in range(len(steps) + 1)]
    assert told == sorted(told, reverse=True)


@given(st.lists(st.integers(1, 10_000), min_size=3, max_size=60), st.floats(1e-6, 1.0))
def test_at_an_even_pace_it_is_exact(costs: list[int], pace: float) -> None:
    eta = Eta(costs, [])
    for step, tokens in enumerate(costs[:-1], 1):
        eta.stepped(step, tokens * pace)
        assert eta.remaining(step) == pytest.approx(sum(costs[step:]) * pace)


def test_asking_is_cheap() -> None:
    """It is asked after every step: what it looks at is bounded, however long the run."""
    eta = Eta([100] * 20_000, [])
    for step in range(1, 20_001):
        eta.stepped(step, 0.01)
    assert len(eta._steps) <= 512
