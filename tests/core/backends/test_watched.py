"""A watched backend: every piece is heard, and an answer is broken off at once and for good."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

import pytest

from core.backends.backend import Generation, Message, Piece, Sampling
from core.backends.watched import BrokenOff, Watched

ASKED = [Message("user", "hello")]
WHOLE = Generation("one two", 1, 2, 0.1, "stop")


class Parts(Iterator[Piece]):
    """An answer in parts; with `gate` the second part comes when that is set, or the answer is given up."""

    def __init__(self, gate: threading.Event | None) -> None:
        self._left = [Piece("one "), Piece("two"), Piece("", WHOLE)]
        self._gate = gate
        self.cancelled = self.closed = False

    def __next__(self) -> Piece:
        if self._gate is not None and len(self._left) == 2:
            self._gate.wait(5)
        if self.cancelled or not self._left:
            raise StopIteration
        return self._left.pop(0)

    def cancel(self) -> None:
        self.cancelled = True
        if self._gate is not None:
            self._gate.set()

    def close(self) -> None:
        self.closed = True


class Server:
    name = "parts"

    def __init__(self, gate: threading.Event | None = None) -> None:
        self.streams: list[Parts] = []
        self._gate = gate
        self.closed = False

    def stream(self, model: str, messages: Sequence[Message], sampling: Sampling) -> Parts:
        self.streams.append(Parts(self._gate))
        return self.streams[-1]

    def close(self) -> None:
        self.closed = True


def test_every_piece_is_heard_and_the_whole_answer_returned() -> None:
    heard: list[str] = []
    server = Server()
    with Watched(server, heard.append) as backend:
        assert backend.generate("m", ASKED, Sampling()) == WHOLE
        assert backend.name == "parts"
    assert heard == ["one ", "two"]
    assert server.streams[0].closed and server.closed


def test_stop_from_another_thread_ends_the_answer_and_every_later_one() -> None:
    begun, ended = threading.Event(), list[type[BaseException]]()
    server = Server(threading.Event())
    backend = Watched(server, lambda _: begun.set())

    def ask() -> None:
        try:
            backend.generate("m", ASKED, Sampling())
        except BrokenOff as error:
            ended.append(type(error))

    asking = threading.Thread(target=ask)
    asking.start()
    assert begun.wait(5)
    backend.stop()
    asking.join(5)
    assert ended == [BrokenOff]
    assert server.streams[0].closed
    with pytest.raises(BrokenOff):
        backend.generate("m", ASKED, Sampling())
    assert len(server.streams) == 1, "a stopped backend asks nothing more"
