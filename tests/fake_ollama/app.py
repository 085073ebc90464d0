"""Ollama's own API: what is there, taking in, naming, removing."""

from __future__ import annotations

import asyncio
import hashlib
import json
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from fake_ollama.creating import DIGEST, Broken, create
from fake_ollama.openai_api import openai_error, openai_routes
from fake_ollama.prompts import shown_template
from fake_ollama.running import embed, embeddings, listed_running, ollama_chat, ollama_generate
from fake_ollama.state import State
from fake_ollama.store import ApiError, Model, facts_of, named

Handler = Callable[[State, Any], Awaitable[Response]]
LOCAL_ENDINGS = (".localhost", ".local", ".internal")


def application(state: State) -> Starlette:
    def json_route(path: str, handler: Handler, method: str = "POST") -> Route:
        async def endpoint(request: Request) -> Response:
            try:
                body = await _body(state, request)
                return await handler(state, body)
            except ApiError as error:
                if path.startswith("/v1/"):
                    return openai_error(error)
                return JSONResponse({"error": error.words}, error.status)

        return Route(path, endpoint, methods=[method])

    async def blobs(request: Request) -> Response:
        try:
            return await _blob(state, request)
        except ApiError as error:
            return JSONResponse({"error": error.words}, error.status)

    async def fault(request: Request) -> Response:
        try:
            state.faults.change(await request.json())
        except KeyError as error:
            return JSONResponse({"error": f"no such fault: {error}"}, 400)
        return JSONResponse({})

    async def requests(request: Request) -> Response:
        return JSONResponse(state.requests)

    async def counts(request: Request) -> Response:
        return JSONResponse({"cancelled": state.cancelled, "in_flight": state.in_flight})

    async def root(request: Request) -> Response:
        return PlainTextResponse("Ollama is running")

    routes = [
        Route("/", root, methods=["GET"]),
        Route("/_fault", fault, methods=["POST"]),
        Route("/_requests", requests, methods=["GET"]),
        Route("/_state", counts, methods=["GET"]),
        Route("/api/blobs/{digest}", blobs, methods=["HEAD", "POST"]),
        json_route("/api/version", _version, "GET"),
        json_route("/api/tags", _tags, "GET"),
        json_route("/api/ps", _ps, "GET"),
        json_route("/api/show", _show),
        json_route("/api/create", _create),
        json_route("/api/copy", _copy),
        json_route("/api/delete", _delete, "DELETE"),
        json_route("/api/chat", ollama_chat),
        json_route("/api/generate", ollama_generate),
        json_route("/api/embed", embed),
        json_route("/api/embeddings", embeddings),
        *(json_route(path, handler, method) for path, handler, method in openai_routes()),
    ]
    return Starlette(routes=routes)


async def _body(state: State, request: Request) -> Any:
    """The request's body, remembered. 403 for a foreign Host, 400 for what is no JSON object."""
    host = request.headers.get("host", "").rpartition(":")[0].strip("[]") or request.headers.get("host", "")
    if host not in ("localhost", "127.0.0.1", "::1") and not host.endswith(LOCAL_ENDINGS):
        raise ApiError(403, "forbidden")
    content = await request.body()
    body: Any = {}
    if content or request.method != "GET":
        try:
            body = json.loads(content)
        except ValueError as error:
            words = "missing request body" if not content else f"invalid character: {error}"
            raise ApiError(400, words) from error
        if not isinstance(body, dict):
            raise ApiError(400, "json: cannot unmarshal")
    state.remember({"method": request.method, "path": request.url.path, "headers": dict(request.headers), "body": body})
    return body


# -- what is there


async def _version(state: State, body: Any) -> Response:
    return JSONResponse({"version": state.version})


def _listed(model: Model) -> dict[str, Any]:
    return {"name": model.name.short, "model": model.name.short, "size": model.size, "digest": model.digest}


async def _tags(state: State, body: Any) -> Response:
    return JSONResponse(
        {
            "models": [
                {**_listed(model), "modified_at": model.modified_at, "details": model.details}
                for model in state.disk.models()
                if not state.vanished(model.name.short)
            ]
        }
    )


async def _ps(state: State, body: Any) -> Response:
    return JSONResponse({"models": listed_running(state)})


