"""Versions with real model files, and a fake Ollama to give them to."""

from __future__ import annotations

import json
import os
import shutil
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from versions_kit import CHECK

from core.backends.backend import Message, Sampling
from core.backends.llamacpp import LlamaCppBackend
from core.config import Config, Publish, Serve
from core.paths import Home
from core.release.export import Export
from core.release.local_model import LocalModel
from core.release.quantize import GgufFile
from core.release.registry import Origin, register, staging, version_name
from storage.db import Store
from storage.rows import VersionRow

ERAS = ("0.24.0", "0.33.0", "0.34.1")
MODES = {"0.24.0": "go", "0.33.0": "native", "0.34.1": "native"}


def config_for(url: str, **publish: Any) -> Config:
    return Config(publish=Publish(**{"num_ctx": 512, **publish}), serve=Serve(ollama=url))


def add_model(store: Store, home: Home, number: int, file: GgufFile, *, category: str = "erd") -> VersionRow:
    """Registers a version with a copy of a model file."""
    name = version_name("ft", "demo", category, number)
    with staging(home, "demo", category) as staged:
        path = staged / f"{name}.{file.kind}.gguf"
        try:
            os.link(file.path, path)
        except OSError:
            shutil.copyfile(file.path, path)
        export = Export((GgufFile(path, file.sha256, file.bytes, file.kind),), (CHECK,))
        origin = Origin(category, "demo", "Be brief.")
        return register(store, home, Config(), origin, staged=staged, export=export, number=number)


class EchoLocal(LocalModel):
    """Answers as the fake Ollama does when it echoes; templates and prompts are the real ones of the file."""

    def __init__(self, backend: LlamaCppBackend, file: GgufFile) -> None:
        super().__init__(backend, file.path)
        self._sha256 = file.sha256

    def count(self, messages: Sequence[Message]) -> int:
        return len(self.render(messages).removeprefix(self.bos).split())

    def answer(self, messages: Sequence[Message], sampling: Sampling) -> str:
        words = f"echo of {self._sha256[:8]}: {messages[-1].content}".split(" ")
        return " ".join(words[: sampling.max_tokens])

    def gap(self, messages: Sequence[Message], text: str) -> float:
        return 9.0


def asked_of(url: str, path: str) -> list[Any]:
    """The bodies of the requests that a fake got for one path."""
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"{url}/_requests", timeout=10) as reply:
        return [one["body"] for one in json.load(reply) if one["path"] == path]


def blobs(store: Path) -> set[str]:
    return {path.name for path in store.rglob("sha256-*")}
