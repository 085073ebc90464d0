from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.config import Select
from core.select.alike.vectors import vectors
from core.select.lessons import Lesson
from core.select.reward import reward
from core.select.split import bucket, content_hash, prompt_hash
from core.select.training_batch import TrainingBatch, choose_batch, hard_quota
from storage.rows import EventRow, NewEvent, Tier


def lesson(number: int, *, hard: bool = False, tier: Tier = "silver", difficulty: float = 0.5) -> Lesson:
    prompt = f"{prompt_hash(str(number))[3:]} please"
    key = prompt_hash(prompt)
    score = 40.0 if hard else 95.0
    new = NewEvent(
        created_at=0.0,
        category="erd",
        model="m",
        prompt=prompt,
        response="r",
        content_hash=content_hash(prompt, "r"),
        prompt_hash=key,
        bucket=bucket(key),
        feedback_type="user_correction" if hard else "success",
        score=score,
        valid=True,
        quality=0.8,
        tier=tier,
        correction="better" if hard else None,
    )
    event = EventRow(id=number, **{name: getattr(new, name) for name in new.__dataclass_fields__})
    worth = reward(95.0, new.feedback_type, age_days=0.0, difficulty=0.2, recent=1)
    return Lesson(event, f"target {key}", hard, new.feedback_type, tier, 0.8, worth, difficulty)


def batch(lessons: list[Lesson], **over: object) -> TrainingBatch:
    failures = {each.event.id for each in lessons if each.corrected}
    given = {"limit": None, "level": None, "learned": (), "failures": failures, "seed": 0, "constants": Select()}
    given |= {"embed": vectors} | over
    return choose_batch(lessons, **given)  # type: ignore[arg-type]


def ids(lessons: list[Lesson]) -> list[int]:
    return [each.event.id for each in lessons]


@pytest.mark.parametrize(
    ("limit", "hard", "others", "quota"),
    [(20, 100, 100, 7), (20, 3, 100, 3), (20, 100, 5, 15), (20, 4, 4, 4), (10, 100, 100, 4), (20, 0, 9, 0)],
)
def test_hard_quota_by_hand(limit: int, hard: int, others: int, quota: int) -> None:
    assert hard_quota(limit, hard, others, 0.35) == quota


@given(st.integers(0, 100), st.integers(0, 200), st.integers(0, 200), st.floats(0, 1))
def test_a_quota_never_leaves_a_batch_short(limit: int, hard: int, others: int, share: float) -> None:
    quota = hard_quota(limit, hard, others, share)
    assert 0 <= quota <= min(hard, limit)
    assert quota + min(others, limit - quota) == min(limit, hard + others)


def test_a_third_of_a_batch_is_hard() -> None:
    pool = [lesson(number, hard=number % 2 == 0) for number in range(1, 101)]
    found = batch(pool, limit=20)
    assert found.hard == 7
    assert len(found.fresh) == 20
    without = batch(pool, limit=20, constants=Select(hard_negatives=False))
    assert without.hard > 7  # failures are what the model is least sure of


def test_what_was_learned_is_replayed_and_not_chosen_again() -> None:
    pool = [lesson(number, tier="gold" if number % 10 == 0 else "silver") for number in range(1, 101)]
    found = batch(pool, learned=set(range(1, 71)))
    assert ids(found.fresh) == list(range(71, 101))
    assert len(found.replayed) == 10  # a quarter of 40
    assert set(ids(found.replayed)) >= {10, 20, 30, 40, 50, 60, 70}  # gold first
    assert ids(batch(pool, learned=set(range(1, 71)), seed=1).replayed) != ids(found.replayed)
    assert batch(pool, learned=set(range(1, 71)), constants=Select(replay_share=0.0)).replayed == []


@settings(max_examples=30)
@given(st.integers(0, 40), st.integers(0, 50), st.sampled_from([None, 0, 1, 2, 3]), st.randoms(use_true_random=False))
def test_a_batch_is_as_large_as_asked_and_does_not_depend_on_the_order(
    size: int, limit: int, level: int | None, shuffler: random.Random
) -> None:
    pool = [lesson(number, hard=number % 3 == 0, difficulty=number / 50) for number in range(1, size + 1)]
    shuffled = list(pool)
    shuffler.shuffle(shuffled)
    found, again = batch(pool, limit=limit, level=level), batch(shuffled, limit=limit, level=level)
    if limit < size:
        assert ids(found.fresh) == ids(again.fresh)
    assert len(set(ids(found.fresh))) == len(found.fresh) == min(limit, size)


def test_easy_only_at_the_first_level() -> None:
    pool = [lesson(number, difficulty=number / 100) for number in range(1, 101)]
    found = batch(pool, limit=20, level=0)
    assert max(ids(found.fresh)) <= 35


def test_without_active_selection_the_best_reward_comes_first() -> None:
    pool = [replace(lesson(number), reward=reward(70.0 + number, "success", age_days=0, difficulty=0.2, recent=1))
            for number in range(1, 31)]  # fmt: skip
    assert ids(batch(pool, limit=3, constants=Select(active=False)).fresh) == [30, 29, 28]