async def _show(state: State, body: Any) -> Response:
    model = state.model(body.get("model") or body.get("name"))
    native = state.since(0, 30, 0)
    template = shown_template(model, native)
    parameters = [
        (key, one) for key, value in model.parameters.items() for one in (value if isinstance(value, list) else [value])
    ]
    lines = [
        '# Modelfile generated by "ollama show"',
        "# To build a new Modelfile based on this, replace FROM with:",
        f"# FROM {model.name.short}",
        "",
        f"FROM {model.file}",
        f'TEMPLATE """{template}"""',
        *([f'SYSTEM """{model.system}"""'] if model.system else []),
        *(f"PARAMETER {key} {value}" for key, value in parameters),
    ]
    facts = {
        key: value
        for key, value in facts_of(model.file).items()
        if isinstance(value, str | int | float | bool) and key != "tokenizer.chat_template"
    }
    told = {
        "modelfile": "\n".join(lines) + "\n",
        "parameters": "\n".join(f"{key:<30} {_go_value(value)}" for key, value in parameters),
        "template": template,
        "details": model.details,
        "model_info": facts,
        "capabilities": ["completion"],
        "modified_at": model.modified_at,
    }
    return JSONResponse({**told, **({"system": model.system} if model.system else {})})


def _go_value(value: Any) -> str:
    """As Go prints it with %#v."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return json.dumps(value, ensure_ascii=False)


# -- taking in


async def _blob(state: State, request: Request) -> Response:
    found = DIGEST.fullmatch(request.path_params["digest"])
    if not found:
        raise ApiError(400, "invalid digest format")
    path = state.disk.blob(found[1])
    state.remember({"method": request.method, "path": request.url.path, "headers": dict(request.headers), "body": {}})
    if request.method == "HEAD":
        return Response(status_code=200 if path.exists() else 404)
    if path.exists():
        return Response(status_code=200)
    return await _received(state, request, found[1])


async def _received(state: State, request: Request, wanted: str) -> Response:
    if state.faults.upload_full:
        raise ApiError(500, "write /models/blobs/sha256-123: no space left on device")
    digest, size = hashlib.sha256(), 0
    with tempfile.NamedTemporaryFile(dir=state.disk.root / "blobs", prefix="sha256-new", delete=False) as file:
        partial = Path(file.name)
        try:
            async for piece in request.stream():
                size += len(piece)
                digest.update(piece)
                await run_in_threadpool(file.write, piece)
                if 0 < state.faults.upload_cut <= size:
                    partial.unlink()
                    return StreamingResponse(_breaking(), 201)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
    partial.replace(state.disk.blob(digest.hexdigest()))
    if digest.hexdigest() != wanted:
        raise ApiError(400, f"digest mismatch, expected sha256:{wanted}, got sha256:{digest.hexdigest()}")
    return Response(status_code=201)


async def _breaking() -> AsyncIterator[bytes]:
    yield b" "
    raise Broken


async def _create(state: State, body: Any) -> Response:
    lines = create(state, body)
    if body.get("stream") is False:
        statuses = [line async for line in _steps(lines, state.faults.create_pause)]
        return JSONResponse(statuses[-1])
    first = await run_in_threadpool(next, lines)
    return StreamingResponse(_streamed(first, lines, state.faults.create_pause), media_type="application/x-ndjson")


async def _streamed(first: dict[str, Any], lines: Iterator[dict[str, Any]], pause: float) -> AsyncIterator[bytes]:
    yield json.dumps(first).encode() + b"\n"
    try:
        async for line in _steps(lines, pause):
            yield json.dumps(line).encode() + b"\n"
    except ApiError as error:
        yield json.dumps({"error": error.words}).encode() + b"\n"


async def _steps(lines: Iterator[dict[str, Any]], pause: float) -> AsyncIterator[dict[str, Any]]:
    while (line := await run_in_threadpool(next, lines, None)) is not None:
        yield line
        await asyncio.sleep(pause)


# -- naming, removing


async def _copy(state: State, body: Any) -> Response:
    source, target = named(body.get("source")), named(body.get("destination"))
    faults = state.faults
    fault = faults.copy if faults.copy_times else ""
    if fault:
        faults.copy_times -= 1
    state.model(source.short, '"')
    if faults.copy_pause:
        state.disk.copy(source, target, broken=True)
        await asyncio.sleep(faults.copy_pause)
    if fault not in ("unlike", "status"):
        state.disk.copy(source, target, broken=fault == "between")
    if fault in ("status", "between"):
        raise ApiError(500, "EOF")
    return Response(status_code=200)


async def _delete(state: State, body: Any) -> Response:
    if state.faults.delete_status:
        raise ApiError(state.faults.delete_status, "remove: permission denied")
    model = state.model(body.get("model") or body.get("name"))
    state.disk.delete(model.name)
    return Response(status_code=200)
