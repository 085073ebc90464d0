"""The fake as a thread of the test that uses it, or as a process of its own."""

from __future__ import annotations

import argparse
import json
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn

from fake_ollama.answers import Answers, EchoAnswers, LlamaCppAnswers
from fake_ollama.app import application
from fake_ollama.state import State

_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@contextmanager
def fake_ollama(era: str, store: Path, *, port: int = 0, answers: str = "echo", delay: float = 0.0) -> Iterator[str]:
    """Serves in a thread; yields the URL. answers: "echo" or "llamacpp". delay: seconds before each piece of text."""
    listening = _listen(port)
    server, state = _server(era, store, answers, delay)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    try:
        while not server.started and thread.is_alive():
            time.sleep(0.002)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = server.force_exit = True
        thread.join()
        listening.close()
        state.answers.close()


def set_faults(url: str, **faults: Any) -> None:
    """Sets fault switches of a fake that runs (`fake_ollama.faults.Faults` names them); none given clears all."""
    request = urllib.request.Request(
        f"{url}/_fault", json.dumps(faults).encode(), {"Content-Type": "application/json"}, method="POST"
    )
    with _DIRECT.open(request, timeout=10) as reply:
        reply.read()


def requests_of(url: str, path: str) -> list[Any]:
    """The bodies of the requests that a fake got for one path, oldest first."""
    with _DIRECT.open(f"{url}/_requests", timeout=10) as reply:
        return [one["body"] for one in json.load(reply) if one["path"] == path]


def main() -> None:
    parser = argparse.ArgumentParser(prog="fake_ollama", description="A server that answers as Ollama does.")
    parser.add_argument("--era", default="0.34.1", help="the version it claims to be and acts as")
    parser.add_argument("--store", type=Path, required=True, help="folder of its manifests and blobs")
    parser.add_argument("--port", type=int, required=True, help="0 takes a free one; the first line printed tells it")
    parser.add_argument("--answers", choices=("echo", "llamacpp"), default="echo")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before each piece of text")
    asked = parser.parse_args()
    listening = _listen(asked.port)
    server, state = _server(asked.era, asked.store, asked.answers, asked.delay)
    print(f"http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
    try:
        server.run(sockets=[listening])
    finally:
        state.answers.close()


def _server(era: str, store: Path, answers: str, delay: float) -> tuple[uvicorn.Server, State]:
    made: Answers = LlamaCppAnswers() if answers == "llamacpp" else EchoAnswers()
    state = State(era, store, made, delay)
    config = uvicorn.Config(
        application(state), http="httptools", lifespan="off", log_level="critical", access_log=False, ws="none"
    )
    return uvicorn.Server(config), state


def _listen(port: int) -> socket.socket:
    # The protocol is named, since asyncio turns off the waiting for full packets only where it is.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(("127.0.0.1", port))
    # From here on a client is let in, though it may wait for the server behind.
    listening.listen(128)
    return listening
