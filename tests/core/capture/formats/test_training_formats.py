"""What training files hold: each fixture row by row, against what a person reads in it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.capture.formats.detect import format_named
from core.capture.formats.mapped import Mapped
from core.capture.formats.parts import Answer, Format, Lessons, RowError, RowFormat
from core.capture.formats.sources import open_sources
from core.errors import FinetuneError

FIXTURES = Path(__file__).parent / "fixtures" / "training"
CLOCK = [{"type": "function", "function": {"name": "clock", "arguments": '{"zone": "UTC"}'}}]


def read(path: Path, reader: Format) -> list[Lessons | str]:
    """What each row holds; the reason for one that is refused."""
    (source,) = open_sources(path)
    return [str(found) if isinstance(found, RowError) else found for _, found in reader.lessons(source)]


def fixture(name: str, reader: str = "") -> list[Lessons | str]:
    return read(FIXTURES / name, format_named(reader or name.partition(".")[0]))


def lessons(found: Lessons | str) -> Lessons:
    assert isinstance(found, Lessons), found
    return found


def told(answer: Answer) -> str:
    """The exchange in one line: system, the turns before, prompt and response."""
    turns = "".join(f"{turn['role'][0]}:{turn['content']} " for turn in answer.history)
    return f"[{answer.system}] {turns}{answer.prompt} -> {answer.response}"


def outline(found: list[Lessons | str]) -> list[list[str] | str]:
    return [each if isinstance(each, str) else [told(answer) for answer in each.answers] for each in found]


def matches(found: list[Lessons | str], expected: list[list[str] | str]) -> None:
    """Exchanges must be the same, a refusal must hold the words expected."""
    seen = outline(found)
    assert len(seen) == len(expected), seen
    for one, other in zip(seen, expected, strict=True):
        if isinstance(other, str):
            assert isinstance(one, str), one
            assert other in one
        else:
            assert one == other


PAIRS: dict[str, list[list[str] | str]] = {
    "trl_preference.jsonl": [
        ["[] The sky is ->  blue.", "[] The sky is ->  green."],
        ["[] Q -> A", "[] Q -> B"],
        ["[] Q -> A", "[] Q -> B"],
        ["[] Same -> x"],
        "do not follow the same turns",
        "`chosen` is empty",
        "`rejected` is missing",
        ["[] Q -> A", "[] Q -> B"],
    ],
    "trl_implicit.jsonl": [["[S] Q -> A", "[S] Q -> B"], "no prompt"],
    "anthropic_hh.jsonl": [
        ["[] u:Hi a:Hello. Bye -> Goodbye.", "[] u:Hi a:Hello. Bye -> No."],
        "do not follow the same turns",
        "`chosen` does not end with an answer",
    ],
    "openai_preference.jsonl": [["[S] Q -> A", "[S] Q -> B"], "A list of turns was expected", "`input`"],
    "chat_preference.jsonl": [
        ["[] Q -> A", "[] Q -> B"],
        ["[S] u:Q1 a:A1 Q2 -> A2", "[S] u:Q1 a:A1 Q2 -> B2"],
        "`chosen` does not end with an answer",
        "A list of turns was expected",
    ],
    "alpaca_preference.json": [["[] Add.\n\n1 and 2 -> 3", "[] Add.\n\n1 and 2 -> 4"], "`rejected` is a list"],
    "intel_preference.jsonl": [["[S] Q -> A", "[S] Q -> B"], "`question` is empty"],
    "icr_preference.jsonl": [["[] Q -> A", "[] Q -> B"]],
    "response_preference.csv": [["[] Q -> A,\nand more", "[] Q -> B"], "`rejected_response` is empty"],
}


@pytest.mark.parametrize("name", PAIRS)
def test_pairs(name: str) -> None:
    found = fixture(name, "trl_preference" if name == "trl_implicit.jsonl" else "")
    matches(found, PAIRS[name])
    for each in found:
        if isinstance(each, Lessons) and len(each.answers) == 2:
            (preference,) = each.preferences
            assert (preference.chosen, preference.rejected, preference.source) == (0, 1, "import")
            assert each.answers[0].group == each.answers[1].group != ""
            assert all(answer.verdict is None for answer in each.answers)


def test_scores_of_pairs() -> None:
    found = fixture("trl_preference.jsonl")
    rated = lessons(found[2])
    # UltraFeedback rates from 1 to 10: (10 - 1) / 9 and (5.5 - 1) / 9.
    assert [answer.score for answer in rated.answers] == [100.0, 50.0]
    assert rated.preferences[0].margin == 0.5
    assert rated.answers[0].metadata == {"prompt_id": "u1"}
    # A reward model's scores have no scale.
    unscaled = lessons(found[7])
    assert [answer.score for answer in unscaled.answers] == [None, None]
    assert unscaled.preferences[0].margin is None
    same = lessons(found[3])
    assert not same.preferences
    assert "the same" in same.problems[0]
    # Argilla's from 1 to 5, as text in a CSV.
    stars = lessons(fixture("response_preference.csv")[0])
    assert ([answer.score for answer in stars.answers], stars.preferences[0].margin) == ([100.0, 50.0], 0.5)
    assert lessons(fixture("openai_preference.jsonl")[0]).answers[0].metadata["tools"] == [{"type": "function"}]


def test_openai_chat() -> None:
    found = fixture("openai_chat.jsonl")
    matches(
        found,
        [
            ["[Be brief.] Hi -> Hello.", "[Be brief.] u:Hi a:Hello. Bye -> Goodbye."],
            ["[] Weather in Bonn? -> It is 12 degrees in Bonn."],
            ["[] u:One? a:1 Two? -> 2"],
            ["[Be kind.] What is this? -> A cat."],
            "no answer",
            "`wizard`",
            "A list of turns was expected, there is `none`",
            "not to be learnt from",
        ],
    )
    first, second = lessons(found[0]).answers
    assert first.group == second.group != ""
    assert first.metadata == {"split": "train"}
    called = lessons(found[1])
    (answer,) = called.answers
    assert answer.context == "12 degrees"
    assert answer.metadata["tools"] == [{"type": "function", "function": {"name": "weather"}}]
    assert [turn["role"] for turn in answer.metadata["tool_turns"]] == ["assistant", "tool"]
    assert answer.metadata["tool_turns"][0]["tool_calls"][0]["id"] == "c1"
    assert called.problems == ("Turn 2 only calls a tool; it was kept as history only.",)
    assert "Turn 2" in lessons(found[3]).problems[0]


def test_sharegpt() -> None:
    found = fixture("sharegpt.json")
    matches(
        found,
        [
            ["[Be brief.] Hi -> Hello."],
            ["[You count.] 2+2? -> 4"],
            ["[] A? -> B."],
            ["[] Time? -> It is noon."],
            ["[] a:Welcome! Hi -> How can I help?"],
            "Turn 2 has no text.",
            "A list of turns was expected",
            "Turn 2 is no object",
        ],
    )
    (answer,) = lessons(found[3]).answers
    assert answer.metadata["tool_turns"][0]["tool_calls"] == CLOCK
    assert answer.metadata["tools"] == [{"name": "clock"}]
    assert "answers no question" in lessons(found[4]).problems[0]


def test_later_turns_survive_an_empty_one() -> None:
    reader = format_named("openai_chat")
    assert isinstance(reader, RowFormat)
    turns = [("system", "S"), ("user", "A?"), ("assistant", ""), ("user", "B?"), ("assistant", "B"), ("assistant", "C")]
    found = reader.read({"messages": [{"role": role, "content": content} for role, content in turns]})
    assert [(answer.prompt, answer.response) for answer in found.answers] == [("B?", "B")]
    # Turns are counted as they stand in the file, the system's too.
    assert [line.partition(" has")[0].partition(" follows")[0] for line in found.problems] == ["Turn 3", "Turn 6"]


def test_alpaca() -> None:
    matches(
        fixture("alpaca.json"),
        [
            ["[You translate.] u:Katze a:cat Translate.\n\nHund -> dog"],
            ["[] Say hi. -> Hi."],
            "`output` is empty",
            "`instruction` is empty",
            "pairs of two texts",
            "`instruction` is 7",
            "no object",
        ],
    )


def test_prompt_and_completion() -> None:
    matches(
        fixture("prompt_completion.jsonl"),
        [
            ["[] The sky is ->  blue."],
            ["[S] u:Q1 a:A1 Q2 -> A2"],
            "`completion` is empty",
            "prompt is missing or empty",
            "not one turn of the assistant",
            "prompt is missing or empty",
        ],
    )


def test_raw_text_is_taken_only_as_a_transcript() -> None:
    matches(
        fixture("raw_text.jsonl"),
        [
            ["[] Hi -> Hello."],
            ["[S] Q -> A"],
            ["[S] Q1 -> A1", "[S] u:Q1 a:A1 Q2 -> A2"],
            ["[Below is an instruction.] Add.\n\n1 and 2 -> 3"],
            ["[] Q -> A"],
            "no marks",
            "`text` is empty",
        ],
    )


def test_labels_are_verdicts() -> None:
    found = fixture("kto.jsonl")
    matches(found, [["[] Q -> A"], ["[] Q -> B"], ["[S] Q -> A"], ["[] Add.\n\n1 2 -> 3"], "`perhaps`"])
    assert [lessons(each).answers[0].verdict for each in found[:4]] == ["good", "bad", "bad", "good"]
    found = fixture("llamafactory_kto.json")
    matches(found, [["[] u:Q1 a:A1 Q2 -> A2"], ["[] Q -> A"], "does not end with an answer", "`kto_tag` is nothing"])
    assert [lessons(each).answers[0].verdict for each in found[:2]] == ["good", "bad"]


def test_steps() -> None:
    found = fixture("stepwise.jsonl")
    matches(found, [["[] 2*3+1? -> 2*3=6\n6+1=8"], ["[] 1+1? -> 2"], "steps (1) and of labels (0)", "no list of texts"])
    wrong, right = lessons(found[0]).answers[0], lessons(found[1]).answers[0]
    assert (wrong.verdict, wrong.note, right.verdict, right.note) == ("bad", "Wrong step: 2.", "good", "")
    assert wrong.metadata["steps"] == [{"text": "2*3=6", "right": True}, {"text": "6+1=8", "right": False}]


def test_ranks() -> None:
    found = fixture("nectar.jsonl")
    matches(found, [["[] Q -> best", "[] Q -> middle", "[] Q -> worst"], ["[] Q -> a", "[] Q -> b"], "no answers"])
    ranked = lessons(found[0])
    assert [(each.chosen, each.rejected, each.margin) for each in ranked.preferences] == [(0, 1, 0.5), (0, 2, 1.0)]
    assert {each.source for each in ranked.preferences} == {"ranking"}
    assert [answer.model for answer in ranked.answers] == ["m1", "m2", "m3"]
    tied = lessons(found[1])
    assert not tied.preferences
    assert "Answer 3" in tied.problems[0]


def test_h2o_chains() -> None:
    found = fixture("h2o.csv")
    matches(
        found,
        [
            ["[S] Q1 -> A1"],
            ["[S] u:Q1 a:A1 Q2 -> A2"],
            ["[S] u:Q1 a:A1 u:Q2 a:A2 Q3 -> A3"],
            ["[] Q4 -> A4"],
            "leads back to itself",
            "leads back to itself",
            "`output` is empty",
        ],
    )
    assert "`9` is not in the file" in lessons(found[3]).problems[0]


def test_columns_with_the_usual_names() -> None:
    matches(fixture("question_answer.csv"), [["[] What? -> That."], "`answer` is empty"])


def test_artifact_loop() -> None:
    found = fixture("artifact_loop.jsonl")
    matches(
        found,
        [
            ["[] Draw users. -> erDiagram"],
            ["[] Draw flow. -> graph TD"],
            "`brilliant`",
            "answer is empty",
            "`yesterday`",
        ],
    )
    answer = lessons(found[0]).answers[0]
    assert (answer.category, answer.model, answer.score) == ("erd", "llama3", 85.0)
    assert (answer.feedback_type, answer.correction) == ("user_correction", "erDiagram USER")
    assert answer.context == '{"files": ["a.py"]}'
    assert answer.created_at == 1714564800.0  # 2024-05-01 12:00 UTC
    assert answer.metadata == {"artifact_type": "mermaid_erd", "reward_signal": 0.4}
    other = lessons(found[1])
    assert (other.answers[0].category, other.answers[0].feedback_type) == ("", None)
    assert "holds none" in other.problems[0]


def test_moderation_loop() -> None:
    found = fixture("moderation_loop.jsonl")
    matches(
        found, [["[You moderate.] Is this spam? -> spam"], ['[] {"message": "hi"} -> {"label": "ok"}'], "`metadata`"]
    )
    answer = lessons(found[0]).answers[0]
    assert (answer.category, answer.model, answer.score, answer.confidence) == ("scam_detection", "m", 80.0, 0.9)
    assert answer.metadata["guild"] == "7"
    assert lessons(found[1]).answers[0].metadata == {"quality_tier": "gold"}


def test_own_records() -> None:
    found = fixture("records.jsonl")
    matches(found, [["[] u:before a:so Q -> A"], "`colour`", "`score` is `high`", "`great`", "`response` is missing"])
    answer = lessons(found[0]).answers[0]
    assert (answer.category, answer.model, answer.verdict, answer.score) == ("erd", "m", "good", 90.0)
    assert (answer.note, answer.group, answer.created_at) == ("nice", "g1", 1714564800.0)
    assert answer.metadata == {"k": 1, "recorded_by": "app"}


def test_llamafactory_follows_its_description() -> None:
    chats = fixture("llamafactory/chats.json", "llamafactory")
    matches(chats, [["[S] Time? -> Noon."], ["[] See? -> Yes."], "`X`"])
    answer = lessons(chats[0]).answers[0]
    assert answer.context == "noon"
    assert answer.metadata["tools"] == [{"name": "clock"}]
    assert answer.metadata["tool_turns"][0]["tool_calls"][0]["function"] == {"name": "clock", "arguments": "{}"}
    assert lessons(chats[1]).problems == ("What is not text was left out: pics.",)
    matches(fixture("llamafactory/plain.jsonl", "llamafactory"), [["[S] Add.\n\n1 2 -> 3"]])
    for name in ("pairs", "rounds"):
        (pair,) = fixture(f"llamafactory/{name}.jsonl", "llamafactory")
        assert outline([pair]) == [["[] Q -> A", "[] Q -> B"]]
        assert lessons(pair).preferences
    (liked,) = fixture("llamafactory/turns.jsonl", "llamafactory")
    assert lessons(liked).answers[0].verdict == "bad"


@pytest.mark.parametrize("path", [FIXTURES / "alpaca.json", FIXTURES / "llamafactory" / "odd.jsonl"])
def test_llamafactory_without_a_sound_description(path: Path) -> None:
    with pytest.raises(FinetuneError, match="dataset_info"):
        read(path, format_named("llamafactory"))


def test_mapping_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_text(
        "Question,Reply,Points,When,Thumb,Meta\n"
        'Q,A,80,2024-05-01T12:00:00Z,up,"{""m"": {""name"": ""x""}}"\n'
        "Q,A,many,,,\nQ,,,,,\n,A,,,,\n"
    )
    columns = {"prompt": "Question", "response": "Reply", "score": "Points", "created_at": "When"}
    found = read(path, Mapped({**columns, "verdict": "Thumb", "model": "Meta.m.name"}))
    matches(found, [["[] Q -> A"], "cannot be taken as score", "`Reply` of the response", "`Question` of the prompt"])
    answer = lessons(found[0]).answers[0]
    assert (answer.score, answer.created_at, answer.verdict, answer.model) == (80.0, 1714564800.0, "good", "x")


def test_mapping_of_pairs_and_turns(tmp_path: Path) -> None:
    path = tmp_path / "own.jsonl"
    turns = [{"role": "user", "content": "Q0"}, {"role": "assistant", "content": "A0"}]
    path.write_text(json.dumps({"q": "Q", "good": "A", "bad": "B", "past": turns, "sys": "S"}))
    found = read(path, Mapped({"prompt": "q", "chosen": "good", "rejected": "bad", "history": "past", "system": "sys"}))
    matches(found, [["[S] u:Q0 a:A0 Q -> A", "[S] u:Q0 a:A0 Q -> B"]])
    assert lessons(found[0]).preferences


@pytest.mark.parametrize("columns", [{"prompt": "q"}, {"response": "a"}, {"prompt": "q", "answer": "a"}])
def test_wrong_mapping_is_refused(columns: Mapping[str, str]) -> None:
    with pytest.raises(FinetuneError) as refused:
        Mapped(columns)
    assert refused.value.hint


KEYS = [
    "messages", "conversations", "prompt", "completion", "chosen", "rejected", "instruction", "input", "output", "text",
    "label", "kto_tag", "completions", "labels", "answers", "question", "answer", "id", "parent_id", "history", "tools",
    "preferred_output", "non_preferred_output", "input_data", "ai_output", "feedback_type", "timestamp", "metadata",
    "quality", "response", "category", "model", "score", "chosen_response", "rejected_response", "score_chosen",
    "score_rejected", "system",
]  # fmt: skip
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6)
TURNS = st.lists(
    st.dictionaries(
        st.sampled_from(["role", "content", "from", "value", "weight", "tool_calls", "answer", "rank"]),
        st.sampled_from(["user", "assistant", "system", "tool", "function_call", "x", "", "[{", '{"a":']) | LEAVES,
        max_size=3,
    ),
    max_size=4,
)
VALUES = st.recursive(
    LEAVES | TURNS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)
ROW_FORMATS = [
    "openai_chat", "sharegpt", "alpaca", "prompt_completion", "raw_text", "trl_preference", "anthropic_hh",
    "openai_preference", "chat_preference", "alpaca_preference", "intel_preference", "icr_preference",
    "response_preference", "kto", "llamafactory_kto", "stepwise", "nectar", "h2o", "artifact_loop", "moderation_loop",
    "records", "question_answer",
]  # fmt: skip


@settings(max_examples=200)
@given(row=st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=6) | VALUES)
def test_any_row_is_taken_or_refused_with_a_reason(row: Any) -> None:
    for name in ROW_FORMATS:
        reader = format_named(name)
        assert isinstance(reader, RowFormat)
        try:
            found = reader.read(row)
        except RowError as error:
            assert error.message
            continue
        assert found.answers
        for answer in found.answers:
            assert answer.prompt.strip()
            assert answer.response.strip()
            json.dumps(answer.metadata, allow_nan=False)
        for preference in found.preferences:
            assert preference.chosen != preference.rejected
            assert max(preference.chosen, preference.rejected) < len(found.answers)
