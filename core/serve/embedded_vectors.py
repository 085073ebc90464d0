"""Vectors of texts by the embedded server: /api/embed, /api/embeddings and /v1/embeddings."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

from core.backends.embedding import unit
from core.backends.llamacpp import LlamaCppBackend
from core.serve.embedded_models import ServedModel
from core.serve.embedded_reading import dimensions_of, texts_of
from core.serve.replies import Refused

PATHS: Final = frozenset({"/api/embed", "/api/embeddings", "/v1/embeddings"})


def vectors(
    path: str, fields: Mapping[str, Any], name: str, model: ServedModel, backend: LlamaCppBackend
) -> Callable[[], Any]:
    """Reads a request (Refused, 400) to `path`; what is returned computes its answer (BackendError).

    `name` is what the caller named the model.
    """
    texts = texts_of(fields, "prompt" if path == "/api/embeddings" else "input")
    dimensions = dimensions_of(fields)
    if path == "/api/embeddings" and len(texts) != 1:
        raise Refused(400, "`prompt` must be one text.", hint="/api/embed takes several.")
    form = fields.get("encoding_format") or "float"
    if path == "/v1/embeddings" and form not in ("float", "base64"):
        raise Refused(400, "`encoding_format` must be float or base64.")

    def answer() -> Any:
        started = time.perf_counter()
        file = str(model.path)
        rows = backend.embed(file, texts) if texts else np.zeros((0, 0), np.float32)
        if dimensions is not None and dimensions < rows.shape[1]:
            rows = unit(rows[:, :dimensions].copy())
        if path == "/api/embeddings":
            return {"embedding": rows[0].tolist()}
        tokens = sum(len(backend.tokenize(file, text, add_special=True, parse_special=False)) for text in texts)
        if path == "/api/embed":
            return {
                "model": name,
                "embeddings": rows.tolist(),
                "total_duration": int((time.perf_counter() - started) * 1e9),
                "load_duration": 0,
                "prompt_eval_count": tokens,
            }
        written = [
            base64.b64encode(row.astype("<f4").tobytes()).decode() if form == "base64" else row.tolist() for row in rows
        ]
        return {
            "object": "list",
            "data": [{"object": "embedding", "index": at, "embedding": row} for at, row in enumerate(written)],
            "model": name,
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        }

    return answer
