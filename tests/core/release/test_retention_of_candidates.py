"""What becomes of candidates that no test asks any more: their files, and their copies in Ollama."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_ollama import fake_ollama
from versions_kit import add_version

from core.backends.ollama_api import OllamaApi
from core.config import Config, Publish
from core.paths import Home
from core.release.files import version_problem
from core.release.promote import promote
from core.release.retention import clean_up_files, old_versions
from storage import ab_tests, deployments, versions
from storage.db import Store
from storage.rows import VersionRow

NONE_NEW = Config(publish=Publish(keep_versions=1))


@pytest.fixture
def chain(store: Store, home: Home) -> list[VersionRow]:
    return [add_version(store, home, number) for number in range(6)]


def put(store: Store, home: Home, version: VersionRow) -> None:
    promote(store, home, NONE_NEW, version.id, who="me", why="", evidence={}, now=5.0)


def old(store: Store) -> list[int]:
    return [version.number for version in old_versions(store, NONE_NEW, "erd")]


def test_a_shadow_test_counts_while_its_opponent_serves(store: Store, home: Home, chain: list[VersionRow]) -> None:
    """Nobody feeds it any more once another version serves, and it has no result then for ever."""
    ab_tests.start(
        store, created_at=1.0, category="erd", version_a=chain[0].id, version_b=chain[3].id, seed=0, settings={},
        source="shadow",
    )  # fmt: skip
    assert old(store) == [1, 2, 4]
    put(store, home, chain[5])
    assert old(store) == [1, 2, 3, 4]


def test_a_candidate_that_lost_leaves_ollama_and_keeps_its_files(
    store: Store, home: Home, chain: list[VersionRow], tmp_path: Path
) -> None:
    """As does one that a newer version was promoted over; what serves or served, and the newest, stay there."""
    keeping = Config(publish=Publish(keep_versions=9))
    with fake_ollama("0.34.1", tmp_path / "server") as url, OllamaApi(url) as api:
        for version in chain:
            path, file = home.resolve(version.gguf["q8_0"]["path"]), version.gguf["q8_0"]["sha256"]
            api.upload(path, file)
            api.create(version.name, files={"m.gguf": file}, parameters={"num_ctx": 512})
            deployments.put(
                store, version_id=version.id, server=url, name=version.name,
                digest=api.digest_of(version.name) or "", file_sha256=file, mode="native", server_version="0.34.1",
                checks=[], now=1.0,
            )  # fmt: skip
        for number in (1, 3):
            put(store, home, chain[number])
        for number, verdict in ((4, "keep"), (5, "keep")):
            test = ab_tests.start(
                store, created_at=1.0, category="erd", version_a=chain[3].id, version_b=chain[number].id, seed=0,
                settings={}, source="shadow",
            )  # fmt: skip
            ab_tests.finish(store, test, {"verdict": verdict}, now=2.0)
        foreseen = clean_up_files(store, home, keeping, now=9.0, dry_run=True)
        assert [one.in_words() for one in foreseen] == [
            f"{chain[number].name}: would be removed from Ollama" for number in (2, 4)
        ]
        found = clean_up_files(store, home, keeping, now=9.0)
        assert [one.in_words() for one in found] == [f"{chain[number].name}: removed from Ollama" for number in (2, 4)]
        held = {model.name.removesuffix(":latest") for model in api.models()}
        assert held == {chain[number].name for number in (0, 1, 3, 5)}
        assert clean_up_files(store, home, keeping, now=10.0) == []
    assert all(version_problem(home, versions.get(store, version.id)) is None for version in chain)
