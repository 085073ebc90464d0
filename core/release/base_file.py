"""The GGUF file of an untouched base model, for whoever wants its answers before anything was trained."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final

from core.errors import FinetuneError
from core.paths import Home
from core.release.base_version import fingerprint

if TYPE_CHECKING:
    from core.train.presets import BaseModel

SHIPPED: Final = "demo"
FOLDER: Final = "playground"
_making = threading.Lock()


def base_here(name: str, home: Home) -> BaseModel | None:
    """A base model whose folder is on this machine; None where it would have to be fetched or made."""
    from core.train.presets import resolve_base

    try:
        return resolve_base(name, home, make=False)
    except FinetuneError:
        return None


def is_made(base: BaseModel, home: Home) -> bool:
    """Whether its file is there already."""
    return _file(base, home).is_file()


def base_file(name: str, home: Home) -> tuple[str, Path]:
    """What answers of the base model are stored under, and its file, which is made where there is none: in seconds for
    the shipped one. It is not proved, and no version. Raises ModelError where the base model is not on this machine.
    """
    from core.release.gguf import export_gguf
    from core.train.presets import resolve_base

    base = resolve_base(name, home, make=False)
    path = _file(base, home)
    with _making:  # several may ask for it at once
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            for old in path.parent.glob(f"{base.name}.*.gguf"):
                old.unlink(missing_ok=True)
            export_gguf(base.path, path, kind="f16" if base.name == SHIPPED else "q8_0", name=base.name)
    return base.name, path


def _file(base: BaseModel, home: Home) -> Path:
    return home.root / FOLDER / f"{base.name}.{fingerprint(base.path).removeprefix('b2:')[:12]}.gguf"
