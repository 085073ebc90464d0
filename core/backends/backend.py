"""The one interface of everything that answers prompts, and the values that cross it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Final, Literal, Protocol, Self

FinishReason = Literal["stop", "length"]
PENALTY_WINDOW: Final = 64
"""Over how many of the last tokens, those of the prompt too, a repeat penalty counts."""


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a chat. `role` is what the model's chat template knows: system, user or assistant."""

    role: str
    content: str


def turns_of(messages: Sequence[Message]) -> list[dict[str, str]]:
    """A chat as JSON values: {"role", "content"} each, as chat templates and servers take it."""
    return [asdict(message) for message in messages]


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is drawn; nothing is left to a server's own defaults.

    temperature: ≥ 0; 0 takes the most likely token (top_p, top_k and seed then mean nothing).
    top_p: in (0, 1], 1 is off. top_k: ≥ 0, 0 is off. repeat_penalty: > 0, 1 is off, over the last `PENALTY_WINDOW`
    tokens. max_tokens: ≥ 1, the end token not counted. seed: 0 … 2**32 − 1.
    stop: strings that end the answer; they are not part of it.
    """

    temperature: float = 0.3
    top_p: float = 0.9
    top_k: int = 40
    repeat_penalty: float = 1.0
    max_tokens: int = 512
    seed: int = 0
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Generation:
    """One answer.

    completion_tokens: tokens of the answer, the end token not counted. seconds: wall time, prompt included.
    finish_reason: "stop" at an end token or stop string, "length" at max_tokens or at the end of the context.
    mean_logprob: mean natural log-probability (temperature 1) of the drawn tokens, the end token included; None
    where the server does not tell.
    """

    text: str
    prompt_tokens: int
    completion_tokens: int
    seconds: float
    finish_reason: FinishReason
    mean_logprob: float | None = None


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of an answer that is being given: the text that has come since the part before.

    The last one carries the whole answer, and often no text.
    """

    text: str
    generation: Generation | None = None


class AnswerStream(Iterator[Piece], Protocol):
    """An answer as it is drawn; the last piece carries it whole, unless it was given up. Failures are BackendErrors."""

    def cancel(self) -> None:
        """Give the rest up, from any thread and without waiting: the iteration ends soon, without its last part."""
        ...

    def close(self) -> None:
        """Give the rest up and let go of what the answer holds; a second call does nothing."""
        ...


class Backend(Protocol):
    """A server of models. Every failure is a `core.errors.BackendError`."""

    @property
    def name(self) -> str:
        """What the user calls this server."""
        ...

    def generate(self, model: str, messages: Sequence[Message], sampling: Sampling) -> Generation:
        """Answer a chat. `model` is the path of a GGUF file for llama.cpp, a model name for Ollama."""
        ...

    def close(self) -> None:
        """Let go of what the server holds; a second call does nothing."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...
