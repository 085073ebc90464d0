"""What the gateway adds to a request: `python -m benchmarks.gateway_overhead [--streams 50] [--rounds 6]`.

Streams of chat answers are read at once from the fake Ollama of the tests, directly and through the gateway, in turns;
fake, gateway and this client are processes of their own. The gateway records (with the validator of `erd`) as usual.
The overhead is the difference of the quantiles of both distributions: until the first token, and until the end. The
gateway, its recording included, has one processor, and fake and client share the others: else the fake would write more
slowly as soon as the gateway works, and that would count as the gateway's. `--shared` leaves it to the system.
On a machine that others use, run it under `chrt -r 5`, so that what they do is not measured.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.gateway_kit import MODEL, address_of, hold, started
from benchmarks.record import append
from core.paths import Home
from storage import responses
from storage.db import open_store

PROMPT = (
    "Draw the entities of a library with members, books, copies, loans and fines, and how they relate to each other."
)


@dataclass
class Times:
    """Seconds of each request."""

    first: list[float] = field(default_factory=list)
    end: list[float] = field(default_factory=list)


async def one(address: tuple[str, int], body: bytes, times: Times) -> None:
    """One streamed request on a connection of its own that is open already."""
    reader, writer = await asyncio.open_connection(*address)
    head = (
        f"POST /api/chat HTTP/1.1\r\nHost: {address[0]}:{address[1]}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    begun = time.perf_counter()
    writer.write(head.encode() + body)
    seen, first = b"", 0.0
    while chunk := await reader.read(65536):
        seen += chunk
        if not first and b'"done": false' in seen:
            first = time.perf_counter()
        if b'"done": true' in seen[-1024:]:
            break
    ended = time.perf_counter()
    writer.close()
    if not first or b'"done": true' not in seen[-1024:]:
        raise RuntimeError(f"no whole answer: {seen[:500]!r}")
    times.first.append(first - begun)
    times.end.append(ended - begun)


async def stream(address: tuple[str, int], body: bytes, times: Times, count: int, wait: float) -> None:
    await asyncio.sleep(wait)
    for _ in range(count):
        await one(address, body, times)


async def turn(address: tuple[str, int], times: Times, streams: int, count: int, length: float) -> None:
    """All streams at once, begun evenly over the length of one answer."""
    body = json.dumps({"model": MODEL, "messages": [{"role": "user", "content": PROMPT}]}).encode()
    async with asyncio.TaskGroup() as group:
        for at in range(streams):
            group.create_task(stream(address, body, times, count, length * at / streams))


def quantile(values: Sequence[float], share: float) -> float:
    """In milliseconds."""
    return 1000.0 * statistics.quantiles(values, n=1000, method="inclusive")[round(share * 1000) - 1]


def cpu_seconds(process: subprocess.Popen[str]) -> float:
    """Processor time of a process so far, all its threads."""
    fields = Path(f"/proc/{process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def place(gateway: subprocess.Popen[str], fake: subprocess.Popen[str]) -> None:
    """The last processor for the gateway, the others for the fake and this process."""
    *others, own = sorted(os.sched_getaffinity(0))
    for thread in Path(f"/proc/{gateway.pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), {own})
    for process in (fake.pid, os.getpid()):
        os.sched_setaffinity(process, others)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=6, help="turns of each way")
    parser.add_argument("--count", type=int, default=4, help="requests of a stream in one turn")
    parser.add_argument("--delay", type=float, default=0.04, help="seconds between the tokens of an answer")
    parser.add_argument("--no-record", action="store_true", help="pass on only, to see what recording costs")
    parser.add_argument("--shared", action="store_true", help="no processor of its own for the gateway")
    parser.add_argument("--dry", action="store_true", help="keep no result")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder) / "home")
        home.ensure()
        home.config.write_text('[serve]\ncategory = "erd"\n[select]\nembeddings = "none"\n', encoding="utf-8")
        fake, direct = started(
            (
                *(sys.executable, "tests/fake_ollama", "--store", f"{folder}/ollama"),
                *("--port", "0", "--delay", str(asked.delay)),
            )
        )
        hold(direct)
        command = [sys.executable, "-m", "tui", "--home", str(home.root), "serve", "--port", "0", "--ollama", direct]
        gateway, greeting = started([*command, *(["--no-record"] if asked.no_record else [])])
        through = greeting.split()[1]
        if not asked.shared:
            place(gateway, fake)
        times = {"direct": Times(), "through": Times()}
        length = asked.delay * (len(PROMPT.split()) + 3)
        try:
            for address in (address_of(direct), address_of(through)):
                asyncio.run(turn(address, Times(), asked.streams, 1, length))
            used = cpu_seconds(gateway)
            for _ in range(asked.rounds):
                for name, url in (("direct", direct), ("through", through)):
                    asyncio.run(turn(address_of(url), times[name], asked.streams, asked.count, length))
            used = 1000 * (cpu_seconds(gateway) - used) / len(times["through"].end)
        finally:
            for process in (gateway, fake):
                process.send_signal(signal.SIGTERM)
                process.wait(60)
        with open_store(home.store) as store:
            recorded = responses.total(store)
    figures = {
        f"{part}_{label}_ms": {
            **{name: round(quantile(getattr(times[name], part), share), 3) for name in times},
            "overhead": round(
                quantile(getattr(times["through"], part), share) - quantile(getattr(times["direct"], part), share), 3
            ),
        }
        for part in ("first", "end")
        for label, share in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99))
    }
    for name, row in figures.items():
        print(f"{name:>13}: " + ", ".join(f"{key} {value:8.2f}" for key, value in row.items()))
    print(f"processor time of the gateway: {used:.2f} ms a request")
    result = {
        "cpu_ms_per_request": round(used, 2),
        "real_time": os.sched_getscheduler(0) in (os.SCHED_RR, os.SCHED_FIFO),
        "own_processor": not asked.shared,
        "streams": asked.streams,
        "requests": {name: len(each.end) for name, each in times.items()},
        "tokens_per_second": 1 / asked.delay,
        "recorded": not asked.no_record,
        "responses": recorded,
        **figures,
    }
    if not asked.dry:
        append("gateway_overhead", "python -m benchmarks.gateway_overhead", result, ("aiohttp", "uvicorn", "httptools"))


if __name__ == "__main__":
    main()
