"""Ranking by few comparisons: the true order within the bound, undo, replay, and how consistent a person is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations, permutations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.select.preference.consistency import consistency, zeta
from core.select.preference.merge_insertion import Known, Open, most_questions
from core.select.preference.ranking import MOST, Question, Ranking, Vote, question, repeat_due
from storage.comparisons import Choice

NEVER = 10**9
CHOICES: tuple[Choice, ...] = ("first", "second", "tie", "both_good", "both_bad", "skip")


def perfect(worth: Mapping[int, int]) -> Callable[[Question], Choice]:
    def choose(asked: Question) -> Choice:
        difference = worth[asked.first] - worth[asked.second]
        return "first" if difference > 0 else "second" if difference < 0 else "tie"

    return choose


def finish(ranking: Ranking, choose: Callable[[Question], Choice]) -> int:
    asked = 0
    while (each := ranking.next_question()) is not None:
        ranking.answer(choose(each))
        asked += 1
        assert asked < 100
    return asked


def test_the_known_worst_cases() -> None:
    # Knuth, TAOCP 3, 5.3.1, table 1.
    assert [most_questions(k) for k in range(1, 13)] == [0, 1, 3, 5, 7, 10, 13, 16, 19, 22, 26, 30]


@pytest.mark.parametrize("k", [2, 3, 4, 5])
def test_every_order_is_found_within_the_bound(k: int) -> None:
    most = 0
    for order in permutations(range(k)):
        ranking = Ranking(range(k), repeat_one_in=NEVER)
        most = max(most, finish(ranking, perfect(dict(enumerate(order)))))
        assert ranking.order() == [[each] for each in sorted(range(k), key=lambda one: -order[one])]
    assert most == most_questions(k)


@given(st.lists(st.integers(0, 12), min_size=2, max_size=MOST), st.integers(0, 5))
@settings(max_examples=80)
def test_a_perfect_comparer_gets_the_true_order_with_ties(worth: list[int], seed: int) -> None:
    events = [10 * at + 1 for at in range(len(worth))]
    by_id = dict(zip(events, worth, strict=True))
    ranking = Ranking(events, seed=seed, repeat_one_in=NEVER)
    assert finish(ranking, perfect(by_id)) <= most_questions(len(worth))
    expected = [[each for each in events if by_id[each] == level] for level in sorted(set(worth), reverse=True)]
    assert ranking.order() == expected
    pairs = ranking.pairs()
    assert all(by_id[one.chosen] > by_id[one.rejected] and 0 < one.margin <= 1 for one in pairs)
    if len(expected) > 1:
        assert {each for one in pairs for each in (one.chosen, one.rejected)} == set(events)
        assert {one.margin for one in pairs} == {1 / (len(expected) - 1)}
    else:
        assert pairs == []


@given(st.integers(2, 7), st.lists(st.sampled_from(CHOICES), max_size=40), st.integers(0, 5))
@settings(max_examples=80)
def test_a_replayed_log_is_the_live_state_and_undo_restores(k: int, choices: Sequence[Choice], seed: int) -> None:
    live = Ranking(range(1, k + 1), seed=seed, repeat_one_in=3)
    states: list[tuple[Question | None, list[list[int]]]] = []
    for choice in choices:
        asked = live.next_question()
        states.append((asked, live.order()))
        if asked is None:
            break
        live.answer(choice)
        replayed = Ranking(range(1, k + 1), list(live.log), seed=seed, repeat_one_in=3)
        assert replayed.next_question() == live.next_question()
        assert replayed.order() == live.order() and replayed.pairs() == live.pairs()
    while live.log:
        live.undo()
        assert (live.next_question(), live.order()) == states[len(live.log)]
    assert live.undo() is None


@given(st.integers(2, 7), st.lists(st.sampled_from(CHOICES), min_size=60, max_size=60))
@settings(max_examples=60)
def test_any_answers_come_to_an_end_and_pairs_rest_on_them(k: int, choices: list[Choice]) -> None:
    said = iter(choices)
    ranking = Ranking(range(k), repeat_one_in=2)
    finish(ranking, lambda _: next(said))
    assert sorted(each for group in ranking.order() for each in group) == list(range(k))
    bad = {each for told in ranking.log if told.choice == "both_bad" for each in (told.first_event, told.second_event)}
    chosen = {(one.chosen, one.rejected) for one in ranking.pairs()}
    assert not {one for one, _ in chosen} & bad and not {(other, one) for one, other in chosen} & chosen


def test_what_follows_is_not_asked() -> None:
    log = [Vote(1, 2, "first"), Vote(2, 3, "tie"), Vote(3, 4, "first"), Vote(8, 9, "first")]
    ranking = Ranking([1, 2, 3, 4], log, repeat_one_in=NEVER)
    assert ranking.next_question() is None
    assert ranking.order() == [[1], [2, 3], [4]]
    assert [(one.chosen, one.rejected) for one in ranking.pairs()] == [(1, 2), (1, 3), (2, 4), (3, 4)]
    assert [one.margin for one in ranking.pairs({1: 90.0, 2: 15.0, 3: 85.0})] == pytest.approx([0.75, 0.5, 0.5, 0.5])


def test_nothing_follows_from_a_circle() -> None:
    known = Known([Vote(1, 2, "first"), Vote(2, 3, "first"), Vote(3, 1, "first"), Vote(1, 4, "tie")])
    assert known.relation(4, 2) is None and known.relation(1, 2) is None
    assert known.compare(1, 2) == 1  # what was said directly still orders the two
    with pytest.raises(Open):
        known.compare(4, 2)


def test_a_skipped_question_is_not_asked_again_and_makes_no_pair() -> None:
    ranking = Ranking([1, 2])
    ranking.answer("skip")
    assert ranking.next_question() is None
    assert ranking.order() == [[1, 2]] and ranking.pairs() == []


def test_of_two_answers_to_one_question_the_newer_holds() -> None:
    assert Ranking([1, 2], [Vote(1, 2, "first"), Vote(2, 1, "first")]).order() == [[2], [1]]


@pytest.mark.parametrize("events", [[1], [1, 1], list(range(MOST + 1)), []])
def test_two_to_ten_different_answers(events: list[int]) -> None:
    with pytest.raises(ValueError, match="2 to 10"):
        Ranking(events)


def test_a_finished_ranking_takes_no_answer() -> None:
    ranking = Ranking([1, 2], [Vote(1, 2, "first")])
    with pytest.raises(ValueError, match="finished"):
        ranking.answer("tie")


def test_sides_are_blind_remembered_and_change_when_asked_again() -> None:
    asked = [question(one, one + 1, seed=0) for one in range(400)]
    assert 150 < sum(each.swapped for each in asked) < 250
    for each in asked:
        assert each == question(each.second, each.first, seed=0)
        again = question(each.first, each.second, seed=0, before=1)
        assert (again.left, again.right) == (each.right, each.left) and again.repeat
        said: dict[int, Any] = {each.first: "first", each.second: "second"}
        assert each.prefers("left") == said[each.left] and each.prefers("right") == said[each.right]
    assert [each.swapped for each in asked] != [question(one, one + 1, seed=1).swapped for one in range(400)]


def test_one_in_ten_is_asked_again_once_and_not_at_once() -> None:
    log: list[Vote] = [Vote(2 * at, 2 * at + 1, "first") for at in range(600)]
    due = 0
    while (asked := repeat_due(log, seed=3)) is not None:
        assert asked.repeat
        due += 1
        log.append(Vote(asked.first, asked.second, "skip" if due % 2 else "first"))
    assert 35 < due < 90
    assert repeat_due(log[:3], seed=3, one_in=1) is None
    assert repeat_due(log[:4], seed=3, one_in=1) == question(0, 1, seed=3, before=1)


def round_robin(beats: Callable[[int, int], bool], k: int) -> list[Vote]:
    return [Vote(one, other, "first" if beats(one, other) else "second") for one, other in combinations(range(k), 2)]


def test_consistency_by_hand() -> None:
    log = [
        *round_robin(lambda one, other: True, 4),  # 0 > 1 > 2 > 3: four triads, none circular
        Vote(1, 0, "second"),  # again, the same
        Vote(0, 2, "tie"),  # again, no longer the same: its two triads are no longer complete
        Vote(0, 3, "skip"),
    ]
    found = consistency(log)
    assert (found.n, found.repeats, found.agreed, found.agreement) == (8, 2, 1, 0.5)
    # Wilson for 1 of 2: 0.5 ± 1.96·√(0.125 + 0.2401)/(1 + 1.9207) with z²/n = 1.9207.
    assert found.interval == pytest.approx((0.0945, 0.9055), abs=1e-4)
    assert (found.triads, found.circular, found.transitivity) == (2, 0, 1.0)
    assert found.zeta is None  # 0 and 2 have no winner, so not all were compared


def test_circles_by_hand() -> None:
    circle = [Vote(0, 1, "first"), Vote(1, 2, "first"), Vote(2, 0, "first")]
    found = consistency(circle)
    assert (found.triads, found.circular, found.transitivity, found.zeta) == (1, 1, 0.0, 0.0)
    # Five in a ring, each beating the next two: 5 circular triads, the most there can be.
    ring = consistency(round_robin(lambda one, other: (other - one) % 5 in (1, 2), 5))
    assert (ring.triads, ring.circular, ring.zeta) == (10, 5, 0.0)
    # Two separate sets: one circle of the 1 + 2 that were possible (k = 3 and k = 4).
    apart = [
        *circle,
        *(Vote(10 + v.first_event, 10 + v.second_event, v.choice) for v in round_robin(lambda *_: True, 4)),
    ]
    assert consistency(apart).zeta == pytest.approx(2 / 3)
    assert (consistency([]).agreement, consistency([]).transitivity, consistency([]).zeta) == (None, None, None)


def test_the_coefficient_of_consistence() -> None:
    assert [zeta(3, 1), zeta(4, 2), zeta(5, 5), zeta(6, 8), zeta(7, 0)] == [0.0, 0.0, 0.0, 0.0, 1.0]
    assert zeta(6, 2) == 0.75


@given(st.integers(3, 7), st.data())
@settings(max_examples=40)
def test_circles_against_the_formula_of_the_scores(k: int, data: st.DataObject) -> None:
    """In a full tournament d = C(k, 3) − Σ C(wins, 2)."""
    log = round_robin(lambda *_: data.draw(st.booleans()), k)
    wins = [sum((v.first_event if v.choice == "first" else v.second_event) == one for v in log) for one in range(k)]
    circles = k * (k - 1) * (k - 2) // 6 - sum(win * (win - 1) // 2 for win in wins)
    found = consistency(log)
    assert (found.circular, found.zeta) == (circles, pytest.approx(zeta(k, circles)))
