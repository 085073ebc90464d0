"""The thirteen named events: each makes an example that its category's own rules accept, or says what it lacks."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from core.capture.domain_events import DATA_KEYS, answer_from, answer_from_envelope, domain_events, unwrap
from core.capture.formats.domain_events import DomainEvents
from core.capture.formats.parts import Answer, Lessons, Row, RowError
from core.categories import load_categories
from core.paths import Home

PAYLOADS: Mapping[str, Mapping[str, Any]] = {
    "violation.detected": {"content": "you are all idiots", "violationType": "Hate-Speech", "confidence": 0.9},
    "scam.detected": {"message": {"content": "free nitro: http://x.example"}, "is_scam": True, "confidence": 93},
    "intent.analyzed": {"text": "why was I muted?", "intent": {"name": "Ban Appeal"}},
    "tool.executed": {"request": "mute her", "tool_name": "timeout", "params": '{"minutes": 5}', "success": True},
    "trust_score.changed": {"user_id": 77, "old_score": 40, "new_score": "55.5", "reason": "30 days without warning"},
    "moderation.action_executed": {"content": "buy now!!", "action": "Deleted", "reason": "spam", "user_id": "u1"},
    "ai.correction": {"question": "Who may post?", "ai_response": "Nobody.", "corrected_response": "Everybody."},
    "rag.context_enhanced": {"query": "Opening hours?", "answer": "9 to 5.", "documents": ["Open 9-5.", "Closed Sun."]},
    "policy.evaluated": {"policy": "No advertising.", "case": "a link to my shop", "allowed": False, "rules": ["1"]},
    "sentiment.analyzed": {"content": "meh", "sentiment": {"label": "NEU", "score": 0.1}},
    "network.raid_detected": {
        "join_count": 40,
        "window_seconds": 30,
        "severity": "severe",
        "signals": ["new", "alike"],
    },
    "user.profile_updated": {"recent_activity": "12 posts on Rust", "profile": {"user_id": 9, "interests": ["Rust"]}},
    "workflow.parsed": {"description": "greet who joins", "workflow": {"trigger": "join", "actions": ["greet"]}},
}
RESPONSES = {
    "violation.detected": "hate_speech",
    "scam.detected": "other_scam",
    "intent.analyzed": "appeal",
    "tool.executed": {"tool": "timeout", "arguments": {"minutes": 5}},
    "trust_score.changed": {"trust_score": 55.5, "reason": "30 days without warning"},
    "moderation.action_executed": {"action": "delete_message", "reason": "spam"},
    "ai.correction": "Nobody.",
    "rag.context_enhanced": "9 to 5.",
    "policy.evaluated": {"decision": "forbidden", "rules": ["1"]},
    "sentiment.analyzed": "neutral",
    "network.raid_detected": {"raid": True, "risk": "high", "indicators": ["new", "alike"]},
    "user.profile_updated": {"user_id": "[USER_1]", "interests": ["Rust"]},
    "workflow.parsed": {"trigger": "join", "actions": ["greet"]},
}


def test_there_are_thirteen_and_each_has_a_category(home: Home) -> None:
    categories = load_categories(home)
    assert set(domain_events()) == set(PAYLOADS) and len(PAYLOADS) == 13
    named = [event.category for event in domain_events().values()]
    assert len(set(named)) == 13 and set(named) <= set(categories)
    for event in domain_events().values():
        assert event.title and event.mapping["prompt"]
        assert set(event.needs) | {event.labelled, event.correction_key} <= {*event.object, ""}


@pytest.mark.parametrize("name", PAYLOADS)
def test_each_event_makes_the_answer_that_its_category_wants(home: Home, name: str) -> None:
    answer = answer_from(name, PAYLOADS[name])
    category = load_categories(home)[answer.category]
    options = category.validator_options
    if category.validator == "json_schema":
        said = json.loads(answer.response)
        Draft202012Validator(dict(options["schema"])).validate(said)
        assert said == RESPONSES[name]
    else:
        assert answer.response == RESPONSES[name]
    if category.validator == "label":
        assert answer.response in options["labels"]
    assert answer.prompt and answer.metadata["event"] == name


def test_every_synonym_leads_to_a_label(home: Home) -> None:
    categories = load_categories(home)
    for event in domain_events().values():
        options = categories[event.category].validator_options
        labels = options.get("labels") or (
            options["schema"]["properties"][event.labelled]["enum"] if event.labelled else event.synonyms.values()
        )
        assert set(event.synonyms.values()) <= set(labels), event.name
        assert not set(event.synonyms) & set(labels), event.name


def test_what_else_is_known_goes_along() -> None:
    answer = answer_from(
        "violation.detected",
        {
            "content": "x",
            "type": "insult",
            "confidence": 87,
            "model": "guard-1",
            "timestamp": "2026-01-31T12:00:00Z",
            "conversation": [{"text": "first"}, "second"],
            "reasoning": "It names a person.",
            "author": {"id": 5},
            "precedents": ["a", "b", "c"],
            "ground_truth": "None",
            "secret": "not wanted",
            "processing_time_ms": 12,
        },
    )
    assert (answer.response, answer.confidence, answer.model) == ("harassment", 0.87, "guard-1")
    assert (answer.created_at, answer.latency_ms) == (1_769_860_800.0, 12.0)
    assert answer.context == "first\n\nsecond"
    assert answer.metadata == {
        "event": "violation.detected",
        "reasoning": "It names a person.",
        "user_id": 5,
        "precedents": 3,
        "expected": {"label": "none"},
    }


@pytest.mark.parametrize(
    ("more", "verdict", "correction"),
    [
        ({}, None, None),
        ({"false_positive": True}, "bad", None),
        ({"false_positive": False}, None, None),
        ({"was_correct": True}, "good", None),
        ({"was_correct": False}, "bad", None),
        ({"feedback": {"verdict": "thumbs_down"}}, "bad", None),
        ({"was_correct": False, "correct_label": "Phishing"}, None, "phishing"),
    ],
)
def test_a_persons_word_becomes_a_verdict_or_a_correction(
    more: Mapping[str, Any], verdict: str | None, correction: str | None
) -> None:
    answer = answer_from("scam.detected", {"content": "x", "label": "ham", **more})
    assert (answer.response, answer.verdict, answer.correction) == ("legitimate", verdict, correction)


def test_a_correction_of_an_object_is_an_object() -> None:
    taken = {"content": "x", "action": "ban", "reason": "spam", "correct_action": "warning"}
    assert json.loads(answer_from("moderation.action_executed", taken).correction or "") == {"action": "warn"}
    scored = {"old_score": 1, "trigger": "a post", "new_score": 9, "actual_score": 3}
    assert json.loads(answer_from("trust_score.changed", scored).correction or "") == {"trust_score": 3}
    whole = {"policy": "p", "decision": "allowed", "correction": {"decision": "Denied", "rules": ["2"]}}
    corrected = answer_from("policy.evaluated", whole).correction
    assert json.loads(corrected or "") == {"decision": "forbidden", "rules": ["2"]}


def test_a_correction_says_what_was_wrong_and_the_lesson() -> None:
    payload = {**PAYLOADS["ai.correction"], "mistake": "It was a guess.", "lesson": "Read the rules first."}
    answer = answer_from("ai.correction", payload)
    assert (answer.correction, answer.verdict) == ("Everybody.", None)
    assert answer.note == "It was a guess.\nLesson: Read the rules first."
    assert answer_from("ai.correction", {**PAYLOADS["ai.correction"], "reason": "outdated"}).note == "outdated"


def test_retrieved_answers_count_their_precedents() -> None:
    answer = answer_from("rag.context_enhanced", {**PAYLOADS["rag.context_enhanced"], "similar_cases": [1, 2]})
    assert answer.context == "Open 9-5.\n\nClosed Sun."
    assert answer.metadata == {"event": "rag.context_enhanced", "rag": True, "precedents": 2, "documents": 2}


def test_nobody_is_named_in_what_is_written_from_objects() -> None:
    activity = {
        "members": [10, 11],
        "posts": [{"authorId": "10", "text": "hi"}, {"author": {"name": "Ann"}}],
        "users": 3,
    }
    prompt = json.loads(answer_from("user.profile_updated", {"activity": activity, "profile": {"tone": "dry"}}).prompt)
    assert prompt["members"] == ["[USER_1]", "[USER_2]"]
    assert prompt["posts"][0] == {"authorId": "[USER_1]", "text": "hi"}


@pytest.mark.parametrize(
    ("name", "payload", "said"),
    [
        ("scam.detekted", {}, r"no event `scam\.detekted`.*scam\.detected"),
        ("scam.detected", {"label": "phishing"}, r"no prompt; looked for: prompt · content.*has: label\."),
        ("scam.detected", {"content": "x"}, r"no response; looked for: .*scam_type"),
        ("scam.detected", {}, r"has: nothing"),
        ("scam.detected", [1], r"is a list, not an object"),
        ("scam.detected", {"content": "x", "label": "ham", "confidence": 101}, r"confidence .* is 101, not a number"),
        ("scam.detected", {"content": "x", "label": "ham", "quality_score": "high"}, r"score .* is `high`"),
        ("scam.detected", {"content": "x", "label": "ham", "timestamp": "soon"}, r"time .* is `soon`"),
        ("tool.executed", {"request": "x"}, r"no `tool`; looked for: tool\.name"),
        ("workflow.parsed", {"text": "x", "trigger": "join"}, r"no `actions`; looked for: actions · steps"),
        ("ai.correction", {"prompt": "x", "response": "y"}, r"no correction; looked for: correction"),
    ],
)
def test_what_is_missing_is_named_with_what_is_known(name: str, payload: Any, said: str) -> None:
    with pytest.raises(RowError, match=said):
        answer_from(name, payload)


@pytest.mark.parametrize("key", DATA_KEYS)
def test_an_envelope_gives_name_payload_and_time(key: str) -> None:
    answer = answer_from_envelope(
        {"type": "Scam.Detected", key: {"content": "x", "type": "ham"}, "time": 1_700_000_000}
    )
    assert (answer.category, answer.response, answer.created_at) == ("scam_detection", "legitimate", 1_700_000_000.0)


def test_an_envelope_may_be_flat_or_come_as_the_payload() -> None:
    flat = {"event": "scam.detected", "type": "phishing", "content": "x"}
    assert answer_from_envelope(flat).response == "phishing"
    wrapped = {"event": "scam.detected", "data": {"content": "x", "type": "ham"}}
    assert answer_from("scam.detected", wrapped) == answer_from_envelope(wrapped)
    assert unwrap({"name": "x", "event": "scam.detected", "a": 1}) == ("scam.detected", {"name": "x", "a": 1})


@pytest.mark.parametrize("value", [None, [], "scam.detected", {"data": {}}, {"event": 3}, {"event": " "}])
def test_what_is_no_event_is_refused(value: Any) -> None:
    with pytest.raises(RowError):
        answer_from_envelope(value)


@dataclass
class Rows:
    values: list[Any]
    name: str = "events.jsonl"
    kind: str = "jsonl"

    def rows(self) -> Iterator[Row]:
        return iter(Row(number, value) for number, value in enumerate(self.values, 1))

    def sibling(self, name: str) -> None:
        return None


def test_a_file_of_events_is_recognised_and_read() -> None:
    values: list[Any] = [{"event": name, "data": payload} for name, payload in PAYLOADS.items()]
    source, form = Rows([*values, {"event": "user.joined", "data": {}}]), DomainEvents()
    assert form.matches(source, values) == 0.97
    assert 0.9 < form.matches(source, source.values) < 0.97
    assert form.matches(source, []) == 0.0
    assert form.matches(source, [{"prompt": "x", "response": "y", "type": "chat"}, "scam.detected", None]) == 0.0
    found = [lessons for _, lessons in form.lessons(source)]
    assert [one.answers[0].category for one in found if isinstance(one, Lessons)] == [
        event.category for event in domain_events().values()
    ]
    assert isinstance(found[-1], RowError)


plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9)
keys = st.sampled_from(
    [
        "content",
        "message",
        "type",
        "label",
        "action",
        "data",
        "event",
        "user",
        "members",
        "confidence",
        "tool",
        "policy",
    ]
)
nested = st.recursive(plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4))


@given(st.sampled_from(sorted(PAYLOADS)), nested | st.dictionaries(keys, nested))
def test_any_payload_gives_an_answer_that_can_be_stored_or_a_refusal(name: str, payload: Any) -> None:
    try:
        answer = answer_from(name, payload)
    except RowError:
        return
    assert isinstance(answer, Answer) and answer.prompt.strip() and answer.response.strip()
    json.dumps(dict(answer.metadata), allow_nan=False)
    assert answer.confidence is None or 0.0 <= answer.confidence <= 1.0
