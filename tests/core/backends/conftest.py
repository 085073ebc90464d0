"""Tiny model files and fake servers for the tests of the backends."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_ollama import fake_ollama

sys.path.insert(0, str(Path(__file__).parents[1] / "release"))

from tiny_llama import save_llama

from core.release.gguf import export_gguf


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("served")
    save_llama(folder / "model", train=90, max_position_embeddings=1024)
    return str(export_gguf(folder / "model", folder / "model.gguf").path)


@pytest.fixture(scope="session")
def untrained_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("served")
    save_llama(folder / "model", max_position_embeddings=1024, initializer_range=0.05)
    return str(export_gguf(folder / "model", folder / "model.gguf").path)


@pytest.fixture(params=("0.24.0", "0.33.0", "0.34.1"))
def any_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    with fake_ollama(request.param, tmp_path / "ollama") as url:
        yield url


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    with fake_ollama("0.34.1", tmp_path / "ollama") as url:
        yield url
