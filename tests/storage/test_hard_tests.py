"""Which events are failures, and the log of re-tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from storage import ab_tests, events, hard_tests, judgments, retention
from storage.db import Store
from storage.errors import ConflictError
from storage.rows import AbPairRow, NewEvent, Winner

Make = Callable[..., NewEvent]


def failed(store: Store) -> list[int]:
    return [row.id for row in hard_tests.failures(store, "erd", below=60.0)]


def ab_test(store: Store, arms: tuple[int, int], outcome: dict[int, Winner], *, finished: bool = True) -> None:
    test = ab_tests.start(
        store, created_at=1.0, category="erd", version_a=arms[0], version_b=arms[1], seed=0, settings={}
    )
    rows = [
        AbPairRow(test, at, event, "p", "a", f"b{test}", 90.0, 40.0 + test, 1.0, 1.0, 1, 1, winner)
        for at, (event, winner) in enumerate(outcome.items())
    ]
    ab_tests.add_pairs(store, rows)
    if finished:
        ab_tests.finish(store, test, {"verdict": "keep"}, 50.0 + test)


@pytest.fixture
def scored(store: Store, new_event: Make) -> Store:
    """Events 1-6 scored 10, 59, 60, 90, none, 20; event 7 is another category's."""
    scores: list[Any] = [10.0, 59.0, 60.0, 90.0, None, 20.0]
    events.add_many(store, [new_event(number, score=score) for number, score in enumerate(scores, 1)])
    events.add(store, new_event(7, score=1.0, category="workflows"))
    return store


def test_low_scores_and_what_a_person_calls_bad_fail(scored: Store) -> None:
    assert failed(scored) == [1, 2, 6]
    judgments.judge(scored, 4, "bad", now=1_800_000_000.0)
    judgments.judge(scored, 6, "reject", now=2.0)
    judgments.judge(scored, 1, "good", now=3.0)
    assert failed(scored) == [2, 4]
    row = hard_tests.failures(scored, "erd", below=60.0)[1]
    assert (row.low, row.bad_at, row.corrected, row.score) == (False, 1_800_000_000.0, False, 90.0)


def test_a_correction_does_not_hide_that_the_answer_was_bad(scored: Store) -> None:
    judgments.judge(scored, 4, "bad", now=1.0)
    judgments.judge(scored, 4, "correct", correction="better", now=2.0)
    judgments.judge(scored, 3, "correct", correction="a matter of taste", now=3.0)
    assert failed(scored) == [1, 2, 4, 6]
    for _ in range(3):
        judgments.undo(scored, now=4.0)
    assert failed(scored) == [1, 2, 6]


def test_prompts_that_the_newer_arm_lost(scored: Store, new_version: Callable[[int], int]) -> None:
    arms = new_version(0), new_version(1)
    ab_test(scored, arms, {3: "a", 4: "b", 5: "tie"})
    ab_test(scored, arms, {4: "a"}, finished=False)
    assert failed(scored) == [1, 2, 3, 6]
    ab_test(scored, arms, {3: "a"})
    row = hard_tests.failures(scored, "erd", below=60.0)[2]
    assert (row.lost_at, row.lost_score, row.low) == (53.0, 43.0, False)
    judgments.judge(scored, 3, "reject", now=1.0)
    assert failed(scored) == [1, 2, 6]


@pytest.fixture
def new_version(store: Store) -> Callable[[int], int]:
    from storage import versions

    def make(number: int) -> int:
        return versions.add(
            store,
            created_at=float(number),
            name=f"ft-demo-erd-v{number}",
            category="erd",
            base_model="demo",
            number=number,
            run_id=None,
            parent_id=None,
            dataset_id=None,
            folder=f"models/demo/erd/v{number}",
            settings={},
            code_version="1",
        )

    return make


def test_an_answer_is_kept_once_and_never_changes(scored: Store, new_version: Callable[[int], int]) -> None:
    version = new_version(1)
    assert hard_tests.add(scored, 1, version, at=1.0, response="a\x00", score=80.0, passed=True)
    assert not hard_tests.add(scored, 1, version, at=2.0, response="b", score=10.0, passed=False)
    assert hard_tests.add(scored, 2, version, at=3.0, response="c", score=None, passed=False)
    assert [(row.event_id, row.score, row.passed) for row in hard_tests.tests(scored, "erd")] == [
        (1, 80.0, True),
        (2, None, False),
    ]
    assert hard_tests.tests(scored, "workflows") == []
    assert [text for _, text in hard_tests.answers(scored, 1)] == ["a\ufffd"]


def test_an_event_that_is_gone_or_a_version_that_never_was(scored: Store, new_version: Callable[[int], int]) -> None:
    assert not hard_tests.add(scored, 99, new_version(1), at=1.0, response="a", score=80.0, passed=True)
    with pytest.raises(ConflictError):
        hard_tests.add(scored, 1, 77, at=1.0, response="a", score=80.0, passed=True)


def test_a_re_test_does_not_keep_its_event_from_the_clean_up(scored: Store, new_version: Callable[[int], int]) -> None:
    def removable() -> list[int]:
        return [one.id for one in retention.removable(scored, "erd", "silver", held_out_percent=0, limit=10)]

    hard_tests.add(scored, 1, new_version(1), at=1.0, response="a", score=80.0, passed=True)
    judgments.judge(scored, 2, "bad", now=1.0)
    assert removable() == [1, 3, 4, 5, 6]
    assert set(retention.protected(scored, "erd", held_out_percent=0)) == {"judgments"}
    retention.remove(scored, [1], [])
    assert hard_tests.tests(scored, "erd") == []


def test_a_good_answer_to_the_same_prompt(store: Store, new_event: Make) -> None:
    def add(number: int, **changes: Any) -> int:
        return events.add(store, new_event(number, **({"prompt_hash": "b2:1"} | changes)))

    bad = add(1, score=20.0)
    add(2, score=90.0, system="Answer in Latin.")
    add(3, score=95.0, verdict="reject")
    add(4, score=69.0)
    add(5, score=99.0, prompt_hash="b2:2")
    assert hard_tests.passing_siblings(store, "erd", [bad], least=70.0) == {}
    first, _ = add(6, score=80.0), add(7, score=80.0)
    assert hard_tests.passing_siblings(store, "erd", [bad], least=70.0) == {bad: first}
    best = add(8, score=85.0)
    assert hard_tests.passing_siblings(store, "erd", [bad, first], least=70.0) == {bad: best, first: best}


def test_the_newest_note_in_force(scored: Store) -> None:
    judgments.judge(scored, 1, "bad", note="no keys", now=1.0)
    judgments.judge(scored, 1, "correct", correction="x", note="wrong table", now=2.0)
    judgments.judge(scored, 2, "bad", now=3.0)
    assert hard_tests.notes(scored, "erd") == {1: "wrong table"}
    judgments.undo(scored, now=4.0)
    judgments.undo(scored, now=5.0)
    assert hard_tests.notes(scored, "erd") == {1: "no keys"}


def test_a_sample_of_other_prompts_stays_the_same(scored: Store) -> None:
    assert hard_tests.other_prompts(scored, "erd", [1, 2], 2) == [
        ("Draw shop number 3", 18),
        ("Draw shop number 4", 18),
    ]
    assert [text.id for text in hard_tests.texts(scored, [6, 99, 1])] == [1, 6]
