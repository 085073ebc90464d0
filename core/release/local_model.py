"""A version's file as the embedded llama.cpp runs it: what another server of the same file is held against."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Final, Protocol

from core.backends.backend import Message, Sampling
from core.backends.llamacpp import LlamaCppBackend
from core.errors import ExportError

_TEMPLATE_KEY: Final = "tokenizer.chat_template"
_TOKENS_KEY: Final = "tokenizer.ggml.tokens"


class Local(Protocol):
    """What is asked of the embedded side. `template` is the one inside the file; `bos` the text of the token that the
    file has put before every prompt, empty where it has none put; `context` how many tokens prompt and answer have."""

    @property
    def template(self) -> str: ...

    @property
    def bos(self) -> str: ...

    @property
    def context(self) -> int: ...

    def render(self, messages: Sequence[Message]) -> str:
        """The prompt that the file's template makes. Raises BackendError where it refuses."""
        ...

    def count(self, messages: Sequence[Message]) -> int:
        """Tokens of that prompt."""
        ...

    def answer(self, messages: Sequence[Message], sampling: Sampling) -> str:
        """The answer's text."""
        ...

    def gap(self, messages: Sequence[Message], text: str) -> float:
        """By how much the first token of `text` that is not the most likely one falls short of it, in logits; 0 where
        there is none. `text` is taken for a whole answer, so that its end counts as a token."""
        ...


class LocalModel:
    """One GGUF file. Every failure is a BackendError, or ExportError where the file has no chat template."""

    def __init__(self, backend: LlamaCppBackend, path: Path) -> None:
        self._backend = backend
        self._path = path
        self._model = str(path)

    @cached_property
    def _special(self) -> dict[str, int]:
        return self._backend.special_tokens(self._model)

    @cached_property
    def _written(self) -> tuple[str, str, int]:
        """The template, the text of the beginning token, and the context that the model was trained for."""
        from core.release.gguf_reading import GgufReading

        with GgufReading(self._path) as reading:
            fields = reading.fields
        template, tokens = fields.get(_TEMPLATE_KEY), fields.get(_TOKENS_KEY, [])
        context = fields.get(f"{fields.get('general.architecture')}.context_length", self._backend.num_ctx)
        if not isinstance(template, str) or not template:
            raise ExportError(
                f"{self._path.name} carries no chat template.", hint="Train again on a base model that has one."
            )
        first = self._special["bos"]
        bos = str(tokens[first]) if self._special["add_bos"] and 0 <= first < len(tokens) else ""
        return template, bos, min(self._backend.num_ctx, int(context))

    @property
    def template(self) -> str:
        return self._written[0]

    @property
    def bos(self) -> str:
        return self._written[1]

    @property
    def context(self) -> int:
        return self._written[2]

    def render(self, messages: Sequence[Message]) -> str:
        return self._backend.render(self._model, messages)

    def count(self, messages: Sequence[Message]) -> int:
        return len(self._tokens(self.render(messages)))

    def answer(self, messages: Sequence[Message], sampling: Sampling) -> str:
        return self._backend.generate(self._model, messages, sampling).text

    def gap(self, messages: Sequence[Message], text: str) -> float:
        prompt = self._tokens(self.render(messages))
        said = self._backend.tokenize(self._model, text, add_special=False, parse_special=False)
        scores = self._backend.logits(self._model, [*prompt, *said], len(prompt) - 1)
        for row, token in zip(scores, said, strict=False):
            if row.argmax() != token:
                return float(row.max() - row[token])
        ends = self._backend.end_tokens(self._model)
        return float(scores[-1].max() - scores[-1][ends].max()) if ends else 0.0

    def _tokens(self, text: str) -> list[int]:
        return self._backend.tokenize(self._model, text, add_special=False, parse_special=True)
