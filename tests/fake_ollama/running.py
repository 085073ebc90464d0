"""Ollama's API of answers: chat, generate, embed, and what is loaded."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response, StreamingResponse

from fake_ollama.answers import Answer, embedding
from fake_ollama.creating import Broken
from fake_ollama.prompts import Prompt, chat_prompt
from fake_ollama.state import State
from fake_ollama.store import ApiError, Model

NUMBERS = ("temperature", "top_p", "top_k", "min_p", "seed", "num_predict", "num_ctx", "repeat_penalty")
CONTEXT = 4096
BUSY = "server busy, please try again.  maximum pending requests exceeded"


def now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


def listed_running(state: State) -> list[dict[str, Any]]:
    """The models in memory, as the requests that loaded them called them."""
    expires = (datetime.now(UTC) + timedelta(minutes=5)).isoformat()
    return [
        {
            "name": name,
            "model": name,
            "size": model.size,
            "size_vram": 0,
            "digest": model.digest,
            "details": model.details,
            "expires_at": expires,
            "context_length": int(model.parameters.get("num_ctx", CONTEXT)),
        }
        for name, model in state.loaded.items()
    ]


async def begin(state: State, name: Any) -> Model:
    """The model of a request that needs one, loaded; the faults of running come first."""
    faults = state.faults
    if faults.busy > 0:
        faults.busy -= 1
        raise ApiError(503, BUSY)
    if faults.chat_status:
        raise ApiError(faults.chat_status, "the fake refuses")
    if faults.slow:
        await asyncio.sleep(faults.slow)
    model = state.model(name)
    # One runner a file: a name that comes later shares it.
    if not any(one.file == model.file for one in state.loaded.values()):
        state.loaded[model.name.short] = model
    return model


async def answered(state: State, model: Model, prompt: Prompt, options: Mapping[str, Any]) -> Answer:
    for key in NUMBERS:
        if key in options and (isinstance(options[key], bool) or not isinstance(options[key], int | float)):
            raise ApiError(400, f'option "{key}" must be of type float32')
    answer = await run_in_threadpool(state.answers.answer, model, prompt, {**model.parameters, **options})
    if state.faults.chat_wrong:
        answer = replace(answer, pieces=["something", " else"])
    return answer


async def paced(state: State, pieces: list[str]) -> AsyncIterator[str]:
    """The pieces of a text at the server's speed; an ApiError or Broken after the first by a fault."""
    pause = state.delay + state.faults.slow
    state.in_flight += 1
    try:
        for i, piece in enumerate(pieces):
            if pause:
                await asyncio.sleep(pause)
            yield piece
            if i == 0 and state.faults.chat_line:
                raise ApiError(500, state.faults.chat_line)
            if i == 0 and state.faults.chat_cut:
                raise Broken
    except (GeneratorExit, asyncio.CancelledError):
        state.cancelled += 1
        raise
    finally:
        state.in_flight -= 1


def unload(state: State, name: Any) -> None:
    if state.faults.unload_status:
        raise ApiError(state.faults.unload_status, "cannot unload")
    model = state.model(name)
    state.loaded = {known: one for known, one in state.loaded.items() if one.file != model.file}


async def ollama_chat(state: State, body: Any) -> Response:
    messages = body.get("messages") or []
    if not messages:
        return await _load(state, body, {"message": {"role": "assistant", "content": ""}})
    model = await begin(state, body.get("model"))
    if body.get("think"):
        raise ApiError(400, f'"{body["model"]}" does not support thinking')
    prompt = chat_prompt(model, messages, state.since(0, 30, 0))
    if body.get("_debug_render_only") and state.since(0, 11, 5):
        return _debug(body, prompt)

    def shaped(text: str) -> dict[str, Any]:
        return {"message": {"role": "assistant", "content": text}}

    return await _reply(state, body, model, prompt, shaped)


