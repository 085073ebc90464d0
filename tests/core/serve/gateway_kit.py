"""A gateway over a real socket, with the fake Ollama behind it, in threads of the test that uses it."""

from __future__ import annotations

import asyncio
import hashlib
import json
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.routing import BaseRoute

from core.categories import load_categories
from core.config import load_config
from core.paths import Home
from core.serve.app import make_app
from core.serve.exchange import Exchange
from core.serve.guard import Rules
from core.serve.ollama_upstream import OllamaUpstream
from core.serve.protocol import GatewayProtocol
from core.serve.route import Router
from core.serve.traffic import Traffic
from core.serve.upstream import Upstream
from storage.db import Store

_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))

MODEL = "base:1b"
"""What the fake Ollama holds."""


@dataclass
class Kept:
    """A journal in memory."""

    exchanges: list[Exchange] = field(default_factory=list)

    def append(self, entry: Exchange) -> bool:
        self.exchanges.append(Exchange.from_json(entry.to_json()))
        return True

    def one(self) -> Exchange:
        """The only exchange, waited for: the end of a broken one comes after the caller has gone."""
        wait_for(lambda: self.exchanges)
        assert len(self.exchanges) == 1
        return self.exchanges[0]


@dataclass
class Gateway:
    """A gateway that runs. `server` may be told to end with `should_exit`."""

    url: str
    journal: Kept
    traffic: Traffic
    server: uvicorn.Server
    thread: threading.Thread
    loop: asyncio.AbstractEventLoop

    @property
    def address(self) -> tuple[str, int]:
        host, _, port = self.url.removeprefix("http://").partition(":")
        return host, int(port)


def wait_for(condition: Any, seconds: float = 10.0) -> None:
    """Returns when the condition holds; fails the test when it never does."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to be"
        time.sleep(0.002)


@contextmanager
def serving(
    upstream: Upstream | str,
    home: Home,
    store: Store,
    *,
    rules: Rules | None = None,
    extra_routes: Sequence[BaseRoute] = (),
) -> Iterator[Gateway]:
    """A gateway before an upstream, or the Ollama at a URL."""
    config, categories = load_config(home), load_categories(home)
    journal, traffic = Kept(), Traffic()
    behind = OllamaUpstream(upstream) if isinstance(upstream, str) else upstream
    app = make_app(
        behind,
        Router(store, config, categories),
        journal,
        rules=rules,
        traffic=traffic,
        extra_routes=extra_routes,
        behind=upstream if isinstance(upstream, str) else "",
    )
    listening = socket.create_server(("127.0.0.1", 0))
    settings = uvicorn.Config(
        app, http=GatewayProtocol, ws="none", lifespan="off", log_config=None, timeout_graceful_shutdown=5
    )

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            loops.append(asyncio.get_running_loop())

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            await super().shutdown(sockets)
            await behind.close()

    loops: list[asyncio.AbstractEventLoop] = []
    server = Server(settings)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    wait_for(lambda: loops)
    try:
        yield Gateway(f"http://127.0.0.1:{listening.getsockname()[1]}", journal, traffic, server, thread, loops[0])
    finally:
        server.should_exit = server.force_exit = True
        thread.join(10)
        listening.close()


def hold(url: str, name: str) -> None:
    """Lets the fake Ollama at a URL hold a model."""
    content = b"GGUF" + name.encode()
    digest = hashlib.sha256(content).hexdigest()
    _post(f"{url}/api/blobs/sha256:{digest}", content)
    created = {"model": name, "files": {"model.gguf": f"sha256:{digest}"}, "stream": False}
    assert json.loads(_post(f"{url}/api/create", json.dumps(created).encode()))["status"] == "success"


def seen(url: str, path: str) -> list[Mapping[str, Any]]:
    """The bodies that the fake Ollama got on a path."""
    with _DIRECT.open(f"{url}/_requests", timeout=10) as reply:
        return [one for one in json.loads(reply.read()) if one["path"] == path]


def state(url: str) -> Mapping[str, int]:
    """How many answers the fake Ollama is sending, and how many it gave up."""
    with _DIRECT.open(f"{url}/_state", timeout=10) as reply:
        found: Mapping[str, int] = json.loads(reply.read())
        return found


def ask(
    url: str, path: str, body: Any = None, *, headers: Mapping[str, str] | None = None, method: str | None = None
) -> tuple[int, Mapping[str, str], Any]:
    """Status, headers (lower case) and JSON of one request."""
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{url}{path}", data, dict(headers or {}), method=method)
    try:
        with _DIRECT.open(request, timeout=10) as reply:
            status, found, text = reply.status, reply.headers, reply.read()
    except urllib.error.HTTPError as error:
        status, found, text = error.code, error.headers, error.read()
    try:
        value = json.loads(text)
    except ValueError:
        value = text.decode()
    return status, {name.lower(): value for name, value in found.items()}, value


def _post(url: str, data: bytes) -> bytes:
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method="POST")
    with _DIRECT.open(request, timeout=10) as reply:
        answer: bytes = reply.read()
        return answer


def raw(address: tuple[str, int], data: bytes, *, seconds: float = 5.0) -> bytes:
    """What comes back for bytes that need be no HTTP, until the other side closes or is silent."""
    with socket.create_connection(address, timeout=seconds) as connection:
        connection.sendall(data)
        pieces = []
        try:
            while piece := connection.recv(65536):
                pieces.append(piece)
        except (TimeoutError, ConnectionError):
            pass
        return b"".join(pieces)
