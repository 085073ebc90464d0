"""Asks a candidate over the same upstream that production goes through; leaving early gives the request up."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final

from core.errors import BackendError
from core.serve.exchange import Exchange
from core.serve.relay import leave
from core.serve.upstream import Upstream

_LONGEST_ANSWER: Final = 4 * 1024 * 1024
_HEADERS: Final = {"content-type": "application/json"}


@dataclass(frozen=True, slots=True)
class ShadowAnswer:
    """What the candidate answered; `seconds` is wall time with the prompt."""

    text: str
    tokens: int
    seconds: float


class Asker:
    """Speaks Ollama's API to an upstream."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream

    async def chat(self, model: str, exchange: Exchange) -> ShadowAnswer:
        """What the model answers to the messages of an exchange with its sampling. Raises BackendError."""
        system = [{"role": "system", "content": exchange.system}] if exchange.system else []
        body = {
            "model": model,
            "messages": [*system, *map(dict, exchange.history), {"role": "user", "content": exchange.prompt}],
            "stream": True,
            "options": dict(exchange.sampling),
        }
        begun = time.perf_counter()
        pieces: list[str] = []
        tokens: int | None = None
        size = 0
        async with aclosing(self._lines("POST", "/api/chat", json.dumps(body).encode())) as lines:
            async for line in lines:
                found = _object(line)
                if error := found.get("error"):
                    raise BackendError(str(error)[:300])
                message = found.get("message")
                if isinstance(message, Mapping):
                    piece = str(message.get("content") or "")
                    size += len(piece)
                    pieces.append(piece)
                if size > _LONGEST_ANSWER:
                    raise BackendError("The candidate does not come to an end.")
                if found.get("done") is True:
                    counted = found.get("eval_count")
                    tokens = counted if isinstance(counted, int) else 0
        if tokens is None:
            raise BackendError("The answer broke off.")
        return ShadowAnswer("".join(pieces), tokens, time.perf_counter() - begun)

    async def loaded(self) -> frozenset[str]:
        """The models that Ollama holds in memory; the embedded server keeps its own house."""
        if self._upstream.name != "ollama":
            return frozenset()
        text = b"".join([line async for line in self._lines("GET", "/api/ps", b"")])
        found = _object(text).get("models")
        names = (one.get("name") for one in found if isinstance(one, Mapping)) if isinstance(found, list) else ()
        return frozenset(str(name).removesuffix(":latest") for name in names)

    async def load(self, model: str) -> None:
        """Has a model loaded into memory. Raises BackendError."""
        body = json.dumps({"model": model, "stream": False}).encode()
        async with aclosing(self._lines("POST", "/api/generate", body)) as lines:
            async for _ in lines:
                pass

    async def _lines(self, method: str, path: str, body: bytes) -> AsyncGenerator[bytes, None]:
        """The lines of an answer; leaving early gives the request up."""
        reply = await self._upstream.request(method, path, body, _HEADERS)
        rest = b""
        try:
            async for chunk in reply.body:
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    if line.strip():
                        yield line
            if rest.strip():
                yield rest
        finally:
            await leave(reply)


def _object(line: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise BackendError("The answer is not JSON.") from error
    return found if isinstance(found, Mapping) else {}