async def ollama_generate(state: State, body: Any) -> Response:
    text = str(body.get("prompt") or "")
    if not text:
        return await _load(state, body, {"response": ""})
    model = await begin(state, body.get("model"))
    messages = [{"role": "user", "content": text}]
    if body.get("system"):
        messages.insert(0, {"role": "system", "content": str(body["system"])})
    if body.get("raw"):
        prompt = Prompt(text, True, messages[-1:])
    else:
        if body.get("template"):
            model = replace(model, template=str(body["template"]))
        prompt = chat_prompt(model, messages, state.since(0, 30, 0))
    if body.get("_debug_render_only") and state.since(0, 11, 5):
        return _debug(body, prompt)
    return await _reply(state, body, model, prompt, lambda piece: {"response": piece})


def _debug(body: Any, prompt: Prompt) -> Response:
    told = {"model": body["model"], "created_at": now(), "_debug_info": {"rendered_template": prompt.text}}
    return JSONResponse(told)


async def _load(state: State, body: Any, empty: dict[str, Any]) -> Response:
    """A request without a prompt loads the model, or lets go of it with keep_alive 0."""
    if body.get("keep_alive") in (0, "0", "0s"):
        unload(state, body.get("model"))
        reason = "unload"
    else:
        if state.faults.load_status:
            raise ApiError(state.faults.load_status, "llama runner process has terminated")
        await begin(state, body.get("model"))
        reason = "load"
    return JSONResponse({"model": body["model"], "created_at": now(), **empty, "done": True, "done_reason": reason})


async def _reply(state: State, body: Any, model: Model, prompt: Prompt, shaped: Any) -> Response:
    answer = await answered(state, model, prompt, body.get("options") or {})
    if body.get("keep_alive") in (0, "0", "0s"):
        unload(state, body.get("model"))
    logprobs = bool(body.get("logprobs")) and state.since(0, 12, 11) and answer.logprob is not None

    def told(token: str) -> dict[str, Any]:
        return {"logprobs": [{"token": token, "logprob": answer.logprob}]} if logprobs else {}

    last = {
        "done": True,
        "done_reason": answer.reason,
        "total_duration": 2_000_000,
        "load_duration": 500_000,
        "prompt_eval_count": answer.prompt_tokens,
        "prompt_eval_duration": 500_000,
        "eval_count": answer.tokens,
        "eval_duration": 1_000_000,
    }

    def line(text: str, rest: Mapping[str, Any]) -> dict[str, Any]:
        return {"model": body["model"], "created_at": now(), **shaped(text), **rest}

    if body.get("stream") is False:
        text = "".join([piece async for piece in paced(state, answer.pieces)])
        whole = [one for piece in answer.pieces for one in told(piece).get("logprobs", [])]
        return JSONResponse(line(text, {**last, **({"logprobs": whole} if logprobs else {})}))

    async def lines() -> AsyncIterator[bytes]:
        try:
            async for piece in paced(state, answer.pieces):
                yield json.dumps(line(piece, {"done": False, **told(piece)})).encode() + b"\n"
        except ApiError as error:
            yield json.dumps({"error": error.words}).encode() + b"\n"
            return
        yield json.dumps(line("", last)).encode() + b"\n"

    return StreamingResponse(lines(), media_type="application/x-ndjson")


async def embed(state: State, body: Any) -> Response:
    await begin(state, body.get("model"))
    wanted = body.get("input")
    texts = [wanted] if isinstance(wanted, str) else list(wanted or [])
    vectors = [embedding(str(text)) for text in texts]
    counted = sum(len(str(text).split()) for text in texts)
    return JSONResponse(
        {
            "model": body["model"],
            "embeddings": vectors,
            "total_duration": 1_000_000,
            "load_duration": 500_000,
            "prompt_eval_count": counted,
        }
    )


async def embeddings(state: State, body: Any) -> Response:
    await begin(state, body.get("model"))
    return JSONResponse({"embedding": embedding(str(body.get("prompt") or ""))})
