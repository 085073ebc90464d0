from __future__ import annotations

import math
import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.categories import Category
from core.config import Select
from core.select.difficulty import difficulty, lesson_difficulty
from core.select.lessons import lessons_from
from core.select.reward import BONUS, bucket_base, reward
from core.select.split import bucket, content_hash, prompt_hash
from storage.rows import EventRow, FeedbackType

TYPES = st.sampled_from(sorted(BONUS))
SCORES = st.floats(0, 100)
UNIT = st.floats(0, 1)


def test_the_formula_by_hand() -> None:
    # tanh(0.8) = 0.664037; + 0.3 = 0.964037; × 0.95² = 0.870043; × 1.6 = 1.392069; × √(100/400) = 0.696035
    found = reward(90.0, "success", age_days=2.0, difficulty=0.4, recent=400)
    assert found.base == pytest.approx(0.664037, abs=1e-6)
    assert (found.bonus, found.difficulty_factor, found.balance) == (0.3, 1.6, 0.5)
    assert found.decay == pytest.approx(0.9025)
    assert found.raw == found.value == pytest.approx(0.696035, abs=1e-6)
    assert found.worth == 1.0


@pytest.mark.parametrize(
    ("score", "kind", "low", "high"),
    [
        (80.0, "success", 0.8, 1.0),
        (100.0, "success", 0.8, 1.0),
        (55.0, "validation_failure", -1.0, -0.3),
        (10.0, "validation_failure", -1.0, -0.3),
        (85.0, "explicit_positive", 0.7, 1.0),
        (60.0, "explicit_negative", -1.0, -0.8),
        (35.0, "user_correction", 0.2, 0.6),
        (55.0, "user_correction", 0.2, 0.61),
    ],
)
def test_typical_events_stay_in_their_published_range(
    score: float, kind: FeedbackType, low: float, high: float
) -> None:
    assert low <= reward(score, kind, age_days=0.0, difficulty=0.0, recent=0).value <= high


@given(st.none() | SCORES, TYPES, st.floats(-10, 5_000), UNIT, st.integers(0, 10**6))
def test_the_value_is_the_clamped_product_of_its_parts(
    score: float | None, kind: FeedbackType, age: float, hard: float, recent: int
) -> None:
    found = reward(score, kind, age_days=age, difficulty=hard, recent=recent)
    assert -1.0 <= found.value <= 1.0
    assert found.raw == (found.base + found.bonus) * found.decay * found.difficulty_factor * found.balance
    assert found.value == max(-1.0, min(1.0, found.raw))
    assert 0.0 <= found.decay <= 1.0
    assert 0.0 < found.balance <= 1.0


BY_HAND = [
    # score, type, age, difficulty, recent → base, bonus, decay, factor, balance, raw
    (75.0, "neutral", 0.0, 0.0, 0, 0.462117, 0.0, 1.0, 1.0, 1.0, 0.462117),
    (50.0, "explicit_positive", 1.0, 0.0, 100, 0.0, 0.4, 0.95, 1.0, 1.0, 0.38),
    (None, "user_correction", 0.0, 0.5, 0, 0.0, 0.5, 1.0, 1.75, 1.0, 0.875),
    (100.0, "success", 0.0, 1.0, 0, 0.761594, 0.3, 1.0, 2.5, 1.0, 2.653985),
    (0.0, "explicit_negative", 0.0, 1.0, 0, -0.761594, -1.0, 1.0, 2.5, 1.0, -4.403985),
    (20.0, "validation_failure", 3.0, 0.2, 225, -0.537050, -0.5, 0.857375, 1.3, 2 / 3, -0.770588),
    # √(100/101) = 0.995037
    (80.0, "success", -7.0, 0.0, 101, 0.537050, 0.3, 1.0, 1.0, 0.995037, 0.832896),
]


@pytest.mark.parametrize(
    ("score", "kind", "age", "hard", "recent", "base", "bonus", "decay", "factor", "balance", "raw"), BY_HAND
)
def test_every_part_by_hand(
    score: float | None, kind: FeedbackType, age: float, hard: float, recent: int, base: float, bonus: float,
    decay: float, factor: float, balance: float, raw: float,
) -> None:  # fmt: skip
    found = reward(score, kind, age_days=age, difficulty=hard, recent=recent)
    parts = (found.base, found.bonus, found.decay, found.difficulty_factor, found.balance, found.raw)
    assert parts == pytest.approx((base, bonus, decay, factor, balance, raw), abs=2e-6)
    assert found.value == max(-1.0, min(1.0, found.raw))
    assert found.strength == pytest.approx((base + bonus) * factor, abs=5e-6)


@given(SCORES, SCORES, TYPES, UNIT, st.floats(0, 400), st.integers(0, 10**5), st.sampled_from(["tanh", "bucket"]))
def test_a_better_score_never_has_a_lower_reward(
    first: float, second: float, kind: FeedbackType, hard: float, age: float, recent: int, variant: str
) -> None:
    low, high = (
        reward(score, kind, age_days=age, difficulty=hard, recent=recent, constants=Select(reward=variant))
        for score in sorted((first, second))
    )
    assert low.raw <= high.raw
    assert low.value <= high.value
    assert low.strength <= high.strength


@given(st.none() | SCORES, TYPES, UNIT, UNIT)
def test_difficulty_makes_the_good_better_and_the_bad_worse(
    score: float | None, kind: FeedbackType, first: float, second: float
) -> None:
    easy, hard = (reward(score, kind, age_days=0, difficulty=one, recent=0).raw for one in sorted((first, second)))
    assert abs(easy) <= abs(hard)
    assert easy * hard >= 0.0


