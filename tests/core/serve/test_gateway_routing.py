"""Which version answers, which category an answer belongs to, and what the lists show."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_ollama import fake_ollama, set_faults
from gateway_kit import Gateway, ask, hold, seen, serving
from versions_kit import add_version

from core.backends.ollama_api import OllamaApi, OllamaError
from core.categories import load_categories
from core.config import load_config
from core.paths import Home
from core.release import promote
from core.serve.embedded import open_embedded
from core.serve.route import Router
from storage import aliases
from storage.db import Store, open_store

CONFIG = """
[serve]
category = "workflows"
[categories.erd]
base_model = "demo"
models = ["Mermaid:7b"]
[categories.api_docs]
base_model = "ollama:base:1b"
"""


@pytest.fixture
def behind(tmp_path: Path, home: Home) -> Iterator[str]:
    home.config.write_text(CONFIG, encoding="utf-8")
    with fake_ollama("0.34.1", tmp_path / "ollama-store") as url:
        for name in ("base:1b", "mermaid:7b", "ft-demo-erd-v1", "ft-demo-erd-v2"):
            hold(url, name)
        yield url


def said(gateway: Gateway, model: str, category: str = "") -> str:
    """The answer of a model, asked in Ollama's form."""
    headers = {"X-Finetune-Category": category} if category else {}
    body = {"model": model, "messages": [{"role": "user", "content": "hi"}], "stream": False}
    status, _, answer = ask(gateway.url, "/api/chat", body, headers=headers)
    return str(answer["message"]["content"] if status == 200 else f"{status} {answer['error']}")


def point(home: Home, version_id: int) -> None:
    """Points the alias as another process would."""
    with open_store(home.store) as other:
        aliases.point(
            other,
            name="ft-erd",
            category="erd",
            to_version=version_id,
            action="promote",
            who="t",
            why="",
            evidence={},
            now=time.time(),
        )


def test_an_alias_before_any_promotion(gateway: Gateway, behind: str, home: Home) -> None:
    refused = said(gateway, "ft-erd")
    assert refused.startswith("404") and "finetune-tui train erd" in refused
    body = {"model": "ft-erd", "messages": [{"role": "user", "content": "hi"}]}
    status, _, error = ask(gateway.url, "/v1/chat/completions", body)
    assert status == 404 and error["error"]["type"] == "not_found_error"
    said(gateway, "ft-api_docs")
    assert seen(behind, "/api/chat")[-1]["body"]["model"] == "base:1b"
    kept = gateway.journal.one()
    assert (kept.category, kept.model, kept.version_id, kept.version_name) == (
        "api_docs",
        "ft-api_docs",
        None,
        "base:1b",
    )


def test_the_base_answers_for_an_alias_before_any_promotion(home: Home, store: Store) -> None:
    home.config.write_text(CONFIG, encoding="utf-8")
    router = Router(store, load_config(home), load_categories(home))
    add_version(store, home, 1)
    add_version(store, home, 0, base="other")
    base = add_version(store, home, 0)
    assert router.route("FT-ERD:latest").version == base


def test_an_alias_switched_between_two_requests(gateway: Gateway, behind: str, home: Home, store: Store) -> None:
    first, second = add_version(store, home, 1), add_version(store, home, 2)
    point(home, first.id)
    said(gateway, "ft-erd")
    point(home, second.id)
    said(gateway, "ft-erd:latest")
    promote.rollback(store, home, load_config(home), "erd", who="t", why="", now=time.time())
    # The store that the gateway reads made this change itself, as no other connection did.
    point(home, first.id)
    said(gateway, "ft-erd")
    assert [one["body"]["model"] for one in seen(behind, "/api/chat")] == [first.name, second.name, first.name]
    assert [one.version_id for one in gateway.journal.exchanges] == [first.id, second.id, first.id]
    assert {one.category for one in gateway.journal.exchanges} == {"erd"}
    assert {one.version_name for one in gateway.journal.exchanges} == {first.name, second.name}


