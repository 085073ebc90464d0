"""Who is let in, and with how much."""

from __future__ import annotations

import json
import resource
import socket
import time
from collections.abc import AsyncIterator, Iterator, Mapping

import pytest
from gateway_kit import Gateway, ask, raw, serving, wait_for
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from core.config import Serve
from core.errors import ConfigError
from core.paths import Home
from core.serve.authority import host_of, host_of_origin, is_loopback
from core.serve.guard import Rules, rules_of
from core.serve.listening import allow_files, check_token, check_upstream
from core.serve.upstream import Reply
from storage.db import Store

CHAT = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": False}


class Echo:
    """An upstream that answers with the headers and the length of what it got."""

    name = "echo"

    async def request(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        told = {"path": path, "headers": dict(headers), "size": len(body), "models": [], "data": [], "done": True}

        async def whole() -> AsyncIterator[bytes]:
            yield json.dumps(told).encode()

        return Reply(200, {"Content-Type": "application/json"}, whole())

    async def close(self) -> None:
        pass


async def told(request: Request) -> JSONResponse:
    return JSONResponse({"size": len(await request.body())})


@pytest.fixture
def gateway(home: Home, store: Store) -> Iterator[Gateway]:
    rules = Rules(
        hosts=frozenset({"box.lan"}),
        origins=frozenset({"https://app.example"}),
        max_body=5_000,
        pause_seconds=0.2,
        body_seconds=0.6,
    )
    with serving(Echo(), home, store, rules=rules, extra_routes=[Route("/feedback", told, methods=["POST"])]) as made:
        yield made


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:1", "[::1]:11435", "a.localhost", "BOX.lan:80", "127.9.9.9"])
def test_own_hosts_are_let_in(gateway: Gateway, host: str) -> None:
    assert ask(gateway.url, "/health", headers={"Host": host})[0] == 200


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "10.0.0.5", "127.0.0.1.evil.example", "["])
@pytest.mark.parametrize("path", ["/api/tags", "/v1/models", "/feedback"])
def test_foreign_hosts_are_refused(gateway: Gateway, host: str, path: str) -> None:
    status, _, error = ask(gateway.url, path, headers={"Host": host})
    said = error["error"]["message"] if path.startswith("/v1/") else error["error"]
    assert status == 403 and "serve.hosts" in said


def test_a_host_is_needed_once(gateway: Gateway) -> None:
    assert b"403 Forbidden" in raw(gateway.address, b"GET /health HTTP/1.0\r\n\r\n")
    twice = b"GET /health HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    assert b"403 Forbidden" in raw(gateway.address, twice)


@pytest.mark.parametrize(
    "host",
    ["evil@127.0.0.1", "127.0.0.1/x", "127.0.0.1#x", "localhost:abc", "[::1%25lo]", "127.1", "2130706433", "0.0.0.0"],
)
def test_what_no_client_writes_names_nobody(host: str) -> None:
    assert not is_loopback(host_of(host))
    assert not is_loopback(host_of_origin(f"http://{host}"))


def test_hosts_and_origins_are_read_without_what_does_not_matter() -> None:
    assert [host_of(name) for name in ("LocalHost.:80", "[::1]:11435", "[::FFFF:127.0.0.1]")] == [
        "localhost", "::1", "::ffff:127.0.0.1",
    ]  # fmt: skip
    assert is_loopback("::ffff:127.0.0.1") and not is_loopback("::ffff:10.0.0.1")
    origins = (
        "https://LOCALHOST:3",
        "http://evil.example\\@localhost",
        "http://localhost@evil.example",
        "null",
        "file://",
    )
    assert [host_of_origin(one) for one in origins] == ["localhost", "", "", "", ""]


