"""One attempt of each kind, against real programs, a real web server and real functions."""

from __future__ import annotations

import hashlib
import hmac
import json
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hooks_kit import Receiver

from core.hooks.channels import HookFailed, send, signature
from core.hooks.message import message, trial_message
from core.hooks.settings import Hook
from core.paths import Home
from storage.outbox import EVENTS, OutboxRow

ROW = OutboxRow(7, 1_700_000_000.25, "fine_tuning.failed", "erd", {"id": "ab12", "data": {"error": "voll – “x”"}})
TOLD = message(ROW)


def program(code: str, **more: Any) -> Hook:
    return Hook("x", EVENTS, command=(sys.executable, "-S", "-E", "-c", code), **more)


def refusal(hook: Hook, home: Home) -> str:
    with pytest.raises(HookFailed) as raised:
        send(hook, TOLD, home)
    return str(raised.value)


def test_the_object_that_every_hook_gets() -> None:
    assert TOLD == {
        "id": "ab12",
        "number": 7,
        "event": "fine_tuning.failed",
        "at": "2023-11-14T22:13:20.250Z",
        "category": "erd",
        "data": {"error": "voll – “x”"},
    }
    trial = trial_message(Hook("x", ("ab_test.completed",), ("erd",)), 5.0)
    assert set(trial) == {*TOLD, "test"}
    assert (trial["test"], trial["number"], trial["event"], trial["category"]) == (True, 0, "ab_test.completed", "erd")


def test_a_program_gets_it_on_standard_input(home: Home) -> None:
    code = (
        "import sys, os, json; json.dump([json.load(sys.stdin), os.environ['FINETUNE_EVENT'], "
        "os.environ['FINETUNE_TUI_HOME'], sys.argv[1:]], open('told.json', 'w'))"
    )
    hook = Hook("x", EVENTS, command=(sys.executable, "-c", code, "$HOME; touch shell"))
    assert "took it" in send(hook, TOLD, home)
    told = json.loads((home.root / "told.json").read_text(encoding="utf-8"))
    assert told == [TOLD, "fine_tuning.failed", str(home.root), ["$HOME; touch shell"]]
    assert not (home.root / "shell").exists()


def test_a_program_that_does_not_take_it(home: Home) -> None:
    assert refusal(program("import sys; sys.exit('no \\033[31mroom')"), home).endswith("ended with code 1: no [31mroom")
    assert refusal(program("import os; os.kill(os.getpid(), 9)"), home).endswith("was ended by signal 9")
    assert "took longer than 0.3 s" in refusal(program("import time; time.sleep(60)", timeout=0.3), home)
    assert "could not be started" in refusal(Hook("x", EVENTS, command=("/nowhere/program",)), home)


def test_a_post_carries_its_id_and_signature(home: Home, receiver: Receiver) -> None:
    hook = Hook("x", EVENTS, url=f"{receiver.url}/in/here?a=1&b=2", secret="schlüssel")
    assert send(hook, TOLD, home) == "answered 204"
    (request,) = receiver.requests
    assert (request.path, request.told) == ("/in/here?a=1&b=2", TOLD)
    expected = hmac.new("schlüssel".encode(), request.body, hashlib.sha256).hexdigest()
    assert request.headers["X-Finetune-Signature"] == f"sha256={expected}"
    assert request.headers["Idempotency-Key"] == "ab12"
    assert request.headers["X-Finetune-Event"] == "fine_tuning.failed"
    assert request.headers["Content-Type"] == "application/json"
    send(Hook("x", EVENTS, url=receiver.url), TOLD, home)
    assert receiver.requests[1].path == "/" and "X-Finetune-Signature" not in receiver.requests[1].headers


def test_the_signature_is_that_of_the_standard() -> None:
    """RFC 4231, 4.3 (test case 2)."""
    expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    assert signature("Jefe", b"what do ya want for nothing?") == expected


def test_an_answer_that_is_no_yes(home: Home, receiver: Receiver) -> None:
    hook = Hook("x", EVENTS, url=f"{receiver.url}/private-path", secret="hunter2")
    receiver.status, receiver.answer = 500, b"\x1b[31m no hunter2 for /private-path" + b"x" * 100_000
    said = refusal(hook, home)
    assert said.startswith(f"{receiver.url}/… answered 500: [31m no … for …xxx") and len(said) < 500
    receiver.status = 307
    with Receiver() as other:
        receiver.location = f"{other.url}/elsewhere"
        assert "redirect" in refusal(hook, home)
        assert other.requests == []


def test_a_server_that_is_gone_or_slow(home: Home, receiver: Receiver) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    assert "cannot be reached" in refusal(Hook("x", EVENTS, url=f"http://127.0.0.1:{port}/"), home)
    receiver.hold.clear()
    assert "took longer than 0.3 s" in refusal(Hook("x", EVENTS, url=receiver.url, timeout=0.3), home)
    encrypted = receiver.url.replace("http:", "https:")
    assert "cannot be reached" in refusal(Hook("x", EVENTS, url=encrypted, timeout=5.0), home)


@pytest.fixture
def dripping() -> Iterator[str]:
    """A server that sends a byte now and then, for ever."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def drip() -> None:
            connection, _ = listening.accept()
            with connection:
                while not over.wait(0.05):
                    try:
                        connection.sendall(b"H")
                    except OSError:
                        return

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
        over.set()
        thread.join(5.0)


def test_a_server_that_drips_is_cut_off(home: Home, dripping: str) -> None:
    begun = time.monotonic()
    assert "took longer than 0.4 s" in refusal(Hook("x", EVENTS, url=dripping, timeout=0.4), home)
    assert time.monotonic() - begun < 10.0


def test_a_function_of_the_home_folder_is_called(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    module = home.root / "my_hooks_of_test.py"
    hook = Hook("x", EVENTS, callback="my_hooks_of_test:Sink.take")
    assert "cannot be imported" in refusal(hook, home)
    module.write_text(
        "class Sink:\n    got = []\n    @classmethod\n    def take(cls, event): cls.got.append(event)\n"
        "async def later(event): Sink.got.append('later')\n"
        "def fails(event): raise ValueError('no\\x1b')\ndef leaves(event): raise SystemExit(3)\nVALUE = 3\n",
        encoding="utf-8",
    )
    assert "returned" in send(hook, TOLD, home)
    assert "returned" in send(Hook("x", EVENTS, callback="my_hooks_of_test:later"), TOLD, home)
    assert sys.modules["my_hooks_of_test"].Sink.got == [TOLD, "later"]
    assert refusal(Hook("x", EVENTS, callback="my_hooks_of_test:fails"), home).endswith("failed: ValueError: no")
    assert refusal(Hook("x", EVENTS, callback="my_hooks_of_test:leaves"), home).endswith("failed: SystemExit: 3")
    assert "has no `Sink.gone`" in refusal(Hook("x", EVENTS, callback="my_hooks_of_test:Sink.gone"), home)
    assert "cannot be called" in refusal(Hook("x", EVENTS, callback="my_hooks_of_test:VALUE"), home)
    del sys.modules["my_hooks_of_test"]
    (home.root / "json.py").write_text("raise RuntimeError\n", encoding="utf-8")
    broken = Path(home.root / "broken_of_test.py")
    broken.write_text("import json\nraise RuntimeError(json.dumps('x'))\n", encoding="utf-8")
    assert 'RuntimeError: "x"' in refusal(Hook("x", EVENTS, callback="broken_of_test:f"), home)
