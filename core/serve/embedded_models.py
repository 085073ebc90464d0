"""The models that the embedded server answers with: versions of the store, from their GGUF files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

from core.categories import Category
from core.errors import NotFoundError
from core.paths import Home
from core.release.files import gguf_path, serving_kind, version_problem
from core.serve.replies import Refused
from storage import versions
from storage.db import Store
from storage.rows import VersionRow

_LONGEST_SHORT_VALUE = 200
_UNITS = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "K"))


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model by the name that callers use. `system` is sent where a request has no system prompt of its own.

    path: its GGUF file, of `bytes` bytes and SHA-256 `digest` (64 hex). kind: its quantisation, for example q8_0.
    modified_at: in seconds since the epoch.
    """

    name: str
    path: Path
    kind: str
    digest: str
    bytes: int
    modified_at: float
    system: str = ""


class Models(Protocol):
    """Where the embedded server finds its models."""

    def find(self, name: str) -> ServedModel:
        """The model of that name, with or without `:latest`. Raises Refused (404) where there is none that can run."""
        ...

    def listed(self) -> Sequence[ServedModel]:
        """Every model that can run."""
        ...


class StoreModels:
    """The proved versions of a store. Used in one thread, with a store of its own."""

    def __init__(self, store: Store, home: Home, categories: Mapping[str, Category]) -> None:
        self._store = store
        self._home = home
        self._categories = categories

    def find(self, name: str) -> ServedModel:
        wanted = name.strip().lower().removesuffix(":latest")
        try:
            version = versions.by_name(self._store, wanted)
        except NotFoundError as error:
            raise Refused(404, f"model {name[:100]!r} not found", hint="GET /api/tags lists the models.") from error
        problem = version_problem(self._home, version, thorough=False)
        if problem is not None:
            raise Refused(404, f"{problem}.", hint="Promote another version, or train again.")
        return self._served(version)

    def listed(self) -> Sequence[ServedModel]:
        return [
            self._served(version)
            for version in versions.list_versions(self._store)
            if version_problem(self._home, version, thorough=False) is None
        ]

    def _served(self, version: VersionRow) -> ServedModel:
        kind = serving_kind(version)
        file = version.gguf[kind]
        category = self._categories.get(version.category)
        return ServedModel(
            name=version.name,
            path=gguf_path(self._home, version, kind),
            kind=kind,
            digest=str(file["sha256"]),
            bytes=int(file["bytes"]),
            modified_at=version.created_at,
            system=category.system_prompt if category else "",
        )


@dataclass(frozen=True, slots=True)
class Described:
    """What a model's file says of itself. `fields` are its short key-values."""

    family: str
    parameters: int
    context_length: int
    template: str
    fields: Mapping[str, Any]

    @property
    def parameter_size(self) -> str:
        """As Ollama writes it: 7.2B."""
        for size, unit in _UNITS:
            if self.parameters >= size:
                return f"{self.parameters / size:.1f}{unit}"
        return str(self.parameters)


def described(model: ServedModel) -> Described:
    """Reads the head of the model's file, once for each file. Raises ModelError where it cannot be read."""
    return _described(model.path, model.digest)


@lru_cache(maxsize=256)
def _described(path: Path, _: str) -> Described:
    from core.release.gguf_reading import GgufReading

    with GgufReading(path) as reading:
        family = str(reading.fields.get("general.architecture", ""))
        fields = {
            key: value
            for key, value in reading.fields.items()
            if isinstance(value, int | float) or (isinstance(value, str) and len(value) <= _LONGEST_SHORT_VALUE)
        }
        return Described(
            family=family,
            parameters=sum(tensor.elements for tensor in reading.tensors.values()),
            context_length=int(reading.fields.get(f"{family}.context_length", 0)),
            template=str(reading.fields.get("tokenizer.chat_template", "")),
            fields=fields,
        )
