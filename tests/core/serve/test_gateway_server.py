"""`finetune-tui serve` as a process: its start, what it leaves, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fake_ollama import fake_ollama, set_faults
from gateway_kit import MODEL, ask, hold, wait_for

from core.paths import Home
from storage import events, responses
from storage.db import open_store

pytestmark = pytest.mark.process

ROOT = Path(__file__).parents[3]
CONFIG = '[serve]\ncategory = "erd"\nport = 0\n[select]\nembeddings = "none"\n'
BODY = {"model": MODEL, "messages": [{"role": "user", "content": "one two three four five six"}]}


@pytest.fixture
def behind(tmp_path: Path, home: Home) -> Iterator[str]:
    home.config.write_text(CONFIG, encoding="utf-8")
    with fake_ollama("0.34.1", tmp_path / "ollama-store") as url:
        hold(url, MODEL)
        yield url


def command(home: Home, *options: str) -> list[str]:
    return [sys.executable, "-m", "tui", "--home", str(home.root), "serve", "--json", *options]


@contextmanager
def started(home: Home, *options: str, **variables: str) -> Iterator[tuple[subprocess.Popen[str], Mapping[str, Any]]]:
    """The process, and what it says when it listens."""
    process = subprocess.Popen(
        command(home, *options),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, **variables},
    )
    assert process.stdout is not None
    try:
        said = ""
        for line in process.stdout:
            said += line
            if line == "}\n":
                break
        yield process, json.loads(said)
    finally:
        process.kill()
        process.communicate()


def test_answers_are_recorded_and_a_call_to_end_waits_for_them(home: Home, behind: str) -> None:
    with started(home, "--ollama", behind) as (process, said):
        url = said["url"]
        assert said["backend"] == "ollama" and said["recording"] is True
        ids = [ask(url, "/api/chat", {**BODY, "stream": False})[1]["x-finetune-response-id"] for _ in range(3)]
        again = subprocess.run(command(home, "--ollama", behind), capture_output=True, text=True, cwd=ROOT, check=False)
        assert again.returncode == 1 and "serves this store already" in again.stdout
        status, _, told = ask(url, "/feedback", {"response_id": ids[0], "verdict": "good"})
        assert status in (200, 202), told
        set_faults(behind, slow=0.05)
        answers: list[Any] = []
        caller = threading.Thread(target=lambda: answers.append(ask(url, "/api/chat", BODY)))
        caller.start()
        wait_for(lambda: ask(url, "/health")[2]["in_flight"] == 1)
        process.send_signal(signal.SIGTERM)
        caller.join(20)
        assert '"done": true' in answers[0][2]
        assert process.wait(30) == 0
        assert process.stderr is not None
        assert "Answers that have begun go on" in process.stderr.read()
        ids.append(answers[0][1]["x-finetune-response-id"])
    with open_store(home.store) as store:
        assert responses.known(store, ids) == set(ids)
        judged = responses.get(store, ids[0])
        assert judged is not None and judged.event_id is not None
        assert events.get(store, judged.event_id).verdict == "good"
    assert not list((home.root / "gateway").glob("journal-*"))


def test_what_a_kill_leaves_is_recorded_by_the_next_start(home: Home, behind: str) -> None:
    ids: list[str] = []
    with started(home, "--ollama", behind) as (process, said):
        for _ in range(5):
            ids.append(ask(said["url"], "/api/chat", BODY)[1]["x-finetune-response-id"])
        process.kill()
        process.wait()
    with started(home, "--ollama", behind) as (process, _):
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    with open_store(home.store) as store:
        assert responses.known(store, ids) == set(ids)


def test_it_refuses_to_begin(home: Home, behind: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for options, words in (
            (["--port", port], "another program listens there"),
            (["--host", "0.0.0.0"], "serve.token is empty"),
        ):
            done = subprocess.run(
                command(home, "--ollama", behind, *options), capture_output=True, text=True, cwd=ROOT, check=False
            )
            error = json.loads(done.stdout)["error"]
            assert done.returncode == 1 and words in error["message"] and error["hint"], done
