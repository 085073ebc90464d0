"""The embedded server behind a bare HTTP server, for the clients that people use."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

from core.config import Config
from core.serve.embedded import EmbeddedUpstream
from core.serve.embedded_models import ServedModel
from core.serve.replies import Refused

sys.path.insert(0, str(Path(__file__).parents[1] / "release"))  # tiny_llama


class Files:
    """Models from given files."""

    def __init__(self, *models: ServedModel) -> None:
        self._models = {model.name: model for model in models}

    def find(self, name: str) -> ServedModel:
        found = self._models.get(name.removesuffix(":latest"))
        if found is None:
            raise Refused(404, f"model {name!r} not found")
        return found

    def listed(self) -> Sequence[ServedModel]:
        return list(self._models.values())


def served(name: str, path: str | Path, system: str = "") -> ServedModel:
    path = Path(path)
    return ServedModel(name, path, "f16", "0" * 64, path.stat().st_size, 1_700_000_000.5, system)


@contextlib.contextmanager
def running(models: Files, config: Config | None = None) -> Iterator[tuple[str, EmbeddedUpstream]]:
    """The URL of a server in a thread, and what answers there."""
    made: list[EmbeddedUpstream] = []

    @contextlib.asynccontextmanager
    async def life(_: Starlette) -> AsyncIterator[None]:
        made.append(EmbeddedUpstream(models, config or Config(), threads=1))
        yield
        await made[0].close()

    async def answer(request: Request) -> StreamingResponse:
        reply = await made[0].request(request.method, request.url.path, await request.body(), dict(request.headers))
        return StreamingResponse(reply.body, reply.status, dict(reply.headers))

    app = Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "POST", "DELETE"])], lifespan=life)
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listening])))
    thread.start()
    try:
        while not made:
            thread.join(0.01)
            assert thread.is_alive()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}", made[0]
    finally:
        server.should_exit = True
        thread.join(20)
        listening.close()
