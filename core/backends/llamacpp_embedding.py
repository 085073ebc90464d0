"""Vectors of texts by llama.cpp. Imported only in the child process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import llama_cpp.llama_cpp as native
import numpy as np
import numpy.typing as npt

from core.backends.child_process import RefusedRequest

MOST_TOKENS = 512


class EmbeddingContext:
    """A second context on a loaded model, which pools what the last layer says of each token. Not thread-safe."""

    def __init__(self, model: Any, threads: int) -> None:
        self._limit = min(MOST_TOKENS, int(native.llama_model_n_ctx_train(model)))
        self._dimensions = int(native.llama_model_n_embd_out(model))
        self._context = self._opened(model, threads, native.LLAMA_POOLING_TYPE_UNSPECIFIED)
        if self._context and native.llama_pooling_type(self._context) == native.LLAMA_POOLING_TYPE_NONE:
            native.llama_free(self._context)
            self._context = self._opened(model, threads, native.LLAMA_POOLING_TYPE_MEAN)
        if not self._context:
            raise RefusedRequest("There is not enough memory to embed texts with this model.")
        if native.llama_pooling_type(self._context) == native.LLAMA_POOLING_TYPE_RANK:
            native.llama_free(self._context)
            raise RefusedRequest("This model ranks texts and has no vectors; choose an embedding model.")
        self._memory = native.llama_get_memory(self._context)
        self._batch = native.llama_batch_init(self._limit, 0, 1)

    def _opened(self, model: Any, threads: int, pooling: int) -> Any:
        parameters = native.llama_context_default_params()
        parameters.embeddings = True
        parameters.pooling_type = pooling
        # A model that looks both ways needs the whole text in one slice.
        parameters.n_ctx = parameters.n_batch = parameters.n_ubatch = self._limit
        parameters.n_threads = parameters.n_threads_batch = threads
        parameters.no_perf = True
        return native.llama_init_from_model(model, parameters)

    def close(self) -> None:
        native.llama_batch_free(self._batch)
        native.llama_free(self._context)

    def rows(self, texts: Sequence[Sequence[int]]) -> npt.NDArray[np.float32]:
        """Unit vectors of texts given as token ids, [len(texts), dimensions]; a text without any is all zeros."""
        rows = np.zeros((len(texts), self._dimensions), np.float32)
        for row, tokens in zip(rows, texts, strict=True):
            if tokens:
                row[:] = self._pooled(tokens)
        if not np.isfinite(rows).all():
            raise RefusedRequest("The model gives vectors that are no numbers.")
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        rows /= np.where(norms > 0.0, norms, 1.0)
        return rows

    def _pooled(self, tokens: Sequence[int]) -> npt.NDArray[np.float32]:
        if len(tokens) > self._limit:  # the last token may be the end mark that the model was trained with
            tokens = [*tokens[: self._limit - 1], tokens[-1]]
        batch = self._batch
        batch.n_tokens = len(tokens)
        for at, token in enumerate(tokens):
            batch.token[at], batch.pos[at], batch.logits[at] = token, at, 1
            batch.n_seq_id[at], batch.seq_id[at][0] = 1, 0
        if self._memory:
            native.llama_memory_clear(self._memory, True)
            code = native.llama_decode(self._context, batch)
        else:  # an encoder keeps nothing
            code = native.llama_encode(self._context, batch)
        if code != 0:
            raise RuntimeError(f"llama.cpp ended with code {code}")
        pooled = native.llama_get_embeddings_seq(self._context, 0)
        return np.ctypeslib.as_array(pooled, (self._dimensions,)).copy()
