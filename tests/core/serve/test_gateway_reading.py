"""Reading requests and answers, whatever they hold."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.serve.answers import LONGEST_TEXT, Answer
from core.serve.body import read_body
from core.serve.dialects import Asked, Kind, asked_of
from core.serve.exchange import Exchange
from core.serve.replies import Refused

KINDS: tuple[Kind, ...] = ("chat", "generate", "chat.completions", "completions")
ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from(
    ["model", "messages", "prompt", "system", "options", "stream", "tools", "images", "user", "stop", "n", "think"]
)
PART = st.sampled_from(["role", "content", "images", "tool_calls", "type", "text"])
MESSAGE = st.dictionaries(PART, ODD | st.sampled_from(["user", "assistant", "system", "tool", "text"]), max_size=4)


@given(ODD, st.text(min_size=1, max_size=30), st.dictionaries(st.text(max_size=6), ODD, max_size=4))
def test_only_the_name_of_the_model_changes(value: Any, name: str, more: dict[str, Any]) -> None:
    fields = {key: one for key, one in more.items() if key.lower() not in ("model", "name")}
    text = json.dumps({"a": value, "model": "m", **fields})
    body = read_body(text.encode())
    assert body.for_model("m") == text.encode()
    changed = body.for_model(name).decode()
    assert changed == text.replace('"model": "m"', f'"model": {json.dumps(name)}', 1) or '"model": "m"' in str(value)
    assert json.loads(changed)["model"] == name


def test_every_place_that_names_the_model_changes() -> None:
    body = read_body(b'{"model":"a","Model": "b" ,"messages":[{"model":"a"}], "model":"c"}')
    assert body.for_model("x") == b'{"model":"x","Model": "x" ,"messages":[{"model":"a"}], "model":"x"}'
    assert read_body(b'{"name":"old"}').for_model("new") == b'{"name":"new"}'


def test_what_is_routed_is_what_the_server_behind_reads() -> None:
    """Go's decoder takes the last of several fields of one name, whatever their case."""
    body = read_body(b'{"model":"one","Model":"two","MODEL":"three","model":"four","Messages":[1],"messages":[2]}')
    assert body.model == "four" and body.fields["messages"] == [2]
    assert body.for_model("four") == (
        b'{"model":"four","Model":"four","MODEL":"four","model":"four","Messages":[1],"messages":[2]}'
    )
    assert read_body(b'{"model":"m","PROMPT":"p","Stream":0}').fields == {"model": "m", "prompt": "p", "stream": 0}


def test_a_body_of_very_many_values_is_refused() -> None:
    few = b'{"model":"m","x":[' + b"0," * 1_000 + b"0]}"
    assert len(read_body(few).fields["x"]) == 1_001
    with pytest.raises(Refused, match="1,000,000 values") as refused:
        read_body(b'{"model":"m","x":[' + b"{}," * 1_000_001 + b"{}]}")
    assert refused.value.status == 400


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"model"',
        b"{}",
        b'{"model":}',
        b'{"model":"m"',
        b'{"model":"m",}',
        b'{"model":"m"}x',
        b'{"model" "m"}',
        b'{1:"m"}',
        b'{"model":1}',
        b'{"model":""}',
        b'{"model":null}',
        b"\xff\xfe",
        b"\xef\xbb\xbf{}",
        b'{"model":"m","x":"\x01"}',
        b'{"model":"m","x":' + b"[" * 100_000,
        b'{"model":"m","x":' + b'{"x":' * 100_000,
        b'{"model":"m","x":' + b"9" * 10_000 + b"}",
    ],
)
def test_what_is_no_request_is_refused_with_the_next_step(data: bytes) -> None:
    with pytest.raises(Refused) as refused:
        read_body(data)
    assert refused.value.status == 400 and refused.value.hint


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        assert read_body(data).model
    except Refused as refused:
        assert refused.status == 400


@settings(max_examples=300)
@given(st.sampled_from(KINDS), st.dictionaries(FIELDS, ODD | st.lists(MESSAGE, max_size=4), max_size=6))
def test_any_fields_are_understood_somehow(kind: Kind, fields: dict[str, Any]) -> None:
    asked = asked_of(kind, fields)
    assert all(isinstance(text, str) for text in (asked.prompt, asked.system, asked.begun, asked.user))
    assert all(set(turn) == {"role", "content"} for turn in [*asked.history, *asked.between])
    json.dumps([*asked.history, asked.sampling], allow_nan=False)


def test_a_chat_with_tools_has_its_turns_in_between() -> None:
    messages = [
        {"role": "system", "content": "S"},
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "two"},
        {"role": "user", "content": [{"type": "text", "text": "three"}, {"type": "text", "text": "four"}]},
        {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "f", "arguments": {}}}]},
        {"role": "tool", "content": "result"},
    ]
    asked = asked_of("chat", {"messages": messages})
    assert asked == Asked(
        "three\nfour",
        system="S",
        history=[{"role": "user", "content": "one"}, {"role": "assistant", "content": "two"}],
        between=[{"role": "assistant", "content": ""}, {"role": "tool", "content": "result"}],
        tools=True,
    )


