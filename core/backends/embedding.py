"""Texts to vectors by a model, in a process of its own: sentence-transformers, or llama.cpp with a GGUF file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from core.backends.child_client import ChildClient
from core.backends.embedding_models import EmbeddingModel
from core.backends.llamacpp import LlamaCppBackend
from core.backends.vector_wire import unpacked
from core.errors import BackendError
from storage.columns import clean

PART_CHARS: Final = 900
MOST_PARTS: Final = 4
_HINT: Final = 'Check the model, or set `embeddings` in [select] to another one or to "none".'

Rows = npt.NDArray[np.float32]


class Embedder(Protocol):
    """A running model. Every failure is a BackendError; after one the next call starts it afresh."""

    def embed(self, texts: Sequence[str]) -> Rows:
        """One row of unit length for each text, [n, dimensions]; what is too long for the model does not count."""
        ...

    def close(self) -> None:
        """End its process; a second call does nothing."""
        ...

    @property
    def pid(self) -> int | None:
        """Its process; None before the first call and after the last."""
        ...


class SentenceEmbedder:
    """A sentence-transformers model in a child process, which the first call starts."""

    def __init__(self, folder: Path, log: Path) -> None:
        self._child = ChildClient(
            "The embedding model", "core.backends.embedding_child", str(folder), log=log, refusal_hint=_HINT
        )

    def embed(self, texts: Sequence[str]) -> Rows:
        return unpacked(self._child.call("embed", texts=list(texts)))

    def close(self) -> None:
        self._child.close()

    @property
    def pid(self) -> int | None:
        return self._child.pid


class GgufEmbedder:
    """A GGUF file in the child process of the embedded llama.cpp."""

    def __init__(self, file: Path, log: Path) -> None:
        self._file = str(file)
        self._backend = LlamaCppBackend(log=log)

    def embed(self, texts: Sequence[str]) -> Rows:
        return self._backend.embed(self._file, texts)

    def close(self) -> None:
        self._backend.close()

    @property
    def pid(self) -> int | None:
        return self._backend.pid


def open_embedder(model: EmbeddingModel, log: Path) -> Embedder:
    """The model, not yet started; its process writes what it has to say to `log`."""
    return GgufEmbedder(model.path, log) if model.kind == "gguf" else SentenceEmbedder(model.path, log)


def embed_texts(embedder: Embedder, texts: Sequence[str]) -> Rows:
    """One row of unit length for each text, [n, dimensions]: the mean over its parts. Raises BackendError."""
    split = [parts(text) for text in texts]
    rows = embedder.embed([part for own in split for part in own])
    if not np.isfinite(rows).all():
        raise BackendError("The embedding model gives vectors that are no numbers.", hint=_HINT)
    starts = np.cumsum([0, *(len(own) for own in split[:-1])])
    return unit(np.add.reduceat(rows, starts, axis=0))


def unit(rows: Rows) -> Rows:
    """`rows`, brought to unit length in place; a row of zeros stays one."""
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    rows /= np.where(norms > 0.0, norms, 1.0)
    return rows


def parts(text: str) -> list[str]:
    """What of a text is embedded: all of it up to 3,600 characters, in equal parts of at most 900; of a longer one four
    parts of 900, the first, the last and two evenly between them.

    Small models read 256 tokens, about 900 characters, and would leave out the rest.
    """
    text = clean(text)
    count = min(MOST_PARTS, max(1, -(-len(text) // PART_CHARS)))
    if count == 1:
        return [text]
    size = min(PART_CHARS, -(-len(text) // count))
    return [text[start : start + size] for start in (at * (len(text) - size) // (count - 1) for at in range(count))]
