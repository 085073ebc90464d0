"""Streams of a child process: parts, their end, and giving them up, with a child that would never end by itself."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from core.backends.child_client import ChildClient, ChildStream, RequestRefusedError
from core.errors import BackendError

pytestmark = pytest.mark.process
CHILD = """
import os, time
from core.backends.child_process import RefusedRequest, serve

closed = 0

def count(to, silent):
    global closed
    at = 0
    try:
        while to is None or at < to:
            at += 1
            time.sleep(0.001)
            yield "" if silent else str(at)
        return {"counted": at}
    finally:
        closed += 1

def answer(request):
    match request["op"]:
        case "count": return count(request["to"], request.get("silent", False))
        case "echo": return request["text"]
        case "closed": return closed
        case "refuse": raise RefusedRequest("not today")
        case "fail": raise KeyError("x")
        case "exit": os._exit(3)

serve(answer)
"""


@pytest.fixture
def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ChildClient]:
    (tmp_path / "counting_child.py").write_text(CHILD)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    client = ChildClient("The counter", "counting_child", log=tmp_path / "log.txt", refusal_hint="Ask otherwise.")
    yield client
    client.close()


def count(child: ChildClient, to: int | None, **fields: object) -> ChildStream[Any]:
    return child.stream("count", lambda reply: reply.get("part", reply), to=to, **fields)


def test_parts_then_the_result(child: ChildClient) -> None:
    assert list(count(child, 3)) == ["1", "2", "3", {"ok": {"counted": 3}}]
    assert list(count(child, 3, silent=True)) == [{"ok": {"counted": 3}}]
    assert list(count(child, 0)) == [{"ok": {"counted": 0}}]
    assert child.call("closed") == 3


@pytest.mark.parametrize("way", ["close", "drop", "collect", "leave"])
def test_an_endless_answer_is_given_up(child: ChildClient, way: str) -> None:
    stream: ChildStream[Any] | None = count(child, None)
    assert stream is not None
    assert list(islice(stream, 3)) == ["1", "2", "3"]
    match way:
        case "close":
            stream.close()
            assert list(stream) == []
        case "collect":
            stream.itself = stream  # type: ignore[attr-defined]
        case "leave":
            with stream:
                pass
    stream = None
    gc.collect()
    assert child.call("echo", text="next") == "next"
    assert child.call("closed") == 1


def test_an_endless_answer_without_parts_is_given_up_from_another_thread(child: ChildClient) -> None:
    for give_up in ("cancel", "close"):
        stream = count(child, None, silent=True)
        found: list[Any] = []
        thread = threading.Thread(target=lambda given, into: into.extend(given), args=(stream, found))
        thread.start()
        threading.Timer(0.05, getattr(stream, give_up)).start()
        thread.join(20)
        assert not thread.is_alive()
        assert found == []
        assert child.call("echo", text="next") == "next"


def test_a_cancel_after_the_end_touches_nothing(child: ChildClient) -> None:
    for n in range(50):
        stream = count(child, 1)
        found: list[Any] = []
        thread = threading.Thread(target=lambda given, into: into.extend(given), args=(stream, found))
        thread.start()
        if n % 2:
            thread.join(10)
        stream.cancel()
        assert list(count(child, 2))[:2] == ["1", "2"]
        assert child.call("echo", text=str(n)) == str(n)
        thread.join(10)
        assert found in ([], ["1"], ["1", {"ok": {"counted": 1}}])
        stream.cancel()


def test_before_the_first_part_nothing_is_asked(child: ChildClient) -> None:
    stream = count(child, None)
    assert child.pid is None
    assert child.call("echo", text="x") == "x"
    stream.close()
    assert list(stream) == []
    assert child.call("closed") == 0


def read_all(child: ChildClient, operation: str) -> Callable[[], object]:
    return lambda: list(child.stream(operation, lambda reply: reply))


def test_failures(child: ChildClient) -> None:
    for ask in (read_all(child, "refuse"), lambda: child.call("refuse")):
        with pytest.raises(RequestRefusedError, match="not today"):
            ask()
    for ask in (read_all(child, "fail"), lambda: child.call("fail")):
        with pytest.raises(BackendError, match="KeyError") as caught:
            ask()
        assert not isinstance(caught.value, RequestRefusedError)
    with pytest.raises(BackendError, match="ended with code 3"):
        read_all(child, "exit")()
    assert list(child.stream("echo", lambda reply: reply, text="again")) == [{"ok": "again"}]
