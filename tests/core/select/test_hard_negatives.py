"""The life of a hard negative, how hard it is, and what it can teach."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from versions_kit import add_version

from core.categories import Category
from core.config import Select
from core.paths import Home
from core.select.hard.hard_negatives import (
    STATES,
    State,
    difficulty_of,
    hard_negatives,
    judged,
    life_of,
    quantiles,
    targets,
)
from storage import datasets, events, hard_tests, judgments, runs
from storage.db import Store
from storage.hard_tests import FailureRow, HardTestRow
from storage.rows import DatasetItem, NewEvent

CATEGORY = Category(name="erd", title="ER diagrams", validator="mermaid_er", success_score=70.0, complexity=0.3)
GOOD = "erDiagram\n    customer {\n        int id PK\n    }"
ROW = FailureRow(1, 100.0, 50, "b2:1", 40.0, False, 500, 0, True, None, None, None)


def event(number: int, **changes: Any) -> NewEvent:
    values: dict[str, Any] = {
        "created_at": 100.0 + number,
        "category": "erd",
        "model": "m",
        "prompt": f"Draw shop {number}",
        "response": "no diagram",
        "content_hash": f"b2:{number:032x}",
        "prompt_hash": f"b2:{number:032x}",
        "bucket": 50,
        "feedback_type": "validation_failure",
        "score": 30.0,
        "valid": False,
        "quality": 0.2,
        "tier": "rejected",
    }
    return NewEvent(**(values | changes))


def retests(*outcomes: bool | None) -> list[HardTestRow]:
    """Re-tests of event 1 by versions 1, 2, …; None: not judged."""
    return [
        HardTestRow(at, 1, at, 1_000.0 + at, None if passed is None else 90.0 if passed else 20.0, passed is True)
        for at, passed in enumerate(outcomes, 1)
    ]


@pytest.mark.parametrize(
    ("outcomes", "state", "since", "failed"),
    [
        ((), "open", None, 0),
        ((False, False), "open", None, 2),
        ((True,), "solved", 1001.0, 0),
        ((False, True, True), "solved", 1002.0, 1),
        ((True, False, False), "reopened", 1002.0, 2),
        ((True, False, True), "solved", 1003.0, 1),
        ((None, None), "open", None, 0),
        ((True, None), "solved", 1001.0, 0),
        ((True, False, None), "reopened", 1002.0, 1),
    ],
)
def test_states(outcomes: tuple[bool | None, ...], state: State, since: float | None, failed: int) -> None:
    life = life_of(retests(*outcomes))
    assert (life.state, life.since, life.failed) == (state, since, failed)


def test_a_life_in_the_store(store: Store, home: Home) -> None:
    [one] = events.add_many(store, [event(1)])

    def now(states: tuple[State, ...] = STATES) -> list[tuple[State, float, int | None, int]]:
        found = hard_negatives(store, CATEGORY, constants=Select(), states=states)
        return [(each.state, each.since, each.last_version, each.failed) for each in found]

    def tested(number: int, score: float | None) -> int:
        version: int = add_version(store, home, number).id
        passed = score is not None and score >= 70.0
        hard_tests.add(store, one, version, at=200.0 + number, response="r", score=score, passed=passed)
        return version

    assert now() == [("open", 101.0, None, 0)]
    first = tested(1, 50.0)
    assert now() == [("open", 101.0, first, 1)]
    second = tested(2, 75.0)
    assert now() == [("solved", 202.0, second, 1)]
    assert now(("open", "reopened")) == []
    tested(3, None)
    assert now() == [("solved", 202.0, second, 1)]
    fourth = tested(4, 69.9)
    assert now() == [("reopened", 204.0, fourth, 2)]
    before = hard_negatives(store, CATEGORY, constants=Select(), states=STATES, ignore_version=fourth)
    assert [each.state for each in before] == ["solved"]
    judgments.judge(store, one, "reject", now=300.0)
    assert now() == []


def test_reasons_and_since_of_the_first_failure(store: Store) -> None:
    events.add_many(store, [event(1), event(2, score=90.0)])
    judgments.judge(store, 1, "bad", now=500.0)
    judgments.judge(store, 2, "bad", now=600.0)
    found = {each.event_id: each for each in hard_negatives(store, CATEGORY, constants=Select())}
    assert (found[1].reasons, found[1].since) == (("low score", "thumbs down"), 101.0)
    assert (found[2].reasons, found[2].since) == (("thumbs down",), 600.0)


def test_difficulty_by_hand() -> None:
    # 0.4 × 0.6 + 0.25 × 0 + 0.15 × 0 + 0.2 × 0.5
    assert difficulty_of(ROW, life_of([]), 0.5) == pytest.approx(0.34)
    # one failed re-test of score 20: 0.4 × 0.8 + 0.25 × 0.5 + 0.15 + 0.2 × 1
    assert difficulty_of(replace(ROW, bad_at=1.0), life_of(retests(False)), 1.0) == pytest.approx(0.795)
    # lost with 10 where its own answer had 90: what failed counts
    lost = replace(ROW, low=False, score=90.0, lost_at=1.0, lost_score=10.0)
    assert difficulty_of(lost, life_of([]), 0.0) == pytest.approx(0.36)
    # called bad without any score: as if 50
    assert difficulty_of(replace(ROW, low=False, score=None, bad_at=1.0), life_of([]), 0.0) == pytest.approx(0.35)


rows = st.lists(
    st.builds(
        lambda score, chars, said: replace(ROW, score=score, prompt_chars=chars, bad_at=5.0 if said else None),
        st.one_of(st.none(), st.integers(0, 59).map(float)),
        st.integers(0, 9_000),
        st.booleans(),
    ),
    max_size=12,
).map(lambda found: [replace(row, id=number) for number, row in enumerate(found, 1)])


@given(rows, st.randoms(use_true_random=False))
def test_the_order_depends_on_nothing_but_the_failures(found: list[FailureRow], random: Any) -> None:
    ordered = judged(found, [], 0.3, 0, ())
    shuffled = list(found)
    random.shuffle(shuffled)
    assert judged(shuffled, [], 0.3, 0, ()) == ordered
    keys = [(-each.difficulty, each.event_id) for each in ordered]
    assert keys == sorted(keys)
    assert all(0.0 <= each.difficulty <= 1.0 for each in ordered)


@given(st.integers(0, 99), st.integers(1, 100), st.integers(0, 5))
def test_worse_is_harder(score: int, worse_by: int, failed: int) -> None:
    worse = replace(ROW, score=float(max(0, score - worse_by)))
    assert difficulty_of(worse, life_of([]), 0.5) >= difficulty_of(replace(ROW, score=float(score)), life_of([]), 0.5)
    less, more = (life_of(retests(*[False] * count)) for count in (failed + 1, failed + 2))
    assert difficulty_of(ROW, more, 0.5) > difficulty_of(ROW, less, 0.5)
    assert difficulty_of(replace(ROW, bad_at=1.0), less, 0.5) > difficulty_of(ROW, less, 0.5)


def test_quantiles_are_mid_ranks() -> None:
    assert quantiles([3.0, 1.0, 1.0, 2.0]) == [0.875, 0.25, 0.25, 0.625]
    assert quantiles([7.0]) == [0.5]
    assert quantiles([]) == []


def by_id(store: Store, constants: Select | None = None) -> dict[int, tuple[str, int | None]]:
    settings = constants or Select()
    found = targets(store, CATEGORY, hard_negatives(store, CATEGORY, constants=settings), constants=settings)
    assert all(each.trainable == (each.waits == "") for each in found)
    return {each.negative.event_id: (each.waits, each.sibling) for each in found}


def test_what_a_hard_negative_waits_for(store: Store) -> None:
    events.add_many(store, [event(number) for number in range(1, 6)])
    judgments.judge(store, 2, "correct", correction=GOOD, now=1.0)
    judgments.judge(store, 3, "correct", correction="erDiagram\n    customer {", now=2.0)
    judgments.judge(store, 4, "bad", now=3.0)
    found = by_id(store)
    assert {number: found[number][0] for number in (1, 2, 4, 5)} == {
        1: "waits for a correction",
        2: "",
        4: "waits for a correction",
        5: "waits for a correction",
    }
    assert found[3][0].startswith("the correction is not valid: ")


def test_what_is_kept_for_testing_is_never_trained_on(store: Store) -> None:
    events.add_many(store, [event(number, bucket=19 if number % 2 else 20) for number in range(1, 7)])
    for number in range(1, 5):
        judgments.judge(store, number, "correct", correction=GOOD, now=float(number))
    events.add(store, event(7, prompt_hash=f"b2:{1:032x}", bucket=19, score=90.0, response=GOOD))
    waits = "waits for a correction"
    assert by_id(store) == {
        1: ("kept for testing", None),
        2: ("", None),
        3: ("kept for testing", None),
        4: ("", None),
        5: ("kept for testing", None),
        6: (waits, None),
    }


@given(st.lists(st.integers(0, 99), max_size=9), st.integers(0, 100), st.sets(st.integers(0, 9)))
def test_held_out_by_its_bucket_unless_trained_on(buckets: list[int], percent: int, trained: set[int]) -> None:
    found = [replace(ROW, id=at, bucket=bucket, prompt_hash=f"b2:{at}") for at, bucket in enumerate(buckets)]
    held = {each.event_id: each.held_out for each in judged(found, [], 0.3, percent, {f"b2:{at}" for at in trained})}
    assert held == {at: bucket < percent and at not in trained for at, bucket in enumerate(buckets)}


def test_a_small_category_keeps_nothing_for_testing(store: Store) -> None:
    events.add_many(store, [event(number, bucket=0) for number in range(1, 5)])
    judgments.judge(store, 1, "correct", correction=GOOD, now=1.0)
    assert by_id(store)[1] == ("", None)
    events.add(store, event(5))
    assert by_id(store)[1] == ("kept for testing", None)
    # A run has trained on it while the category was small: from then on it is no test any more.
    item = DatasetItem(0, 1, "train", "p", GOOD, "", 1.0, 0.5, "easy")
    dataset = datasets.add(
        store, created_at=1.0, category="erd", hash="h", seed=0, settings={}, counts={}, items=[item]
    )
    runs.enqueue(
        store,
        created_at=2.0,
        category="erd",
        base_model="demo",
        method="sft",
        settings={},
        dataset_id=dataset,
        parent_version=None,
        total_steps=1,
    )
    assert by_id(store)[1] == ("kept for testing", None)
    assert runs.claim(store, 1, pid=1, pid_started=1.0, now=3.0)
    assert by_id(store)[1] == ("", None)


def test_a_good_answer_to_the_same_prompt_makes_a_pair(store: Store) -> None:
    same = {"prompt": "Draw a shop", "prompt_hash": "b2:5"}
    events.add_many(store, [event(1, **same), event(2, **same, score=95.0, response=GOOD), event(3)])
    assert by_id(store) == {1: ("waits for a correction", 2), 3: ("waits for a correction", None)}
