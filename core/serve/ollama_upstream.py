"""Ollama behind the gateway: requests go out over kept connections, answers come back as they are written."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Mapping
from typing import Final

import aiohttp
import yarl

from core.errors import BackendError
from core.serve.upstream import Reply

_CONNECT_SECONDS: Final = 3.0
_STALE_SECONDS: Final = 0.1
_LOWEST_STATUS: Final = 200
_HIGHEST_STATUS: Final = 599
# What belongs to one connection, or is written anew by the server in front (RFC 9110, 7.6.1). Cookies of callers are
# not sent on, so that none are set either; and whom browsers may let read an answer is the gateway's to say.
_NOT_PASSED: Final = frozenset(
    {
        "connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "date",
        "server", "set-cookie", "alt-svc",
    }
)  # fmt: skip
_OURS: Final = ("access-control-", "x-finetune-")
_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE: Final = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")


class OllamaUpstream:
    """An Ollama server, or anything that speaks its API, at `url`."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._session: aiohttp.ClientSession | None = None

    @property
    def name(self) -> str:
        return "ollama"

    async def request(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        """Sends one request. Raises BackendError where nobody answers."""
        url = yarl.URL(self.url + path, encoded=True)
        sent = time.monotonic()
        try:
            answer = await self._send(method, url, body, headers)
        except aiohttp.ClientConnectionError as error:
            # A kept connection that the server has closed meanwhile fails at once, before it has read anything.
            if isinstance(error, aiohttp.ClientConnectorError) or time.monotonic() - sent > _STALE_SECONDS:
                raise self._gone(error) from error
            try:
                answer = await self._send(method, url, body, headers)
            except (aiohttp.ClientError, TimeoutError) as again:
                raise self._gone(again) from again
        except (aiohttp.ClientError, TimeoutError) as error:
            raise self._gone(error) from error
        if not _LOWEST_STATUS <= answer.status <= _HIGHEST_STATUS:
            answer.close()
            raise BackendError(
                f"Ollama at {self.url} answered with status {answer.status}, which means nothing here.",
                title="Ollama's answer is not understood",
                hint="Look whether it is Ollama that listens there.",
            )
        return Reply(answer.status, _passed(answer), _Stream(answer))

    async def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()
            await asyncio.sleep(0)  # its connections are closed in the loop's next round

    async def _send(
        self, method: str, url: yarl.URL, body: bytes, headers: Mapping[str, str]
    ) -> aiohttp.ClientResponse:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                # The gateway itself limits how many requests there are at once.
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=30.0),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS),
                cookie_jar=aiohttp.DummyCookieJar(),
                skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding"),
                auto_decompress=False,
                trust_env=False,
            )
        return await self._session.request(method, url, data=body or None, headers=headers, allow_redirects=False)

    def _gone(self, error: Exception) -> BackendError:
        if isinstance(error, aiohttp.ClientConnectorError | TimeoutError):
            what = f"Ollama does not answer at {self.url}."
        else:
            what = f"Ollama at {self.url} broke off before it answered."
        return BackendError(what, title="Ollama does not answer", hint="Start it (`ollama serve`) and ask again.")


def _passed(answer: aiohttp.ClientResponse) -> dict[str, str]:
    """The headers of an answer that concern the caller, as far as they can be written."""
    own = {name.strip().lower() for each in answer.headers.getall("Connection", ()) for name in each.split(",")}
    return {
        name: value
        for name, value in answer.headers.items()
        if (lower := name.lower()) not in _NOT_PASSED
        and lower not in own
        and not lower.startswith(_OURS)
        and _NAME.fullmatch(name)
        and _VALUE.fullmatch(value)
    }


class _Stream:
    """The body of an answer as it comes. Closing it early closes its connection, which ends the work behind it."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self._answer = answer

    def __aiter__(self) -> _Stream:
        return self

    async def __anext__(self) -> bytes:
        try:
            chunk = await self._answer.content.readany()
        except (aiohttp.ClientError, TimeoutError, asyncio.IncompleteReadError) as error:
            raise BackendError(
                "Ollama broke off in the middle of its answer.",
                title="The answer is not whole",
                hint="Ask again; `ollama ps` and its log tell whether it crashed.",
            ) from error
        if not chunk:
            raise StopAsyncIteration
        return chunk

    async def aclose(self) -> None:
        self._answer.close()