@pytest.mark.parametrize("origin", ["http://localhost:3000", "https://127.0.0.1", "https://app.example"])
def test_own_origins_may_read(gateway: Gateway, origin: str) -> None:
    status, headers, _ = ask(gateway.url, "/api/chat", CHAT, headers={"Origin": origin})
    assert status == 200 and headers["access-control-allow-origin"] == origin
    assert "x-finetune-response-id" in headers["access-control-expose-headers"]


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost.evil.example", "http://[", "x"])
def test_foreign_origins_are_refused(gateway: Gateway, origin: str) -> None:
    status, headers, error = ask(gateway.url, "/api/chat", CHAT, headers={"Origin": origin})
    assert status == 403 and "serve.origins" in error["error"]
    assert "access-control-allow-origin" not in headers and gateway.journal.exchanges == []


def test_a_page_cannot_speak_for_the_user(gateway: Gateway) -> None:
    """A form or a fetch of plain text needs no preflight; its Origin tells it all the same."""
    for origin in ("https://evil.example", "null"):
        headers = {"Origin": origin, "Content-Type": "text/plain"}
        assert ask(gateway.url, "/feedback", {"id": "a", "verdict": "good"}, headers=headers)[0] == 403
    assert ask(gateway.url, "/feedback", {"id": "a"}, headers={"Content-Type": "text/plain"})[0] == 200


def test_preflight(gateway: Gateway) -> None:
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type,authorization"}
    status, headers, _ = ask(
        gateway.url, "/api/chat", headers={"Origin": "http://localhost:3000", **asked}, method="OPTIONS"
    )
    assert status == 204 and headers["access-control-allow-headers"] == "content-type,authorization"
    assert "POST" in headers["access-control-allow-methods"]
    refused = ask(gateway.url, "/api/chat", headers={"Origin": "https://evil.example", **asked}, method="OPTIONS")
    assert refused[0] == 403


def test_token(home: Home, store: Store) -> None:
    with serving(Echo(), home, store, rules=Rules(token="s3cret")) as gateway:
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "s3cret"}, {"X-Api-Key": "x"}):
            status, _, error = ask(gateway.url, "/v1/chat/completions", CHAT, headers=headers)
            assert status == 401 and error["error"]["type"] == "authentication_error"
            assert ask(gateway.url, "/feedback", {}, headers=headers)[0] == 401
        for headers in ({"Authorization": "bearer s3cret"}, {"X-Api-Key": "s3cret"}):
            status, _, got = ask(gateway.url, "/api/chat", CHAT, headers=headers)
            assert status == 200
            assert not {"authorization", "x-api-key"} & set(got["headers"]), "the token is the gateway's alone"
    with serving(Echo(), home, store) as gateway:
        assert ask(gateway.url, "/api/chat", CHAT, headers={"Authorization": "Bearer k"})[2]["headers"]["authorization"]


@pytest.mark.parametrize("path", ["/api/chat", "/feedback"])
def test_body_limit(gateway: Gateway, path: str) -> None:
    assert ask(gateway.url, path, {**CHAT, "more": "x" * 4_000})[0] == 200
    status, _, error = ask(gateway.url, path, {**CHAT, "more": "x" * 300_000})
    assert status == 413 and "serve.max_body_mb" in error["error"]
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    chunks = b"".join(b"800\r\n" + b"x" * 2048 + b"\r\n" for _ in range(10)) + b"0\r\n\r\n"
    assert b" 413 " in raw(gateway.address, head + chunks)[:20]
    huge = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {10**15}\r\n\r\n".encode()
    assert b" 413 " in raw(gateway.address, huge)[:20]


def test_bodies_together_are_limited(home: Home, store: Store) -> None:
    with serving(Echo(), home, store, rules=Rules(max_body=5_000, max_held=6_000)) as gateway:
        head = b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4500\r\n\r\n"
        with socket.create_connection(gateway.address) as first:
            first.sendall(head + b"x" * 4_400)
            wait_for(lambda: ask(gateway.url, "/feedback", b"x" * 3_000)[0] == 503)
        wait_for(lambda: ask(gateway.url, "/feedback", b"x" * 3_000)[0] != 503)


