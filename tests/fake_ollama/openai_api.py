"""The part of OpenAI's API that Ollama speaks, under /v1."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

from starlette.responses import JSONResponse, Response, StreamingResponse

from fake_ollama.answers import Answer, embedding
from fake_ollama.prompts import Prompt, chat_prompt
from fake_ollama.running import answered, begin, paced
from fake_ollama.state import State
from fake_ollama.store import ApiError

OPTIONS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "seed": "seed",
    "max_tokens": "num_predict",
    "max_completion_tokens": "num_predict",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
}


def openai_routes() -> list[tuple[str, Any, str]]:
    """(path, handler, method)"""
    return [
        ("/v1/chat/completions", _chat, "POST"),
        ("/v1/completions", _completion, "POST"),
        ("/v1/models", _models, "GET"),
        ("/v1/embeddings", _embeddings, "POST"),
    ]


def openai_error(error: ApiError) -> Response:
    kind = {400: "invalid_request_error", 404: "not_found_error"}.get(error.status, "api_error")
    content = {"error": {"message": error.words, "type": kind, "param": None, "code": None}}
    return JSONResponse(content, error.status)


def _options(body: Mapping[str, Any]) -> dict[str, Any]:
    # Where OpenAI's API has a default of its own, Ollama sends that.
    options: dict[str, Any] = {"temperature": 1.0, "top_p": 1.0}
    options.update({ours: body[theirs] for theirs, ours in OPTIONS.items() if body.get(theirs) is not None})
    stop = body.get("stop")
    if stop is not None:
        options["stop"] = [stop] if isinstance(stop, str) else stop
    return options


def _usage(answer: Answer) -> dict[str, int]:
    asked, given = answer.prompt_tokens, answer.tokens
    return {"prompt_tokens": asked, "completion_tokens": given, "total_tokens": asked + given}


async def _chat(state: State, body: Any) -> Response:
    messages = body.get("messages")
    if not messages:
        raise ApiError(400, "[] is too short - 'messages'")
    model = await begin(state, body.get("model"))
    flat = [{**one, "content": _text(one.get("content"))} for one in messages]
    prompt = chat_prompt(model, flat, state.since(0, 30, 0))
    answer = await answered(state, model, prompt, _options(body))

    def choice(text: str | None, streamed: bool, reason: str | None) -> dict[str, Any]:
        message = {"role": "assistant", "content": text or ""}
        return {"index": 0, "delta" if streamed else "message": message, "finish_reason": reason}

    return await _reply(state, body, answer, "chat.completion", "chatcmpl", choice)


async def _completion(state: State, body: Any) -> Response:
    model = await begin(state, body.get("model"))
    text = _text(body.get("prompt"))
    prompt: Prompt = chat_prompt(model, [{"role": "user", "content": text}], state.since(0, 30, 0))
    answer = await answered(state, model, prompt, _options(body))

    def choice(text: str | None, streamed: bool, reason: str | None) -> dict[str, Any]:
        return {"text": text or "", "index": 0, "finish_reason": reason}

    return await _reply(state, body, answer, "text_completion", "cmpl", choice)


async def _reply(state: State, body: Any, answer: Answer, kind: str, mark: str, choice: Any) -> Response:
    created = int(time.time())
    head = {
        "id": f"{mark}-{len(state.requests)}",
        "object": kind,
        "created": created,
        "model": body["model"],
        "system_fingerprint": "fp_ollama",
    }
    if not body.get("stream"):
        text = "".join([piece async for piece in paced(state, answer.pieces)])
        return JSONResponse({**head, "choices": [choice(text, False, answer.reason)], "usage": _usage(answer)})
    if kind == "chat.completion":
        head["object"] = "chat.completion.chunk"
    counts = bool((body.get("stream_options") or {}).get("include_usage"))

    async def events() -> AsyncIterator[bytes]:
        try:
            async for piece in paced(state, answer.pieces):
                yield _event({**head, "choices": [choice(piece, True, None)]})
        except ApiError as error:
            yield _event({"error": {"message": error.words, "type": "api_error", "param": None, "code": None}})
            return
        yield _event({**head, "choices": [choice(None, True, answer.reason)]})
        if counts:
            yield _event({**head, "choices": [], "usage": _usage(answer)})
        yield b"data: [DONE]\n\n"

    return StreamingResponse(events(), media_type="text/event-stream")


def _event(content: Mapping[str, Any]) -> bytes:
    return b"data: " + json.dumps(content).encode() + b"\n\n"


def _text(content: Any) -> str:
    """A text, or the text parts of a list."""
    if isinstance(content, list):
        return "".join(str(one.get("text", "")) if isinstance(one, dict) else str(one) for one in content)
    return str(content or "")


async def _models(state: State, body: Any) -> Response:
    listed = [
        {"id": model.name.short, "object": "model", "created": int(model.modified), "owned_by": "library"}
        for model in state.disk.models()
    ]
    return JSONResponse({"object": "list", "data": listed})


async def _embeddings(state: State, body: Any) -> Response:
    await begin(state, body.get("model"))
    wanted = body.get("input")
    texts = [wanted] if isinstance(wanted, str) else list(wanted or [])
    data = [{"object": "embedding", "embedding": embedding(str(text)), "index": i} for i, text in enumerate(texts)]
    counted = sum(len(str(text).split()) for text in texts)
    usage = {"prompt_tokens": counted, "total_tokens": counted}
    return JSONResponse({"object": "list", "data": data, "model": body["model"], "usage": usage})
