"""Who may call the gateway, and with how much: looked at before anything else is done with a request.

A web page cannot reach it by a name of its own that it points at this machine (DNS rebinding: the Host is none of
ours), nor as a foreign origin (the browser says which). A body is read here, once, within its limits of size and time.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import socket
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from core.config import Serve
from core.errors import FinetuneError
from core.serve.authority import host_of, host_of_origin, is_loopback
from core.serve.replies import AsgiApp, Message, Receive, Refused, Scope, Send, send_error

_log: Final = logging.getLogger("finetune.gateway")
_METHODS: Final = b"GET, HEAD, POST, OPTIONS"
_DISCARD_SECONDS: Final = 2.0
_DISCARD_PAUSE: Final = 0.25
HOP: Final = "x-finetune-gateway"
"""Marks what a gateway passes on, so that one that is its own upstream does not call itself for ever."""


@dataclass(frozen=True, slots=True)
class Rules:
    """Names (hosts, lower case) and web origins let in beside this machine's own; an empty `token` asks for none.

    max_body: bytes of one request; max_held: of all at once. max_requests: how many there are at once.
    pause_seconds: longest wait for the next piece of a body; body_seconds: for all of it.
    """

    hosts: frozenset[str] = frozenset()
    origins: frozenset[str] = frozenset()
    token: str = ""
    max_body: int = 64 * 1024 * 1024
    max_held: int = 256 * 1024 * 1024
    max_requests: int = 512
    pause_seconds: float = 10.0
    body_seconds: float = 120.0


def rules_of(serve: Serve) -> Rules:
    """The rules that the settings make."""
    body = serve.max_body_mb * 1024 * 1024
    names = {*serve.hosts, serve.host, socket.gethostname()} - {"0.0.0.0", "::", ""}
    return Rules(
        frozenset(name.lower() for name in names),
        frozenset(origin.rstrip("/").lower() for origin in serve.origins),
        serve.token,
        max_body=body,
        max_held=4 * body,
    )


class Guard:
    """Stands around the gateway's app."""

    def __init__(self, app: AsgiApp, rules: Rules) -> None:
        self._app = app
        self._rules = rules
        self._held = 0
        self.in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
            return
        answered = _Answered(send)
        self.in_flight += 1
        try:
            await self._serve(scope, receive, answered)
        except FinetuneError as error:
            if answered.started:
                raise
            status = error.status if isinstance(error, Refused) else 503
            if not answered.body_read and status != 408:
                await _discard(scope, receive)
            await send_error(answered, scope["path"], status, error, headers=[(b"connection", b"close")])
        except Exception as error:  # the boundary of a request
            _log.exception("%s %r failed", scope["method"], scope["path"][:200])
            if answered.started:
                raise
            fault = FinetuneError(
                f"The gateway itself failed: {type(error).__name__}.", hint="Its log says more; please report it."
            )
            await send_error(answered, scope["path"], 500, fault, headers=[(b"connection", b"close")])
        finally:
            self.in_flight -= 1

    async def _serve(self, scope: Scope, receive: Receive, send: _Answered) -> None:
        named = _named(scope["headers"])
        self._check_host(named.get(b"host"), scope)
        origin = named.get(b"origin", [b""])[0].decode("latin-1")
        if origin:
            self._check_origin(origin)
            send.origin = origin.encode("latin-1")
            if scope["method"] == "OPTIONS" and b"access-control-request-method" in named:
                await _preflight(send, named)
                return
        self._check_token(named)
        if HOP.encode() in named:
            raise Refused(508, "The gateway was told to pass requests on to itself.", hint="Set serve.ollama.")
        if self.in_flight > self._rules.max_requests:
            raise Refused(503, "The server is busy: too many requests at once.", hint="Ask again in a moment.")
        held = _Held()
        try:
            body = [await self._body(receive, named, held) if _has_body(named) else b""]
            send.body_read = True
            await self._app(scope, _replay(body, receive), send)
        finally:
            self._held -= held.size

    def _check_host(self, hosts: list[bytes] | None, scope: Scope) -> None:
        host = hosts[0].decode("latin-1") if hosts and len(hosts) == 1 else ""
        name = host_of(host)
        own = scope.get("server") or ("",)
        if name and (is_loopback(name) or name in self._rules.hosts or name == own[0]):
            return
        raise Refused(
            403,
            f"The gateway does not answer to the host name {host[:100]!r}.",
            hint="Call it as 127.0.0.1 or localhost, or add the name to serve.hosts in config.toml.",
        )

    def _check_origin(self, origin: str) -> None:
        rules = self._rules
        if origin.lower() in rules.origins or "*" in rules.origins:
            return
        if not is_loopback(host_of_origin(origin)):
            raise Refused(
                403,
                f"Web pages of {origin[:100]!r} may not call the gateway.",
                hint="Add that origin to serve.origins in config.toml if you trust it.",
            )

    def _check_token(self, named: dict[bytes, list[bytes]]) -> None:
        if not self._rules.token:
            return
        said = named.get(b"authorization", [b""])[0].strip()
        given = said[7:].strip() if said[:7].lower() == b"bearer " else named.get(b"x-api-key", [b""])[0]
        if not hmac.compare_digest(given, self._rules.token.encode()):
            raise Refused(
                401,
                "The gateway asks for a token." if not given else "That token is not the gateway's.",
                hint="Send `Authorization: Bearer …` with what serve.token says in its config.toml.",
            )

    async def _body(self, receive: Receive, named: dict[bytes, list[bytes]], held: _Held) -> bytes:
        told = named.get(b"content-length", [b"0"])[0]
        self._check_size(int(told[:18]) if told.isdigit() else 0, 0)
        pieces: list[bytes] = []
        try:
            async with asyncio.timeout(self._rules.body_seconds) as limit:
                last = limit.when() or 0.0
                while True:
                    limit.reschedule(min(last, asyncio.get_running_loop().time() + self._rules.pause_seconds))
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise Refused(400, "The request broke off.")
                    piece: bytes = message.get("body", b"")
                    self._check_size(held.size + len(piece), len(piece))
                    held.size += len(piece)
                    self._held += len(piece)
                    pieces.append(piece)
                    if not message.get("more_body", False):
                        return b"".join(pieces)
        except TimeoutError as error:
            raise Refused(408, "The body of the request came too slowly.", hint="Send it again.") from error

    def _check_size(self, size: int, more: int) -> None:
        if size > self._rules.max_body:
            raise Refused(
                413,
                f"The body is larger than {self._rules.max_body / 1024**2:g} MB.",
                hint="Send less, or raise serve.max_body_mb in config.toml.",
            )
        if self._held + more > self._rules.max_held:
            raise Refused(503, "The server is busy: too much is being sent at once.", hint="Ask again in a moment.")


