"""Which models can be tried, without any set-up and without fetching one."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_ollama import fake_ollama
from versions_kit import add_version

from core.categories import load_categories
from core.config import Config, load_config
from core.errors import FinetuneError, ModelError
from core.paths import Home
from core.playground.choices import Choice, choices, find, first_choice, ollama_choices
from core.release.promote import promote
from storage.db import Store


def listed(store: Store, home: Home) -> list[Choice]:
    return choices(store, home, load_config(home), load_categories(home)["erd"])


def test_an_empty_home_has_the_shipped_model(store: Store, home: Home) -> None:
    found = listed(store, home)
    assert [choice.name for choice in found] == ["demo"]
    assert first_choice(found) == "demo"


def test_its_file_is_made_once(store: Store, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Path] = []

    def export(source: Path, target: Path, **_: object) -> None:
        made.append(target)
        target.write_bytes(b"GGUF")

    monkeypatch.setattr("core.release.gguf.export_gguf", export)
    assert find(home, "demo") == find(home, "demo")
    assert len(made) == 1
    assert Path(find(home, "demo")).is_relative_to(home.root)


def test_what_serves_comes_first_then_the_newest(store: Store, home: Home) -> None:
    base, one, two = (add_version(store, home, number) for number in range(3))
    assert [choice.name for choice in listed(store, home)] == [two.name, one.name, base.name]
    promote(store, home, Config(), one.id, who="ada", why="x", evidence={}, now=1.0)
    found = listed(store, home)
    assert [choice.name for choice in found] == [one.name, two.name, base.name]
    assert found[0].note == "serves"
    assert find(home, two.name).endswith(".q8_0.gguf")


def test_a_version_without_its_file_says_so_and_is_not_chosen(store: Store, home: Home) -> None:
    version = add_version(store, home, 1)
    for path in home.resolve(version.folder).glob("*.gguf"):
        path.unlink()
    first = listed(store, home)[0]
    assert "missing" in first.problem
    assert first_choice(listed(store, home)) == "demo"
    with pytest.raises(ModelError, match="missing"):
        find(home, version.name)


def test_a_version_that_failed_its_proof_can_be_looked_at(store: Store, home: Home) -> None:
    version = add_version(store, home, 1, passed=False)
    first = listed(store, home)[0]
    assert (first.problem, first.note) == ("", "not proved")
    assert Path(find(home, version.name)).is_file()


def test_a_name_of_nothing_is_refused_and_never_fetched(home: Home, store: Store) -> None:
    with pytest.raises(FinetuneError):
        find(home, "somebody/some-model")


def test_ollama_that_does_not_answer_has_none() -> None:
    assert ollama_choices() == []


def test_ollama_that_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: Home) -> None:
    with fake_ollama("0.34.1", tmp_path / "served") as url:
        monkeypatch.setenv("OLLAMA_HOST", url)
        assert ollama_choices() == []
    assert find(home, "ollama:llama3.2:3b") == "ollama:llama3.2:3b"
