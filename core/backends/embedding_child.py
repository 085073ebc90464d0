"""The process in which sentence-transformers runs: `python -m core.backends.embedding_child FOLDER`.

Protocol: that of `core.backends.child_process.serve`.

    embed   texts   -> unit vectors as `core.backends.vector_wire` packs them

The model is loaded from its folder by the first request, on the GPU where there is one. Nothing is downloaded.
"""

from __future__ import annotations

import os
import sys
from functools import cache
from typing import Any

import numpy as np
import psutil

from core.backends.child_process import RefusedRequest, serve
from core.backends.vector_wire import packed

BATCH = 32
MOST_THREADS = 8
OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TQDM_DISABLE": "1",
    "TOKENIZERS_PARALLELISM": "false",
}


@cache
def model(folder: str) -> Any:
    """The loaded model."""
    import torch
    from sentence_transformers import SentenceTransformer

    # More threads than these wait for each other with a model this small.
    torch.set_num_threads(min(MOST_THREADS, psutil.cpu_count(logical=False) or 1))
    return SentenceTransformer(
        folder, local_files_only=True, trust_remote_code=False, model_kwargs={"use_safetensors": True}
    )


def answer(folder: str, request: dict[str, Any]) -> Any:
    """Do one request; see the module's protocol."""
    if request["op"] != "embed":
        raise RefusedRequest(f"Unknown operation {request['op']!r}.")
    # Sorted by length inside, so that little is padded.
    rows = model(folder).encode(
        request["texts"],
        batch_size=BATCH,
        convert_to_numpy=True,
        normalize_embeddings=True,
        show_progress_bar=False,
    )
    return packed(np.asarray(rows, dtype=np.float32))


def main() -> None:
    os.environ.update(OFFLINE)
    serve(lambda request: answer(sys.argv[1], request))


if __name__ == "__main__":
    main()
