"""The hot path: a request goes to the upstream, its answer comes back as it is written, and a copy is followed.

Bytes are forwarded first and looked at afterwards. Only what ends an answer waits, for the one line that the journal
writes, so that what a caller has in full is on record even when the gateway is killed in that moment.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Protocol

from core.errors import BackendError
from core.serve.answers import Answer
from core.serve.body import read_body
from core.serve.dialects import Asked, Kind, api_of_kind, asked_of
from core.serve.exchange import Exchange
from core.serve.guard import HOP
from core.serve.replies import Receive, Refused, Scope, Send, error_line, send_whole
from core.serve.route import Routed, Routes
from core.serve.traffic import Traffic
from core.serve.upstream import Reply, Upstream

RESPONSE_ID: Final = b"x-finetune-response-id"
LARGEST_WHOLE: Final = 32 * 1024 * 1024
"""Bytes of an answer in one piece that are held until it is whole; a longer one is passed on and not recorded."""

# Calls that ask a model something. Those without a kind are passed on alike, and their answers are not recorded.
CALLS: Final[Mapping[str, Kind | None]] = {
    "/api/chat": "chat",
    "/api/generate": "generate",
    "/api/embed": None,
    "/api/embeddings": None,
    "/api/show": None,
    "/v1/chat/completions": "chat.completions",
    "/v1/completions": "completions",
    "/v1/embeddings": None,
    "/v1/responses": None,
    "/v1/messages": None,
}
_PASSED: Final = frozenset({b"content-type", b"accept", b"user-agent"})
_CREDENTIALS: Final = frozenset({b"authorization", b"x-api-key"})
_STREAMS: Final = ("application/x-ndjson", "text/event-stream")


class Record(Protocol):
    """What takes down the answers; it never raises."""

    def append(self, entry: Exchange, /) -> object:
        """Takes one answer down, durable against a kill of this process when the call returns."""
        ...


@dataclass(slots=True)
class _Call:
    """One request on its way."""

    id: str
    kind: Kind
    at: float
    started: float
    asked_model: str
    routed: Routed
    user: str
    answer: Answer
    fields: Mapping[str, Any]
    read: Asked | None = None
    first: float | None = None

    def asked(self) -> Asked:
        """What the fields ask; they are let go once it is known, since pictures are large and answers take long."""
        if self.read is None:
            self.read, self.fields = asked_of(self.kind, self.fields), {}
        return self.read


class Relay:
    """Passes the calls of `CALLS` on. `journal` is None where nothing is recorded; `secret`: credentials in a request
    are the gateway's own and stay here."""

    def __init__(
        self, upstream: Upstream, routes: Routes, journal: Record | None, traffic: Traffic, *, secret: bool
    ) -> None:
        self._upstream = upstream
        self._routes = routes
        self._journal = journal
        self._traffic = traffic
        self._passed = _PASSED if secret else _PASSED | _CREDENTIALS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one POST request. Raises Refused and BackendError before anything was answered."""
        at, started = time.time(), time.perf_counter()
        path: str = scope["path"]
        own = {name: value for name, value in scope["headers"] if name.startswith(b"x-finetune-")}
        body = read_body((await receive())["body"])
        routed = self._routes.route(body.model, own.get(b"x-finetune-category", b"").decode("latin-1"))
        self._traffic.begin()
        watch = _Watch(receive)
        try:
            reply = await self._upstream.request(
                "POST", _target(scope), body.for_model(routed.model), self.headers(scope)
            )
            try:
                kind = CALLS[path]
                if reply.status == 404 and routed.version is not None:
                    raise _not_there(routed, self._upstream.name)
                if kind is None or reply.status != 200:
                    await _forward(send, reply)
                    return
                streamed = _is_stream(reply)
                user = own.get(b"x-finetune-user", b"").decode("latin-1")[:200]
                answer = Answer(kind, streamed=streamed)
                call = _Call(uuid.uuid4().hex, kind, at, started, body.model, routed, user, answer, body.fields)
                del body
                answering = self._stream if streamed else self._whole
                await answering(send, reply, call)
            finally:
                watch.stop()
                await leave(reply)
        except asyncio.CancelledError:
            if not watch.gone:
                raise
            watch.swallow()
        finally:
            watch.stop()
            self._traffic.end()

    def headers(self, scope: Scope) -> dict[str, str]:
        """What of a request's headers goes on to the upstream."""
        found = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"] if name in self._passed
        }
        found.setdefault("content-type", "application/json")
        found[HOP] = "1"
        return found

    async def _stream(self, send: Send, reply: Reply, call: _Call) -> None:
        answer = call.answer
        recorded = False
        await send(_start(reply, call.id))
        try:
            async for chunk in reply.body:
                if call.first is None:
                    call.first = time.perf_counter()
                if answer.may_end(chunk):
                    answer.feed(chunk)
                    if answer.done and not recorded:
                        recorded = True
                        self._record(call)
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
                else:
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
                    answer.feed(chunk)
                call.asked()  # after the first piece has gone out
            answer.end()
            last = b""
        except BackendError as error:
            last = error_line(api_of_kind(call.kind), error)
        finally:
            if not recorded:
                self._record(call)
        await send({"type": "http.response.body", "body": last, "more_body": False})

    async def _whole(self, send: Send, reply: Reply, call: _Call) -> None:
        pieces: list[bytes] = []
        size = 0
        try:
            async for chunk in reply.body:
                if call.first is None:
                    call.first = time.perf_counter()
                pieces.append(chunk)
                size += len(chunk)
                if size > LARGEST_WHOLE:
                    raise Refused(502, "The answer is larger than the gateway holds.", hint="Ask for a stream.")
            body = b"".join(pieces)
            call.answer.whole(body)
        finally:
            self._record(call)
        await send_whole(send, reply.status, body, _headers(reply, call.id))

    def _record(self, call: _Call) -> None:
        if self._journal is None:
            return
        asked, answer, now = call.asked(), call.answer, time.perf_counter()
        if not asked.prompt and not asked.images and not answer.text:
            return  # a model was loaded or unloaded, nothing was asked
        version = call.routed.version
        self._journal.append(
            Exchange(
                id=call.id,
                at=call.at,
                api=api_of_kind(call.kind),
                category=call.routed.category,
                model=call.asked_model,
                version_id=version.id if version else None,
                version_name=version.name if version else call.routed.model,
                system=asked.system,
                history=asked.history,
                between=asked.between,
                prompt=asked.prompt,
                response=asked.begun + answer.text,
                seconds=now - call.started,
                first_token_seconds=(call.first or now) - call.started,
                complete=answer.complete,
                body_id=answer.body_id,
                tokens_in=answer.tokens_in,
                tokens_out=answer.tokens_out,
                finish=answer.finish,
                sampling=asked.sampling,
                tools=asked.tools or answer.tools,
                images=asked.images,
                user=call.user or asked.user,
                shaped=asked.shaped,
            )
        )


