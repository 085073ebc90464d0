"""`finetune-tui serve` as a process with the embedded server and promoted versions: the whole way, without Ollama."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from embedded_kit import Files  # noqa: F401 - puts the makers of small models on the path
from gateway_kit import ask, wait_for
from ollama_kit import add_model
from test_gateway_server import ROOT, started
from tiny_llama import CHATS, save_llama

from core.paths import Home
from core.release.gguf import export_gguf
from storage import events, responses
from storage.db import open_store

pytestmark = pytest.mark.process

CONFIG = """
[publish]
num_ctx = 512
temperature = 0.0
[serve]
backend = "embedded"
port = 0
ollama = "http://127.0.0.1:9"
[select]
embeddings = "none"
"""
ASK, ANSWER = CHATS[1]
BODY = {"model": "ft-erd", "messages": [{"role": "user", "content": ASK}], "options": {"num_predict": 40}}


@pytest.fixture
def served(home: Home, tmp_path: Path) -> Home:
    """A home with the base and two versions: the first has learned its answers, the second has not."""
    home.config.write_text(CONFIG, encoding="utf-8")
    with open_store(home.store) as store:
        for number, train in ((0, 0), (1, 90), (2, 0)):
            model = save_llama(tmp_path / f"m{number}", train=train, seed=number, max_position_embeddings=512)
            add_model(store, home, number, export_gguf(model, tmp_path / f"m{number}.f16.gguf", name=f"m{number}"))
    promote(home, 1)
    return home


def promote(home: Home, number: int) -> None:
    command = [sys.executable, "-m", "tui", "--home", str(home.root), "promote", f"ft-demo-erd-v{number}"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done


def test_a_promoted_version_answers_is_recorded_and_replaced_without_a_break(served: Home) -> None:
    ids: list[str] = []
    with started(served) as (process, said):
        url = said["url"]
        assert said["backend"] == "embedded" and said["aliases"] == ["ft-erd"]
        assert "ft-erd:latest" in [model["name"] for model in ask(url, "/api/tags")[2]["models"]]
        _, headers, whole = ask(url, "/api/chat", {**BODY, "stream": False})
        assert whole["message"]["content"] == ANSWER and whole["done_reason"] == "stop"
        ids.append(headers["x-finetune-response-id"])
        _, headers, streamed = ask(url, "/api/chat", BODY)
        assert "".join(json.loads(line)["message"]["content"] for line in streamed.splitlines()) == ANSWER
        ids.append(headers["x-finetune-response-id"])
        openai = {"model": "ft-erd", "messages": BODY["messages"], "max_tokens": 40}
        status, headers, answer = ask(url, "/v1/chat/completions", openai)
        assert status == 200 and answer["choices"][0]["message"]["content"] == ANSWER
        ids.append(headers["x-finetune-response-id"])
        status, _, told = ask(url, "/feedback", {"id": answer["id"], "verdict": "good"})
        assert status in (200, 202), told

        promote(served, 2)
        other = ask(url, "/api/chat", {**BODY, "stream": False})
        assert other[0] == 200 and other[2]["message"]["content"] != ANSWER
        ids.append(other[1]["x-finetune-response-id"])

        answers: list[Any] = []
        caller = threading.Thread(target=lambda: answers.append(ask(url, "/api/chat", BODY)))
        caller.start()
        wait_for(lambda: ask(url, "/health")[2]["in_flight"] == 1 or answers)
        process.send_signal(signal.SIGTERM)
        caller.join(30)
        assert '"done": true' in answers[0][2]
        assert process.wait(30) == 0
        ids.append(answers[0][1]["x-finetune-response-id"])
    with open_store(served.store) as store:
        rows = [responses.get(store, key) for key in ids]
        assert all(row is not None for row in rows)
        assert [row.model for row in rows if row] == ["ft-demo-erd-v1"] * 3 + ["ft-demo-erd-v2"] * 2
        first = rows[0]
        assert first is not None and first.event_id is not None
        event = events.get(store, first.event_id)
        assert (event.source, event.model, event.prompt, event.response) == ("gateway", "ft-demo-erd-v1", ASK, ANSWER)
        assert event.verdict == "good"
        assert responses.total(store) == len(ids)
    assert not list((served.root / "gateway").glob("journal-*"))
