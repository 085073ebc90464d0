"""What `serve`, `promote`, `models --clean-up` and `doctor` say of Ollama and of settings that cannot be meant."""

from __future__ import annotations

from typing import Any

import pytest
from cli_kit import Run
from versions_kit import add_version

from core.backends import ollama_store
from core.backends.ollama_store import HeldModel
from core.paths import Home
from core.release.retention import FilesCleanedUp
from core.serve.server import Serving
from storage import deployments
from storage.db import open_store
from tui.cli import serve


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """With which settings the gateway was begun; it answers with the embedded llama.cpp, and ends at once."""
    seen: list[dict[str, Any]] = []

    def run(home: Home, *, ready: Any, say: Any, access_log: bool = False, **settings: Any) -> None:
        seen.append(settings)
        ready(Serving("http://127.0.0.1:1", "embedded", "", ("ft-erd",), True))

    monkeypatch.setattr(serve, "run", run)
    return seen


def test_a_category_that_is_none_is_refused_before_anything_listens(
    run: Run, home: Home, begun: list[dict[str, Any]]
) -> None:
    said = run("serve", "--category", "nope", "--json")
    assert said.code == 1 and said.error["title"] == "Unknown category"
    home.ensure()
    home.config.write_text('[serve]\ncategory = "nope"\n')
    assert run("serve").code == 1
    assert begun == []
    assert run("serve", "--category", "erd").code == 0
    assert begun == [{"category": "erd"}]


@pytest.mark.parametrize(
    ("options", "told"),
    [(("--ollama", "http://x:1"), True), (("--ollama", "http://x:1", "--backend", "embedded"), False), ((), False)],
)
def test_an_ollama_that_was_named_and_does_not_answer_is_told(
    run: Run, begun: list[dict[str, Any]], options: tuple[str, ...], told: bool
) -> None:
    said = run("serve", *options)
    assert ("No Ollama answers at http://x:1" in said.err) == told
    assert "answers with the embedded llama.cpp" in said.out


@pytest.mark.parametrize(
    ("backend", "given", "told"),
    [("auto", True, True), ("auto", False, False), ("ollama", False, True), ("embedded", True, False)],
)
def test_a_promotion_says_that_ollama_has_to_follow_later(
    run: Run, home: Home, backend: str, given: bool, told: bool
) -> None:
    home.ensure()
    home.config.write_text(f'[serve]\nbackend = "{backend}"\n')
    with open_store(home.store) as store:
        version = add_version(store, home, 1)
        if given:
            deployments.put(
                store, version_id=version.id, server="http://127.0.0.1:9", name=version.name, digest="0a",
                file_sha256="0b", mode="native", server_version="0.34.1", checks=[], now=1.0,
            )  # fmt: skip
    said = run("promote", "ft-demo-erd-v1")
    assert said.code == 0, said.err
    assert ("Ollama does not answer; it follows when" in said.err) == told


def test_the_doctor_does_not_offer_what_it_gave_to_ollama_as_bases(
    run: Run, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.ensure()
    with open_store(home.store) as store:
        version = add_version(store, home, 1)
        deployments.put(
            store, version_id=version.id, server="http://o:1", name=version.name, digest="0a", file_sha256="0b",
            mode="native", server_version="0.34.1", checks=[], now=1.0,
        )  # fmt: skip
    run("promote", "ft-demo-erd-v1")
    held = [HeldModel(name, 1, "", "") for name in ("ft-erd:latest", "ft-demo-erd-v1:latest", "qwen:1b")]
    monkeypatch.setattr(ollama_store, "held", lambda: held)
    said = run("doctor").out
    assert "it holds 1 model to train from" in said
    monkeypatch.setattr(ollama_store, "held", lambda: held[:2])
    assert "to train from" not in run("doctor").out


def test_a_clean_up_without_anything_to_do_claims_no_gain(run: Run, home: Home) -> None:
    home.ensure()
    said = run("models", "--clean-up").out
    assert "Nothing to remove" in said and "freed" not in said and "on the disk" in said
    assert FilesCleanedUp("v", "erd", 0, planned=True).in_words() == "v: its files were gone already"
