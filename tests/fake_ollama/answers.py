"""Where the fake's answers come from: an echo, or the model itself by the embedded llama.cpp."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from core.backends.backend import Message, Sampling
from core.backends.llamacpp import LlamaCppBackend
from core.errors import BackendError
from fake_ollama.prompts import Prompt
from fake_ollama.store import ApiError, Model, facts_of

DEFAULTS = {"temperature": 0.8, "top_k": 40, "top_p": 0.9, "seed": 0, "num_predict": 512, "repeat_penalty": 1.1}
ECHO_LOGPROB = -0.25
DIMENSIONS = 16


@dataclass(frozen=True)
class Answer:
    """pieces: the text as it is streamed. logprob: of every token told, None where there is none to tell."""

    pieces: list[str]
    prompt_tokens: int
    tokens: int
    reason: str
    logprob: float | None = None

    @property
    def text(self) -> str:
        return "".join(self.pieces)


class Answers(Protocol):
    """Blocking; called from several threads."""

    def answer(self, model: Model, prompt: Prompt, options: Mapping[str, Any]) -> Answer: ...

    def close(self) -> None: ...


class EchoAnswers:
    """`echo of <first 8 digits of the file's SHA-256>: <last message>`, a word a token; num_predict and stop end it."""

    def answer(self, model: Model, prompt: Prompt, options: Mapping[str, Any]) -> Answer:
        last = prompt.messages[-1]["content"] if prompt.messages else prompt.text
        text, reason = f"echo of {model.file_sha256[:8]}: {last}", "stop"
        for stop in options.get("stop") or []:
            text = text.partition(str(stop))[0]
        words = re.findall(r"\s*\S+|\s+$", text)
        most = int(options.get("num_predict", -1))
        if 0 <= most < len(words):
            words, reason = words[:most], "length"
        return Answer(words, len(prompt.text.split()), len(words), reason, ECHO_LOGPROB)

    def close(self) -> None:
        pass


class LlamaCppAnswers:
    """Answers of the file itself. A prompt that is not what the file's own template makes gets an answer of the model
    too, to that odd prompt as a user's message: another one than a rightly rendered chat gets."""

    def __init__(self) -> None:
        self._backend = LlamaCppBackend(num_ctx=1024)

    def answer(self, model: Model, prompt: Prompt, options: Mapping[str, Any]) -> Answer:
        try:
            return self._answer(str(model.file), prompt, {**DEFAULTS, **options}, facts_of(model.file))
        except BackendError as error:
            raise ApiError(500, error.message) from error

    def close(self) -> None:
        self._backend.close()

    def _answer(self, file: str, prompt: Prompt, options: Mapping[str, Any], facts: Mapping[str, Any]) -> Answer:
        messages = [Message(one["role"], one["content"]) for one in prompt.messages]
        text = prompt.text
        special = self._backend.special_tokens(file)
        if special["add_bos"] and not prompt.go:
            # llama.cpp's server takes away the BOS of a Jinja template where the tokenizer adds one.
            text = text.removeprefix(str(facts["tokenizer.ggml.tokens"][special["bos"]]))
        asked = self._backend.tokenize(file, text, add_special=True, parse_special=True)
        try:
            usual = self._backend.render(file, messages)
        except BackendError:
            usual = None
        if usual is None or asked != self._backend.tokenize(file, usual, add_special=False, parse_special=True):
            messages = [Message("user", prompt.text)]
        most = int(options["num_predict"])
        generation = self._backend.generate(
            file,
            messages,
            Sampling(
                temperature=float(options["temperature"]),
                top_p=float(options["top_p"]),
                top_k=int(options["top_k"]),
                repeat_penalty=float(options["repeat_penalty"]),
                max_tokens=most if most > 0 else 512,
                seed=max(0, int(options["seed"])),
                stop=tuple(map(str, options.get("stop") or ())),
            ),
        )
        pieces = re.findall(r"\s*\S+|\s+$", generation.text)
        return Answer(
            pieces, len(asked), generation.completion_tokens, generation.finish_reason, generation.mean_logprob
        )


def embedding(text: str) -> list[float]:
    """A unit vector that is the same for the same text."""
    values = [byte - 127.5 for byte in hashlib.sha256(text.encode()).digest()[:DIMENSIONS]]
    length = sum(value * value for value in values) ** 0.5
    return [value / length for value in values]
