"""A gateway before the fake Ollama, which holds one model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_ollama import fake_ollama
from gateway_kit import MODEL, Gateway, hold, serving

from core.paths import Home
from storage.db import Store


@pytest.fixture
def behind(tmp_path: Path) -> Iterator[str]:
    with fake_ollama("0.34.1", tmp_path / "ollama-store") as url:
        hold(url, MODEL)
        yield url


@pytest.fixture
def gateway(behind: str, home: Home, store: Store) -> Iterator[Gateway]:
    with serving(behind, home, store) as running:
        yield running
