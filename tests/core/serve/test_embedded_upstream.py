"""The embedded server under load: turns, callers that go away, crashes, and requests that are no requests."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from embedded_kit import Files, served
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny_llama import save_llama

from core.backends.backend import Message, Sampling
from core.backends.llamacpp import LlamaCppBackend
from core.config import Config, Publish, Serve
from core.release.gguf import export_gguf
from core.serve.embedded import EmbeddedUpstream
from core.serve.upstream import Reply, Upstream

pytestmark = pytest.mark.process
LOOSE: dict[str, Any] = {"temperature": 1.5, "top_p": 1.0, "top_k": 0, "num_predict": 40, "seed": 7}
ENDLESS: dict[str, Any] = {**LOOSE, "num_predict": -1}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("embedded")
    save_llama(folder / "model", max_position_embeddings=1024, initializer_range=0.05)
    return export_gguf(folder / "model", folder / "model.gguf").path


@pytest.fixture
async def upstream(file: Path) -> AsyncIterator[EmbeddedUpstream]:
    config = Config(publish=Publish(num_ctx=1024), serve=Serve(queue=4))
    made = EmbeddedUpstream(Files(served("a", file)), config, threads=1)
    yield made
    await made.close()


async def post(upstream: Upstream, path: str, fields: Any) -> Reply:
    body = fields if isinstance(fields, bytes) else json.dumps(fields).encode()
    return await upstream.request("POST", path, body, {})


async def body_of(reply: Reply) -> bytes:
    return b"".join([chunk async for chunk in reply.body])


async def said(upstream: Upstream, prompt: str = "hi", **options: Any) -> str:
    reply = await post(upstream, "/api/generate", {"model": "a", "prompt": prompt, "options": {**LOOSE, **options}})
    assert reply.status == 200
    lines = [json.loads(line) for line in (await body_of(reply)).splitlines()]
    assert [line["done"] for line in lines] == [False] * (len(lines) - 1) + [True]
    return "".join(line["response"] for line in lines)


def ask(prompt: str = "hi", **options: Any) -> dict[str, Any]:
    return {"model": "a", "prompt": prompt, "options": options}


async def test_many_at_once_get_what_each_would_get_alone(upstream: EmbeddedUpstream, file: Path) -> None:
    sampling = Sampling(temperature=1.5, top_p=1.0, top_k=0, max_tokens=40)
    with LlamaCppBackend(threads=1, num_ctx=1024) as backend:
        alone = [
            backend.generate(str(file), [Message("user", f"hi {n}")], replace(sampling, seed=n)).text for n in range(5)
        ]
    found = await asyncio.gather(*(said(upstream, f"hi {n}", seed=n) for n in range(5)))
    assert found == alone


async def test_too_many_are_refused_and_none_is_lost(upstream: EmbeddedUpstream) -> None:
    # One is answered, four wait, the others are told to come again.
    replies = await asyncio.gather(
        *(post(upstream, "/api/generate", {**ask(**LOOSE), "stream": False}) for _ in range(9))
    )
    assert sorted(reply.status for reply in replies) == [200] * 5 + [503] * 4
    busy = next(reply for reply in replies if reply.status == 503)
    assert "busy" in json.loads(await body_of(busy))["error"]
    assert await said(upstream)


async def test_a_caller_who_reads_slowly_holds_nobody_up(upstream: EmbeddedUpstream) -> None:
    slow = await post(upstream, "/api/generate", ask(**LOOSE))
    assert await said(upstream) == await said(upstream)
    lines = [json.loads(line) for line in (await body_of(slow)).splitlines()]
    assert "".join(line["response"] for line in lines) == await said(upstream)


@pytest.mark.parametrize("way", ["aclose", "drop", "before the first text", "in the queue"])
async def test_callers_who_go_away(upstream: EmbeddedUpstream, way: str) -> None:
    expected = await said(upstream)
    pid = upstream.pid
    if way in ("aclose", "drop"):
        reply = await post(upstream, "/api/generate", ask(**ENDLESS))
        assert json.loads((await anext(aiter(reply.body))).splitlines()[0])["response"]
        if way == "aclose":
            await reply.body.aclose()  # type: ignore[attr-defined]
            assert await body_of(reply) == b""
        del reply
    else:
        tasks = [asyncio.create_task(post(upstream, "/api/generate", {**ask(**ENDLESS), "stream": False}))]
        if way == "in the queue":
            tasks += [asyncio.create_task(post(upstream, "/api/generate", ask(**LOOSE))) for _ in range(3)]
        await asyncio.sleep(0.02)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert await said(upstream) == expected
    assert upstream.pid == pid


async def test_a_crash_in_the_middle_is_told_in_the_stream(upstream: EmbeddedUpstream) -> None:
    expected = await said(upstream)
    for path, fields in (
        ("/api/generate", ask(**ENDLESS)),
        ("/v1/completions", {"model": "a", "prompt": "hi", "stream": True, "max_tokens": 900}),
    ):
        reply = await post(upstream, path, fields)
        assert upstream.pid is not None
        os.kill(upstream.pid, signal.SIGSTOP)  # so that it is not over before
        await anext(aiter(reply.body))
        os.kill(upstream.pid, signal.SIGKILL)
        rest = await body_of(reply)
        if b'"done": true' not in rest and b"[DONE]" not in rest:
            last = json.loads(rest.splitlines()[-1 if path == "/api/generate" else -2].removeprefix(b"data: "))
            assert "signal 9" in str(last["error"])
        assert await said(upstream) == expected


async def test_closed_in_the_middle(file: Path) -> None:
    upstream = EmbeddedUpstream(Files(served("a", file)), Config(), threads=1)
    reply = await post(upstream, "/api/generate", ask(**ENDLESS))
    waiting = asyncio.create_task(post(upstream, "/api/generate", ask(**LOOSE)))
    await asyncio.sleep(0)
    await upstream.close()
    await body_of(reply)
    assert (await waiting).status == 500
    assert (await post(upstream, "/api/generate", ask(**LOOSE))).status == 500
    assert upstream.pid is None


async def test_paths_and_methods(upstream: EmbeddedUpstream) -> None:
    for method, path, status in (
        ("GET", "/api/version?x=1", 200),
        ("HEAD", "/api/tags", 200),
        ("GET", "/api/ps", 200),
        ("POST", "/api/tags", 405),
        ("GET", "/api/chat", 405),
        ("POST", "/api/create", 404),
        ("DELETE", "/api/delete", 404),
        ("GET", "/v1/nothing", 404),
    ):
        reply = await upstream.request(method, path, b"", {})
        told = json.loads(await body_of(reply))
        assert reply.status == status, path
        if status >= 400:
            assert isinstance(told["error"]["message"] if path.startswith("/v1/") else told["error"], str)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
KEYS = (
    "messages", "prompt", "system", "options", "stream", "stop", "seed", "temperature", "max_tokens", "input", "top_p",
    "stream_options", "n", "response_format", "dimensions", "encoding_format", "keep_alive", "tools",
)  # fmt: skip
FIELDS = st.fixed_dictionaries({"model": st.just("a")}, optional=dict.fromkeys(KEYS, JSON))
PATHS = ("/api/chat", "/api/generate", "/v1/chat/completions", "/v1/completions", "/api/show", "/api/embed",
         "/api/embeddings", "/v1/embeddings")  # fmt: skip


async def test_whatever_is_sent_is_answered_or_refused(upstream: EmbeddedUpstream) -> None:
    loop = asyncio.get_running_loop()
    few = {"max_tokens": 2, "options": {"num_predict": 2}}

    @settings(max_examples=80, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from(PATHS), FIELDS | st.binary(max_size=40) | JSON)
    def tried(path: str, fields: Any) -> None:
        if isinstance(fields, dict):
            fields = {**few, **fields}
        asked = asyncio.run_coroutine_threadsafe(tell(path, fields), loop)
        assert asked.result(30) in (200, 400, 404)

    async def tell(path: str, fields: Any) -> int:
        reply = await post(upstream, path, fields)
        whole = await body_of(reply)
        assert whole
        return reply.status

    await asyncio.to_thread(tried)
    assert await said(upstream) == await said(upstream)
