"""One answer of one model to one question, from the moment it is asked for until a person has said what it is worth."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from core.backends.backend import AnswerStream, Generation, Message, Sampling
from core.validate.validator import Validation

State = Literal["loading", "answering", "done", "stopped", "failed"]
Turn = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked. `system` is the person's own system prompt, empty for that of the category (`sent`); `history`
    the turns before, each with role and content."""

    category: str
    prompt: str
    system: str = ""
    sent: str = ""
    history: Sequence[Turn] = ()

    @property
    def messages(self) -> list[Message]:
        """The chat that a model is given; an empty system prompt is not sent."""
        system = self.system or self.sent
        turns = [Message("system", system)] if system else []
        return [*turns, *(Message(turn["role"], turn["content"]) for turn in self.history), self._last]

    @property
    def _last(self) -> Message:
        return Message("user", self.prompt)


@dataclass(frozen=True, slots=True)
class Figures:
    """How fast an answer came: seconds to its first text, seconds in all, tokens so far, and tokens a second: while it
    comes those after the first text, then those of all of it as the model's side measured it, prompt included. None
    where there is nothing to measure yet."""

    first: float | None
    seconds: float
    tokens: int
    speed: float | None


class Take:
    """The answer, which a thread writes and others read: every method may be called from any thread.

    model: what is recorded as its model. group: the same for an answer and those that take its place. `before` holds
    the takes that this one took the place of, the oldest first.
    """

    def __init__(
        self, question: Question, model: str, sampling: Sampling, group: str, before: Sequence[Take] = ()
    ) -> None:
        self.question = question
        self.model = model
        self.sampling = sampling
        self.group = group
        self.before = tuple(before)
        self.started_at = time.time()
        self.ended_at = self.started_at
        self.error: BaseException | None = None
        self.generation: Generation | None = None
        self.validation: Validation | None = None
        self.event_id: int | None = None
        self.copied = False
        self.regenerated = False
        self._state: State = "loading"
        self._guard = threading.Lock()
        self._parts: list[str] = []
        self._size = 0
        self._stream: AnswerStream | None = None
        self._asked = time.perf_counter()
        self._first: float | None = None
        self._ended: float | None = None
        self._pieces = 0

    # What the answering thread tells.

    def begin(self, stream: AnswerStream) -> bool:
        """The model is asked now; False where the answer is no longer wanted."""
        with self._guard:
            self._asked = time.perf_counter()
            wanted = self._state == "loading"
            if wanted:
                self._state, self._stream = "answering", stream
        if not wanted:
            stream.cancel()
        return wanted

    def add(self, text: str) -> None:
        """More of the answer has come."""
        if not text:
            return
        with self._guard:
            if self._state == "answering":
                if self._first is None:
                    self._first = time.perf_counter()
                self._pieces += 1
                self._size += len(text)
                self._parts.append(text)

    def end(self, generation: Generation | None) -> None:
        """Nothing more comes; without a generation it was given up."""
        self._finish("stopped" if generation is None else "done", generation, None)

    def fail(self, error: BaseException) -> None:
        """It broke off."""
        self._finish("failed", None, error)

    def _finish(self, state: State, generation: Generation | None, error: BaseException | None) -> None:
        with self._guard:
            if self._state in ("loading", "answering"):
                self._state, self.generation, self.error = state, generation, error
                self._ended, self.ended_at = time.perf_counter(), time.time()
            self._stream = None

    # What the reader asks.

    def stop(self) -> None:
        """Give the rest up; what has come stays. Nothing where it is over."""
        with self._guard:
            stream = self._stream
        if stream is not None:
            stream.cancel()
        self.end(None)

    @property
    def state(self) -> State:
        """Where it stands."""
        return self._state

    @property
    def running(self) -> bool:
        """Whether more may come."""
        return self._state in ("loading", "answering")

    @property
    def usable(self) -> bool:
        """Whether there is an answer to say something of."""
        return self._state in ("done", "stopped") and bool(self.text) and not self.text.isspace()

    @property
    def size(self) -> int:
        """Characters that have come."""
        return self._size

    @property
    def text(self) -> str:
        """All that has come."""
        with self._guard:
            if len(self._parts) > 1:
                self._parts = ["".join(self._parts)]
            return self._parts[0] if self._parts else ""

    @property
    def figures(self) -> Figures:
        """How fast it came so far."""
        with self._guard:
            now = time.perf_counter() if self._ended is None else self._ended
            tokens = self._pieces if self.generation is None else self.generation.completion_tokens
            first = None if self._first is None else self._first - self._asked
            return Figures(first, max(0.0, now - self._asked), tokens, self._speed(now))

    def _speed(self, now: float) -> float | None:
        # A thread that waits for its turn reads many tokens at once: only the model's side knows how fast they came.
        if self.generation is not None:
            whole = self.generation
            return whole.completion_tokens / whole.seconds if whole.completion_tokens and whole.seconds > 0 else None
        span = 0.0 if self._first is None else now - self._first
        return (self._pieces - 1) / span if span > 0 and self._pieces > 1 else None

    @property
    def metadata(self) -> dict[str, Any]:
        """What is recorded beside the answer. One that was stopped counts as cut off, as it is."""
        figures = self.figures
        whole = self.generation
        return {
            "temperature": self.sampling.temperature,
            "max_tokens": self.sampling.max_tokens,
            "seed": self.sampling.seed,
            "finish_reason": "length" if whole is None else whole.finish_reason,
            **({"stopped": True} if whole is None else {}),
            **({} if figures.first is None else {"first_token_ms": round(1000 * figures.first, 1)}),
            **({} if figures.speed is None else {"tokens_per_second": round(figures.speed, 1)}),
            **({"copied": True} if self.copied else {}),
            **({"regenerated": True} if self.regenerated else {}),
        }
