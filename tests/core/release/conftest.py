"""One trained and one Llama-3-like tiny model, their files, and one llama.cpp process, for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_ollama import fake_ollama
from tiny_llama import save_llama

from core.backends.llamacpp import LlamaCppBackend
from core.backends.ollama_api import OllamaApi
from core.release.gguf import export_gguf
from core.release.quantize import GgufFile


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_llama(tmp_path_factory.mktemp("trained"), train=90)


@pytest.fixture(scope="session")
def llama3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_llama(tmp_path_factory.mktemp("llama3"), llama3=True, initializer_range=0.2)


@pytest.fixture(scope="session")
def trained_file(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> GgufFile:
    return export_gguf(trained, tmp_path_factory.mktemp("files") / "trained.f16.gguf", name="trained")


@pytest.fixture(scope="session")
def llama3_file(llama3: Path, tmp_path_factory: pytest.TempPathFactory) -> GgufFile:
    return export_gguf(llama3, tmp_path_factory.mktemp("files") / "llama3.f16.gguf", name="llama3")


@pytest.fixture(scope="session")
def backend() -> Iterator[LlamaCppBackend]:
    with LlamaCppBackend(threads=1) as running:
        yield running


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """An Ollama of today, which holds nothing."""
    with fake_ollama("0.34.1", tmp_path / "server") as url:
        yield url


@pytest.fixture
def api(url: str) -> Iterator[OllamaApi]:
    with OllamaApi(url) as api:
        yield api
