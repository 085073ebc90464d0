"""The process that makes a model folder of a GGUF file and proves it: `python -m core.train.gguf_base_child`.

The first line on standard input is the task, one JSON object: path, folder, chat_template (or null). The input stays
open; its end ends this process at once. Each line on standard output is one JSON object: {"note": text} any number of
times, then {"done": {"kind", "chat_template", "proof": […]}} or {"error": {"title", "message", "hint"}}.
"""

from __future__ import annotations

import json
import os
import re
import traceback
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import psutil

from core.backends.backend import Message
from core.backends.child_process import read_lines_or_exit
from core.backends.llamacpp import LlamaCppBackend
from core.errors import FinetuneError, ModelError
from core.release.export import check_json
from core.release.from_gguf import TEMPLATE_KEY, import_gguf
from core.release.gguf_reading import GgufReading
from core.release.proof import prove

Note = Callable[[str], None]

_UNQUANTISED: Final = frozenset({0, 1})  # F32, F16
_TENTHS: Final = 10
_BLOCK: Final = re.compile(r"blk\.[0-9]+\.")
_FLOAT32: Final = 4  # bytes
_WORKING: Final = 2_000_000_000
# Short questions whose answers differ in kind, and one long text, since errors of position grow with its length. No
# system message: some templates refuse it.
_LONG: Final = "\n".join(
    f"{n}. {what}: {n * 37 % 101} units go to place {n * 13 % 29}, as {who} decided; the rest waits until then."
    for n, (what, who) in enumerate(
        ((what, who) for what in ("Apples", "Bolts", "Chairs", "Drums", "Engines") for who in ("Ada", "Bo", "Cy")), 1
    )
)
PROMPTS: Final = tuple(
    (Message("user", text),)
    for text in (
        "Draw an entity relationship diagram of a library with readers, books and loans.",
        "Write a Python function that returns the first n prime numbers, and explain how it works.",
        "Which of these is the odd one out, and why: 17, 23, 39, 41? Answer in one sentence.",
        f"Read these notes and list what is decided.\n\n{_LONG}",
    )
)


def main() -> None:
    """Does the one task and reports its outcome; what went wrong unexpectedly goes to the log as well."""
    replies = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # native code may print; the pipe is kept for replies

    def say(message: dict[str, Any]) -> None:
        replies.write(json.dumps(message).encode() + b"\n")

    task = json.loads(read_lines_or_exit().get())
    try:
        done = perform(
            Path(task["path"]), Path(task["folder"]), task["chat_template"], lambda text: say({"note": text})
        )
        say({"done": done})
    except FinetuneError as error:
        say({"error": {"title": error.title, "message": error.message, "hint": error.hint}})
    except Exception as fault:  # noqa: BLE001 - the process boundary: reported to the parent and to the log
        traceback.print_exc()
        message = f"{task['path']} cannot be taken apart: {type(fault).__name__}: {fault}"
        say({"error": {"title": ModelError.default_title, "message": message, "hint": "Choose another file."}})


def perform(path: Path, folder: Path, chat_template: str | None, note: Note) -> dict[str, Any]:
    """Makes `folder` of the file at `path` and proves it; what was found of it. Raises FinetuneError."""
    with GgufReading(path) as reading:
        kind = bounds_kind({tensor.type for tensor in reading.tensors.values()})
        sizes = {name: tensor.elements for name, tensor in reading.tensors.items()}
        own_template = bool(reading.fields.get(TEMPLATE_KEY))
    _require_memory(path, memory_needed(sizes))
    import_gguf(path, folder, chat_template=chat_template, progress=_tenths(f"Taking {path.name} apart", note))
    note(f"Comparing the model with {path.name} under llama.cpp.")
    with LlamaCppBackend() as backend:
        checks = prove(folder, path, PROMPTS, backend, kind=kind, progress=_tenths("Comparing answers", note))
    # A file without a template has nothing to be compared with; its tokens and answers are compared all the same.
    counted = [check for check in checks if own_template or check.name != "chat template"]
    return {
        "kind": kind,
        "chat_template": "of the file" if own_template else "of the preset",
        "proof": [check_json(check, kind) for check in counted],
    }


def bounds_kind(types: set[int]) -> str:
    """The kind of file whose bounds a proof is held to, by the ggml types of the tensors.

    Both sides have the very same weights, however coarse they are. What differs is that llama.cpp rounds what flows
    between the layers: to float16 or better beside float16 weights, to about 8 bits beside all others.
    """
    return "f16" if types <= _UNQUANTISED else "q8_0"


def memory_needed(sizes: Mapping[str, int]) -> int:
    """Bytes that taking a model apart and proving it take at least, by the number of values in each tensor.

    One decoder layer is held in float32, or one tensor twice in float16, whichever is more; the rest is for the
    programs themselves, for logits, and for llama.cpp, which can let go of the file's own pages.
    """
    layers: Counter[str] = Counter()
    for name, size in sizes.items():
        block = _BLOCK.match(name)
        layers[block[0] if block else name] += size
    return _FLOAT32 * max(layers.values(), default=0) + _WORKING


def _require_memory(path: Path, needed: int) -> None:
    free = psutil.virtual_memory().available + psutil.swap_memory().free
    if needed > free:
        raise ModelError(
            f"Proving {path.name} needs {needed / 1e9:.0f} GB of memory, and {free / 1e9:.0f} GB are free.",
            title="Not enough memory",
            hint="Close other programs, add swap space, or choose a smaller model.",
        )


def _tenths(what: str, note: Note) -> Callable[[int, int], None]:
    """Progress told about ten times."""
    told = -1

    def progress(done: int, total: int) -> None:
        nonlocal told
        tenth = _TENTHS * done // max(1, total)
        if tenth > told:
            told = tenth
            note(f"{what}: {done / max(1, total):.0%}.")

    return progress


if __name__ == "__main__":
    main()