class _Answered:
    """Passes an answer on, remembers that it has begun, and tells browsers which origin may read it."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.started = False
        self.body_read = False
        self.origin = b""

    async def __call__(self, message: Message) -> None:
        if not self.started:
            self.started = True
            if self.origin:
                message = {
                    **message,
                    "headers": [
                        *message.get("headers", ()),
                        (b"access-control-allow-origin", self.origin),
                        (b"access-control-expose-headers", b"x-finetune-response-id"),
                        (b"vary", b"origin"),
                    ],
                }
        await self._send(message)


@dataclass(slots=True)
class _Held:
    """Bytes of one body that are in memory."""

    size: int = 0


async def _discard(scope: Scope, receive: Receive) -> None:
    """Reads a refused body away, since a caller that still sends would find its connection cut and not the answer.

    One that waits to be asked for its body (100-continue) is not asked.
    """
    named = _named(scope["headers"])
    if not _has_body(named) or b"expect" in named:
        return
    with suppress(TimeoutError):
        async with asyncio.timeout(_DISCARD_SECONDS) as limit:
            end = limit.when() or 0.0
            more = True
            while more:
                limit.reschedule(min(end, asyncio.get_running_loop().time() + _DISCARD_PAUSE))
                more = (await receive()).get("more_body", False)


async def _preflight(send: Send, named: dict[bytes, list[bytes]]) -> None:
    headers = [
        (b"access-control-allow-methods", _METHODS),
        (b"access-control-max-age", b"600"),
    ]
    if wanted := named.get(b"access-control-request-headers"):
        headers.append((b"access-control-allow-headers", wanted[0][:2000]))
    if b"access-control-request-private-network" in named:
        headers.append((b"access-control-allow-private-network", b"true"))
    await send({"type": "http.response.start", "status": 204, "headers": headers})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def _named(headers: Iterable[tuple[bytes, bytes]]) -> dict[bytes, list[bytes]]:
    found: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        found.setdefault(name, []).append(value)
    return found


def _has_body(named: dict[bytes, list[bytes]]) -> bool:
    return b"transfer-encoding" in named or named.get(b"content-length", [b"0"]) != [b"0"]


def _replay(waiting: list[bytes], receive: Receive) -> Receive:
    """Hands the one body over that was read already, and keeps none of it; then tells what the connection says."""

    async def once() -> Message:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(), "more_body": False}
        return await receive()

    return once
