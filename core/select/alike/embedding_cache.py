"""Embeddings by text: first from memory, then from the store, and only what is in neither from the model."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Final

import numpy as np

from core.backends.embedding import unit
from core.select.alike.vectors import Vectors
from storage import embeddings
from storage.db import Store

BLOCK: Final = 64
"""Texts that are embedded and stored together: what a kill loses at most."""

_REMEMBERED_BYTES: Final = 64 << 20

Compute = Callable[[Sequence[str]], Vectors]
"""Texts to unit rows by the model itself. Raises BackendError."""

Progress = Callable[[int, int], None]


class NotCachedError(Exception):
    """A text has no embedding yet, and none may be computed now."""


def text_key(text: str) -> int:
    """The key of a text: the first 64 bits of its BLAKE2b hash, signed."""
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


class EmbeddingCache:
    """Calling it embeds texts: unit rows, float32 [n, dimensions].

    Vectors are always rounded to float16 first, so that a text has the same one whether it was just computed or kept.
    compute: None where nothing may be computed; a call then raises NotCachedError for a text that has none.
    progress: called with (done, total) after every block of those texts of one call that had to be computed.
    Use it in the thread that opened the store.
    """

    def __init__(self, store: Store, model: str, compute: Compute | None, progress: Progress | None = None) -> None:
        self._store = store
        self._model = model
        self._compute = compute
        self._progress = progress
        self._remembered: dict[int, bytes] = {}

    def __call__(self, texts: Sequence[str]) -> Vectors:
        if not texts:
            dimensions = embeddings.dimensions(self._store, self._model)
            return self([""])[:0] if dimensions is None else np.zeros((0, dimensions), np.float32)
        keys = [text_key(text) for text in texts]
        found, missing = self._look_up(dict(zip(keys, texts, strict=True)))
        for block in self._computed(missing):
            found.update(block)
        rows = np.frombuffer(b"".join([found[key] for key in keys]), "<f2").reshape(len(keys), -1)
        return unit(rows.astype(np.float32))

    def fill(self, texts: Sequence[str]) -> int:
        """Computes and keeps the embeddings that are missing; how many."""
        return sum(map(len, self._computed(self._look_up({text_key(text): text for text in texts})[1])))

    def _look_up(self, texts: Mapping[int, str]) -> tuple[dict[int, bytes], dict[int, str]]:
        """What is known of texts by key, and the texts of which nothing is."""
        found = {key: self._remembered[key] for key in texts if key in self._remembered}
        stored = embeddings.load_many(self._store, self._model, texts.keys() - found.keys())
        self._remember(stored)
        found.update(stored)
        return found, {key: text for key, text in texts.items() if key not in found}

    def _computed(self, missing: Mapping[int, str]) -> Iterator[dict[int, bytes]]:
        """Embeds texts, keeps them block by block, and hands out each block."""
        if missing and self._compute is None:
            raise NotCachedError
        # Alike lengths go together, since the shorter ones of a batch are padded; the longest come first, so that a
        # lack of memory shows at once and the time left is not underestimated.
        order = iter(sorted(missing, key=lambda key: (-len(missing[key]), key)))
        done = 0
        while self._compute is not None and (keys := list(islice(order, BLOCK))):
            halves = self._compute([missing[key] for key in keys]).astype("<f2")
            block = {key: row.tobytes() for key, row in zip(keys, halves, strict=True)}
            embeddings.save_many(self._store, self._model, block)
            self._remember(block)
            done += len(block)
            if self._progress is not None:
                self._progress(done, len(missing))
            yield block

    def _remember(self, vectors: Mapping[int, bytes]) -> None:
        self._remembered.update(vectors)
        if vectors:
            room = _REMEMBERED_BYTES // len(next(iter(vectors.values())))
            for oldest in list(islice(self._remembered, max(0, len(self._remembered) - room))):
                del self._remembered[oldest]
