"""Manifests and blobs on disk, in the places where Ollama has them."""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from core.backends.ollama_names import OllamaName, parse_name
from core.errors import ModelError
from core.release.gguf_reading import GgufReading

LAYER = "application/vnd.ollama.image."
PRUNED_AFTER_SECONDS = 3600.0
# general.file_type of a GGUF file -> what Ollama calls it.
KINDS = {0: "F32", 1: "F16", 2: "Q4_0", 7: "Q8_0", 14: "Q4_K_S", 15: "Q4_K_M", 17: "Q5_K_M", 18: "Q6_K", 32: "BF16"}


class ApiError(Exception):
    """An answer `{"error": words}` of that HTTP status."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status
        self.words = words


@dataclass(frozen=True)
class Model:
    """What a manifest names, read."""

    name: OllamaName
    digest: str
    size: int
    modified: float
    file: Path
    template: str | None
    system: str
    parameters: dict[str, Any]
    layers: list[dict[str, Any]]
    config: dict[str, Any]

    @property
    def file_sha256(self) -> str:
        return self.file.name.removeprefix("sha256-")

    @property
    def details(self) -> dict[str, Any]:
        family = self.config.get("model_family", "")
        return {
            "parent_model": "",
            "format": "gguf",
            "family": family,
            "families": [family],
            "parameter_size": self.config.get("model_type", ""),
            "quantization_level": self.config.get("file_type", ""),
        }

    @property
    def modified_at(self) -> str:
        return datetime.fromtimestamp(self.modified, UTC).isoformat().replace("+00:00", "Z")


def named(text: Any) -> OllamaName:
    try:
        return parse_name(text)
    except (ModelError, AttributeError) as error:
        raise ApiError(400, "invalid model name") from error


def facts_of(file: Path) -> dict[str, Any]:
    """The key-values of a GGUF file; none where more than its first bytes is no GGUF."""
    try:
        told = file.stat()
    except OSError:
        return {}
    return _facts(file, told.st_size, told.st_mtime_ns)


@lru_cache(32)
def _facts(file: Path, size: int, changed: int) -> dict[str, Any]:
    try:
        with GgufReading(file) as reading:
            return dict(reading.fields)
    except ModelError:
        return {}


class Disk:
    """The store at a folder; pruned when it is opened, as Ollama does at its start."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "blobs").mkdir(parents=True, exist_ok=True)
        (root / "manifests").mkdir(parents=True, exist_ok=True)
        self._prune()

    # -- blobs

    def blob(self, digest: str) -> Path:
        return self.root / "blobs" / f"sha256-{digest}"

    def put(self, content: bytes) -> str:
        """Stores bytes; their SHA-256."""
        digest = hashlib.sha256(content).hexdigest()
        if not self.blob(digest).exists():
            with tempfile.NamedTemporaryFile(dir=self.root / "blobs", prefix="new-", delete=False) as file:
                file.write(content)
            Path(file.name).replace(self.blob(digest))
        return digest

    def layer(self, kind: str, digest: str) -> dict[str, Any]:
        return {"mediaType": LAYER + kind, "digest": f"sha256:{digest}", "size": self.blob(digest).stat().st_size}

    # -- manifests

    def manifest(self, name: OllamaName) -> Path:
        return self.root.joinpath("manifests", *name.parts)

    def names(self) -> list[OllamaName]:
        found = []
        for path in sorted((self.root / "manifests").glob("*/*/*/*")):
            host, namespace, model, tag = path.relative_to(self.root / "manifests").parts
            found.append(OllamaName(host, namespace, model, tag))
        return found

    def model(self, name: OllamaName) -> Model | None:
        """The model of a name, None where there is none; a broken manifest is a 500."""
        path = self.manifest(name)
        try:
            content = path.read_bytes()
            modified = path.stat().st_mtime
        except OSError:
            return None
        try:
            told = json.loads(content)
        except ValueError as error:
            raise ApiError(500, "unexpected EOF") from error
        texts = {layer["mediaType"].removeprefix(LAYER): self._path_of(layer) for layer in told["layers"]}
        return Model(
            name=name,
            digest=hashlib.sha256(content).hexdigest(),
            size=told["config"]["size"] + sum(layer["size"] for layer in told["layers"]),
            modified=modified,
            file=texts["model"],
            template=texts["template"].read_text("utf-8") if "template" in texts else None,
            system=texts["system"].read_text("utf-8") if "system" in texts else "",
            parameters=json.loads(texts["params"].read_text("utf-8")) if "params" in texts else {},
            layers=told["layers"],
            config=json.loads(self._path_of(told["config"]).read_text("utf-8")),
        )

    def models(self) -> list[Model]:
        """Every model whose manifest is whole."""
        found = []
        for name in self.names():
            try:
                model = self.model(name)
            except ApiError:
                continue
            if model is not None:
                found.append(model)
        return sorted(found, key=lambda model: -model.modified)

    def write(self, name: OllamaName, layers: list[dict[str, Any]], config: dict[str, Any]) -> None:
        """Writes a manifest, and removes the layers of the one before that nothing needs any more."""
        file = self.blob(layers[0]["digest"].removeprefix("sha256:"))
        facts = facts_of(file)
        architecture = str(facts.get("general.architecture", "llama"))
        whole = {
            "model_format": "gguf",
            "model_family": architecture,
            "model_type": str(facts.get("general.size_label", "")),
            "file_type": KINDS.get(int(facts.get("general.file_type", 7)), "unknown"),
            **config,
        }
        digest = self.put(json.dumps(whole).encode())
        manifest = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
            "config": {
                "mediaType": "application/vnd.docker.container.image.v1+json",
                "digest": f"sha256:{digest}",
                "size": self.blob(digest).stat().st_size,
            },
            "layers": layers,
        }
        path = self.manifest(name)
        before = self._digests(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(manifest), "utf-8")
        self._drop(before)

    def copy(self, source: OllamaName, target: OllamaName, *, broken: bool = False) -> None:
        """Not atomic, as Ollama's is not: `broken` leaves it where the target is empty."""
        content = self.manifest(source).read_bytes()
        path = self.manifest(target)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            if not broken:
                file.write(content)

    def delete(self, name: OllamaName) -> None:
        path = self.manifest(name)
        before = self._digests(path)
        path.unlink()
        self._drop(before)

    def _path_of(self, layer: dict[str, Any]) -> Path:
        return self.blob(str(layer["digest"]).removeprefix("sha256:"))

    @staticmethod
    def _digests(path: Path) -> set[str]:
        try:
            told = json.loads(path.read_bytes())
        except (OSError, ValueError):
            return set()
        return {str(one["digest"]).removeprefix("sha256:") for one in (told["config"], *told["layers"])}

    def _needed(self) -> set[str]:
        return set().union(*(self._digests(self.manifest(name)) for name in self.names()))

    def _drop(self, digests: set[str]) -> None:
        for digest in digests - self._needed():
            self.blob(digest).unlink(missing_ok=True)

    def _prune(self) -> None:
        needed = {f"sha256-{digest}" for digest in self._needed()}
        for path in (self.root / "blobs").iterdir():
            if path.name not in needed and time.time() - path.stat().st_mtime > PRUNED_AFTER_SECONDS:
                path.unlink()
