"""A replayed day: applications talk to the gateway while it, and the Ollama behind it, are killed again and again.

python -m benchmarks.gateway_day [--requests 5000] [--at-once 50] [--kills 10]

The requests are of both APIs, streamed or not, and come in waves; a fifth of them is also asked of a candidate, when
nobody waits. While they run, the alias is switched twice. Afterwards every answered request must be recorded once, and
the alias must point in Ollama at what the store says. Ollama is the double of the tests in a process of its own. What
was found is printed and kept in `results/gateway_day.jsonl`; the exit code is 1 when something does not hold.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path

import aiohttp

from benchmarks.gateway_kit import PATIENCE, ROOT, Process, free_port
from benchmarks.record import append
from core.backends.ollama_api import OllamaApi
from core.demo import load_seed
from core.loop import LearningLoop
from core.paths import Home
from core.release.ollama_publish import publish
from storage import ab_tests, deployments, responses
from storage.db import integrity_problems

CATEGORY, ALIAS = "erd", "ft-erd"
ERA = "0.40.2"
QUICK = {"epochs": 1, "ab_prompts": 10, "quantize": ["q8_0"], "score_prompts": 0}
PIECE_SECONDS = 0.02
"""What the double of Ollama takes for a piece of its answer."""
REST_SECONDS = 22.0


@dataclass(slots=True)
class Seen:
    """What the applications saw."""

    answered: dict[str, int] = field(default_factory=dict)
    """Response id to the number of the request."""
    failed: Counter[str] = field(default_factory=Counter)
    done: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is left after the day; `problems` is empty when everything holds."""

    requests: int
    attempts_failed: int
    answered: int
    recorded: int
    shadowed: int
    killed_gateway: int
    killed_ollama: int
    switches: int
    seconds: float
    problems: tuple[str, ...]


def prepare(home: Home) -> list[str]:
    """A home with feedback and three proved versions; their names."""
    load_seed(home)
    names = []
    with LearningLoop(home) as loop:
        for seed in range(3):
            print(f"training version {seed + 1}", flush=True)
            run = loop.run(loop.start_run(CATEGORY, settings=QUICK, seed=seed, background=False))
            if run.version_id is None or not loop.version(run.version_id).proved:
                raise RuntimeError(f"run {run.id} is {run.status}: {run.error}")
            names.append(loop.version(run.version_id).name)
    return names


