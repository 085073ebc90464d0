"""The annotation tools' exports, and promptfoo's, against results worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest
from exports_kit import ListSource, load, read, source

from core.capture.formats.parts import Lessons, RowError


def lessons(found: Lessons | RowError) -> Lessons:
    assert isinstance(found, Lessons), found
    return found


def why(found: Lessons | RowError) -> str:
    assert isinstance(found, RowError)
    return found.message


def pairs(found: Lessons | RowError) -> list[tuple[str, str, float | None]]:
    """(chosen, rejected, margin) as texts."""
    whole = lessons(found)
    texts = [each.response for each in whole.answers]
    return [(texts[each.chosen], texts[each.rejected], each.margin) for each in whole.preferences]


def test_label_studio_tasks() -> None:
    pair, ranking, rating, labelled, skipped, waiting, split, other = read(source("label_studio.json"))
    assert pairs(pair) == [("Seven", "Nine", None)]
    assert lessons(pair).answers[1].note == "nine is 3x3" and lessons(pair).answers[0].note == ""
    assert lessons(pair).answers[0].metadata["user_id"] == "7"
    assert lessons(pair).answers[0].created_at == 1704153660.0
    assert lessons(pair).problems == ("Annotation 11 was skipped by the annotator.",)
    assert pairs(ranking) == [
        ("Hi there!", "Hello!", 0.5),
        ("Hi there!", "Go away.", 1.0),
        ("Hello!", "Go away.", 0.5),
    ]
    (rated,) = lessons(rating).answers
    assert (rated.score, rated.verdict, rated.correction) == (0.0, "bad", "Jupiter")
    (label,) = lessons(labelled).answers
    assert (label.prompt, label.response, label.correction) == ("The film was dull.", "positive", "negative")
    assert label.model == "bert-1"
    assert "skipped by the annotator" in why(skipped) and "not annotated yet" in why(waiting)
    assert pairs(split) == [] and "split" in lessons(split).problems[0]
    assert "No field of the task is a prompt" in why(other)


def test_label_studio_the_first_of_the_compared_tags_is_the_left_one() -> None:
    row = load("label_studio.json")[0]
    row["annotations"][0]["result"][0]["to_name"] = "answer2,answer1"
    (found,) = read(source("", values=[row]))
    assert pairs(found) == [("Nine", "Seven", None)]  # "right" is now the first answer


def test_label_studio_agreement_with_the_prediction_is_praise() -> None:
    row = load("label_studio.json")[3]
    row["annotations"][0]["result"][0]["value"]["choices"] = ["positive"]
    (found,) = read(source("", values=[row]))
    (answer,) = lessons(found).answers
    assert answer.verdict == "good" and answer.correction is None


def test_label_studio_buckets_named_good_and_bad_rank_between_them() -> None:
    row = load("label_studio.json")[1]
    row["annotations"][0]["result"][0]["value"]["ranker"] = {"_": ["i2"], "good": ["i1"], "bad": ["i3"]}
    (found,) = read(source("", values=[row]))
    assert [each.verdict for each in lessons(found).answers] == ["good", None, "bad"]
    assert pairs(found) == [("Hello!", "Go away.", 1.0)]
    row["annotations"][0]["result"][0]["value"]["ranker"] = {"relevant": ["i1"], "biased": ["i3"]}
    (found,) = read(source("", values=[row]))
    assert pairs(found) == [] and all(each.verdict is None for each in lessons(found).answers)


def test_label_studio_results_of_other_kinds_are_named() -> None:
    row = load("label_studio.json")[0]
    row["annotations"][0]["result"].append({"from_name": "box", "type": "rectanglelabels", "value": {"x": 1}})
    (found,) = read(source("", values=[row]))
    assert "The result `box` of type `rectanglelabels` was left out." in lessons(found).problems


def test_label_studio_min() -> None:
    pair, corrected = read(source("label_studio_min.json"))
    assert pairs(pair) == [("Seven", "Nine", None)] and lessons(pair).answers[1].note == "nine is 3x3"
    (answer,) = lessons(corrected).answers
    assert (answer.response, answer.verdict, answer.correction) == ("Saturn", "bad", "Jupiter")


def test_label_studio_min_keeps_the_tasks_own_fields_apart() -> None:
    row = {**load("label_studio_min.json")[1], "context": "Astronomy.", "model": "m-1", "url": "https://example.org"}
    del row["correction"]
    (found,) = read(source("", values=[{**row, "question": "[1, 2]"}]))
    (answer,) = lessons(found).answers
    assert (answer.prompt, answer.context, answer.model, answer.correction) == ("[1, 2]", "Astronomy.", "m-1", None)


def test_argilla_records() -> None:
    ranking, rating, labelled, empty, discarded = read(source("argilla.json"))
    assert pairs(ranking) == [("Seven", "Nine", 1.0), ("Two", "Nine", 1.0)]  # the two first places are equal
    (answer,) = lessons(rating).answers
    assert (answer.score, answer.verdict) == (0.0, "bad")  # 1, 2, 1: said most often
    assert answer.correction == "Jupiter" and answer.note == "check your facts"  # the later text
    assert answer.metadata["user_id"] == ["ann-1", "ann-2", "ann-3"]
    (label,) = lessons(labelled).answers
    assert (label.response, label.correction, label.model) == ("positive", "negative", "bert-1")
    assert "Nobody submitted" in why(empty) and "discarded" in why(discarded)


def test_argilla_flat_columns_without_discarded_responses() -> None:
    (found,) = read(source("argilla_flat.json"))
    (answer,) = lessons(found).answers
    assert (answer.prompt, answer.response, answer.score, answer.verdict) == (
        "Largest planet?",
        "Saturn",
        100.0,
        "good",
    )
    assert lessons(found).problems == ("The response of annotator 2 was left out: it is discarded.",)
    assert answer.metadata["record"] == {"lang": "en"}


@pytest.mark.parametrize(("highest", "score"), [(5, 75.0), (9, 100 / 3), (50, None)])
def test_argilla_the_scale_of_a_rating_is_told_by_the_highest_one(highest: int, score: float | None) -> None:
    def row(value: int) -> dict[str, Any]:
        responses = {"quality": [{"value": value, "user_id": "a"}]}
        return {"fields": {"prompt": "p", "response": "r"}, "responses": responses, "suggestions": {}}

    first, _ = read(ListSource("a.json", [row(4), row(highest)]))
    found = lessons(first).answers[0]
    assert found.score == (pytest.approx(score) if score is not None else None)
    assert found.metadata.get("labels") == ({"quality": 4} if score is None else None)


def test_argilla_a_label_that_names_an_answer_prefers_it() -> None:
    fields = {"prompt": "p", "response-1": "one", "response-2": "two"}
    for picked in ("response-2", "response_2", "Response 2", "2"):
        responses = {"preference": [{"value": picked, "user_id": "a"}]}
        (found,) = read(ListSource("a.json", [{"fields": fields, "responses": responses}]))
        assert pairs(found) == [("two", "one", None)]


def test_prodigy_annotations() -> None:
    choice, binary, label, ignored, odd = read(source("prodigy.jsonl"))
    assert pairs(choice) == [("Hello!", "Go away.", None), ("Hello!", "Hi.", None)]
    assert [each.verdict for each in lessons(choice).answers] == ["good", None, None]
    assert lessons(choice).answers[0].created_at == 1704153600.0
    assert lessons(choice).answers[0].metadata["user_id"] == "ann-1"
    (answer,) = lessons(binary).answers
    assert (answer.response, answer.verdict, answer.correction) == ("Saturn", "bad", "Jupiter")
    (answer,) = lessons(label).answers
    assert (answer.prompt, answer.response, answer.verdict) == ("The film was dull.", "POSITIVE", "bad")
    assert "ignored" in why(ignored) and "neither can be trusted" in why(odd)


def test_promptfoo_cases() -> None:
    one, several, chat, unknown, empty = read(source("promptfoo.json"))
    assert pairs(one) == [("Lima", "Quito", None), ("It is Lima.", "Quito", None)]
    answers = lessons(one).answers
    assert {each.prompt for each in answers} == {"Capital of Peru?"} and answers[0].model == "openai:gpt-4o-mini"
    assert [each.feedback_type for each in answers] == ["success", "success", "validation_failure"]
    assert lessons(several).answers[0].prompt == "Capital of Peru?" and lessons(several).answers[0].model == ""
    assert "several prompts" in lessons(several).problems[0]
    assert lessons(chat).answers[0].system == "Be {{tone}}." and pairs(chat) == []
    assert "does not say which" in why(unknown) and "Neither" in why(empty)


def test_promptfoo_pairs_are_capped() -> None:
    row = {
        "chosen": [f"good {each}" for each in range(30)],
        "rejected": [f"bad {each}" for each in range(30)],
        "vars": {"question": "x"},
        "providers": ["a"],
        "prompts": ["{{question}}"],
    }
    (found,) = read(source("", values=[row]))
    assert len(lessons(found).answers) == 60 and len(lessons(found).preferences) == 100
    assert lessons(found).problems == ("Of 900 pairs of passed and failed outputs the first 100 are taken.",)


def test_fields_that_name_the_model_or_hold_the_context_are_no_answers() -> None:
    fields = {"instruction": "Summarise.", "input": "A long story.", "response": "Short.", "model": "m-1"}
    row = {"fields": fields, "responses": {"quality": [{"value": 5, "user_id": "a"}]}}
    (found,) = read(ListSource("a.json", [row]))
    (answer,) = lessons(found).answers
    assert (answer.prompt, answer.context, answer.response) == ("Summarise.", "A long story.", "Short.")
    assert answer.model == "m-1"
