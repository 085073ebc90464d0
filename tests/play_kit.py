"""Models that answer as a test wants, behind the interface of the real ones."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence

from core.backends.backend import Generation, Message, Piece, Sampling
from core.errors import BackendError
from core.playground.desk import Desk

PROMPT = "Draw the data model of a shop."
GOOD = "erDiagram\n    shop ||--o{ sale : makes\n    shop {\n        int id PK\n    }\n"
Script = Callable[[str, int], Iterator[str]]


class FakeStream(Iterator[Piece]):
    """Pieces of a script, until it is cancelled; the last one carries the whole answer."""

    def __init__(self, texts: Iterator[str]) -> None:
        self._cancelled = threading.Event()
        self._pieces = self._read(texts)
        self.closed = False

    def __next__(self) -> Piece:
        return next(self._pieces)

    def cancel(self) -> None:
        self._cancelled.set()

    def close(self) -> None:
        self._cancelled.set()
        self.closed = True

    def _read(self, texts: Iterator[str]) -> Iterator[Piece]:
        said: list[str] = []
        for text in texts:
            if self._cancelled.is_set():
                return
            said.append(text)
            yield Piece(text)
        if not self._cancelled.is_set():
            yield Piece("", Generation("".join(said), 5, len(said), 0.5, "stop"))


class FakeModels:
    """`script(model, seed)` gives the pieces of an answer; what was asked stands in `asked`."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.asked: list[tuple[str, Sequence[Message], Sampling]] = []
        self.closed = 0

    def desk(self) -> Desk:
        """A desk whose two places answer so."""
        return Desk(lambda threads: self)

    def stream(self, model: str, messages: Sequence[Message], sampling: Sampling) -> FakeStream:
        self.asked.append((model, messages, sampling))
        return FakeStream(self.script(model, sampling.seed))

    def close(self) -> None:
        self.closed += 1


def at_once(model: str, seed: int) -> Iterator[str]:
    """An answer of two pieces, another one for each model and seed."""
    if model.endswith("broken"):
        raise BackendError("The model crashed.", title="It is gone", hint="Choose another model.")
    yield GOOD
    yield f"%% {model} {seed}\n"


def found(name: str) -> str:
    """What a backend calls a model, without a file."""
    return f"ollama:{name}"
