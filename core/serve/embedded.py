"""The embedded server: Ollama's API and the OpenAI-compatible one, answered by llama.cpp from the versions' own files.

One request is answered at a time, the others wait in order; a caller who goes away frees the model within one token.
What a request leaves open comes from [publish], and the category's system prompt where it has none of its own. The
context is that of [publish] too: `num_ctx` and `keep_alive` of a request are taken, and change nothing.
"""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, TypeVar

from core.backends.child_client import RequestRefusedError
from core.backends.llamacpp import LlamaCppBackend
from core.categories import Category
from core.config import Config
from core.errors import BackendError, FinetuneError
from core.paths import Home
from core.prove.evaluate import sampling_of
from core.serve import embedded_listing as listing
from core.serve.body import Body, read_body
from core.serve.dialects import Kind
from core.serve.embedded_answering import AnswerBody, Answering
from core.serve.embedded_models import Models, ServedModel, StoreModels
from core.serve.embedded_reading import Question, question_of
from core.serve.embedded_vectors import PATHS as VECTOR_PATHS
from core.serve.embedded_vectors import vectors
from core.serve.embedded_writing import OllamaWriter, writer_of
from core.serve.replies import Refused, api_of, error_line, error_object
from core.serve.upstream import Reply
from storage.db import Store

_JSON: Final = "application/json"
_MOST_LOADED: Final = 3
_KINDS: Final[Mapping[str, Kind]] = {
    "/api/chat": "chat",
    "/api/generate": "generate",
    "/v1/chat/completions": "chat.completions",
    "/v1/completions": "completions",
}
_ONE_MODEL: Final = "/v1/models/"
_LISTS: Final = frozenset({"/api/tags", "/api/version", "/api/ps", "/v1/models"})

Result = TypeVar("Result")


def open_embedded(store: Store, home: Home, config: Config, categories: Mapping[str, Category]) -> EmbeddedUpstream:
    """The embedded server over the versions of a store, which is read in the event loop's thread."""
    return EmbeddedUpstream(StoreModels(store, home, categories), config, log=home.logs / "gateway-llamacpp.txt")


