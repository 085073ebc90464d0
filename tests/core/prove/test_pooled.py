"""Stored prompts, shadowed requests and votes as one: each prompt once, a person before a score."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
from versions_kit import add_version

from core.categories import Category
from core.config import Config
from core.paths import Home
from core.prove.pooled import Pool, outcomes, pooled, settle
from core.prove.voting import Question, sitting
from storage import ab_tests, ab_votes, outbox, versions
from storage.ab_votes import VoteChoice
from storage.db import Store
from storage.rows import AbPairRow, TestSource, Winner

CATEGORY = Category(name="erd", title="ER diagrams", validator="mermaid_er", success_score=70.0)
CONFIG = Config()


def a_pair(place: int, winner: Winner, prompt: str = "", *, judged: bool = True) -> AbPairRow:
    scores = {"a": (90.0, 40.0), "b": (40.0, 90.0), "tie": (80.0, 80.0)}[winner]
    return AbPairRow(
        0, place, None, prompt or f"p{place}", f"one {place}", f"two {place} x", *scores, 1.0, 2.0, 3, 4, winner,
        -0.5, -0.25, False, True, judged,
    )  # fmt: skip


@pytest.fixture
def two(store: Store, home: Home) -> SimpleNamespace:
    return SimpleNamespace(a=add_version(store, home, 0).id, b=add_version(store, home, 1).id)


def a_test(store: Store, a: int, b: int, pairs: list[AbPairRow], source: TestSource = "stored") -> int:
    test = ab_tests.start(
        store, created_at=1.0, category="erd", version_a=a, version_b=b, seed=7, settings={}, source=source
    )
    ab_tests.add_pairs(store, [replace(pair, test_id=test) for pair in pairs])
    if source == "stored":
        ab_tests.finish(store, test, {}, 2.0)
    return test


def vote(store: Store, test: int, place: int, choice: VoteChoice, *, swapped: bool = False) -> int:
    return ab_votes.add(store, at=1.0, test_id=test, position=place, choice=choice, swapped=swapped)


def result(store: Store, pool: Pool) -> SimpleNamespace:
    return SimpleNamespace(**pooled(store, CONFIG, CATEGORY, pool))


def test_each_prompt_counts_once_over_all_tests(store: Store, two: SimpleNamespace) -> None:
    a_test(store, two.a, two.b, [a_pair(0, "a", "old")])  # superseded by the next one
    stored = a_test(store, two.a, two.b, [a_pair(0, "b", "Draw  A."), a_pair(1, "tie", "Draw B.")])
    shadow = [a_pair(0, "a", "draw a."), a_pair(1, "b", "Draw C."), a_pair(2, "a", "Draw D.", judged=False)]
    live = a_test(store, two.a, two.b, shadow, "shadow")
    pool = outcomes(store, two.a, two.b)
    assert [test.id for test in pool.tests] == [stored, live]
    assert pool.winners == ["b", "tie", "b", None]
    assert pool.sources() == {"votes": 0, "stored": 2, "shadow": 1, "not_judged": 1}
    found = result(store, pool)
    assert (found.wins, found.losses, found.ties, found.n, found.not_judged) == (2, 0, 1, 3, 1)
    assert (found.name_a, found.name_b) == ("ft-demo-erd-v0", "ft-demo-erd-v1")
    assert found.accuracy_b == 1.0 and found.confidence_a == pytest.approx(-0.5)


def test_a_person_outranks_the_score_until_the_vote_is_taken_back(store: Store, two: SimpleNamespace) -> None:
    test = a_test(store, two.a, two.b, [a_pair(place, "b") for place in range(6)])
    first = vote(store, test, 0, "a")
    for place, choice in ((1, "tie"), (2, "both_good"), (3, "both_bad"), (4, "skip")):
        vote(store, test, place, choice)  # type: ignore[arg-type]
    assert outcomes(store, two.a, two.b).winners == ["a", "tie", "tie", "tie", "b", "b"]
    later = vote(store, test, 0, "b")
    vote(store, test, 0, "skip")
    assert outcomes(store, two.a, two.b).winners[0] == "b"
    ab_votes.undo(store, later, at=2.0)
    assert outcomes(store, two.a, two.b).winners[0] == "a"
    ab_votes.undo(store, first, at=2.0)
    pool = outcomes(store, two.a, two.b)
    assert pool.winners[0] == "b"
    assert pool.sources() == {"votes": 3, "stored": 3, "shadow": 0, "not_judged": 0}


def test_a_vote_decides_where_no_validator_could(store: Store, two: SimpleNamespace) -> None:
    test = a_test(store, two.a, two.b, [a_pair(place, "tie", judged=False) for place in range(3)])
    vote(store, test, 1, "b")
    found = result(store, outcomes(store, two.a, two.b))
    assert (found.wins, found.n, found.not_judged, found.judged) == (1, 1, 2, 0)
    assert found.score_a is found.score_b is found.difference is found.success_a is None
    assert "2 not judged" in found.summary and "score" not in found.summary


def test_of_one_prompt_the_pair_that_was_voted_on_stands(store: Store, two: SimpleNamespace) -> None:
    a_test(store, two.a, two.b, [a_pair(0, "b", "same")])
    live = a_test(store, two.a, two.b, [a_pair(0, "b", "same")], "shadow")
    vote(store, live, 0, "a")
    pool = outcomes(store, two.a, two.b)
    assert pool.winners == ["a"] and pool.outcomes[0].source == "shadow"


def test_a_stored_test_keeps_prompts_that_it_asks_twice_on_purpose(store: Store, two: SimpleNamespace) -> None:
    a_test(store, two.a, two.b, [a_pair(place, "b", "same words") for place in range(4)])
    assert outcomes(store, two.a, two.b).winners == ["b"] * 4


def test_a_test_the_other_way_round_is_turned(store: Store, two: SimpleNamespace) -> None:
    back = a_test(store, two.b, two.a, [a_pair(0, "a", "x"), a_pair(1, "b", "y")], "shadow")
    vote(store, back, 1, "a")
    pool = outcomes(store, two.a, two.b)
    assert pool.winners == ["b", "b"]
    turned = pool.pairs[0]
    assert (turned.response_a, turned.score_a, turned.latency_a, turned.tokens_a) == ("two 0 x", 40.0, 2.0, 4)
    assert (turned.confidence_a, turned.correct_a, turned.correct_b) == (-0.25, True, False)
    assert outcomes(store, two.b, two.a).winners == ["a", "a"]


def test_people_and_scores_are_compared_and_the_side_is_watched(store: Store, two: SimpleNamespace) -> None:
    test = a_test(store, two.a, two.b, [a_pair(place, "b") for place in range(8)])
    for place in range(6):
        vote(store, test, place, "b" if place < 4 else "a", swapped=place < 4)
    vote(store, test, 6, "tie")
    found = outcomes(store, two.a, two.b).agreement()
    assert (found["n"], found["agree"], found["share"]) == (6, 4, pytest.approx(4 / 6))
    assert (found["left"], found["right"], found["side_p"]) == (6, 0, pytest.approx(2 / 64))


def test_a_shadow_test_ends_when_everything_together_decides(store: Store, two: SimpleNamespace) -> None:
    live = a_test(store, two.a, two.b, [a_pair(place, "b") for place in range(99)], "shadow")
    assert settle(store, CONFIG, CATEGORY, two.a, two.b, now=3.0) is None
    assert ab_tests.get(store, live).result is None
    a_test(store, two.a, two.b, [a_pair(0, "b", "one more")])
    found = settle(store, CONFIG, CATEGORY, two.a, two.b, now=3.0)
    assert found is not None and found["verdict"] == "keep" and "as long" in found["reasons"][0]  # latency × 2
    assert (ab_tests.get(store, live).result or {})["verdict"] == "keep"
    assert [row.name for row in outbox.since(store, 0)].count("ab_test.completed") == 2
    assert settle(store, CONFIG, CATEGORY, two.a, two.b, now=5.0) is not None  # nothing waits any more
    assert ab_tests.get(store, live).finished_at == 3.0


def test_what_was_forgotten_keeps_the_candidate(store: Store, two: SimpleNamespace) -> None:
    a_test(store, two.a, two.b, [replace(a_pair(place, "b"), latency_b=1.0) for place in range(120)])
    assert result(store, outcomes(store, two.a, two.b)).verdict == "promote"
    versions.update(store, two.b, metrics={"general_loss_before": 1.0, "general_loss_after": 1.5})
    found = result(store, outcomes(store, two.a, two.b))
    assert found.verdict == "keep" and "forgets" in found.reasons[0] and len(found.forgotten) == 1


def test_questions_come_in_an_order_and_on_sides_that_know_no_scores(store: Store, two: SimpleNamespace) -> None:
    a_test(store, two.a, two.b, [a_pair(place, "b") for place in range(40)])
    first = sitting(store, two.a, two.b)
    places = [question.position for question in first.questions]
    assert sorted(places) == list(range(40)) and places != list(range(40))
    assert 8 < sum(question.swapped for question in first.questions) < 32
    with store.transaction():
        store.write("UPDATE ab_pairs SET score_a = 100 - score_a, score_b = 100 - score_b, winner = 'a'")
    again = sitting(store, two.a, two.b)
    assert [(each.position, each.swapped) for each in again.questions] == [
        (each.position, each.swapped) for each in first.questions
    ]


def test_a_side_of_the_screen_is_turned_into_an_arm(store: Store, two: SimpleNamespace) -> None:
    test = a_test(store, two.a, two.b, [a_pair(place, "b") for place in range(20)])
    for question in sitting(store, two.a, two.b).questions:
        of_b = question.left if question.swapped else question.right
        assert of_b.version == two.b and of_b.text.startswith("two") and of_b.score == 90.0
        assert question.choice("left" if question.swapped else "right") == "b"
        assert question.choice("both_good") == "both_good"
        assert question.scored == ("left" if question.swapped else "right")
        assert isinstance(question, Question) and question.test_id == test


def test_equal_answers_and_those_voted_on_are_not_asked(store: Store, two: SimpleNamespace) -> None:
    same = replace(a_pair(0, "tie"), response_a="alike\n", response_b="alike")
    test = a_test(store, two.a, two.b, [same, a_pair(1, "b"), a_pair(2, "a")])
    vote(store, test, 1, "b")
    found = sitting(store, two.a, two.b)
    assert {question.position for question in found.questions} == {1, 2}
    assert found.answered == {(test, 1)} and found.tests == (test,)
