"""What stands on the wire: other versions and protocols, odd answers of the server behind, callers who do not read."""

from __future__ import annotations

import asyncio
import gc
import json
import socket
import threading
import tracemalloc
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from fake_ollama import fake_ollama
from gateway_kit import MODEL, Gateway, ask, hold, raw, serving, wait_for

from core.paths import Home
from core.serve import protocol
from core.serve.upstream import Reply
from storage.db import Store

BODY = json.dumps({"model": MODEL, "messages": [{"role": "user", "content": "one two"}]}).encode()
HEAD = b"Host: localhost\r\nContent-Length: %d\r\n" % len(BODY)
LINE = b'{"message":{"content":"hi"},"done":false}\n'
DONE = b'{"message":{"content":""},"done":true}\n'
NDJSON = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n"


@pytest.fixture
def gateway(tmp_path: Path, home: Home, store: Store) -> Iterator[Gateway]:
    with fake_ollama("0.34.1", tmp_path / "ollama-store") as url:
        hold(url, MODEL)
        with serving(url, home, store) as running:
            yield running


@contextmanager
def saying(answer: bytes) -> Iterator[str]:
    """A server that says the same to whoever calls, and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def work() -> None:
            while True:
                try:
                    caller, _ = listening.accept()
                except OSError:
                    return
                with caller:
                    caller.recv(65_536)
                    caller.sendall(answer)

        threading.Thread(target=work, daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        listening.shutdown(socket.SHUT_RDWR)


def answered(answer: bytes, home: Home, store: Store) -> tuple[bytes, bytes, Gateway]:
    """Head and body that a caller gets for what the server behind says."""
    with saying(answer) as url, serving(url, home, store) as gateway:
        told = raw(gateway.address, b"POST /api/chat HTTP/1.1\r\nConnection: close\r\n" + HEAD + b"\r\n" + BODY)
        head, _, body = told.partition(b"\r\n\r\n")
        return head.lower(), body, gateway


def test_a_caller_of_http_1_0_gets_an_answer_without_chunks(gateway: Gateway) -> None:
    head, _, body = raw(gateway.address, b"POST /api/chat HTTP/1.0\r\n" + HEAD + b"\r\n" + BODY).partition(b"\r\n\r\n")
    assert b"chunked" not in head.lower() and b"connection: close" in head.lower()
    lines = [json.loads(line) for line in body.splitlines()]
    assert lines[-1]["done"] is True and gateway.journal.one().complete


@pytest.mark.parametrize("framing", ["length", "chunks", "pieces"])
def test_a_wish_for_http_2_keeps_the_body(gateway: Gateway, framing: str) -> None:
    """Java's client asks for h2c with every first request."""
    upgrade = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
    start = b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\n" + upgrade
    if framing == "chunks":
        sent = start + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)
    else:
        sent = start + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
    after = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    if framing == "pieces":
        with socket.create_connection(gateway.address, timeout=5) as connection:
            for at in range(0, len(sent), 11):
                connection.sendall(sent[at : at + 11])
            connection.sendall(after)
            told = b""
            while piece := connection.recv(65_536):
                told += piece
    else:
        told = raw(gateway.address, sent + after)
    assert told.count(b"HTTP/1.1 200 OK") == 2 and b'"done": true' in told and b'"status":"ok"' in told
    assert gateway.journal.one().prompt == "one two"


def test_a_body_that_is_refused_is_not_asked_for(gateway: Gateway) -> None:
    start = b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\nExpect: 100-continue\r\n\r\n"
    told = raw(gateway.address, start)
    assert told.startswith(b"HTTP/1.1 413") and b"100 Continue" not in told


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT"])
def test_another_method_is_told_which_one(gateway: Gateway, method: str) -> None:
    status, headers, _ = ask(gateway.url, "/api/chat", method=method)
    assert status == 405 and headers["allow"] == "POST"


