"""Which prompts are to be ranked, in which order, what was said of them, and what an undo and a redo leave."""

from __future__ import annotations

from selection_kit import add_event, new_event

from core.capture.comparing import record_comparison, redo_comparison, undo_comparison
from core.capture.more_answers import prompts_to_answer
from core.categories import Category
from core.config import Config
from core.select.preference.agenda import Agenda, read_agenda, read_prompt, taking_part
from core.select.preference.ranking import Vote
from storage import comparisons, events, pairs
from storage.comparisons import Several
from storage.db import Store


def answers(store: Store, prompt: str, *texts: str, bucket: int = 50) -> list[int]:
    return [add_event(store, prompt, text, bucket=bucket) for text in texts]


def test_prompts_with_several_different_answers_that_are_not_held_out(store: Store) -> None:
    one, other = answers(store, "a shop", "first", "second")
    answers(store, "a shop", "  FIRST ")  # the same, white space and case apart
    answers(store, "a farm", "alone")
    answers(store, "a mill", "kept", "for testing", bucket=3)
    assert comparisons.several(store, "erd", held_out_percent=20) == [Several((one, other), 0.0)]
    assert len(comparisons.several(store, "erd", held_out_percent=0)) == 2
    assert comparisons.answers_to(store, other) == (one, other)


def test_begun_prompts_come_first_then_those_the_scores_cannot_tell_apart() -> None:
    scored = {(1, 2): 60.0, (3, 4): None, (5, 6, 7): 4.0, (8, 9): 3.0, (10, 11, 12): 80.0}
    agenda = Agenda([Several(ids, gap) for ids, gap in scored.items()], [Vote(10, 11, "first")])
    assert agenda.order() == [10, 3, 5, 8, 1]
    assert [agenda.state(key) for key in (10, 3)] == ["begun", "new"]
    assert list(agenda.open(agenda.order())) == agenda.order()


def test_a_prompt_is_ranked_when_its_order_is_known() -> None:
    agenda = Agenda([Several((1, 2), None), Several((3, 4, 5), None)], [])
    agenda.add(1, Vote(1, 2, "skip"))
    agenda.add(3, Vote(3, 4, "first"))
    assert (agenda.state(1), agenda.state(3)) == ("ranked", "begun")
    agenda.add(3, Vote(4, 5, "first"))
    agenda.add(3, Vote(3, 5, "first"))
    assert agenda.state(3) == "ranked" and list(agenda.open(agenda.order())) == []
    agenda.told(3, [])
    assert agenda.state(3) == "new"


def test_more_than_ten_answers_those_compared_take_part_then_the_newest() -> None:
    assert taking_part(range(1, 15), [Vote(1, 2, "first")]) == [1, 2, *range(7, 15)]


def test_a_prompt_is_asked_about_until_its_order_is_known(store: Store) -> None:
    ids = answers(store, "a shop", "low", "middle", "high")
    asked = 0
    while (prompt := read_prompt(store, ids[0], ids)) is not None and (question := prompt.question) is not None:
        assert prompt.number == asked + 1 and prompt.about == 3
        record_comparison(store, question.first, question.second, "second", swapped=question.swapped)
        asked += 1
    assert prompt is not None and asked in (2, 3)
    assert [[event.response for event in group] for group in prompt.order] == [["high"], ["middle"], ["low"]]
    agenda = read_agenda(store, "erd", held_out_percent=20)
    assert (
        agenda.state(ids[0]) == "ranked" and pairs.count(store, "erd") == comparisons.pairs_made(store, "erd") == asked
    )


def test_redo_says_again_what_was_taken_back_until_something_else_is_said(store: Store) -> None:
    one, two, three = answers(store, "a shop", "low", "middle", "high")
    record_comparison(store, one, two, "second", swapped=True, seconds=1.5)
    record_comparison(store, two, three, "tie")
    assert redo_comparison(store, "erd") is None
    undo_comparison(store, "erd")
    undo_comparison(store, "erd")
    assert pairs.count(store, "erd") == 0
    first = redo_comparison(store, "erd")
    assert first is not None and (first.first_event, first.choice, first.swapped, first.seconds) == (
        one,
        "second",
        True,
        1.5,
    )
    assert pairs.count(store, "erd") == 1
    second = redo_comparison(store, "erd")
    assert second is not None and second.choice == "tie" and redo_comparison(store, "erd") is None
    undo_comparison(store, "erd")
    record_comparison(store, two, three, "first")
    assert redo_comparison(store, "erd") is None


def test_what_grows_and_what_is_newest(store: Store) -> None:
    one, two = answers(store, "a shop", "low", "high")
    assert comparisons.newest(store, "erd") == (two, 0)
    record_comparison(store, one, two, "first")
    undo_comparison(store, "erd")
    record_comparison(store, one, two, "second")
    assert comparisons.newest(store, "erd") == (two, 3)
    assert [row.choice for row in comparisons.tail(store, "erd", 2)] == ["undo", "second"]
    assert [row.choice for row in comparisons.recent(store, "erd", 9)] == ["second"]
    assert comparisons.said(store, "erd") == [(one, two, "second")]
    assert [row.choice for row in comparisons.among(store, [one, two])] == ["second"]
    assert comparisons.among(store, [one]) == []


def test_prompts_with_one_answer_are_answered_again_the_others_are_left_out(store: Store) -> None:
    answers(store, "a shop", "first", "second")
    answers(store, "a mill", "kept", bucket=3)
    judged = events.add(store, new_event("a farm", "alone", bucket=50))
    failed = events.add(store, new_event("a barn", "bad", bucket=50, score=10.0))
    chosen = prompts_to_answer(store, Config(), Category("erd", "erd"), 5)
    assert {event.id for event in chosen} == {judged, failed} and chosen[0].id == failed
    assert len(prompts_to_answer(store, Config(), Category("erd", "erd"), 1)) == 1