def command(home: Home, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`finetune-tui` with arguments."""
    return subprocess.run(
        [sys.executable, "-m", "tui", "--home", str(home.root), *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
        cwd=ROOT,
    )


async def ask(session: aiohttp.ClientSession, url: str, number: int, seen: Seen) -> bool:
    """One attempt of request `number`; whether it was answered to its end."""
    prompt = f"Draw the data model of shop {number}. Request {number:06}."
    messages = [{"role": "user", "content": prompt}]
    path, body = (
        ("/api/chat", {"model": ALIAS, "messages": messages}),
        ("/v1/chat/completions", {"model": ALIAS, "messages": messages, "stream": True}),
        ("/api/generate", {"model": f"{ALIAS}:latest", "prompt": prompt, "stream": False}),
        ("/v1/chat/completions", {"model": ALIAS, "messages": messages}),
    )[number % 4]
    try:
        async with session.post(f"{url}{path}", json=body) as reply:
            text = await reply.text()
            if reply.status != 200:
                seen.failed[f"status {reply.status}"] += 1
                return False
            if not whole(path, text, streamed=number % 4 < 2):
                seen.failed["cut short"] += 1
                return False
            seen.answered[reply.headers["X-Finetune-Response-Id"]] = number
            return True
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        seen.failed[type(error).__name__] += 1
        return False


def whole(path: str, text: str, *, streamed: bool) -> bool:
    """Whether an answer came to its end."""
    if path.startswith("/v1") and streamed:
        return "[DONE]" in text
    try:
        last = json.loads(text.strip().splitlines()[-1])
    except (ValueError, IndexError):
        return False
    return bool(last.get("done") or last.get("choices")) and "error" not in last


async def applications(url: str, requests: int, at_once: int, seen: Seen) -> None:
    """Asks every request until it is answered, `at_once` at a time, with a rest after each tenth of the day."""
    left = iter(range(requests))
    busy = asyncio.Event()
    busy.set()

    async def rest() -> None:
        for tenth in range(1, 10):
            while seen.done < tenth * requests / 10:
                await asyncio.sleep(0.02)
            busy.clear()
            await asyncio.sleep(REST_SECONDS)
            busy.set()

    async def one(session: aiohttp.ClientSession) -> None:
        for number in left:
            await busy.wait()
            while not await ask(session, url, number, seen):
                await asyncio.sleep(0.2)
            seen.done += 1

    timeout = aiohttp.ClientTimeout(total=60)
    async with aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0)) as session:
        await asyncio.gather(rest(), *(one(session) for _ in range(at_once)))


async def disturb(
    gateway: Process, ollama: Process, *, home: Home, candidate: str, requests: int, kills: int, seen: Seen
) -> int:
    """Kills both in turn at random moments and switches the alias twice; how many switches were made."""
    rng = random.Random(kills)
    moments: list[tuple[float, str]] = [(rng.uniform(0.03, 0.97) * requests, "kill") for _ in range(kills)]
    moments += [(requests / 3, f"promote {candidate}"), (2 * requests / 3, f"rollback {CATEGORY}")]
    switches = 0
    for moment, what in sorted(moments):
        while seen.done < moment:
            await asyncio.sleep(0.02)
        if what == "kill":
            await asyncio.to_thread((gateway if gateway.killed <= ollama.killed else ollama).kill)
            continue
        found = await asyncio.to_thread(command, home, *what.split())
        switches += found.returncode == 0
        print(f"{seen.done}: {what}: {(found.stdout + found.stderr).strip()}", flush=True)
    return switches


def outcome(home: Home, url: str, seen: Seen) -> tuple[int, int, list[str]]:
    """Responses recorded, prompts shadowed, and what does not hold."""
    problems: list[str] = []
    with LearningLoop(home) as loop:
        rows = {key: responses.get(loop.store, key) for key in seen.answered}
        missing = [seen.answered[key] for key, row in rows.items() if row is None]
        unlinked = [row.note for row in rows.values() if row is not None and row.event_id is None]
        if missing:
            problems.append(f"{len(missing)} answered requests were not recorded, as {missing[:5]}")
        if unlinked:
            problems.append(f"{len(unlinked)} answers have no event: {Counter(unlinked).most_common(3)}")
        found = loop.store.rows("SELECT prompt, count(*) FROM events WHERE source = 'gateway' GROUP BY prompt, model")
        numbers = {int(prompt.rpartition("Request ")[2].rstrip(".")) for prompt, _ in found if "Request " in prompt}
        if set(seen.answered.values()) - numbers:
            problems.append("an answered request has no event")
        if more := [prompt for prompt, count in found if count > 1]:
            problems.append(f"{len(more)} answers stand twice in the store, as {more[:2]}")
        serving = loop.serving(CATEGORY)
        assert serving is not None
        deployed = deployments.get(loop.store, serving.id, url)
        with OllamaApi(url) as api:
            if deployed is None or api.digest_of(ALIAS) != api.digest_of(deployed.name):
                problems.append(f"the alias in Ollama is not {serving.name}")
        shadowed = sum(
            len(ab_tests.pairs(loop.store, test.id))
            for test in ab_tests.list_tests(loop.store, CATEGORY)
            if test.source == "shadow"
        )
        problems += integrity_problems(loop.store)
        stored = loop.store.value("SELECT count(*) FROM events WHERE source = 'gateway'")
    return int(stored), shadowed, problems


def wait_for_shadows(url: str) -> None:
    """Until the candidate has answered what waits for it."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with urllib.request.urlopen(f"{url}/health", timeout=10) as reply:
            if json.load(reply)["shadow"]["waiting"] == 0:
                return
        time.sleep(0.5)


def day(folder: Path, requests: int, at_once: int, kills: int) -> Outcome:
    """Prepares, lets the day pass, and looks at what is left."""
    home = Home(folder / "home")
    home.ensure()
    ollama_url, url = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    os.environ["OLLAMA_HOST"] = ollama_url
    names = prepare(home)
    store = folder / "ollama"
    double = [sys.executable, str(ROOT / "tests" / "fake_ollama"), "--era", ERA, "--store", str(store)]
    double += ["--port", ollama_url.rpartition(":")[2], "--answers"]
    publishing = Process([*double, "llamacpp"], folder / "ollama.txt", ollama_url)
    publishing.start()
    for step in (("promote", names[0]), ("promote", names[1]), ("rollback", CATEGORY)):
        found = command(home, *step)
        if found.returncode:
            raise RuntimeError(f"{step}: {found.stdout}{found.stderr}")
    with LearningLoop(home) as loop, OllamaApi(ollama_url) as api:
        # Its answers are checked before it may be asked: by the double that really runs the file.
        publish(loop.store, home, loop.config, loop.find_version(names[2]), api)
    publishing.end()
    ollama = Process([*double, "echo", "--delay", str(PIECE_SECONDS)], folder / "ollama.txt", ollama_url)
    serve = [sys.executable, "-m", "tui", "--home", str(home.root), "serve", "--port", url.rpartition(":")[2]]
    gateway = Process(serve, folder / "gateway.txt", url)
    ollama.start()
    gateway.start()
    seen = Seen()
    started = time.monotonic()

    async def run() -> int:
        switching = asyncio.create_task(
            disturb(gateway, ollama, home=home, candidate=names[1], requests=requests, kills=kills, seen=seen)
        )
        await applications(url, requests, at_once, seen)
        return await switching

    switches = asyncio.run(run())
    seconds = time.monotonic() - started
    wait_for_shadows(url)
    ended = gateway.end()
    recorded, shadowed, problems = outcome(home, ollama_url, seen)
    ollama.end()
    if ended:
        problems.append(f"the gateway ended with {ended}")
    return Outcome(
        requests=requests,
        attempts_failed=sum(seen.failed.values()),
        answered=len(seen.answered),
        recorded=recorded,
        shadowed=shadowed,
        killed_gateway=gateway.killed,
        killed_ollama=ollama.killed,
        switches=switches,
        seconds=round(seconds, 1),
        problems=tuple(problems),
    )


def main() -> int:
    """The command line of the benchmark."""
    parser = argparse.ArgumentParser(prog="benchmarks.gateway_day", description=__doc__)
    parser.add_argument("--requests", type=int, default=5000)
    parser.add_argument("--at-once", type=int, default=50)
    parser.add_argument("--kills", type=int, default=10)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="finetune-day-") as folder:
        found = day(Path(folder), given.requests, given.at_once, given.kills)
    for name, value in asdict(found).items():
        print(f"{name}: {value}")
    called = (
        f"python -m benchmarks.gateway_day --requests {given.requests} --at-once {given.at_once} --kills {given.kills}"
    )
    append("gateway_day", called, asdict(found), ["aiohttp", "starlette", "uvicorn"])
    return 1 if found.problems else 0


if __name__ == "__main__":
    sys.exit(main())