def test_what_shapes_an_answer_is_told() -> None:
    plain = {"model": "m", "prompt": "p", "stream": False, "options": {"seed": 1, "num_gpu": 1}, "format": ""}
    assert not asked_of("generate", plain).shaped
    for more in ({"format": "json"}, {"think": False}, {"raw": True}, {"n": 2}, {"options": {"mirostat": 1}}):
        assert asked_of("generate", {**plain, **more}).shaped
    begun = asked_of("chat", {"messages": [{"role": "user", "content": "u"}, {"role": "assistant", "content": "So"}]})
    assert begun.begun == "So" and begun.shaped and begun.prompt == "u"


@given(st.sampled_from(KINDS), st.booleans(), st.lists(st.binary(max_size=40), max_size=5), ODD)
def test_any_answer_is_followed_somehow(kind: Kind, streamed: bool, chunks: list[bytes], value: Any) -> None:
    answer = Answer(kind, streamed=streamed)
    told = {"message": value, "choices": [value, {"delta": value, "text": value}], "usage": value, "done": value}
    for chunk in [*chunks, json.dumps(told).encode() + b"\n", b"data: " + json.dumps(told).encode() + b"\n"]:
        answer.may_end(chunk)
        answer.feed(chunk)
    answer.end()
    Answer(kind, streamed=False).whole(b"".join(chunks))
    assert isinstance(answer.text, str) and isinstance(answer.complete, bool)


@given(st.lists(st.text(min_size=1, max_size=6), max_size=8), st.integers(1, 60), st.sampled_from(["\n", "\r\n"]))
def test_the_cut_of_the_chunks_does_not_matter(texts: list[str], size: int, end: str) -> None:
    lines = [json.dumps({"message": {"content": text}, "done": False}) for text in texts]
    lines.append(json.dumps({"message": {"content": ""}, "done": True, "done_reason": "stop", "eval_count": 3}))
    events = [f"data: {json.dumps({'id': 'i', 'choices': [{'delta': {'content': text}}]})}{end}" for text in texts]
    events += [f": ping{end}", f"data:[DONE]{end}"]
    ollama, openai = Answer("chat", streamed=True), Answer("chat.completions", streamed=True)
    for answer, data in ((ollama, end.join(lines) + end), (openai, end.join(events) + end)):
        whole = data.encode()
        ends = [at for at in range(0, len(whole), size) if answer.may_end(whole[at : at + size])]
        for at in range(0, len(whole), size):
            answer.feed(whole[at : at + size])
            # Whoever has seen the whole end has also been warned of it.
            assert not answer.done or any(seen <= at for seen in ends)
        answer.end()
        assert answer.complete and answer.text == "".join(texts)
    assert (ollama.finish, ollama.tokens_out) == ("stop", 3)


def test_an_answer_that_says_error_or_breaks_off_is_not_complete() -> None:
    failed = Answer("chat", streamed=True)
    failed.feed(b'{"message":{"content":"a"}}\n{"error":"out of memory"}\n')
    assert failed.error and not failed.complete and failed.text == "a"
    broken = Answer("generate", streamed=True)
    broken.feed(b'{"response":"a","done":false}\n{"respon')
    broken.end()
    assert broken.lost and not broken.complete


def test_only_the_first_of_several_answers_is_taken() -> None:
    answer = Answer("chat.completions", streamed=False)
    choices = [{"index": at, "message": {"content": text}, "finish_reason": "stop"} for at, text in enumerate("ab")]
    answer.whole(json.dumps({"id": "x", "choices": choices}).encode())
    assert answer.complete and answer.text == "a" and answer.body_id == "x"


def test_a_long_line_in_small_pieces_is_followed() -> None:
    answer = Answer("chat", streamed=True)
    line = json.dumps({"message": {"content": "x" * 300_000}, "done": True}).encode() + b"\n"
    for at in range(0, len(line), 3):
        answer.feed(line[at : at + 3])
    assert answer.complete and len(answer.text) == 300_000


def test_an_endless_answer_is_let_go() -> None:
    answer = Answer("generate", streamed=True)
    line = json.dumps({"response": "x" * 1_000_000}).encode() + b"\n"
    for _ in range(6):
        answer.feed(line)
    assert answer.lost and len(answer.text) <= LONGEST_TEXT


def test_surrogates_survive_the_journal() -> None:
    fields = json.loads('{"model":"m","prompt":"\\ud800 \\udc00"}')
    asked = asked_of("generate", fields)
    exchange = Exchange(
        "i", 1.0, "ollama", "erd", "m", None, "m", asked.system, asked.history, asked.prompt, "r", 1.0, 0.5, True
    )
    assert Exchange.from_json(exchange.to_json()).prompt == asked.prompt
