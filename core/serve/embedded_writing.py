"""Answers of the embedded server, as Ollama and OpenAI write theirs: in parts as they come, or whole."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from core.backends.backend import Generation
from core.serve.dialects import Kind

NDJSON: Final = "application/x-ndjson"
EVENTS: Final = "text/event-stream"


@dataclass(frozen=True, slots=True)
class Times:
    """How long an answer took, in seconds: waiting for its turn, until the first text, and from there to the end."""

    waiting: float
    prompt: float
    drawing: float

    def durations(self) -> dict[str, int]:
        """By Ollama's names, in nanoseconds."""
        waiting, prompt, drawing = (int(part * 1e9) for part in (self.waiting, self.prompt, self.drawing))
        return {
            "total_duration": waiting + prompt + drawing,
            "load_duration": waiting,
            "prompt_eval_duration": prompt,
            "eval_duration": drawing,
        }


class Writer(Protocol):
    """Writes one answer; `media` is the type of its stream."""

    media: str

    def part(self, text: str) -> bytes:
        """A part of a stream."""
        ...

    def end(self, generation: Generation, times: Times) -> bytes:
        """What a stream ends with, after all text was sent."""
        ...

    def whole(self, generation: Generation, times: Times) -> Any:
        """The answer as one value of JSON."""
        ...


def writer_of(kind: Kind, model: str, *, usage: bool) -> Writer:
    """The writer for one answer of `model`; `usage` sends the counts of tokens at the end of OpenAI's stream."""
    return OllamaWriter(kind, model) if kind in ("chat", "generate") else OpenAiWriter(kind, model, usage=usage)


def moment(at: float) -> str:
    """A time in seconds since the epoch, as Ollama writes it."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


class OllamaWriter:
    """/api/chat and /api/generate: a line of JSON for each part."""

    media = NDJSON

    def __init__(self, kind: Kind, model: str) -> None:
        self._chat = kind == "chat"
        self._model = model

    def part(self, text: str) -> bytes:
        return _line({**self._said(text), "done": False})

    def end(self, generation: Generation, times: Times) -> bytes:
        return _line({**self._said(""), **self._done(generation, times)})

    def whole(self, generation: Generation, times: Times) -> Any:
        return {**self._said(generation.text), **self._done(generation, times)}

    def loaded(self, reason: str) -> Any:
        """The answer to a request that asks nothing; `reason` is "load" or "unload"."""
        return {**self._said(""), "done": True, "done_reason": reason}

    def _said(self, text: str) -> dict[str, Any]:
        said = {"message": {"role": "assistant", "content": text}} if self._chat else {"response": text}
        return {"model": self._model, "created_at": moment(time.time()), **said}

    @staticmethod
    def _done(generation: Generation, times: Times) -> dict[str, Any]:
        return {
            "done": True,
            "done_reason": generation.finish_reason,
            **times.durations(),
            "prompt_eval_count": generation.prompt_tokens,
            "eval_count": generation.completion_tokens,
        }


class OpenAiWriter:
    """/v1/chat/completions and /v1/completions: an event for each part."""

    media = EVENTS

    def __init__(self, kind: Kind, model: str, *, usage: bool) -> None:
        self._chat = kind == "chat.completions"
        self._usage = usage
        self._begun = False
        self._head = {
            "id": f"{'chatcmpl' if self._chat else 'cmpl'}-{secrets.token_hex(12)}",
            "created": int(time.time()),
            "model": model,
            "system_fingerprint": "fp_embedded",
        }

    def part(self, text: str) -> bytes:
        return _event(self._chunk([self._choice(text, None)]))

    def end(self, generation: Generation, times: Times) -> bytes:
        lines = _event(self._chunk([self._choice("", generation.finish_reason)]))
        if self._usage:
            lines += _event({**self._chunk([]), "usage": _usage(generation)})
        return lines + b"data: [DONE]\n\n"

    def whole(self, generation: Generation, times: Times) -> Any:
        said: Mapping[str, Any] = (
            {"message": {"role": "assistant", "content": generation.text}} if self._chat else {"text": generation.text}
        )
        choice = {"index": 0, **said, "logprobs": None, "finish_reason": generation.finish_reason}
        kind = "chat.completion" if self._chat else "text_completion"
        return {**self._head, "object": kind, "choices": [choice], "usage": _usage(generation)}

    def _chunk(self, choices: list[dict[str, Any]]) -> dict[str, Any]:
        kind = "chat.completion.chunk" if self._chat else "text_completion"
        return {**self._head, "object": kind, "choices": choices, **({"usage": None} if self._usage else {})}

    def _choice(self, text: str, finish: str | None) -> dict[str, Any]:
        said: dict[str, Any] = {"text": text}
        if self._chat:
            said = {"delta": ({} if self._begun else {"role": "assistant"}) | ({"content": text} if text else {})}
            self._begun = True
        return {"index": 0, **said, "logprobs": None, "finish_reason": finish}


def _usage(generation: Generation) -> dict[str, int]:
    asked, answered = generation.prompt_tokens, generation.completion_tokens
    return {"prompt_tokens": asked, "completion_tokens": answered, "total_tokens": asked + answered}


def _line(value: Any) -> bytes:
    return json.dumps(value).encode() + b"\n"


def _event(value: Any) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"
