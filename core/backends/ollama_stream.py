"""An answer of Ollama as it is drawn."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Generator, Iterator
from typing import Any

from core.backends.backend import Generation, Piece


class OllamaStream(Iterator[Piece]):
    """The pieces of one answer; the last one carries it whole. Made by `OllamaBackend.stream`.

    begin: asks, and gives the lines of the answer; not called before the first piece is wanted. whole: what the last
    line, completed with all of the text, and the seconds it took make. Every failure is an OllamaError.
    """

    def __init__(
        self,
        begin: Callable[[], Generator[dict[str, Any]]],
        whole: Callable[[dict[str, Any], float], Generation],
    ) -> None:
        self._begin = begin
        self._whole = whole
        self._cancelled = threading.Event()
        self._pieces = self._read()

    def __next__(self) -> Piece:
        return next(self._pieces)

    def cancel(self) -> None:
        """Give the rest up: the iteration ends with the next line of the server, which then stops."""
        self._cancelled.set()

    def close(self) -> None:
        """The same; in the thread that iterates the connection is given back at once."""
        self._cancelled.set()
        with contextlib.suppress(ValueError):  # another thread waits for the next line: it sees the end
            self._pieces.close()

    def _read(self) -> Generator[Piece]:
        if self._cancelled.is_set():
            return
        started, texts = time.perf_counter(), []
        lines, last = self._begin(), dict[str, Any]()
        try:
            for last in lines:
                if self._cancelled.is_set():
                    return
                if text := _text(last):
                    texts.append(text)
                    yield Piece(text)
        finally:
            lines.close()
        yield Piece("", self._whole({**last, "message": {"content": "".join(texts)}}, time.perf_counter() - started))


def _text(line: dict[str, Any]) -> str:
    message = line.get("message")
    content = message.get("content") if isinstance(message, dict) else None
    return content if isinstance(content, str) else ""
