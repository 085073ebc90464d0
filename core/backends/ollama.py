"""Models served by an Ollama that runs on this machine or elsewhere."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Self

from core.backends.backend import PENALTY_WINDOW, FinishReason, Generation, Message, Sampling
from core.backends.ollama_api import OllamaApi, OllamaError
from core.backends.ollama_era import Era, era_of
from core.backends.ollama_stream import OllamaStream


class OllamaBackend:
    """Answers chats with the models of an Ollama server.

    url: as for OllamaApi. num_ctx: tokens of prompt and answer together; None leaves it as the model was created.
    With one seed and temperature 0, answers repeat as far as the server's own arithmetic does.
    Calls from several threads are fine. Every failure is a BackendError.
    """

    name = "Ollama"

    def __init__(self, url: str | None = None, *, num_ctx: int | None = None) -> None:
        self.num_ctx = num_ctx
        self._api = OllamaApi(url)
        self._era: Era | None = None

    def generate(self, model: str, messages: Sequence[Message], sampling: Sampling) -> Generation:
        """Answer a chat with the model of that name, rendered as the server renders it.

        mean_logprob is over the tokens that the server tells of, None for a server older than 0.12.11.
        """
        logprobs = self._known_era().knows_logprobs
        started = time.perf_counter()
        answer = self._api.chat(model, messages, options_of(sampling, self.num_ctx), logprobs=logprobs)
        seconds = time.perf_counter() - started
        return _generation(model, answer, seconds)

    def stream(self, model: str, messages: Sequence[Message], sampling: Sampling) -> OllamaStream:
        """The same answer as it is drawn, without `mean_logprob`. Closing the stream lets the server stop."""
        options = options_of(sampling, self.num_ctx)
        return OllamaStream(
            lambda: self._api.chat_lines(model, messages, options), lambda whole, took: _generation(model, whole, took)
        )

    def _known_era(self) -> Era:
        if self._era is None:
            self._era = era_of(self._api.version())
        return self._era

    def close(self) -> None:
        """Close the connections; models stay loaded as long as the server likes."""
        self._api.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def options_of(sampling: Sampling, num_ctx: int | None = None) -> dict[str, Any]:
    """Ollama's options that mean what `sampling` says, each one named: the server's own defaults differ by release."""
    options: dict[str, Any] = {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "min_p": 0.0,
        "repeat_penalty": sampling.repeat_penalty,
        "repeat_last_n": PENALTY_WINDOW,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "seed": sampling.seed,
        "num_predict": sampling.max_tokens,
        "stop": list(sampling.stop),
    }
    if num_ctx is not None:
        options["num_ctx"] = num_ctx
    return options


def _generation(model: str, answer: dict[str, Any], seconds: float) -> Generation:
    message = answer.get("message")
    text = message.get("content") if isinstance(message, dict) else None
    if not isinstance(text, str) or answer.get("done") is not True:
        raise OllamaError(
            f"Ollama's answer for {model} is not whole.", hint="Try again; Ollama's log says more if it stays so."
        )
    reason: FinishReason = "length" if answer.get("done_reason") == "length" else "stop"
    return Generation(
        text=text,
        prompt_tokens=_whole(answer.get("prompt_eval_count")),
        completion_tokens=_whole(answer.get("eval_count")),
        seconds=seconds,
        finish_reason=reason,
        mean_logprob=_mean_logprob(answer.get("logprobs")),
    )


def _mean_logprob(told: Any) -> float | None:
    entries = told if isinstance(told, list) else []
    values = [
        one["logprob"] for one in entries if isinstance(one, dict) and isinstance(one.get("logprob"), int | float)
    ]
    return sum(values) / len(values) if values else None


def _whole(value: Any) -> int:
    return value if isinstance(value, int) else 0
