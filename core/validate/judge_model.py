"""Where a judge's model lies, and the one server that answers for all judges of this process."""

from __future__ import annotations

import atexit
import threading
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from core.backends.by_name import in_ollama
from core.errors import ModelError
from core.paths import locate_home

if TYPE_CHECKING:
    from core.backends.backend import Backend

_LOCK = threading.Lock()
_opened: list[Backend] = []


def shared_backend() -> Backend:
    """What answers for the judges of this process, opened by the first call and closed at exit."""
    with _LOCK:
        if not _opened:
            from core.backends.by_name import ModelsByName

            backend = ModelsByName()
            atexit.register(backend.close)
            _opened.append(backend)
        return _opened[0]


def model_file(model: str) -> str:
    """The model of a judge as `ModelsByName` takes it; given as a path, as `ollama:NAME`, or by the name of a version.

    Raises a FinetuneError when there is no such file, version or export.
    """
    if in_ollama(model) is not None:
        return model
    if not model.endswith(".gguf") and "/" not in model:
        return _file_of_version(model)
    path = Path(model).expanduser()
    if not path.is_file():
        raise ModelError(f"There is no model file {path}.", hint="Correct `model` in the options of the judge.")
    return str(path)


@lru_cache(maxsize=16)
def _file_of_version(name: str) -> str:
    from core.release.files import gguf_path, serving_kind
    from core.release.registry import find
    from storage.db import open_store

    home = locate_home()
    with open_store(home.store) as store:
        version = find(store, name)
    return str(gguf_path(home, version, serving_kind(version)))
