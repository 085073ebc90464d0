"""Malformed requests against a gateway: `python -m benchmarks.gateway_fuzz [--requests 10000] [--seed 0]`.

Each is sent over a connection of its own, some of them cut in the middle: mutated bytes, JSON of the wrong shape,
contradicting headers, broken chunks, endless nesting. The gateway, a process that records as usual with the fake
Ollama of the tests behind it, must live on, answer nothing but HTTP, never fail itself, and hold in the end what it
held after the first tenth: open files, requests in flight, and memory. The exit code is 1 when it does not.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import signal
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from benchmarks.gateway_kit import MODEL, address_of, hold, started
from benchmarks.record import append
from core.paths import Home

PATHS: Final = (
    "/api/chat", "/api/generate", "/v1/chat/completions", "/v1/completions", "/api/embed", "/v1/embeddings",
    "/api/show", "/feedback", "/events", "/events/scam.detected", "/api/tags", "/api/create", "/v1/models/x", "/", "/x",
)  # fmt: skip
METHODS: Final = ("POST", "POST", "POST", "GET", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "BREW", "")
ODD: Final[tuple[Any, ...]] = (
    None, True, 0, -1, 1e308, 2**70, "", "x" * 5_000, "\ud800", "\x00", [], {}, [[]], {"role": []}, "ft-erd", MODEL,
    [{"role": "user", "content": 5}], [None], {"temperature": "hot"}, {"stop": 5}, [{"content": [{"type": "image"}]}],
)  # fmt: skip
HEADERS: Final = (
    b"Content-Length: 5", b"Content-Length: -5", b"Content-Length: 99999999999", b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: gzip", b"Expect: 100-continue", b"Upgrade: h2c\r\nConnection: Upgrade", b"Host: evil.example",
    b"Origin: null", b"X-Finetune-Category: \xff", b"X-Finetune-User: " + b"u" * 3_000, b"Content-Encoding: gzip",
    b"Authorization: Bearer \x80", b" folded", b": empty", b"A" * 9_000, b"X: " + b"y" * 70_000, b"X\x00Y: z",
)  # fmt: skip
CHARACTERS: Final = bytes(range(256))


def malformed(rng: random.Random) -> bytes:
    """One request with something wrong in it."""
    make: Callable[[random.Random], bytes] = rng.choice(
        (_noise, _mutated, _mutated, _shaped, _shaped, _headed, _chunked)
    )
    return make(rng)


def _noise(rng: random.Random) -> bytes:
    return rng.randbytes(rng.randrange(1, 400))


def _mutated(rng: random.Random) -> bytes:
    data = bytearray(_request(rng, _body(rng), []))
    for _ in range(rng.randrange(1, 8)):
        at = rng.randrange(len(data))
        match rng.randrange(4):
            case 0:
                data[at] = rng.randrange(256)
            case 1:
                del data[at : at + rng.randrange(1, 20)]
            case 2:
                data[at:at] = bytes(rng.choices(CHARACTERS, k=rng.randrange(1, 20)))
            case _:
                data[at:at] = data[at : at + rng.randrange(1, 60)]
        if not data:
            return b"\x00"
    return bytes(data)


def _shaped(rng: random.Random) -> bytes:
    return _request(rng, _body(rng, wrong=True), [])


def _headed(rng: random.Random) -> bytes:
    return _request(rng, _body(rng), rng.choices(HEADERS, k=rng.randrange(1, 4)))


def _chunked(rng: random.Random) -> bytes:
    body = _body(rng, wrong=rng.random() < 0.5)
    sizes = (b"%x" % len(body), b"zz", b"-1", b"ffffffffffffffffff", b"0", b"%x;ext=1" % len(body), b"")
    end = rng.choice((b"0\r\n\r\n", b"0\r\nTrailer: x\r\n\r\n", b"", b"\r\n"))
    head = b"POST %s HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n" % rng.choice(PATHS).encode()
    return head + rng.choice(sizes) + b"\r\n" + body + b"\r\n" + end


def _body(rng: random.Random, *, wrong: bool = False) -> bytes:
    fields: dict[str, Any] = {
        "model": MODEL,
        "messages": [{"role": "user", "content": "draw"}],
        "prompt": "draw",
        "input": "x",
        "stream": rng.random() < 0.5,
        "response_id": "none",
        "verdict": "good",
    }
    if wrong:
        for name in rng.sample([*fields, "options", "tools", "images", "user", "stop", "n"], k=rng.randrange(1, 5)):
            fields[name] = rng.choice(ODD)
        match rng.randrange(8):
            case 0:
                return b'{"model":"m","x":' + rng.choice((b"[", b'{"x":')) * 20_000
            case 1:
                return rng.choice((b"", b"null", b"[]", b'"x"', b"{", b"\xff\xfe{}", b'{"model":"' + b"9" * 50_000))
    return json.dumps(fields).encode()


def _request(rng: random.Random, body: bytes, more: list[bytes]) -> bytes:
    head = [f"{rng.choice(METHODS)} {rng.choice(PATHS)} HTTP/1.1".encode(), b"Host: localhost", *more]
    head += [b"Content-Length: %d" % len(body), b"Connection: close"]
    return b"\r\n".join(head) + b"\r\n\r\n" + body


async def one(address: tuple[str, int], rng: random.Random, seconds: float) -> str:
    """Sends one; what came back: "nothing", "closed", a status, "fault" or "garbage"."""
    data = malformed(rng)
    cut = rng.random() < 0.15
    try:
        reader, writer = await asyncio.open_connection(*address)
    except OSError:
        return "refused"
    try:
        writer.write(data[: rng.randrange(len(data))] if cut else data)
        await writer.drain()
        if cut and rng.random() < 0.5:
            return "left"
        async with asyncio.timeout(seconds):
            answer = await reader.read(65_536)
    except TimeoutError:
        return "nothing"
    except OSError:
        return "closed"
    finally:
        writer.transport.abort()
    if not answer:
        return "closed"
    if b"The gateway itself failed" in answer:
        return "fault"
    return answer[9:12].decode("latin-1") if answer.startswith(b"HTTP/1.1 ") else "garbage"


async def storm(
    address: tuple[str, int], seeds: Iterator[int], at_once: int = 16, seconds: float = 0.3
) -> Counter[str]:
    """Sends one request for each seed, several at once."""
    found: Counter[str] = Counter()

    async def worker() -> None:
        for seed in seeds:
            found[await one(address, random.Random(seed), seconds)] += 1

    await asyncio.gather(*(worker() for _ in range(at_once)))
    return found


def held(pid: int) -> dict[str, float]:
    """Open files and resident megabytes of a process."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    resident = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return {"files": len(list(Path(f"/proc/{pid}/fd").iterdir())), "megabytes": int(resident.split()[1]) / 1024}