@given(st.none() | SCORES, TYPES, st.floats(0, 400), st.floats(0, 400), st.integers(0, 10**5), st.integers(0, 10**5))
def test_age_and_crowding_only_ever_shrink_a_reward(
    score: float | None, kind: FeedbackType, age: float, later: float, recent: int, more: int
) -> None:
    before = reward(score, kind, age_days=age, difficulty=0.3, recent=recent)
    after = reward(score, kind, age_days=age + later, difficulty=0.3, recent=recent + more)
    assert abs(after.raw) <= abs(before.raw)
    assert after.raw * before.raw >= 0.0
    assert after.strength == before.strength


@given(st.lists(st.tuples(st.none() | SCORES, st.floats(0, 400)), max_size=8), st.randoms(use_true_random=False))
def test_what_an_event_is_worth_does_not_depend_on_its_place(
    given_rows: list[tuple[float | None, float]], chance: random.Random
) -> None:
    rows = [_event(number, score, age) for number, (score, age) in enumerate(given_rows)]
    category, constants = Category("erd", "ERD", min_tier="rejected"), Select(min_reward=-1.0, min_score=0.0)

    def found(order: list[EventRow]) -> dict[int, object]:
        lessons = lessons_from(order, category, now=0.0, recent=len(rows), common=(), constants=constants)
        return {event.id: lesson for event, lesson in zip(order, lessons, strict=True)}

    shuffled = chance.sample(rows, len(rows))
    assert found(shuffled) == found(rows)


def _event(number: int, score: float | None, age: float) -> EventRow:
    prompt = f"Prompt {number}"
    return EventRow(
        id=number, created_at=-86_400.0 * age, category="erd", model="m", prompt=prompt, response=f"Answer {number}",
        content_hash=content_hash(prompt, prompt), prompt_hash=prompt_hash(prompt), bucket=bucket(prompt_hash(prompt)),
        feedback_type="neutral", score=score, valid=True, quality=0.5, tier="bronze", generic=False, confidence=None,
        system="", context="", source="api", group_key="", latency_ms=None, findings=(), quality_parts={},
        sanitized={}, metadata={}, verdict=None, correction=None, judged_at=None,
    )  # fmt: skip


@given(SCORES)
def test_the_bucket_variant_gives_the_same_reward_inside_a_bucket(score: float) -> None:
    constants = Select(reward="bucket")
    base = reward(score, "neutral", age_days=0, difficulty=0, recent=0, constants=constants).base
    assert base in (0.6, 0.3, 0.0, -0.3, -0.6)
    assert base == bucket_base(score)
    assert abs(base - math.tanh((score - 50) / 50)) <= 0.38, "a coarse picture of the same thing"


def test_age_is_taken_when_asked_and_shrinks_towards_nothing() -> None:
    values = [reward(90.0, "success", age_days=age, difficulty=0.0, recent=0).raw for age in (-3, 0, 1, 10, 100)]
    assert values[0] == values[1]
    assert values[2] == pytest.approx(values[1] * 0.95)
    assert all(later < earlier for earlier, later in pairwise(values[1:]))


def test_two_clamped_rewards_can_still_be_ordered() -> None:
    good, better = (reward(score, "success", age_days=0, difficulty=1.0, recent=0) for score in (80.0, 95.0))
    assert good.value == better.value == 1.0
    assert good.raw < better.raw


def test_balance_starts_at_a_hundred_recent_events() -> None:
    assert [reward(50, "neutral", age_days=0, difficulty=0, recent=n).balance for n in (0, 1, 100)] == [1.0, 1.0, 1.0]
    assert reward(50, "neutral", age_days=0, difficulty=0, recent=10_000).balance == pytest.approx(0.1)


def test_the_first_generation_reward() -> None:
    assert [bucket_base(score) for score in (100, 90, 89.9, 70, 50, 30, 29.9, 0)] == [
        0.6, 0.6, 0.3, 0.3, 0.0, -0.3, -0.6, -0.6,
    ]  # fmt: skip
    found = reward(75, "neutral", age_days=0, difficulty=0, recent=0, constants=Select(reward="bucket"))
    assert found.value == 0.3


def test_difficulty_by_hand() -> None:
    assert difficulty(0.3, 1_000, 5_000) == pytest.approx(0.15 + 0.06 + 0.1)
    assert difficulty(1.0, 10**6, 10**6) == pytest.approx(1.0)
    assert lesson_difficulty(0.3, prompt_chars=500, target_chars=500, score=80.0) == pytest.approx(0.075 + 0.05 + 0.1)


@given(UNIT, st.integers(0, 10**6), st.integers(0, 10**6), st.none() | SCORES, st.none() | st.floats(-1, 100))
def test_difficulties_lie_in_their_range(
    complexity: float, prompt: int, other: int, score: float | None, loss: float | None
) -> None:
    assert 0.0 <= difficulty(complexity, prompt, other) <= 1.0 + 1e-12
    found = lesson_difficulty(complexity, prompt_chars=prompt, target_chars=other, score=score, base_loss=loss)
    assert 0.0 <= found <= 1.0 + 1e-12


@given(SCORES, SCORES)
def test_a_lower_score_is_never_easier(first: float, second: float) -> None:
    low, high = sorted((first, second))
    hard, easy = (lesson_difficulty(0.5, prompt_chars=9, target_chars=9, score=score) for score in (low, high))
    assert hard >= easy
    assert not math.isnan(hard)
