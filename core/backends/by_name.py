"""Any model by its name: the path of a GGUF file, or `ollama:NAME` for one that Ollama holds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from core.backends.backend import AnswerStream, Generation, Message, Sampling

if TYPE_CHECKING:
    from core.backends.llamacpp import LlamaCppBackend
    from core.backends.ollama import OllamaBackend

OLLAMA: Final = "ollama:"


def in_ollama(model: str) -> str | None:
    """The name that Ollama knows a model by, None where it is none of Ollama's."""
    return model[len(OLLAMA) :].strip() if model.lower().startswith(OLLAMA) else None


class ModelsByName:
    """Answers with the embedded llama.cpp or with Ollama, as the name of the model says; each is opened on first use.

    num_ctx: tokens of prompt and answer together. log: where llama.cpp writes its standard error. threads: those of
    llama.cpp, None as it chooses itself. Every failure is a BackendError.
    """

    name = "llama.cpp or Ollama"

    def __init__(self, *, num_ctx: int = 4096, log: Path | None = None, threads: int | None = None) -> None:
        self._num_ctx = num_ctx
        self._log = log
        self._threads = threads
        self._files: LlamaCppBackend | None = None
        self._ollama: OllamaBackend | None = None

    def generate(self, model: str, messages: Sequence[Message], sampling: Sampling) -> Generation:
        """Answers a chat; `model` is a path, or a name with `ollama:` before it."""
        named = in_ollama(model)
        if named is None:
            return self._embedded().generate(model, messages, sampling)
        return self._server().generate(named, messages, sampling)

    def stream(self, model: str, messages: Sequence[Message], sampling: Sampling) -> AnswerStream:
        """The same answer as it is drawn."""
        named = in_ollama(model)
        if named is None:
            return self._embedded().stream(model, messages, sampling)
        return self._server().stream(named, messages, sampling)

    @property
    def pid(self) -> int | None:
        """The process of llama.cpp; None while there is none."""
        return self._files.pid if self._files is not None else None

    def close(self) -> None:
        """Ends what was opened."""
        for backend in (self._files, self._ollama):
            if backend is not None:
                backend.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _embedded(self) -> LlamaCppBackend:
        if self._files is None:
            from core.backends.llamacpp import LlamaCppBackend

            self._files = LlamaCppBackend(num_ctx=self._num_ctx, log=self._log, threads=self._threads)
        return self._files

    def _server(self) -> OllamaBackend:
        if self._ollama is None:
            from core.backends.ollama import OllamaBackend

            self._ollama = OllamaBackend(num_ctx=self._num_ctx)
        return self._ollama
