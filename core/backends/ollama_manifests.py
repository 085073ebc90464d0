"""Ollama's store on disk, read-only: which models its manifests name, and which blob holds each one's weights."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from core.backends.ollama_names import OllamaName, parse_name
from core.errors import ModelError

_LAYER: Final = "application/vnd.ollama.image."
_MOST_MANIFEST_BYTES: Final = 4 << 20
_DIGEST: Final = re.compile(r"sha256:([0-9a-f]{64})")
# Where the packages of the systems put the models of an Ollama that runs as a service.
_SERVICE_STORES: Final = (
    "/usr/share/ollama/.ollama/models",
    "/var/lib/ollama/.ollama/models",
    "/var/lib/ollama/models",
)


@dataclass(frozen=True, slots=True)
class Layer:
    """One file of a model: its kind (`model`, `projector`, `adapter`, …), SHA-256 in hexadecimal, size in bytes."""

    kind: str
    digest: str
    bytes: int


@dataclass(frozen=True, slots=True)
class StoredModel:
    """A manifest in the store at `root`."""

    name: OllamaName
    root: Path
    layers: tuple[Layer, ...]

    @property
    def bytes(self) -> int:
        """Size of all layers together."""
        return sum(layer.bytes for layer in self.layers)

    @property
    def digest(self) -> str:
        """SHA-256 of the weights' file; empty where there is none."""
        return next((layer.digest for layer in self.layers if layer.kind == "model"), "")

    def model_file(self) -> Path:
        """The one GGUF file. Raises ModelError where there is none, more than one, or it is not whole."""
        kinds = [layer.kind for layer in self.layers]
        if "adapter" in kinds:
            raise refused(self.name, "it is a base model with an adapter of its own")
        if "projector" in kinds:
            raise refused(self.name, "it has a vision part")
        if kinds.count("model") > 1:
            raise refused(self.name, "its weights are in several parts")
        if "model" not in kinds:
            why = "its weights are no GGUF file" if "tensor" in kinds else "its weights are not on this machine"
            raise refused(self.name, why)
        layer = self.layers[kinds.index("model")]
        path = self.root / "blobs" / f"sha256-{layer.digest}"
        try:
            size = path.stat().st_size
        except PermissionError:
            return path  # who opens it says so
        except OSError as error:
            raise _incomplete(self.name, f"{path} is missing") from error
        if size != layer.bytes:
            raise _incomplete(self.name, f"{path} has {size:,} of {layer.bytes:,} bytes")
        return path


def roots() -> list[Path]:
    """Where Ollama may keep its models: OLLAMA_MODELS alone where it is set."""
    named = os.environ.get("OLLAMA_MODELS", "").strip()
    if named:
        return [Path(named).expanduser()]
    return [Path.home() / ".ollama" / "models", *map(Path, _SERVICE_STORES)]


def blob_places(digest: str) -> list[Path]:
    """Where a blob would lie in each store; nowhere for what is no digest."""
    return [root / "blobs" / f"sha256-{digest}" for root in roots()] if _DIGEST.fullmatch(f"sha256:{digest}") else []


def find(name: OllamaName) -> StoredModel | None:
    """The stored model of that name, in upper or lower case. Raises ModelError for a damaged manifest."""
    for root, stored, path in _manifests():
        if stored.parts == name.parts:
            layers = _layers(path)
            if layers is None:
                raise _incomplete(name, f"its manifest {path} is damaged")
            return StoredModel(stored, root, layers)
    return None


def every() -> list[StoredModel]:
    """All models whose manifest can be read."""
    found = [(root, name, _layers(path)) for root, name, path in _manifests()]
    return [StoredModel(name, root, layers) for root, name, layers in found if layers is not None]


def unreadable() -> Path | None:
    """A store that is there but may not be looked into, or None."""
    for root in roots():
        try:
            next(iter((root / "manifests").iterdir()), None)
        except PermissionError:
            return root
        except OSError:
            continue
    return None


def refused(name: OllamaName, why: str) -> ModelError:
    """The error for a model that is held but cannot be a base model."""
    return ModelError(
        f"{name.short} in Ollama cannot be trained: {why}.",
        hint="Choose a text model with one GGUF file, for example llama3.2:3b or qwen3:4b.",
    )


def _manifests() -> Iterator[tuple[Path, OllamaName, Path]]:
    """(store, name, file) of every manifest, in the order of the stores, then by name."""
    for root in roots():
        folder = root / "manifests"
        for path in _walk(folder, 4):
            host, namespace, model, tag = path.relative_to(folder).parts
            try:
                name = parse_name(f"{host}/{namespace}/{model}:{tag}")
            except ModelError:
                continue
            yield root, name, path


def _walk(folder: Path, depth: int) -> Iterator[Path]:
    try:
        children = sorted(folder.iterdir())
    except OSError:
        return
    for child in children:
        if depth > 1:
            yield from _walk(child, depth - 1)
        elif not child.name.startswith("."):
            yield child


def _layers(path: Path) -> tuple[Layer, ...] | None:
    """The layers of a manifest; None where it cannot be read."""
    try:
        with path.open("rb") as file:
            content: Any = json.loads(file.read(_MOST_MANIFEST_BYTES))
        return tuple(_layer(entry) for entry in content["layers"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _layer(entry: dict[str, Any]) -> Layer:
    digest = _DIGEST.fullmatch(str(entry["digest"]).replace("sha256-", "sha256:"))
    if digest is None:
        raise ValueError("no digest")
    return Layer(str(entry["mediaType"]).removeprefix(_LAYER), digest[1], int(entry["size"]))


def _incomplete(name: OllamaName, why: str) -> ModelError:
    return ModelError(
        f"{name.short} in Ollama is not whole: {why}.", hint=f"Fetch it again with `ollama pull {name.short}`."
    )
