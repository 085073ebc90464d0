from __future__ import annotations

import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.config import Select
from core.select.active import TYPE_UNCERTAINTY, Candidate, choose, uncertainty
from core.select.vectors import vectors

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


@settings(max_examples=60, deadline=None)
@given(CANDIDATES, st.integers(0, 30), st.randoms(use_true_random=False))
def test_the_choice_depends_on_the_candidates_alone(pool: list[Candidate], limit: int, rng: random.Random) -> None:
    chosen = choose(pool, limit)
    assert len(chosen) == len(set(chosen)) == min(limit, len(pool))
    assert set(chosen) <= {candidate.event_id for candidate in pool}
    shuffled = pool[:]
    rng.shuffle(shuffled)
    assert choose(shuffled, limit) == chosen
    assert choose(pool, limit - 1 if limit else 0) == chosen[: max(0, limit - 1)]


@settings(max_examples=30, deadline=None)
@given(CANDIDATES)
def test_it_agrees_with_the_definition(pool: list[Candidate]) -> None:
    """The greedy rule written out pair by pair; near-ties are left to either."""
    pool = sorted(pool, key=lambda candidate: candidate.event_id)
    prompts, outputs = vectors([each.prompt for each in pool]), vectors([each.output for each in pool])
    position = {each.event_id: index for index, each in enumerate(pool)}

    def value(index: int, chosen: list[int]) -> float:
        each = pool[index]
        alike = [
            0.3 * (each.category == pool[other].category)
            + 0.4 * float(prompts[index] @ prompts[other])
            + 0.3 * float(outputs[index] @ outputs[other])
            for other in chosen
        ]
        unsure = uncertainty(each.score, each.feedback_type)
        return 0.4 * unsure + 0.3 * (1.0 - max(alike, default=0.0)) + 0.3 * each.quality

    picked: list[int] = []
    for event in choose(pool, len(pool)):
        index = position[event]
        left = [other for other in range(len(pool)) if other not in picked]
        assert value(index, picked) >= max(value(other, picked) for other in left) - 1e-5
        picked.append(index)


def test_after_the_greedy_part_the_rest_follow_by_value() -> None:
    pool = [made(number, f"prompt {number}", score=float(number)) for number in range(1, 31)]
    chosen = choose(pool, 30, greedy=5)
    assert chosen[:5] == choose(pool, 5)
    assert sorted(chosen) == list(range(1, 31))


def test_fifty_of_ten_thousand_in_seconds() -> None:
    rng = random.Random(0)
    words = [f"word{number}" for number in range(300)]
    pool = [
        made(number, " ".join(rng.choices(words, k=12)), " ".join(rng.choices(words, k=30)), score=rng.uniform(0, 100))
        for number in range(10_000)
    ]
    started = time.process_time()
    assert len(choose(pool, 50)) == 50
    assert time.process_time() - started < 6.0
