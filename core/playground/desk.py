"""Two places that answer at the same time, each with a backend of its own: a fault of one leaves the other alone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal, Protocol

from core.backends.backend import AnswerStream, Message, Sampling
from core.backends.by_name import ModelsByName, in_ollama
from core.errors import BackendError
from core.playground.take import Take

Arm = Literal["a", "b"]
ARMS: Final[tuple[Arm, ...]] = ("a", "b")
_TINY_BYTES: Final = 64 << 20
"""A model of fewer bytes is fastest on one thread, also beside another."""


class Streams(Protocol):
    """What the desk needs of a backend."""

    def stream(self, model: str, messages: list[Message], sampling: Sampling) -> AnswerStream:
        """The answer as it is drawn."""
        ...

    def close(self) -> None:
        """End what was opened, also in the middle of an answer."""
        ...


def _open(threads: int | None) -> Streams:
    return ModelsByName(threads=threads)


class Desk:
    """Answers in threads of its own. Models stay loaded until `close`; a later answer loads them again.

    opened: makes a backend that runs on so many threads, None as it likes. Safe to use from any thread.
    """

    def __init__(self, opened: Callable[[int | None], Streams] = _open) -> None:
        self._open = opened
        self._guard = threading.Lock()
        self._backends: dict[Arm, tuple[int | None, Streams]] = {}
        self._running: dict[Arm, Take] = {}

    def start(self, arm: Arm, take: Take, find: Callable[[], str], *, beside: bool) -> None:
        """Let a model answer. `find` tells what a backend calls it, and may take its time or raise; `beside` says that
        the other arm answers at the same time. What ran on this arm before is given up."""
        with self._guard:
            before, self._running[arm] = self._running.get(arm), take
        if before is not None:
            before.stop()
        # No worker of the front end: leaving the program must not wait for a server that is silent.
        threading.Thread(
            target=self._answer, args=(arm, take, find, beside), name=f"playground-{arm}", daemon=True
        ).start()

    @property
    def busy(self) -> bool:
        """Whether an answer is being given."""
        with self._guard:
            return any(take.running for take in self._running.values())

    @property
    def loaded(self) -> bool:
        """Whether there are backends that may hold a model."""
        return bool(self._backends)

    def pids(self) -> list[int]:
        """The processes that hold models."""
        with self._guard:
            known = [getattr(backend, "pid", None) for _, backend in self._backends.values()]
        return [pid for pid in known if pid is not None]

    def stop(self) -> None:
        """Give up every answer that is being given; the models stay loaded."""
        with self._guard:
            running = list(self._running.values())
        for take in running:
            take.stop()

    def close(self) -> None:
        """Give up what runs and let go of every model."""
        self.stop()
        with self._guard:
            backends, self._backends = list(self._backends.values()), {}
        # At once: one that hangs is waited for a few seconds before it is killed.
        closing = [threading.Thread(target=backend.close, name="playground-close") for _, backend in backends]
        for thread in closing:
            thread.start()
        for thread in closing:
            thread.join()

    def _answer(self, arm: Arm, take: Take, find: Callable[[], str], beside: bool) -> None:
        try:
            model = find()
            backend = self._backend(arm, take, _threads(model) if beside else None)
            if backend is None:
                return
            with _closing(backend.stream(model, take.question.messages, take.sampling)) as stream:
                if take.begin(stream):
                    generation = None
                    for piece in stream:
                        take.add(piece.text)
                        generation = piece.generation or generation
                    take.end(generation)
        except Exception as error:  # noqa: BLE001  the boundary of the answering thread: shown in the pane
            take.fail(error)

    def _backend(self, arm: Arm, take: Take, threads: int | None) -> Streams | None:
        """The arm's backend, made anew where it has to share the processor now, or no longer; None where the answer is
        no longer wanted, as nothing would close it then."""
        with self._guard:
            if not take.running:
                return None
            known = self._backends.get(arm)
            if known is not None and known[0] == threads:
                return known[1]
            old = known[1] if known is not None else None
            backend = self._open(threads)
            self._backends[arm] = (threads, backend)
        if old is not None:
            old.close()
        return backend


@contextmanager
def _closing(stream: AnswerStream) -> Iterator[AnswerStream]:
    try:
        yield stream
    finally:
        stream.close()


def _threads(model: str) -> int | None:
    """Half of the physical cores for a model that has to share them: threads of llama.cpp wait by spinning."""
    import psutil

    if in_ollama(model) is not None:
        return None
    try:
        size = Path(model).stat().st_size
    except OSError as error:
        raise BackendError(
            f"{model} cannot be read: {error.strerror}.", hint="Choose another model; `doctor` looks over the files."
        ) from error
    return None if size < _TINY_BYTES else max(1, (psutil.cpu_count(logical=False) or 2) // 2)