class EmbeddedUpstream:
    """Implements `core.serve.upstream.Upstream`. llama.cpp starts with the first request; see the module."""

    def __init__(self, models: Models, config: Config, *, log: Path | None = None, threads: int | None = None) -> None:
        self._models = models
        self._defaults = sampling_of(config.publish)
        self._queue = config.serve.queue
        self._backend = LlamaCppBackend(threads=threads, num_ctx=config.publish.num_ctx, log=log)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="embedded")
        self._turn = asyncio.Lock()
        self._waiting = 0
        self._loaded: OrderedDict[str, ServedModel] = OrderedDict()

    @property
    def name(self) -> str:
        return "embedded"

    @property
    def pid(self) -> int | None:
        """The process of llama.cpp; None before the first request."""
        return self._backend.pid

    async def request(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        """Answers one request; every failure is a Reply in the form of the path's API."""
        path = path.partition("?")[0]
        try:
            return await self._answer(method, path, body)
        except Refused as refusal:
            return _failure(path, refusal.status, refusal)
        except RequestRefusedError as refusal:
            return _failure(path, 400, refusal)
        except FinetuneError as error:
            return _failure(path, 500, error)

    async def close(self) -> None:
        """Ends llama.cpp, also in the middle of an answer."""
        await asyncio.to_thread(self._backend.close)
        self._pool.shutdown(wait=False)

    async def _answer(self, method: str, path: str, body: bytes) -> Reply:
        kind = _KINDS.get(path)
        if path in _LISTS or path.startswith(_ONE_MODEL):
            _allow(method, "GET", "HEAD")
            return _json(await self._list(path))
        if kind is None and path != "/api/show" and path not in VECTOR_PATHS:
            raise Refused(404, f"The embedded server knows no {path[:100]}.", hint="GET /api/tags lists its models.")
        _allow(method, "POST")
        asked = read_body(body)
        model = self._models.find(asked.model)
        if path == "/api/show":
            return _json(await asyncio.to_thread(listing.shown, model, self._defaults))
        if kind is None:
            answer = vectors(path, asked.fields, asked.model, model, self._backend)
            return _json(await self._in_turn(model, answer))
        return await self._ask(kind, asked, model)

    async def _list(self, path: str) -> Any:
        if path == "/api/version":
            return {"version": listing.API_VERSION}
        if path == "/api/ps":
            loaded = list(self._loaded.values()) if self._backend.pid is not None else []
            return await asyncio.to_thread(listing.running, loaded, self._backend.num_ctx)
        if path.startswith(_ONE_MODEL):
            return listing.openai_model(self._models.find(path.removeprefix(_ONE_MODEL)))
        models = self._models.listed()
        return listing.openai_models(models) if path == "/v1/models" else await asyncio.to_thread(listing.tags, models)

    async def _ask(self, kind: Kind, asked: Body, model: ServedModel) -> Reply:
        question = question_of(kind, asked.fields, system=model.system, defaults=self._defaults)
        if not question.messages:
            return await self._load(kind, asked, model, question)
        stream = self._backend.stream(str(model.path), question.messages, question.sampling)
        answering = Answering(stream)
        writer = writer_of(kind, asked.model, usage=question.usage)
        try:
            await self._begin(model, answering.draw)
            if not question.stream:
                generation = await answering.generation()
                return _json(writer.whole(generation, answering.times()))
            first = await answering.pieces()
        except BaseException:  # the caller went away while it waited
            answering.cancel()
            raise

        def failed(error: BackendError) -> bytes:
            return error_line("ollama" if kind in ("chat", "generate") else "openai", error)

        return Reply(200, {"content-type": writer.media}, AnswerBody(answering, first, writer, failed))

    async def _load(self, kind: Kind, asked: Body, model: ServedModel, question: Question) -> Reply:
        """A request without a prompt: the model is loaded, as a preparation for the first question."""
        if not question.unload:
            await self._in_turn(model, lambda: self._backend.special_tokens(str(model.path)))
        return _json(OllamaWriter(kind, asked.model).loaded("unload" if question.unload else "load"))

    async def _in_turn(self, model: ServedModel, work: Callable[[], Result]) -> Result:
        return await asyncio.shield(await self._begin(model, work))

    async def _begin(self, model: ServedModel, work: Callable[[], Result]) -> asyncio.Future[Result]:
        """Waits for the turn of this request and starts its work in the thread; the turn ends with the work."""
        if self._turn.locked() and self._waiting >= self._queue:
            raise Refused(503, f"The server is busy: {self._waiting} requests wait already.", hint="Ask later.")
        self._waiting += 1
        try:
            await self._turn.acquire()
        finally:
            self._waiting -= 1
        try:
            future = asyncio.get_running_loop().run_in_executor(self._pool, work)
        except RuntimeError as error:  # the pool is shut down
            self._turn.release()
            raise BackendError("The embedded server was closed.", hint="Start the gateway again.") from error
        future.add_done_callback(self._end)
        self._loaded[model.name] = model
        self._loaded.move_to_end(model.name)
        while len(self._loaded) > _MOST_LOADED:
            self._loaded.popitem(last=False)
        return future

    def _end(self, future: asyncio.Future[Any]) -> None:
        self._turn.release()
        if not future.cancelled():
            future.exception()  # whoever asked for it may be gone: then nobody else looks


def _allow(method: str, *allowed: str) -> None:
    if method.upper() not in allowed:
        raise Refused(405, f"This takes {allowed[0]} and not {method[:20]}.")


def _failure(path: str, status: int, error: FinetuneError) -> Reply:
    return _json(error_object(api_of(path), status, error), status)


def _json(value: Any, status: int = 200) -> Reply:
    return Reply(status, {"content-type": _JSON}, _once(json.dumps(value).encode()))


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body