def test_categories(gateway: Gateway, home: Home, store: Store) -> None:
    version = add_version(store, home, 1)
    for model, header in (
        (version.name.upper(), ""),
        ("mermaid:7b", ""),
        ("base:1b", ""),
        ("base:1b", "api_docs"),
        (version.name, "api_docs"),
    ):
        said(gateway, model, header)
    kept = gateway.journal.exchanges
    assert [one.category for one in kept] == ["erd", "erd", "workflows", "api_docs", "api_docs"]
    assert [one.version_id for one in kept] == [version.id, None, None, None, version.id]
    refused = said(gateway, "base:1b", "edr")
    assert refused == "400 There is no category `edr`. Did you mean erd?"


def test_a_body_is_passed_on_byte_for_byte_but_for_the_name(
    gateway: Gateway, behind: str, home: Home, store: Store
) -> None:
    version = add_version(store, home, 1)
    point(home, version.id)
    text = '{ "stream":false,"options":{"temperature":0.10, "seed":1e0},"future": [1.50,"\\u00e9é",{"model":"ft-erd"}],'
    text += '"messages":[{"role":"user","content":"model ft-erd"}] , "model" : "ft-erd" }'
    assert ask(gateway.url, "/api/chat", text.encode())[0] == 200
    got = seen(behind, "/api/chat")[0]
    assert got["body"] == {**json.loads(text), "model": version.name}
    assert int(got["headers"]["content-length"]) == len(text.encode()) + len(version.name) - len("ft-erd")


def test_lists(gateway: Gateway, behind: str, home: Home, store: Store) -> None:
    point(home, add_version(store, home, 2).id)
    tags = {one["name"]: one for one in ask(gateway.url, "/api/tags")[2]["models"]}
    assert {"base:1b", "ft-demo-erd-v1:latest", "ft-erd:latest", "ft-api_docs:latest"} <= set(tags)
    assert tags["ft-erd:latest"]["digest"] == tags["ft-demo-erd-v2:latest"]["digest"]
    assert "ft-workflows:latest" not in tags
    ids = [one["id"] for one in ask(gateway.url, "/v1/models")[2]["data"]]
    assert ids.count("ft-erd") == 1
    assert ask(gateway.url, "/v1/models/ft-erd")[2]["id"] == "ft-erd"
    assert ask(gateway.url, "/api/show", {"model": "ft-erd"})[0] == 200
    assert seen(behind, "/api/show")[0]["body"]["model"] == "ft-demo-erd-v2"


def test_an_alias_that_ollama_has_stands_once(gateway: Gateway, behind: str, home: Home, store: Store) -> None:
    hold(behind, "ft-erd")
    point(home, add_version(store, home, 2).id)
    names = [one["name"] for one in ask(gateway.url, "/api/tags")[2]["models"]]
    assert names.count("ft-erd:latest") == 1


def test_a_version_that_ollama_does_not_hold(gateway: Gateway, home: Home, store: Store) -> None:
    point(home, add_version(store, home, 9).id)
    refused = said(gateway, "ft-erd")
    assert refused.startswith("404") and "finetune-tui doctor" in refused and "ft-demo-erd-v9" in refused
    assert gateway.journal.exchanges == []


def test_a_model_that_vanishes_is_ollamas_own_error(gateway: Gateway, behind: str) -> None:
    set_faults(behind, vanish="base:1b")
    assert said(gateway, "base:1b") == "404 model 'base:1b' not found"


def test_names_from_outside_do_no_harm(home: Home, store: Store) -> None:
    router = Router(store, load_config(home), load_categories(home))
    for name in ("'; DROP TABLE versions; --", "\x00", "x" * 100_000, "../../etc/passwd", "\ud800"):
        assert router.route(name).version is None
    for number in range(3_000):
        router.route(f"model-{number}")
    assert len(router._known) <= 1_026


def test_this_program_finds_the_ollama_behind_its_own_gateway(behind: str, gateway: Gateway) -> None:
    """OLLAMA_HOST is set to the gateway for the sake of applications; models are still given to Ollama itself."""
    with OllamaApi(gateway.url) as api:
        assert api.version() == "0.34.1"
        assert api.url == behind
        api.copy("base:1b", "copied:1b")
        assert api.digest_of("copied:1b") == api.digest_of("base:1b")


def test_a_gateway_without_ollama_is_none(home: Home, store: Store) -> None:
    embedded = open_embedded(store, home, load_config(home), load_categories(home))
    with serving(embedded, home, store) as running, OllamaApi(running.url) as api:
        with pytest.raises(OllamaError, match="no Ollama stands behind it"):
            api.version()
        assert api.url == running.url
