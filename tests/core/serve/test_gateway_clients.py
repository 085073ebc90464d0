"""The `ollama` and `openai` packages work unchanged against the gateway, and what they get is on record."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import ollama
import openai
import pytest
from fake_ollama import set_faults
from gateway_kit import MODEL, Gateway, seen

PIXEL = base64.b64encode(bytes(range(64))).decode()
ASKED = [{"role": "system", "content": "Be short."}, {"role": "user", "content": "hello there"}]
TOOL = {
    "type": "function",
    "function": {"name": "add", "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}}},
}


@pytest.fixture
def theirs(gateway: Gateway) -> Iterator[ollama.Client]:
    with ollama.Client(gateway.url, trust_env=False) as client:
        yield client


@pytest.fixture
def openais(gateway: Gateway) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="any", max_retries=0) as client:
        yield client


def test_ollama_chat(theirs: ollama.Client, gateway: Gateway, behind: str) -> None:
    answer = theirs.chat(MODEL, ASKED, options={"temperature": 0.5, "seed": 7})
    assert answer.message.content is not None and answer.message.content.endswith("hello there")
    kept = gateway.journal.one()
    assert kept.response == answer.message.content
    assert (kept.prompt, kept.system, kept.history) == ("hello there", "Be short.", [])
    assert kept.sampling == {"seed": 7, "temperature": 0.5}
    assert kept.complete and kept.finish == "stop" and kept.api == "ollama"
    assert kept.tokens_out == answer.eval_count and kept.tokens_in == answer.prompt_eval_count
    assert 0 < kept.first_token_seconds <= kept.seconds
    assert seen(behind, "/api/chat")[0]["body"]["options"] == {"temperature": 0.5, "seed": 7}


def test_ollama_stream(theirs: ollama.Client, gateway: Gateway) -> None:
    pieces = [part.message.content or "" for part in theirs.chat(MODEL, ASKED, stream=True)]
    assert len([piece for piece in pieces if piece]) > 3
    assert gateway.journal.one().response == "".join(pieces)


def test_ollama_generate(theirs: ollama.Client, gateway: Gateway) -> None:
    whole = theirs.generate(MODEL, "one two", system="Be kind.")
    parts = "".join(part.response for part in theirs.generate(MODEL, "one two", stream=True))
    assert whole.response == parts
    first, second = gateway.journal.exchanges
    assert (first.prompt, first.system, first.response) == ("one two", "Be kind.", whole.response)
    assert second.response == parts


async def test_ollama_async(gateway: Gateway) -> None:
    async with ollama.AsyncClient(gateway.url, trust_env=False) as client:
        whole = await client.chat(MODEL, ASKED)
        parts = [part.message.content or "" async for part in await client.chat(MODEL, ASKED, stream=True)]
    assert whole.message.content == "".join(parts)
    assert [one.response for one in gateway.journal.exchanges] == ["".join(parts)] * 2


def test_ollama_tools_and_images_pass_untouched(theirs: ollama.Client, gateway: Gateway, behind: str) -> None:
    message = {"role": "user", "content": "what is this", "images": [PIXEL]}
    theirs.chat(MODEL, [message], tools=[TOOL], think=False, keep_alive="5m", logprobs=True)
    got = seen(behind, "/api/chat")[0]["body"]
    assert got["tools"][0]["function"]["name"] == "add" and got["messages"][0]["images"] == [PIXEL]
    assert got["keep_alive"] == "5m" and got["think"] is False
    kept = gateway.journal.one()
    assert kept.tools and kept.images and kept.shaped


def test_ollama_other_calls(theirs: ollama.Client, gateway: Gateway) -> None:
    assert len(theirs.embed(MODEL, ["one", "two"]).embeddings) == 2
    assert len(theirs.embeddings(MODEL, "one").embedding) > 1
    assert [model.model for model in theirs.list().models] == [MODEL]
    assert theirs.show(MODEL).details is not None
    theirs.generate(MODEL)  # loads it
    assert [model.model for model in theirs.ps().models] == [MODEL]
    theirs.generate(MODEL, keep_alive=0)
    assert theirs.ps().models == []
    assert gateway.journal.exchanges == []


def test_ollama_errors(theirs: ollama.Client, behind: str) -> None:
    with pytest.raises(ollama.ResponseError, match="not found") as unknown:
        theirs.chat("nobody", ASKED)
    assert unknown.value.status_code == 404
    set_faults(behind, busy=1)
    with pytest.raises(ollama.ResponseError, match="busy") as busy:
        theirs.chat(MODEL, ASKED)
    assert busy.value.status_code == 503
    with pytest.raises(ollama.ResponseError, match="changes nothing in Ollama's store") as refused:
        theirs.pull(MODEL)
    assert refused.value.status_code == 403


def test_openai_chat(openais: openai.OpenAI, gateway: Gateway, behind: str) -> None:
    asked: Any = ASKED
    raw = openais.chat.completions.with_raw_response.create(
        model=MODEL, messages=asked, temperature=0.25, max_tokens=50, stop=["!"], user="u-1"
    )
    answer = raw.parse()
    kept = gateway.journal.one()
    assert raw.headers["x-finetune-response-id"] == kept.id
    assert kept.body_id == answer.id and kept.user == "u-1"
    assert kept.response == answer.choices[0].message.content and kept.complete
    assert kept.sampling == {"temperature": 0.25, "stop": ["!"], "num_predict": 50}
    assert kept.api == "openai" and kept.system == "Be short." and not kept.shaped
    assert answer.usage is not None and kept.tokens_out == answer.usage.completion_tokens
    assert seen(behind, "/v1/chat/completions")[0]["body"]["max_tokens"] == 50


def test_openai_stream(openais: openai.OpenAI, gateway: Gateway) -> None:
    asked: Any = ASKED
    stream = openais.chat.completions.create(
        model=MODEL, messages=asked, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    kept = gateway.journal.one()
    assert (kept.response, kept.body_id, kept.finish) == (text, chunks[0].id, "stop")
    assert chunks[-1].usage is not None and kept.tokens_out == chunks[-1].usage.completion_tokens


async def test_openai_async(gateway: Gateway) -> None:
    asked: Any = ASKED
    async with openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key="any", max_retries=0) as client:
        stream = await client.chat.completions.create(model=MODEL, messages=asked, stream=True)
        text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
    assert gateway.journal.one().response == text


def test_openai_parts_and_tools(openais: openai.OpenAI, gateway: Gateway, behind: str) -> None:
    parts = [
        {"type": "text", "text": "what is this"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}},
    ]
    asked: Any = [
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": "answer"},
        {"role": "user", "content": parts},
    ]
    tools: Any = [TOOL]
    openais.chat.completions.create(model=MODEL, messages=asked, tools=tools)
    got = seen(behind, "/v1/chat/completions")[0]["body"]
    assert got["messages"][2]["content"] == parts and got["tools"] == tools
    kept = gateway.journal.one()
    assert kept.images and kept.tools and kept.prompt == "what is this"
    assert kept.history == [{"role": "user", "content": "first"}, {"role": "assistant", "content": "answer"}]


def test_openai_completions_and_embeddings(openais: openai.OpenAI, gateway: Gateway) -> None:
    whole = openais.completions.create(model=MODEL, prompt="one two")
    text = "".join(
        chunk.choices[0].text for chunk in openais.completions.create(model=MODEL, prompt="one two", stream=True)
    )
    assert whole.choices[0].text == text
    assert [one.response for one in gateway.journal.exchanges] == [text, text]
    assert [one.prompt for one in gateway.journal.exchanges] == ["one two", "one two"]
    assert len(openais.embeddings.create(model=MODEL, input="one").data) == 1
    assert [model.id for model in openais.models.list()] == [MODEL]
    assert openais.models.retrieve(MODEL).id == MODEL
    assert len(gateway.journal.exchanges) == 2


def test_openai_errors(openais: openai.OpenAI, gateway: Gateway, behind: str) -> None:
    asked: Any = ASKED
    with pytest.raises(openai.NotFoundError, match="not found"):
        openais.chat.completions.create(model="nobody", messages=asked)
    with pytest.raises(openai.NotFoundError, match="There is no model 'nobody'"):
        openais.models.retrieve("nobody")
    with pytest.raises(openai.PermissionDeniedError, match="changes nothing"):
        openais.models.delete(MODEL)
    with pytest.raises(openai.BadRequestError, match="must be the name of a model"):
        openais.chat.completions.create(model=" ", messages=asked)
    set_faults(behind, chat_status=500)
    with pytest.raises(openai.InternalServerError, match="the fake refuses"):
        openais.chat.completions.create(model=MODEL, messages=asked)
    assert gateway.journal.exchanges == []
