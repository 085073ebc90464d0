"""What breaks off in the middle, and the gateway's end."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import ollama
import openai
import pytest
from fake_ollama import fake_ollama, set_faults
from gateway_kit import MODEL, Gateway, ask, hold, raw, serving, state, wait_for

from core.errors import BackendError
from core.paths import Home
from core.serve.upstream import Reply
from storage.db import Store

BODY = {"model": MODEL, "messages": [{"role": "user", "content": "one two three four five six"}]}


def request(path: str, body: Mapping[str, object]) -> bytes:
    data = json.dumps(body).encode()
    return b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s" % (path.encode(), len(data), data)


def test_a_caller_who_goes_away_ends_the_work_behind(gateway: Gateway, behind: str) -> None:
    set_faults(behind, slow=0.05)
    with socket.create_connection(gateway.address, timeout=5) as connection:
        connection.sendall(request("/api/chat", BODY))
        assert b"200 OK" in connection.recv(1000)
        wait_for(lambda: state(behind)["in_flight"])
    wait_for(lambda: state(behind)["cancelled"] == 1)
    wait_for(lambda: gateway.traffic.in_flight == 0)
    kept = gateway.journal.one()
    assert not kept.complete and kept.prompt == "one two three four five six"
    set_faults(behind)
    assert ask(gateway.url, "/api/chat", {**BODY, "stream": False})[0] == 200


def test_ollama_dies_in_the_middle_of_a_stream(gateway: Gateway, behind: str) -> None:
    set_faults(behind, chat_cut=True)
    client = ollama.Client(gateway.url, trust_env=False)
    with pytest.raises(ollama.ResponseError, match="broke off in the middle"):
        list(client.chat(MODEL, BODY["messages"], stream=True))  # type: ignore[call-overload]
    kept = gateway.journal.one()
    assert kept.response == "echo" and not kept.complete
    openais = openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="x", max_retries=0)
    with pytest.raises(openai.APIError, match="broke off in the middle"):
        list(openais.completions.create(model=MODEL, prompt="a b c", stream=True))
    assert not gateway.journal.exchanges[1].complete


def test_an_error_inside_a_stream_is_passed_on_and_not_complete(gateway: Gateway, behind: str) -> None:
    set_faults(behind, chat_line="out of memory")
    client = ollama.Client(gateway.url, trust_env=False)
    with pytest.raises(ollama.ResponseError, match="out of memory"):
        list(client.chat(MODEL, BODY["messages"], stream=True))  # type: ignore[call-overload]
    assert not gateway.journal.one().complete


def test_nobody_answers(home: Home, store: Store) -> None:
    with serving("http://127.0.0.1:9", home, store) as gateway:
        for path in ("/api/chat", "/v1/chat/completions", "/api/embed"):
            status, _, error = ask(gateway.url, path, BODY)
            said = error["error"]["message"] if path.startswith("/v1/") else error["error"]
            assert status == 503 and "does not answer" in said and "ollama serve" in said
        for path in ("/api/tags", "/v1/models", "/api/version"):
            assert ask(gateway.url, path)[0] == 503
        assert ask(gateway.url, "/health")[0] == 200


def test_ollama_comes_back(tmp_path: Path, home: Home, store: Store) -> None:
    with fake_ollama("0.34.1", tmp_path / "o") as behind:
        hold(behind, MODEL)
        port = int(behind.rpartition(":")[2])
        with serving(behind, home, store) as gateway:
            assert ask(gateway.url, "/api/chat", BODY)[0] == 200
    with serving(behind, home, store) as gateway:
        assert ask(gateway.url, "/api/chat", BODY)[0] == 503
        with fake_ollama("0.24.0", tmp_path / "o", port=port):
            assert ask(gateway.url, "/api/chat", BODY)[0] == 200


class Held:
    """An upstream whose answers wait at a gate after their first line, and tell how they ended."""

    name = "held"

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.begun = 0
        self.closed = 0
        self.whole = self.breaks = False
        self.chunks = [b'{"message":{"content":"a"},"done":false}\n', b'{"message":{"content":"b"},"done":true}\n']

    async def request(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        async def lines() -> AsyncIterator[bytes]:
            self.begun += 1
            try:
                yield self.chunks[0]
                while not self.gate.is_set():
                    await asyncio.sleep(0.005)
                if self.breaks:
                    raise BackendError("It broke off.", hint="Ask again.")
                for chunk in self.chunks[1:]:
                    yield chunk
            finally:
                self.closed += 1

        return Reply(200, {"content-type": "application/json" if self.whole else "application/x-ndjson"}, lines())

    async def close(self) -> None:
        pass


def test_a_caller_who_goes_away_before_anything_came(home: Home, store: Store) -> None:
    upstream = Held()
    upstream.whole = True
    with serving(upstream, home, store) as gateway:
        with socket.create_connection(gateway.address, timeout=5) as connection:
            connection.sendall(request("/api/chat", {**BODY, "stream": False}))
            wait_for(lambda: upstream.begun)
        wait_for(lambda: upstream.closed)
        assert not gateway.journal.one().complete
        wait_for(lambda: gateway.traffic.in_flight == 0)


def test_a_whole_answer_that_breaks_off_is_an_error(home: Home, store: Store) -> None:
    upstream = Held()
    upstream.whole = upstream.breaks = True
    upstream.gate.set()
    with serving(upstream, home, store) as gateway:
        status, _, error = ask(gateway.url, "/api/chat", {**BODY, "stream": False})
        assert status == 503 and error == {"error": "It broke off. Ask again."}
        assert not gateway.journal.one().complete


def test_answers_that_have_begun_outlive_the_call_to_end(home: Home, store: Store) -> None:
    upstream = Held()
    with serving(upstream, home, store) as gateway, socket.create_connection(gateway.address, timeout=10) as caller:
        caller.sendall(request("/api/chat", BODY))
        answer = caller.recv(4000)
        gateway.server.should_exit = True

        def is_closed() -> bool:
            try:
                socket.create_connection(gateway.address, timeout=1).close()
            except OSError:
                return True
            return False

        wait_for(is_closed)
        assert gateway.journal.exchanges == []
        upstream.gate.set()
        while piece := caller.recv(4000):
            answer += piece
        assert b'"done":true' in answer and answer.endswith(b"0\r\n\r\n")
        gateway.thread.join(10)
        assert not gateway.thread.is_alive()
        assert gateway.journal.one().complete


def test_the_end_goes_out_only_after_the_record(home: Home, store: Store) -> None:
    upstream = Held()
    upstream.chunks[1:] = [b'{"message":{"content":"b"},"do', b'ne":true', b',"eval_count":1}', b"\n"]
    with serving(upstream, home, store) as gateway, socket.create_connection(gateway.address, timeout=10) as caller:
        sent: list[int] = []
        append = gateway.journal.append
        gateway.journal.append = lambda entry: sent.append(len(gateway.journal.exchanges)) or append(entry)  # type: ignore
        caller.sendall(request("/api/chat", BODY))
        answer = caller.recv(4000)
        upstream.gate.set()
        while b"0\r\n\r\n" not in answer:
            answer += caller.recv(4000)
        assert len(sent) == 1 and gateway.journal.one().response == "ab"
        assert upstream.closed == 1


def test_two_requests_at_once_on_one_connection(gateway: Gateway) -> None:
    data = request("/api/chat", {**BODY, "stream": False})
    got = raw(gateway.address, data + data.replace(b"Host", b"Connection: close\r\nHost"))
    assert got.count(b"200 OK") == 2 and len(gateway.journal.exchanges) == 2


MALFORMED = [
    b"\r\n\r\n",
    b"GET\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00",
    b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
    b"CONNECT evil.example:443 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /%ff%fe HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /\xff HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
    b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
    b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    b"GET /a/../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /?\x00 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nX: \x00\r\n\r\n",
    b"HEAD /api/tags HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"PUT /api/chat HTTP/1.1\r\nHost: localhost\r\n\r\n",
]


@pytest.mark.parametrize("data", MALFORMED)
def test_what_is_no_request_harms_nobody(gateway: Gateway, data: bytes) -> None:
    got = raw(gateway.address, data.replace(b"Host", b"Connection: close\r\nHost"), seconds=0.3)
    assert got == b"" or got.startswith(b"HTTP/1.1 ")
    assert b" 500 " not in got[:20]
    assert ask(gateway.url, "/health")[2]["status"] == "ok"


def test_bad_requests_say_what_to_do(gateway: Gateway) -> None:
    for path, body, status, words in (
        ("/api/chat", b"{", 400, "no JSON"),
        ("/v1/chat/completions", b"[]", 400, "JSON object"),
        ("/api/chat", b'{"messages":[]}', 400, "names no model"),
        ("/api/nope", b"{}", 404, "knows no /api/nope"),
        ("/v1/nope", b"{}", 404, "knows no /v1/nope"),
        ("/api/tags", b"{}", 405, "does not take POST"),
    ):
        got, _, answer = ask(gateway.url, path, body)
        said = answer["error"]["message"] if path.startswith("/v1/") else answer["error"]
        assert got == status and words in said and said.endswith(("}.", ".")), (path, said)