class _Watch:
    """Cancels the task that serves a request when its caller goes away."""

    def __init__(self, receive: Receive) -> None:
        self.gone = False
        task = asyncio.current_task()
        assert task is not None
        self._served = task
        self._task = asyncio.create_task(self._wait(receive))

    async def _wait(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self.gone = True
        self._served.cancel()

    def swallow(self) -> None:
        """Takes the cancellation back once it has done its work."""
        self._served.uncancel()

    def stop(self) -> None:
        self._task.cancel()


def _target(scope: Scope) -> str:
    query: bytes = scope.get("query_string", b"")
    path: str = scope["path"]
    return f"{path}?{query.decode('latin-1')}" if query else path


def _is_stream(reply: Reply) -> bool:
    kind = next((value for name, value in reply.headers.items() if name.lower() == "content-type"), "")
    return kind.startswith(_STREAMS)


def _headers(reply: Reply, response_id: str = "") -> list[tuple[bytes, bytes]]:
    """Without the length where the answer is followed: it may end with a line that says what failed."""
    found = [
        (name.lower().encode("latin-1"), value.encode("utf-8", "surrogateescape"))
        for name, value in reply.headers.items()
        if not (response_id and name.lower() == "content-length")
    ]
    if response_id:
        found.append((RESPONSE_ID, response_id.encode()))
    return found


def _start(reply: Reply, response_id: str = "") -> dict[str, Any]:
    return {"type": "http.response.start", "status": reply.status, "headers": _headers(reply, response_id)}


async def _forward(send: Send, reply: Reply) -> None:
    """Passes an answer on that nobody looks at. One that breaks off in the middle ends with its connection."""
    chunks = reply.body
    first = await anext(chunks, b"")
    await send(_start(reply))
    await send({"type": "http.response.body", "body": first, "more_body": True})
    async for chunk in chunks:
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def _not_there(routed: Routed, server: str) -> Refused:
    return Refused(
        404,
        f"{routed.model} serves {routed.alias or 'by its name'}, but {server} does not hold it.",
        hint="Run `finetune-tui doctor`: it publishes again what is missing.",
    )


async def leave(reply: Reply) -> None:
    """Gives an answer up that nobody reads to its end; after the end it does nothing."""
    close = getattr(reply.body, "aclose", None)
    if close is not None:
        with suppress(RuntimeError):  # a generator that is still at work was cancelled already
            await close()
