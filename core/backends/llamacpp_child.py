"""The process in which llama.cpp runs: `python -m core.backends.llamacpp_child NUM_CTX THREADS` (0 threads: choose).

Protocol: that of `core.backends.child_process.serve`, each request with a "model", the path of its file, or what
`core.backends.llamacpp_adapter.with_adapter` makes of that and an adapter's.

    generate        messages [{role, content}], sampling {…}   -> the fields of a Generation
    stream          the same                                   -> parts of its text before, then the same
    tokenize        text, add_special, parse_special           -> [id, …]
    render          messages, add_generation_prompt            -> text
    logits          tokens, start, stop, path                  -> null; writes float32 [stop - start, vocabulary], .npy
    greedy          tokens, max_tokens                         -> [id, …], the end token last where it came
    embed           texts                                      -> unit vectors as `core.backends.vector_wire` packs them
    end_tokens                                                 -> [id, …] every token that ends an answer
    special_tokens                                             -> {bos, eos, pad, add_bos, add_eos, vocabulary}

The chat is always rendered with the template in the file; no template is recognised by its name or likeness.
A few models stay loaded, the least recently used one goes first; a file that changed is loaded anew.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from core.backends.child_process import RefusedRequest, serve
from core.backends.llamacpp_adapter import parts_of
from core.backends.llamacpp_adapting import FileKey, file_key
from core.backends.llamacpp_log import log_warnings_only
from core.backends.llamacpp_model import LoadedModel
from core.backends.vector_wire import packed

MOST_MODELS = 3
MEMORY_SHARE = 0.6


class Models:
    """The models in memory: at most `MOST_MODELS`, together at most `MEMORY_SHARE` of the machine's memory."""

    def __init__(self, num_ctx: int, threads: int | None) -> None:
        self._num_ctx = num_ctx
        self._threads = threads
        self._loaded: OrderedDict[FileKey, LoadedModel] = OrderedDict()

    def get(self, name: str) -> LoadedModel:
        path, adapter = parts_of(name)
        model = self._of(path)
        model.use_adapter(adapter)
        return model

    def _of(self, path: str) -> LoadedModel:
        key = file_key(path)
        if key in self._loaded:
            self._loaded.move_to_end(key)
            return self._loaded[key]
        for stale in [known for known in self._loaded if known[0] == path]:
            self._loaded.pop(stale).close()
        room = MEMORY_SHARE * psutil.virtual_memory().total - key[-1]
        while self._loaded and (
            len(self._loaded) >= MOST_MODELS or sum(model.size for model in self._loaded.values()) > room
        ):
            self._loaded.popitem(last=False)[1].close()
        model = self._loaded[key] = LoadedModel(Path(path), num_ctx=self._num_ctx, threads=self._threads)
        return model


def answer(models: Models, request: dict[str, Any]) -> Any:
    """Do one request; see the module's protocol."""
    model = models.get(request["model"])
    match request["op"]:
        case "generate":
            return model.generate(request["messages"], request["sampling"])
        case "stream":
            return model.stream(request["messages"], request["sampling"])
        case "tokenize":
            return model.tokenize(
                request["text"], add_special=request["add_special"], parse_special=request["parse_special"]
            )
        case "render":
            return model.render(request["messages"], add_generation_prompt=request["add_generation_prompt"])
        case "logits":
            np.save(request["path"], model.logits(request["tokens"], request["start"], request["stop"]))
            return None
        case "greedy":
            return model.greedy(request["tokens"], request["max_tokens"])
        case "embed" if parts_of(request["model"])[1] is not None:
            raise RefusedRequest("Texts are embedded by a model without an adapter.")
        case "embed":
            return packed(model.embed(request["texts"]))
        case "end_tokens":
            return model.end_tokens()
        case "special_tokens":
            return model.special_tokens()
        case unknown:
            raise RefusedRequest(f"Unknown operation {unknown!r}.")


def main() -> None:
    log_warnings_only()
    num_ctx, threads = int(sys.argv[1]), int(sys.argv[2])
    models = Models(num_ctx, threads or None)
    serve(lambda request: answer(models, request))


if __name__ == "__main__":
    main()
