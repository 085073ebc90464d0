"""Each export, against results worked out by hand from its fixture."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from exports_kit import FIXTURES, LLM_ROWS, ListSource, every_source, load, read, source

from core.capture.formats.detect import detect
from core.capture.formats.exports import EXPORT_FORMATS
from core.capture.formats.parts import Answer, Format, Lessons, Row, RowError
from core.capture.formats.sources import open_sources


def lessons(found: Lessons | RowError) -> Lessons:
    assert isinstance(found, Lessons), found
    return found


def only(found: Lessons | RowError) -> Answer:
    (answer,) = lessons(found).answers
    return answer


def pairs(found: Lessons | RowError) -> list[tuple[str, str, str]]:
    """(chosen, rejected, source) as texts."""
    whole = lessons(found)
    texts = [each.response for each in whole.answers]
    return [(texts[each.chosen], texts[each.rejected], each.source) for each in whole.preferences]


def why(found: Lessons | RowError) -> str:
    assert isinstance(found, RowError)
    return found.message


@pytest.mark.parametrize("name", sorted(every_source()))
def test_only_its_own_format_takes_a_fixture(name: str) -> None:
    form, wanted = every_source()[name]
    assert [each.name for each in EXPORT_FORMATS if each.matches(wanted, wanted.values) > 0] == [form.name]


@pytest.mark.parametrize(
    "rows",
    [
        [],
        ["text", 3, None],
        [{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}],
        [{"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]}],
        [{"instruction": "a", "input": "", "output": "b"}],
        [{"prompt": "a", "completion": "b", "label": True}],
        [{"prompt": "a", "chosen": "b", "rejected": "c"}],
        [{"prompt": "a", "chosen": ["b"], "rejected": ["c"]}],
        [{"input": {"messages": []}, "preferred_output": [], "non_preferred_output": []}],
        [{"text": "a", "type": "b", "id": 1}],
    ],
)
def test_training_files_are_no_exports(rows: list[Any]) -> None:
    plain = ListSource("train.jsonl", rows, "jsonl")
    assert [each.name for each in EXPORT_FORMATS if each.matches(plain, rows) > 0] == []


def test_names_are_unique_and_every_mapping_says_something() -> None:
    assert len({each.name for each in EXPORT_FORMATS}) == len(EXPORT_FORMATS)
    assert all(each.title and each.mapping for each in EXPORT_FORMATS)


def test_open_webui_rating_prefers_the_liked_answer_to_its_sibling() -> None:
    liked, disliked = read(source("open_webui_feedback.json"))
    assert pairs(liked) == [("Ten minutes for hard eggs.", "Eggs boil quickly.", "sibling")]
    good, sibling = lessons(liked).answers
    assert good.prompt == "How long do eggs boil?" and good.system == "You are a cook." and good.history == ()
    assert good.model == "llama3.2:3b" and good.verdict == "good" and good.created_at == 1717000010.0
    assert good.score == pytest.approx(800 / 9)  # 9 on the scale from 1 to 10
    assert good.note == "accurate information\njust right" and good.metadata["tags"] == ["cooking"]
    assert good.metadata["user_id"] == "u-1" and good.group == sibling.group != ""
    assert sibling.model == "qwen2.5:7b" and sibling.verdict is None
    bad = only(disliked)
    assert bad.verdict == "bad" and bad.note == "not factually correct" and bad.created_at == 1717000110.0
    assert [turn["content"] for turn in bad.history] == ["How long do eggs boil?", "Ten minutes for hard eggs."]


def test_open_webui_a_disliked_answer_loses_to_its_sibling() -> None:
    row = load("open_webui_feedback.json")[0]
    row["data"]["rating"] = -1
    (found,) = read(source("", values=[row]))
    assert pairs(found) == [("Eggs boil quickly.", "Ten minutes for hard eggs.", "sibling")]


def test_open_webui_two_liked_answers_are_not_set_against_each_other() -> None:
    for found in read(source("open_webui_both_liked.json")):
        assert [each.verdict for each in lessons(found).answers] == ["good", "good"]
        assert pairs(found) == []


def test_open_webui_ratings_of_both_sides_are_a_ranking() -> None:
    rows = load("open_webui_both_liked.json")
    rows[1]["data"]["rating"] = -1
    wanted = ("Ten minutes for hard eggs.", "Eggs boil quickly.", "ranking")
    assert [pairs(found) for found in read(source("", values=rows))] == [[wanted], [wanted]]


def test_open_webui_malformed_ratings_say_what_is_wrong() -> None:
    reasons = [why(found) for found in read(source("open_webui_feedback_bad.json"))]
    wanted = ["no snapshot", "The rating is 0", "no answer in the snapshot", "no answer in the snapshot", "circle"]
    for reason, part in zip(reasons, [*wanted, "no snapshot"], strict=True):
        assert part in reason


def test_open_webui_chat_gives_the_branch_its_siblings_and_old_annotations() -> None:
    (found,) = read(source("open_webui_chats.json"))
    one, other, last = lessons(found).answers
    assert (one.verdict, other.verdict, last.verdict) == ("good", "bad", None)
    assert other.note == "being lazy" and one.group == other.group != last.group
    assert last.created_at == 1717000110.0  # was in milliseconds
    assert [turn["role"] for turn in last.history] == ["user", "assistant"]
    assert pairs(found) == [("Ten minutes for hard eggs.", "Eggs boil quickly.", "ranking")]


def test_open_webui_unrated_answers_to_edited_prompts_are_left_out_and_rated_ones_taken() -> None:
    rows = load("open_webui_chats.json")
    messages = rows[0]["chat"]["history"]["messages"]
    messages["u1b"] = {"id": "u1b", "parentId": None, "childrenIds": ["x"], "role": "user", "content": "Eggs?"}
    messages["x"] = {"id": "x", "parentId": "u1b", "childrenIds": [], "role": "assistant", "content": "Yes."}
    (found,) = read(source("", values=rows))
    assert len(lessons(found).answers) == 3
    assert lessons(found).problems == ("1 unrated answer on branches that were given up left out.",)
    messages["x"]["annotation"] = {"rating": 1}
    (found,) = read(source("", values=rows))
    assert lessons(found).answers[3].prompt == "Eggs?" and lessons(found).answers[3].verdict == "good"


def test_open_webui_chat_without_a_marked_end_takes_the_newest_message() -> None:
    rows = load("open_webui_chats.json")
    rows[0]["chat"]["history"]["currentId"] = "gone"
    (found,) = read(source("", values=rows))
    assert len(lessons(found).answers) == 3 and "not marked" in lessons(found).problems[0]


def test_open_webui_empty_answers_and_images_are_named() -> None:
    rows = load("open_webui_chats.json")
    messages = rows[0]["chat"]["history"]["messages"]
    messages["a2"]["content"] = "  "
    messages["u1"]["files"] = [{"type": "image"}]
    (found,) = read(source("", values=rows))
    assert len(lessons(found).answers) == 2
    assert any("Message a2 was left out" in each for each in lessons(found).problems)
    assert any("Message u1: an image" in each for each in lessons(found).problems)


def test_open_webui_old_chats_hold_a_list_of_messages() -> None:
    messages = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello.", "model": "m", "timestamp": 1700000000},
        {"role": "user", "content": "Bye"},
        {"role": "assistant", "content": "See you."},
    ]
    (found,) = read(ListSource("c.json", [{"chat": {"models": ["m"], "messages": messages}}]))
    first, last = lessons(found).answers
    assert (first.prompt, first.response, first.created_at) == ("Hi", "Hello.", 1700000000.0)
    assert (last.prompt, last.response, len(last.history)) == ("Bye", "See you.", 2)
    assert lessons(found).problems == ()


def chatgpt(**beside: str) -> Lessons:
    (found,) = read(source("chatgpt_conversations.json", name="c.zip/conversations-000.json", **beside))
    return lessons(found)


def test_chatgpt_regenerated_answers_share_a_group_and_unrated_ones_give_no_preference() -> None:
    found = chatgpt()
    assert [each.response for each in found.answers] == ["La neige.", "La pluie.", "A cloud: le nuage."]
    assert found.answers[0].group == found.answers[1].group != found.answers[2].group
    assert found.preferences == () and all(each.verdict is None for each in found.answers)
    last = found.answers[2]
    assert last.prompt == "And this picture?" and last.model == "gpt-4o" and last.metadata["tools"] == ["python"]
    assert [turn["content"] for turn in last.history] == ["Say 'rain' in French.", "La pluie."]
    assert found.problems == ("Message u2: an image or another part that is not text was left out.",)


def test_chatgpt_thumbs_are_joined() -> None:
    found = chatgpt(message_feedback="chatgpt_message_feedback.json")
    bad = found.answers[0]
    assert bad.verdict == "bad" and bad.note == "that is snow" and bad.metadata["tags"] == ["not-true"]
    assert bad.metadata["user_id"] == "user-9"
    assert pairs(found) == [("La pluie.", "La neige.", "sibling")]
    assert found.problems[-1] == "The rating of message zz belongs to no message of the conversation."


def test_chatgpt_comparisons_are_rankings_and_stand_before_what_was_inferred() -> None:
    beside = {
        "message_feedback": "chatgpt_message_feedback.json",
        "model_comparisons": "chatgpt_model_comparisons.json",
    }
    assert pairs(chatgpt(**beside)) == [("La pluie.", "La neige.", "ranking")]


def test_chatgpt_files_beside_the_conversations_are_answered_row_by_row() -> None:
    first, second, third = read(source("chatgpt_message_feedback.json", name="c.zip/message_feedback.json"))
    assert lessons(first).answers == () and lessons(first).problems and lessons(second).problems
    assert "`shrug`" in why(third)
    known, unknown = read(source("chatgpt_model_comparisons.json", name="model_comparisons.json"))
    assert lessons(known).problems and "what was compared is unknown" in why(unknown)
    account = ListSource("c.zip/user.json", [{"id": "user-9"}], beside={"conversations.json": ListSource("x", [])})
    assert "account" in lessons(read(account)[0]).problems[0]


def test_chatgpt_malformed_conversations_say_what_is_wrong() -> None:
    reasons = [why(found) for found in read(source("chatgpt_bad.json"))]
    assert "no messages" in reasons[0] and "circle" in reasons[1] and "No answer" in reasons[2]


def test_langfuse_scores_are_joined_by_observation_and_by_trace() -> None:
    near = {"scores": "langfuse_scores.json", "score_configs": "langfuse_score_configs.json"}
    wrong, span, right = read(source("langfuse_observations.json", name="observations.json", **near))
    bad = only(wrong)
    assert (bad.prompt, bad.system, bad.response, bad.correction) == ("Capital of Peru?", "Be brief.", "Quito", "Lima")
    assert bad.verdict == "bad" and bad.note == "wrong country" and bad.latency_ms == pytest.approx(1500)
    assert bad.created_at == 1716990379.0 and bad.metadata["user_id"] == "user-1"
    assert "SPAN" in why(span)
    good = only(right)
    assert good.prompt == "2+2?" and good.verdict == "good" and good.score == 80.0  # 4 of 0 to 5
    assert good.metadata["scores"] == {"thumbs": "thumbs_up", "quality": 4.0, "toxicity": 0.1}


def test_langfuse_numbers_of_unknown_range_are_only_kept() -> None:
    found = read(source("langfuse_observations.json", name="observations.json", scores="langfuse_scores.json"))
    assert only(found[2]).score is None and only(found[2]).metadata["scores"]["quality"] == 4.0


def test_langfuse_finds_scores_by_the_name_of_the_export() -> None:
    beside = {"17-lf-scores-export-x.csv": ListSource("s", load("langfuse_scores.json"), "csv")}
    name = "17-lf-observations-export-x.csv"
    found = read(ListSource(name, load("langfuse_observations.json"), "csv", beside))
    assert only(found[0]).correction == "Lima"


def test_langfuse_csv_cells_hold_json() -> None:
    rows = [
        {key: value if isinstance(value, str) else json.dumps(value) for key, value in row.items()}
        for row in load("langfuse_observations.json")
    ]
    found = read(ListSource("observations.csv", rows, "csv"))
    assert only(found[0]).system == "Be brief." and only(found[0]).response == "Quito"
    assert only(found[2]).prompt == "2+2?"


def test_langfuse_traces_with_embedded_scores_and_observations() -> None:
    plain, empty = read(source("langfuse_traces.jsonl"))
    assert only(plain).verdict == "good" and only(plain).response == "Lima"
    assert only(plain).metadata["user_id"] == "user-1" and why(empty) == "The input is empty."
    row = {**load("langfuse_traces.jsonl")[0], "observations": load("langfuse_observations.json")}
    row["scores"] = load("langfuse_scores.json")[:2]
    (found,) = read(source("", values=[row]))
    first, second = lessons(found).answers
    assert first.correction == "Lima" and first.verdict is None
    assert second.verdict == "bad" and second.response == "4"  # the trace's own score goes to its last generation


def test_langfuse_scores_of_a_judge_model_or_of_other_things_are_no_verdict() -> None:
    row = load("langfuse_traces.jsonl")[0]
    for score in (
        {"name": "helpful", "source": "EVAL", "dataType": "BOOLEAN", "value": 0},
        {"name": "toxic", "source": "API", "dataType": "BOOLEAN", "value": 1},
        {"name": "dislikes", "source": "API", "dataType": "BOOLEAN", "value": 1},
        {"name": "user-feedback", "source": "API", "dataType": "NUMERIC", "value": 1},
    ):
        (found,) = read(source("", values=[{**row, "scores": [score]}]))
        assert only(found).verdict is None and only(found).score is None
        assert score["name"] in only(found).metadata["scores"]


@pytest.mark.parametrize(
    ("output", "response"),
    [
        ({"role": "assistant", "content": "Lima"}, "Lima"),
        ([{"role": "user", "content": "x"}, {"role": "assistant", "content": "Lima"}], "Lima"),
        ({"choices": [{"message": {"role": "assistant", "content": "Lima"}}]}, "Lima"),
        ({"answer": "Lima", "sources": []}, "Lima"),
        ({"output": "Lima", "steps": [1]}, "Lima"),
        ('{"answer": "Lima"}', "Lima"),
        ('{"city":"Lima","answer":"yes"}', '{"city":"Lima","answer":"yes"}'),
        ({"city": "Lima", "answer": "yes"}, '{"city": "Lima", "answer": "yes"}'),
        ('"Lima"', '"Lima"'),
        ("[1,2]", "[1,2]"),
    ],
)
def test_langfuse_outputs_of_all_shapes(output: Any, response: str) -> None:
    row = {**load("langfuse_traces.jsonl")[0], "output": output}
    assert only(read(source("", values=[row]))[0]).response == response


def test_langfuse_what_else_stands_in_an_input_is_named() -> None:
    row = {**load("langfuse_traces.jsonl")[0], "input": {"question": "2+2?", "chat_history": [], "facts": ["4"]}}
    (found,) = read(source("", values=[row]))
    assert only(found).prompt == "2+2?" and lessons(found).problems == (
        "Of the input `question` was taken; left out: facts.",
    )


def test_langfuse_dataset_items() -> None:
    item, archived, empty = read(source("langfuse_items.json"))
    assert only(item).prompt == "Capital of Chile?" and only(item).response == "Santiago"
    assert only(item).verdict == "good" and only(item).metadata["expected"] == {"text": "Santiago"}
    assert "archived" in why(archived) and "no expected output" in why(empty)


def test_fastchat_log_lines() -> None:
    left, bad, tie, up, chat, apart, empty = read(source("fastchat_log.jsonl"))
    assert pairs(left) == [("Why did the hen cross?", "No.", "ranking")]
    assert [each.model for each in lessons(left).answers] == ["vicuna-13b", "alpaca-13b"]
    assert lessons(left).answers[0].created_at == 1690000000.25
    assert "10.1.2.3" not in repr(left)
    assert [each.verdict for each in lessons(bad).answers] == ["bad", "bad"] and pairs(bad) == []
    assert [each.verdict for each in lessons(tie).answers] == [None, None] and pairs(tie) == []
    assert only(up).verdict == "good" and "no vote" in why(chat)
    assert pairs(apart) == [] and "different ways" in lessons(apart).problems[0]
    assert [turn["content"] for turn in lessons(apart).answers[1].history] == ["Hi", "B1"]
    assert "holds no answer" in why(empty)


def test_fastchat_cleaned_battles() -> None:
    won, bad = read(source("fastchat_battles.json"))
    assert pairs(won) == [("Knock knock.", "No.", "ranking")]
    assert lessons(won).answers[0].metadata["user_id"] == "arena_user_7" and lessons(won).answers[0].group == "q1"
    assert [each.verdict for each in lessons(bad).answers] == ["bad", "bad"]


def test_openpipe_logs() -> None:
    one, empty, tool = read(source("openpipe.jsonl"))
    answer = only(one)
    assert (answer.prompt, answer.system, answer.response) == ("Capital of Peru?", "Be brief.", "Lima")
    assert [turn["content"] for turn in answer.history] == ["Hi", "Hello."] and answer.verdict == "good"
    assert lessons(one).problems == ("Completion 2 was left out: it calls a tool.",)
    assert "no messages" in why(empty) and "calls a tool" in why(tool)


def test_results_of_tools_in_a_request_are_context() -> None:
    row = load("openpipe.jsonl")[0]
    call = {"id": "c1", "type": "function", "function": {"name": "search", "arguments": "{}"}}
    row["input"]["messages"] += [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "Lima is the capital."},
    ]
    answer = lessons(read(source("", values=[row]))[0]).answers[0]
    assert answer.prompt == "Capital of Peru?" and answer.context == "Lima is the capital."
    assert [turn["role"] for turn in answer.metadata["tool_turns"]] == ["assistant", "tool"]


def test_kiln_runs() -> None:
    (repaired,) = read(source("kiln_repaired.kiln"))
    answer = only(repaired)
    assert (answer.response, answer.correction, answer.note) == ("Saturn", "Jupiter", "Name the right planet.")
    assert answer.score == 25.0 and answer.verdict == "bad" and answer.model == "llama_3_1_8b"
    assert answer.created_at == pytest.approx(1738404000.123456) and answer.metadata["user_id"] == "ann"
    (passed,) = read(source("kiln_passed.kiln"))
    assert only(passed).verdict == "good" and only(passed).score is None and only(passed).system == "Do sums."
    (task,) = read(source("kiln_task.kiln"))
    assert why(task) == "It is a task of Kiln, not a run of a task."


@pytest.mark.parametrize(("stars", "verdict"), [(1, "bad"), (2, "bad"), (3, None), (4, "good"), (5, "good")])
def test_kiln_stars(stars: int, verdict: str | None) -> None:
    row = load("kiln_repaired.kiln")[0]
    row["output"]["rating"]["value"] = stars
    (found,) = read(source("", values=[row]))
    assert only(found).verdict == verdict and only(found).score == (stars - 1) * 25


def test_llm_logs_follow_their_conversations() -> None:
    first, second, third, no_prompt, no_response = read(ListSource("logs.db#responses", LLM_ROWS, "sqlite"))
    assert only(first).latency_ms == 812 and only(first).created_at == 1716990379.5 and only(first).history == ()
    assert only(first).metadata["options"] == {"temperature": 0.2}
    assert only(second).history == () and only(second).system == ""
    assert [turn["content"] for turn in only(third).history] == ["Capital of Peru?", "Lima"]
    assert only(third).system == "Be brief."
    assert "no prompt" in why(no_prompt) and "no response" in why(no_response)


def test_a_row_that_could_not_be_read_is_answered_with_its_error() -> None:
    class Broken(ListSource):
        def rows(self) -> Any:
            yield Row(1, None, "Line 1 is no JSON.")

    for name, (form, wanted) in every_source().items():
        found = list(form.lessons(Broken(wanted.name, wanted.values, wanted.kind)))
        assert [why(each) for _, each in found] == ["Line 1 is no JSON."], name


def test_a_zip_of_chatgpt_is_read_through_its_members(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "export.zip", "w") as archive:
        for name in ("conversations", "message_feedback", "model_comparisons"):
            archive.write(FIXTURES / f"chatgpt_{name}.json", f"{name}.json")
        archive.writestr("user.json", '{"id": "user-9", "email": "someone@example.org"}')
    taken = {}
    for member in open_sources(tmp_path / "export.zip"):
        sample = [row.value for row in member.rows()]
        (form,) = [each for each in EXPORT_FORMATS if each.matches(member, sample) > 0]
        taken[form.name, len(sample)] = [found for _, found in form.lessons(member)]
    assert sorted(taken) == [("chatgpt", 1), ("chatgpt_beside", 1), ("chatgpt_beside", 2), ("chatgpt_beside", 3)]
    assert pairs(taken["chatgpt", 1][0]) == [("La pluie.", "La neige.", "ranking")]


def test_a_database_of_llm_is_read_through_its_table(tmp_path: Path) -> None:
    import sqlite_utils

    database = sqlite_utils.Database(tmp_path / "logs.db")
    database["responses"].insert_all(LLM_ROWS[:3], pk="id")  # type: ignore[union-attr]
    database["conversations"].insert({"id": "c1", "name": "capitals", "model": "m"})  # type: ignore[union-attr]
    database.close()
    (table,) = [each for each in open_sources(tmp_path / "logs.db") if each.name.endswith("#responses")]
    found = [lessons(each) for _, each in format_of_table(table).lessons(table)]
    assert [each.answers[0].response for each in found] == ["Lima", "4", "Santiago"]
    assert len(found[2].answers[0].history) == 2


def format_of_table(table: Any) -> Format:
    (form,) = [each for each in EXPORT_FORMATS if each.matches(table, [row.value for row in table.rows()]) > 0]
    return form


@pytest.mark.parametrize("name", sorted(every_source()))
def test_the_export_is_surer_than_every_training_format(name: str) -> None:
    form, wanted = every_source()[name]
    found = detect(wanted)
    assert found.format.name == form.name
    assert all(confidence < found.confidence for _, confidence in found.alternatives)
