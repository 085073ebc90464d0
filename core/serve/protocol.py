"""The server's side of a connection, with limits on what may come before a request's body and on who does not read."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_CONNECTIONS: Final = 1024
HEAD_BYTES: Final = 64 * 1024
HEAD_SECONDS: Final = 15.0
STALL_SECONDS: Final = 300.0
"""For how long a caller may leave what was sent unread."""
_UPGRADING: Final = frozenset({b"upgrade", b"connection", b"http2-settings"})


class GatewayProtocol(HttpToolsProtocol):
    """HTTP/1.1 and 1.0 where a request's line and headers come within 15 seconds and 64 KB.

    More connections than `MOST_CONNECTIONS` are closed at once. A wish to go on in another protocol is not followed:
    the request is answered as it is (RFC 9110, 7.8), with its body. An answer of unknown length to HTTP/1.0, which
    knows no chunks, ends with its connection (RFC 9112, 6.3).
    """

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._head = 0
        self._in_head = True
        self._again = False
        self._head_limit: asyncio.TimerHandle | None = None
        self._stall_limit: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > MOST_CONNECTIONS:
            transport.abort()
        else:
            self._head_limit = self.loop.call_later(HEAD_SECONDS, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        self._unlimit()
        self._read_on()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        try:
            self._parse(data)
        except httptools.HttpParserError:
            self.send_400_response("Invalid HTTP request received.")
            return
        if not self._in_head:
            return
        self._head += len(data)
        if self._head > HEAD_BYTES and not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\n\r\n")
            self.transport.close()

    def _parse(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._stay()
            if rest := data[upgrade.args[0] :]:
                self._parse(rest)

    def _stay(self) -> None:
        """Goes on as if no upgrade was asked for: the parser takes what follows its headers for another protocol."""
        method: bytes = self.parser.get_method()
        version: str = self.scope["http_version"]
        kept = [name + b": " + value for name, value in self.headers if name not in _UPGRADING]
        head = [method + b" " + self.url + b" HTTP/" + version.encode(), *kept, b"", b""]
        self.cycle.more_body = True
        self.parser = httptools.HttpRequestParser(self)
        self._again = True
        try:
            self.parser.feed_data(b"\r\n".join(head))
        finally:
            self._again = False

    def on_message_begin(self) -> None:
        if self._again:
            return
        super().on_message_begin()
        self._in_head, self._head = True, 0
        if self._head_limit is None:
            self._head_limit = self.loop.call_later(HEAD_SECONDS, self.transport.abort)

    def on_url(self, url: bytes) -> None:
        if not self._again:
            super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._again:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if self._again:
            return
        self._in_head, self._head = False, 0
        self._unlimit()
        super().on_headers_complete()
        if self.parser.get_http_version() == "1.0":
            self.cycle.chunked_encoding = False
            self.cycle.expected_content_length = _AnyLength()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stall_limit = self._stall_limit or self.loop.call_later(STALL_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        self._read_on()
        super().resume_writing()

    def _unlimit(self) -> None:
        if self._head_limit is not None:
            self._head_limit.cancel()
            self._head_limit = None

    def _read_on(self) -> None:
        if self._stall_limit is not None:
            self._stall_limit.cancel()
            self._stall_limit = None


class _AnyLength(int):
    """Stands where uvicorn counts down what is left of a body: any number of bytes fits, and it may end at any time."""

    def __lt__(self, other: int) -> bool:
        return False

    def __sub__(self, other: int) -> int:
        return self

    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False

    __hash__ = int.__hash__
