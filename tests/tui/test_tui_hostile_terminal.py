"""The whole app in a real terminal, on a home in which every text is hostile: no byte of it is ever obeyed."""

from __future__ import annotations

import base64
import json
import sys
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hostile_kit import hostile_name, in_json, nasty, seed
from pty_kit import RealTerminal, copied, obeyed, words

from core.paths import Home
from storage.db import open_store

SHOWN = (
    "PROMPT", "RESPONSE", "SYSTEM", "TURN", "CORRECTION", "FINDING", "MODEL", "category", "TITLE", "GUIDE", "OTHER",
    "SIBLING", "kind", "ERROR", "HINT", "LOG4", "BASE", "VERSION1", "ALIAS", "WHO", "WHY", "CHECK", "ASKED", "FIRST",
    "SECOND", "AUTHOR", "STOP", "review.good", "THEME", "OLDERROR", "OLLAMA", "SPOKEN", "FILE",
)  # fmt: skip
"""Marks of the fields: each must have been on the screen, or the walk does not prove what it says."""


@pytest.fixture
def ollama() -> Iterator[str]:
    """A server whose every word is hostile."""

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            model = {"name": nasty("OLLAMA"), "model": nasty("OLLAMA"), "digest": in_json("digest"), "size": 1,
                     "details": {"parameter_size": in_json("SIZE"), "quantization_level": in_json("Q")}}  # fmt: skip
            self._say({"version": "0.34.1"} if self.path == "/api/version" else {"models": [model]})

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            turn = {"role": "assistant", "content": in_json("SPOKEN")}
            end = {
                "message": {"role": "assistant", "content": ""},
                "done": True,
                "done_reason": "stop",
                "eval_count": 3,
            }
            self._say({"message": turn, "done": False}, end)

        def log_message(self, *_: object) -> None: ...

        def _say(self, *told: Mapping[str, object]) -> None:
            body = "".join(f"{json.dumps(each)}\n" for each in told).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def wild(tmp_path: Path) -> tuple[Home, Path]:
    """A hostile home in a folder with a hostile name, and a folder with a hostile file to import."""
    home = Home(hostile_name(tmp_path, "HOME"))
    home.ensure()
    with open_store(home.store) as store:
        seed(store, home)
    folder = tmp_path / "given"
    folder.mkdir()
    row = {"prompt": in_json("ROW"), "response": in_json("ANSWER"), "category": in_json("where")}
    text = json.dumps(row) + "\n" + json.dumps(row | {"category": "erd"}) + "\nno json \x1b]52;c;aGFybQ==\x07\n"
    hostile_name(folder, "FILE").write_text(text, encoding="utf-8")
    return home, folder


@pytest.mark.process
def test_nothing_hostile_is_obeyed_on_any_screen(wild: tuple[Home, Path], ollama: str) -> None:
    home, folder = wild
    command = [sys.executable, str(Path(__file__).with_name("hostile_walk.py")), str(home.root), str(folder)]
    terminal = RealTerminal(command, environment={"OLLAMA_HOST": ollama}, picture=False)
    assert terminal.end(400.0) == 0, terminal.text
    assert terminal.after == terminal.before
    assert b"\x1b[?1049l" in terminal.written[-400:]
    assert obeyed(terminal.written) == []
    texts = [base64.b64decode(each).decode("utf-8") for each in copied(terminal.written)]
    assert len(texts) > 4
    assert not {one for text in texts for one in text if one < " " and one not in "\n\t"}
    seen = words(terminal.written)
    assert {mark for mark in SHOWN if mark not in seen} == set()
    log = (home.logs / "app.log").read_text(encoding="utf-8", errors="replace")
    assert log.count("Traceback (most recent call last)") == 0, log[-3000:]