def test_headers_of_the_server_behind_that_are_not_the_callers(home: Home, store: Store) -> None:
    odd = b"Connection: X-Hop, close\r\nX-Hop: 1\r\nSet-Cookie: a=1\r\nX-Finetune-Response-Id: fake\r\nX-Kept: yes\r\n"
    odd += b"Access-Control-Allow-Credentials: true\r\nX-Ctrl: a\x01b\r\nAlt-Svc: h3\r\n"
    head, body, gateway = answered(NDJSON + odd + b"Content-Length: %d\r\n\r\n" % len(DONE) + DONE, home, store)
    assert head.startswith(b"http/1.1 200") and b"x-kept: yes" in head and DONE in body
    for name in (b"x-hop", b"set-cookie", b"fake", b"access-control", b"x-ctrl", b"alt-svc"):
        assert name not in head
    assert head.count(b"x-finetune-response-id") == 1
    assert gateway.journal.one().complete


@pytest.mark.parametrize("status", [b"101 Switching Protocols", b"999 Odd", b"600 Odd"])
def test_a_status_that_means_nothing_is_an_error(home: Home, store: Store, status: bytes) -> None:
    head, body, gateway = answered(b"HTTP/1.1 " + status + b"\r\nContent-Length: 2\r\n\r\n{}", home, store)
    assert head.startswith(b"http/1.1 503") and status[:3] in body and gateway.journal.exchanges == []


def test_a_stream_that_is_shorter_than_it_said_ends_with_what_failed(home: Home, store: Store) -> None:
    head, body, gateway = answered(NDJSON + b"Content-Length: 500\r\n\r\n" + LINE, home, store)
    assert b"content-length" not in head and LINE in body
    assert b"broke off" in body and body.endswith(b"0\r\n\r\n")
    assert not gateway.journal.one().complete and gateway.journal.one().response == "hi"


def test_informational_answers_are_passed_over(home: Home, store: Store) -> None:
    early = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    head, body, _ = answered(early + NDJSON + b"Content-Length: %d\r\n\r\n" % len(DONE) + DONE, home, store)
    assert head.startswith(b"http/1.1 200") and DONE in body


def test_a_caller_who_never_reads_is_let_go(home: Home, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "STALL_SECONDS", 0.2)
    flood = b"x" * 65_536

    def work() -> None:
        caller, _ = listening.accept()
        with caller:
            caller.recv(65_536)
            caller.sendall(NDJSON + b"\r\n")
            try:
                while True:
                    caller.sendall(flood)
            except OSError:
                gone.set()

    gone = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=work, daemon=True).start()
        with (
            serving(f"http://127.0.0.1:{listening.getsockname()[1]}", home, store) as gateway,
            socket.create_connection(gateway.address) as caller,
        ):
            caller.sendall(b"POST /api/chat HTTP/1.1\r\n" + HEAD + b"\r\n" + BODY)
            assert gone.wait(20)
            wait_for(lambda: gateway.traffic.in_flight == 0)
            assert not gateway.journal.one().complete


class Slow:
    """An upstream whose answer begins and then takes its time."""

    name = "slow"

    def __init__(self) -> None:
        self.goes_on = threading.Event()

    async def request(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        async def pieces() -> AsyncIterator[bytes]:
            yield LINE
            while not self.goes_on.is_set():
                await asyncio.sleep(0.01)
            yield DONE

        return Reply(200, {"content-type": "application/x-ndjson"}, pieces())

    async def close(self) -> None:
        pass


def test_a_large_request_is_not_held_while_its_answer_takes_long(home: Home, store: Store) -> None:
    picture = "A" * 16_000_000
    message = {"role": "user", "content": "what is this", "images": [picture]}
    sent = json.dumps({"model": MODEL, "messages": [message]}).encode()
    slow = Slow()
    with serving(slow, home, store) as gateway, socket.create_connection(gateway.address, timeout=10) as caller:
        tracemalloc.start()
        try:
            caller.sendall(b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(sent))
            caller.sendall(sent)
            assert b"200 OK" in caller.recv(65_536)
            wait_for(lambda: gc.collect() >= 0 and tracemalloc.get_traced_memory()[0] < 8_000_000)
        finally:
            tracemalloc.stop()
        slow.goes_on.set()
        kept = gateway.journal.one()
    assert kept.complete and kept.images and kept.prompt == "what is this"
