"""A backend whose answers are watched while they are given, and can be broken off in the middle."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Protocol, Self

from core.backends.backend import AnswerStream, Generation, Message, Sampling


class BrokenOff(Exception):
    """No error: the answer was given up because somebody asked for that."""


class Streaming(Protocol):
    """What gives answers in pieces."""

    @property
    def name(self) -> str:
        """What the user calls this server."""
        ...

    def stream(self, model: str, messages: Sequence[Message], sampling: Sampling) -> AnswerStream:
        """An answer as it is drawn; the last piece carries it whole."""
        ...

    def close(self) -> None:
        """Let go of what the server holds."""
        ...


class Watched:
    """Answers with another backend. `heard(text)` gets each piece as it comes, in the thread that asks; `stop`, from
    any thread, ends the answer that is being given, and every later one: `generate` then raises BrokenOff."""

    def __init__(self, backend: Streaming, heard: Callable[[str], None] = lambda _: None) -> None:
        self._backend = backend
        self._heard = heard
        self._guard = threading.Lock()
        self._stream: AnswerStream | None = None
        self._stopped = False

    @property
    def name(self) -> str:
        """That of the backend."""
        return self._backend.name

    def stop(self) -> None:
        """Give up what is being answered, without waiting."""
        with self._guard:
            self._stopped = True
            if self._stream is not None:
                self._stream.cancel()

    def check(self) -> None:
        """Raises BrokenOff after `stop`."""
        if self._stopped:
            raise BrokenOff

    def generate(self, model: str, messages: Sequence[Message], sampling: Sampling) -> Generation:
        """Answer a chat. Raises BackendError, and BrokenOff."""
        with self._guard:
            self.check()
            self._stream = stream = self._backend.stream(model, messages, sampling)
        try:
            for piece in stream:
                if piece.generation is not None:
                    return piece.generation
                self.check()
                self._heard(piece.text)
        finally:
            with self._guard:
                self._stream = None
            stream.close()
        raise BrokenOff

    def close(self) -> None:
        """Close the backend."""
        self._backend.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
