"""Lessons as items: weights, order and hash, by hand; and the difficulty that the order rests on."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from selection_kit import new_event

from core.categories import Category
from core.config import Select
from core.select.curriculum import calibrate, stage_of
from core.select.difficulty import lesson_difficulty
from core.select.examples import item, items_hash, numbered, train_items
from core.select.lessons import Lesson
from core.select.reward import reward
from storage.rows import DatasetItem, EventRow

ERD = Category("erd", "ERD", system_prompt="Draw.")


def lesson(number: int, strength: float, difficulty: float = 0.5) -> Lesson:
    """A lesson of that strength."""
    new = new_event(f"prompt {number}")
    event = EventRow(id=number, **{name: getattr(new, name) for name in new.__dataclass_fields__})
    worth = replace(reward(90.0, "success", age_days=0, difficulty=0, recent=0), base=strength, bonus=0.0)
    return Lesson(event, f"target {number}", False, "success", "silver", 0.8, worth, difficulty)


def made(
    lessons: list[Lesson], *, replayed: frozenset[int] = frozenset(), seed: int = 0, **over: object
) -> list[DatasetItem]:
    return train_items(
        lessons,
        replayed=replayed,
        difficulty=calibrate({each.event.id: each.difficulty for each in lessons}),
        variants={},
        category=ERD,
        seed=seed,
        constants=Select(**over),  # type: ignore[arg-type]
    )


def weights(*strengths: float, **over: Any) -> list[float]:
    items = made([lesson(number, strength) for number, strength in enumerate(strengths, 1)], **over)
    return [each.weight for each in sorted(items, key=lambda each: each.event_id)]


def test_weights_by_hand() -> None:
    # Mean 0.8: 0.75 and 1.25, whose mean is 1.
    assert weights(0.6, 1.0) == [0.75, 1.25]
    # Mean 1: 0.1 is raised to 0.25; then the mean is 1.0375, and all are divided by it.
    assert weights(0.1, 1.3, 1.3, 1.3) == pytest.approx([0.25 / 1.0375] + [1.3 / 1.0375] * 3, abs=1e-6)
    # Mean 2: 11 is 5.5 times that and lowered to 3; the rest has 0.5 each; all over 7.5 / 10.
    assert weights(11.0, *[1.0] * 9) == pytest.approx([3 / 0.75] + [0.5 / 0.75] * 9, abs=1e-6)
    assert weights(0.6, 1.0, weigh_by_reward=False) == [1.0, 1.0]
    # Without a positive mean no share of it means anything.
    assert weights(-0.5, 0.5) == [1.0, 1.0]


def test_weights_do_not_feel_age() -> None:
    new, old = lesson(1, 0.6), lesson(2, 1.0)
    old = replace(old, reward=replace(old.reward, raw=0.01, decay=0.01))
    assert sorted(each.weight for each in made([new, old])) == [0.75, 1.25]


@given(st.lists(st.floats(0.01, 3.0), min_size=1, max_size=20))
def test_weights_have_mean_one_and_keep_the_order(strengths: list[float]) -> None:
    found = weights(*strengths)
    assert sum(found) / len(found) == pytest.approx(1.0, abs=1e-5)
    ranked = [weight for _, weight in sorted(zip(strengths, found, strict=True))]
    assert all(low <= high + 1e-6 for low, high in pairwise(ranked))


def test_the_order_is_easy_to_hard_or_only_shuffled() -> None:
    lessons = [lesson(number, 1.0, difficulty=number / 30) for number in range(1, 31)]
    staged = made(lessons, curriculum=True)
    assert [each.stage for each in staged] == ["easy"] * 10 + ["medium"] * 9 + ["hard"] * 11
    assert [each.stage for each in staged] == [stage_of(each.difficulty) for each in staged]
    shuffled = made(lessons, curriculum=False)
    assert [each.stage for each in shuffled] != [each.stage for each in staged]
    # The stage is told even where it does not order.
    assert sorted(shuffled, key=lambda each: each.event_id) == sorted(staged, key=lambda each: each.event_id)
    assert [each.event_id for each in made(lessons, seed=1, curriculum=True)] != [each.event_id for each in staged]


def test_the_hash_is_what_it_was_before_items_had_an_origin_or_a_history() -> None:
    plain = item(lesson(1, 1.0).event, "train", "target", ERD)
    # BLAKE2b with 128 bits (`b2sum -l 128`) over the JSON of the nine values that schema 1 kept, keys sorted.
    assert items_hash([replace(plain, prompt="p", event_id=7)]) == "b2:61550562f77cccfae184a03e4be8082e"
    hashes = {
        items_hash(each)
        for each in (
            [plain],
            [replace(plain, origin="replay")],
            [replace(plain, origin="synonym")],
            [replace(plain, history=[{"role": "user", "content": "hi"}])],
            [replace(plain, weight=0.5)],
            [replace(plain, split="validation")],
            numbered([plain, plain]),
            [],
        )
    }
    assert len(hashes) == 8


def test_the_systems_of_an_event_and_of_its_category() -> None:
    event = lesson(1, 1.0).event
    assert item(event, "test", "t", ERD).system == "Draw."
    assert item(replace(event, system="Be brief."), "test", "t", ERD).system == "Be brief."


def test_the_loss_of_the_base_model_takes_half_of_the_difficulty() -> None:
    # 0.25 × 0.4 + 0.25 × 1000/5000 + 0.5 × (1 − 0.9) = 0.1 + 0.05 + 0.05 = 0.2
    known = {"prompt_chars": 600, "target_chars": 400, "score": 90.0}
    assert lesson_difficulty(0.4, **known) == pytest.approx(0.2)  # type: ignore[arg-type]
    # half of it, and half of 1.5 / 3 nats: 0.1 + 0.25
    assert lesson_difficulty(0.4, **known, base_loss=1.5) == pytest.approx(0.35)  # type: ignore[arg-type]
    assert lesson_difficulty(0.4, **known, base_loss=12.0) == pytest.approx(0.1 + 0.5)  # type: ignore[arg-type]
    # An unknown score counts as 50, a text above 5,000 characters as 5,000.
    assert lesson_difficulty(0.0, prompt_chars=9_000, target_chars=0, score=None) == pytest.approx(0.25 + 0.25)