def test_slow_bodies_are_given_up(gateway: Gateway) -> None:
    head = b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n"
    assert b" 408 " in raw(gateway.address, head + b"{")[:20]
    with socket.create_connection(gateway.address, timeout=5) as connection:
        connection.sendall(head)
        answer = b""
        for _ in range(100):  # faster than the pause, and never done
            try:
                connection.sendall(b" ")
                connection.settimeout(0.05)
                answer += connection.recv(1000)
                break
            except TimeoutError:
                time.sleep(0.01)
        assert b" 408 " in answer[:20]
    assert ask(gateway.url, "/health")[2]["in_flight"] == 0


def test_requests_at_once_are_limited(home: Home, store: Store) -> None:
    with serving(Echo(), home, store, rules=Rules(max_requests=2)) as gateway:
        head = b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n"
        with socket.create_connection(gateway.address) as first, socket.create_connection(gateway.address) as second:
            first.sendall(head)
            second.sendall(head)
            wait_for(lambda: ask(gateway.url, "/health")[0] == 503)
        wait_for(lambda: ask(gateway.url, "/health")[0] == 200)


def test_a_request_that_is_the_gateways_own_goes_no_further(gateway: Gateway) -> None:
    status, _, error = ask(gateway.url, "/api/chat", CHAT, headers={"X-Finetune-Gateway": "1"})
    assert status == 508 and "serve.ollama" in error["error"]


def test_heads_are_limited(gateway: Gateway) -> None:
    assert b" 431 " in raw(gateway.address, b"GET / HTTP/1.1\r\nX: " + b"a" * 100_000)[:20]
    many = b"GET / HTTP/1.1\r\n" + b"".join(b"X%d: y\r\n" % number for number in range(20_000))
    assert b" 431 " in raw(gateway.address, many)[:20]
    assert ask(gateway.url, "/")[0] == 200


def test_settings_become_rules() -> None:
    rules = rules_of(Serve(host="192.168.1.5", hosts=("Box.LAN",), origins=("https://A.example/",), max_body_mb=2))
    assert {"192.168.1.5", "box.lan"} <= rules.hosts and rules.origins == {"https://a.example"}
    assert rules.max_body == 2 * 1024 * 1024
    assert "0.0.0.0" not in rules_of(Serve(host="0.0.0.0")).hosts
    assert is_loopback("[::1]") and is_loopback("127.3.2.1") and not is_loopback("1.2.3.4")


def test_a_token_is_needed_off_loopback() -> None:
    check_token(Serve(host="localhost"))
    check_token(Serve(host="0.0.0.0", token="x"))
    with pytest.raises(ConfigError, match="is empty"):
        check_token(Serve(host="0.0.0.0"))
    with pytest.raises(ConfigError, match="header"):
        check_token(Serve(token="two words"))


def test_the_gateway_does_not_call_itself() -> None:
    check_upstream("http://127.0.0.1:11434", "127.0.0.1", 11435)
    check_upstream("http://10.0.0.2:11435", "127.0.0.1", 11435)
    for own, host in (("http://localhost:11435", "127.0.0.1"), ("http://127.0.0.1:11435", "0.0.0.0")):
        with pytest.raises(ConfigError, match="itself"):
            check_upstream(own, host, 11435)


def test_as_many_files_may_be_open_as_connections_need(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[int, tuple[int, int]]] = []
    monkeypatch.setattr(resource, "setrlimit", lambda which, limits: told.append((which, limits)))
    for soft, hard in ((256, resource.RLIM_INFINITY), (1_024, 2_000), (100_000, 100_000)):
        monkeypatch.setattr(resource, "getrlimit", lambda which, limits=(soft, hard): limits)
        allow_files()
    assert [limits for _, limits in told] == [(4_096, resource.RLIM_INFINITY), (2_000, 2_000)]