def health(url: str) -> dict[str, Any]:
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"{url}/health", timeout=10) as reply:
        found: dict[str, Any] = json.loads(reply.read())
        return found


def settled(url: str, pid: int) -> dict[str, float]:
    """What a gateway holds once nothing is in flight, nothing waits, and idle connections are closed."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        told = health(url)
        if not told["in_flight"] and not told["waiting"]:
            break
        time.sleep(0.2)
    time.sleep(20)  # longer than the first line of a request may take to come
    return {**held(pid), "in_flight": health(url)["in_flight"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    first, last = asked.requests // 10, asked.requests
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder) / "home")
        home.ensure()
        home.config.write_text('[serve]\ncategory = "erd"\n[select]\nembeddings = "none"\n', encoding="utf-8")
        fake, direct = started([sys.executable, "tests/fake_ollama", "--store", f"{folder}/ollama", "--port", "0"])
        hold(direct)
        log = Path(folder) / "gateway.txt"
        gateway, greeting = started(
            [sys.executable, "-m", "tui", "--home", str(home.root), "serve", "--port", "0", "--ollama", direct],
            log,
        )
        url = greeting.split()[1]
        begun = time.monotonic()
        try:
            found = asyncio.run(storm(address_of(url), iter(range(asked.seed, asked.seed + first))))
            before = settled(url, gateway.pid)
            found += asyncio.run(storm(address_of(url), iter(range(asked.seed + first, asked.seed + last))))
            after = settled(url, gateway.pid)
            alive = gateway.poll() is None
        finally:
            gateway.send_signal(signal.SIGTERM)
            ended = gateway.wait(60)
            fake.send_signal(signal.SIGTERM)
            fake.wait(60)
        said = log.read_text(encoding="utf-8")
    growth = after["megabytes"] - before["megabytes"]
    problems = [
        *(["the gateway died"] if not alive or ended else []),
        *([f"the gateway itself failed {found['fault']} times"] if found["fault"] else []),
        *([f"it complained: {said[:2000]}"] if "Traceback" in said else []),
        *([f"{found['garbage']} answers were no HTTP"] if found["garbage"] else []),
        *(
            [f"open files went from {before['files']} to {after['files']}"]
            if after["files"] > before["files"] + 3
            else []
        ),
        *([f"{after['in_flight']} requests never ended"] if after["in_flight"] else []),
        *([f"memory grew by {growth:.0f} MB"] if growth > 20 else []),
    ]
    print(f"{asked.requests:,} requests in {time.monotonic() - begun:.0f} s: {dict(found.most_common())}")
    print(f"after a tenth: {before}; at the end: {after}")
    print("\n".join(problems) or "nothing wrong")
    result = {"requests": asked.requests, "seed": asked.seed, "answers": dict(found), "after_a_tenth": before}
    append(
        "gateway_fuzz",
        "python -m benchmarks.gateway_fuzz",
        {**result, "at_the_end": after, "problems": problems},
        ("aiohttp", "uvicorn", "httptools", "starlette"),
    )
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
