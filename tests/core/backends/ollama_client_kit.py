"""Files and models for the tests of Ollama's client."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from core.backends.backend import Message
from core.backends.ollama_api import OllamaApi

ASK = [Message("user", "How do you do?")]


def gguf(folder: Path, name: str = "v1.gguf", size: int = 3 << 20) -> tuple[Path, str]:
    path = folder / name
    path.write_bytes((b"GGUF" + name.encode()).ljust(size, b"x"))
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


def publish(api: OllamaApi, folder: Path, name: str = "ft-erd:v1", **wanted: Any) -> str:
    path, digest = gguf(folder, f"{name.replace(':', '-')}.gguf", size=64)
    api.upload(path, digest)
    api.create(name, files={path.name: digest}, **{"parameters": {}, "template": "{{ .Prompt }}", **wanted})
    return digest
