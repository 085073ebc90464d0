"""The adapters of one loaded model. Imported only in the child process."""

from __future__ import annotations

import ctypes
from collections import OrderedDict
from pathlib import Path
from typing import Any

import llama_cpp.llama_cpp as native

from core.backends.child_process import RefusedRequest

MOST_ADAPTERS = 4

FileKey = tuple[str, int, int, int]


def file_key(path: str) -> FileKey:
    """Tells a file from another one that took its place. Raises RefusedRequest where there is none."""
    try:
        stat = Path(path).stat()
    except OSError as error:
        raise RefusedRequest(f"There is no model file {path}.") from error
    return (path, stat.st_ino, stat.st_mtime_ns, stat.st_size)


class Adapters:
    """Puts one LoRA adapter at a time on a model, or none; a few stay loaded. Freed together with the model."""

    def __init__(self, model: Any, context: Any) -> None:
        self._model = model
        self._context = context
        self._loaded: OrderedDict[FileKey, Any] = OrderedDict()
        self._active: FileKey | None = None

    def use(self, path: str | None) -> bool:
        """Lets this adapter work; whether it is another one than before. Raises RefusedRequest where it does not fit.

        Where it is, what the context holds was computed by another model and must go.
        """
        key = None if path is None else file_key(path)
        if key == self._active:
            return False
        adapter = None if key is None else self._get(key)
        self._active = None
        if adapter is None:
            code = native.llama_set_adapters_lora(self._context, None, 0, None)
        else:
            one = (native.llama_adapter_lora_p_ctypes * 1)(adapter)
            code = native.llama_set_adapters_lora(self._context, one, 1, (ctypes.c_float * 1)(1.0))
        if code != 0:
            raise RuntimeError(f"llama_set_adapters_lora ended with code {code}")
        self._active = key
        return True

    def _get(self, key: FileKey) -> Any:
        if key in self._loaded:
            self._loaded.move_to_end(key)
            return self._loaded[key]
        made = native.llama_adapter_lora_init(self._model, key[0].encode())
        if not made:
            name = Path(key[0]).name
            raise RefusedRequest(f"llama.cpp cannot use {name}: it is no adapter for this model, or it is damaged.")
        while len(self._loaded) >= MOST_ADAPTERS:
            known, oldest = self._loaded.popitem(last=False)
            if known == self._active:  # it stands on the context still; the next one is set right after
                native.llama_set_adapters_lora(self._context, None, 0, None)
            native.llama_adapter_lora_free(oldest)
        self._loaded[key] = made
        return made
