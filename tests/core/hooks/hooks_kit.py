"""What the tests of hooks share."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

Configure = Callable[[str], None]
"""Writes the text of config.toml."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def told(self) -> Any:
        return json.loads(self.body)


class Receiver:
    """A real web server on the loopback that answers `status` with `answer`, after `hold` was set."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.status = 204
        self.answer = b""
        self.location = ""
        self.hold = threading.Event()
        self.hold.set()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.requests.append(Request(self.path, dict(self.headers), body))
                receiver.hold.wait(20.0)
                self.send_response(receiver.status)
                self.send_header("Content-Length", str(len(receiver.answer)))
                if receiver.location:
                    self.send_header("Location", receiver.location)
                self.end_headers()
                self.wfile.write(receiver.answer)

            def log_message(self, *_: object) -> None:
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def numbers(self) -> list[int]:
        return [request.told["number"] for request in self.requests]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.hold.set()
        self._server.shutdown()
        self._server.server_close()


def python(code: str) -> str:
    """A `command` for config.toml that runs Python code."""
    return toml([sys.executable, "-S", "-E", "-c", code])


def toml(value: str | Sequence[str]) -> str:
    """A text or list as TOML writes it, which is as JSON does."""
    return json.dumps(value)
