"""Which model answers for a category: what serves, else its newest version, else its untouched base."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from versions_kit import add_version

from core.categories import Category, load_categories
from core.config import Config
from core.errors import ModelError
from core.paths import Home
from core.release.answering import answering
from core.release.promote import promote
from storage.db import Store


@pytest.fixture
def own(home: Home) -> Category:
    return load_categories(home)["erd"]


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were made of base models."""
    files: list[Path] = []

    def export(source: Path, target: Path, **_: object) -> None:
        files.append(target)
        target.write_bytes(b"GGUF")

    monkeypatch.setattr("core.release.gguf.export_gguf", export)
    return files


def test_the_base_answers_where_nothing_was_trained(store: Store, home: Home, own: Category, made: list[Path]) -> None:
    found = answering(store, home, Config(), own)
    assert (found.name, made) == ("demo", [Path(found.model)])
    assert answering(store, home, Config(), own) == found
    assert len(made) == 1


def test_what_serves_comes_before_what_is_newest(store: Store, home: Home, own: Category, made: list[Path]) -> None:
    one, two = add_version(store, home, 1), add_version(store, home, 2)
    assert answering(store, home, Config(), own).name == two.name
    promote(store, home, Config(), one.id, who="ada", why="x", evidence={}, now=1.0)
    assert answering(store, home, Config(), own).name == one.name
    assert not made


def test_a_version_that_is_not_proved_does_not_answer(
    store: Store, home: Home, own: Category, made: list[Path]
) -> None:
    add_version(store, home, 1, passed=False)
    assert answering(store, home, Config(), own).name == "demo"


def test_a_base_in_ollama_answers_there(store: Store, home: Home, own: Category, made: list[Path]) -> None:
    found = answering(store, home, Config(), replace(own, base_model="ollama:llama3.2:3b"))
    assert (found.name, found.model) == ("ollama:llama3.2:3b", "ollama:llama3.2:3b")
    assert not made


def test_a_base_that_is_not_here_is_said_and_never_fetched(store: Store, home: Home, own: Category) -> None:
    with pytest.raises(ModelError):
        answering(store, home, Config(), replace(own, base_model="qwen3-1.7b"))
