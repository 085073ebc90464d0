"""The first round of the loop: who is led, what counts, and in which order."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from versions_kit import add_version

from core.first_steps import LABELS, FirstSteps, Step, begin, end, first_steps, turn
from core.paths import Home
from storage import ab_tests, aliases, comparisons, events, judgments
from storage.db import Store
from storage.rows import NewEvent

SINCE = 1_000.0


@pytest.fixture
def two(store: Store) -> list[int]:
    return events.add_many(
        store,
        [
            NewEvent(
                created_at=1.0, category="erd", model="m", prompt="p", response=f"r{number}", content_hash=f"c{number}",
                prompt_hash="p", bucket=50, feedback_type="neutral", score=50.0, valid=True, quality=0.5, tier="bronze",
            )
            for number in range(2)
        ],
    )  # fmt: skip


def at(found: FirstSteps) -> str:
    return found.current.name if found.current else "done"


def test_only_a_store_that_was_empty_at_first_is_led(store: Store, two: list[int]) -> None:
    assert two
    assert begin(store, now=SINCE) is None


def test_a_newcomer_is_led_until_told_not_to(store: Store) -> None:
    assert begin(store, now=SINCE) == SINCE
    assert begin(store, now=SINCE + 5) == SINCE
    end(store)
    assert begin(store, now=SINCE + 9) is None
    turn(store)
    assert begin(store, now=SINCE + 9) is not None
    turn(store)
    assert begin(store, now=SINCE + 9) is None


def test_each_step_follows_from_what_was_done(store: Store, home: Home, make_two: Callable[[], list[int]]) -> None:
    assert at(first_steps(store, SINCE)) == "load"
    one, other = make_two()
    assert at(first_steps(store, SINCE)) == "label"
    judgments.judge(store, one, "good", now=SINCE - 1, seconds=2.0)  # of before
    judgments.judge(store, one, "good", now=SINCE + 1)  # came in with the recording
    for number in range(LABELS):
        assert first_steps(store, SINCE).steps[1].done == number
        judgments.judge(store, other, "bad", now=SINCE + 2 + number, seconds=1.0)
    assert at(first_steps(store, SINCE)) == "rank"
    comparisons.add(
        store, at=SINCE + 9, category="erd", first_event=one, second_event=other, choice="tie", swapped=False,
        seconds=1.0,
    )  # fmt: skip
    assert at(first_steps(store, SINCE)) == "train"
    add_version(store, home, 0)
    assert at(first_steps(store, SINCE)) == "train"
    version = add_version(store, home)
    assert at(first_steps(store, SINCE)) == "promote"
    aliases.point(
        store, name="ft-erd", category="erd", to_version=version.id, action="promote", who="a", why="b", evidence={},
        now=SINCE + 99,
    )  # fmt: skip
    found = first_steps(store, SINCE)
    assert at(found) == "done"


def test_what_was_passed_over_is_not_asked_for_once_there_is_a_version(
    store: Store, home: Home, two: list[int]
) -> None:
    judgments.judge(store, two[0], "good", now=SINCE + 1, seconds=1.0)
    assert at(first_steps(store, SINCE)) == "label"
    add_version(store, home, passed=False)
    assert at(first_steps(store, SINCE)) == "label"  # it cannot serve
    add_version(store, home)
    found = first_steps(store, SINCE)
    assert at(found) == "promote"
    assert [step.complete for step in found.steps] == [True, False, False, True, False]


def test_promotion_waits_for_a_run_that_compares_and_for_a_version_that_wins(store: Store, home: Home) -> None:
    base, version = add_version(store, home, 0), add_version(store, home)

    def promoting() -> Step:
        return first_steps(store, SINCE).steps[-1]

    test = ab_tests.start(
        store, created_at=SINCE + 1, category="erd", version_a=base.id, version_b=version.id, seed=0, settings={}
    )
    assert not promoting().in_vain
    ab_tests.finish(store, test, {"verdict": "keep"}, now=SINCE + 2)
    assert promoting().in_vain
    again = ab_tests.start(
        store, created_at=SINCE + 3, category="erd", version_a=base.id, version_b=version.id, seed=1, settings={}
    )
    ab_tests.finish(store, again, {"verdict": "promote"}, now=SINCE + 4)
    assert not promoting().in_vain


@pytest.fixture
def make_two(request: pytest.FixtureRequest) -> Callable[[], list[int]]:
    def made() -> list[int]:
        return list(request.getfixturevalue("two"))

    return made
