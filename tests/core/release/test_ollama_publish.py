"""Giving a version to Ollama in each of its three eras, and finding out what is wrong with what became of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fake_ollama import fake_ollama, set_faults
from hypothesis import given
from hypothesis import strategies as st
from ollama_kit import ERAS, MODES, EchoLocal, add_model, asked_of, config_for
from tiny_llama import save_llama

from core.backends.llamacpp import LlamaCppBackend
from core.backends.ollama_api import OllamaApi, OllamaError
from core.config import Publish
from core.errors import BackendError, ExportError, FinetuneError, ProofError
from core.paths import Home
from core.release.gguf import export_gguf
from core.release.local_model import LocalModel
from core.release.ollama_names import name_in_ollama
from core.release.ollama_publish import Help, Publisher, publish
from core.release.ollama_sent import parameters_of
from core.release.ollama_unpublish import unpublish
from core.release.quantize import GgufFile
from storage import deployments
from storage.db import Store
from storage.rows import VersionRow

CHECKS = ["file", "parameters", "system prompt", "template", "prompts", "answers", "sent"]


@pytest.fixture
def version(store: Store, home: Home, trained_file: GgufFile) -> VersionRow:
    return add_model(store, home, 1, trained_file)


@pytest.fixture
def helping(backend: LlamaCppBackend, trained_file: GgufFile) -> Help:
    return Help(local=EchoLocal(backend, trained_file))


_OPENED: list[OllamaApi] = []


@pytest.fixture(autouse=True)
def closing() -> Iterator[None]:
    yield
    while _OPENED:
        _OPENED.pop().close()


def client(url: str) -> OllamaApi:
    _OPENED.append(OllamaApi(url))
    return _OPENED[-1]


def publisher(store: Store, home: Home, url: str, using: Help, **more: Any) -> Publisher:
    return Publisher(store, home, config_for(url, **more), client(url), using=using)


@pytest.mark.parametrize("era", ERAS)
def test_every_era_serves_the_file_as_it_answers_here(
    store: Store, home: Home, backend: LlamaCppBackend, version: VersionRow, tmp_path: Path, era: str
) -> None:
    """The fake's answers are those of the blob itself, to the prompt that this era makes."""
    told: list[str] = []
    with fake_ollama(era, tmp_path / "server", answers="llamacpp") as url, OllamaApi(url) as api:
        giving = Publisher(store, home, config_for(url), api, using=Help(told.append, backend=backend))
        row = giving.publish(version)
        assert (row.mode, row.server_version, row.server) == (MODES[era], era, url)
        assert [check["name"] for check in row.checks] == CHECKS and all(check["passed"] for check in row.checks)
        assert (row.name, row.digest) == (version.name, api.digest_of(version.name))
        assert row.file_sha256 == version.gguf["f16"]["sha256"]
        assert row.checks[-2]["detail"] == "3 of 3 are the same"
        shown = api.show(row.name)
        assert shown.parameters["num_predict"] == [512] and shown.parameters["num_ctx"] == [512]
        (created,) = asked_of(url, "/api/create")
        assert ("template" in created) == (MODES[era] == "go") and not {"quantize", "adapters", "from"} & set(created)
        before = len(asked_of(url, "/api/chat"))
        assert publish(store, home, config_for(url), version, api) == row
        assert len(asked_of(url, "/api/create")) == 1 and len(asked_of(url, "/api/chat")) == before
    assert any("Giving ft-demo-erd-v1" in text for text in told)


def test_another_model_than_the_file_is_found_out_by_its_answers(
    store: Store, home: Home, backend: LlamaCppBackend, version: VersionRow, tmp_path: Path
) -> None:
    with fake_ollama("0.34.1", tmp_path / "server", answers="llamacpp") as url:
        other = export_gguf(save_llama(tmp_path / "other", seed=3), tmp_path / "other.f16.gguf", name="other")
        using = Help(local=LocalModel(backend, other.path))
        with pytest.raises(ExportError, match="answers: the server says"):
            publisher(store, home, url, using).publish(version)


@pytest.mark.parametrize(
    ("faults", "said"),
    [
        ({"create_loses_parameters": True}, "parameters: temperature is"),
        ({"chat_wrong": True}, "answers: the server says"),
        ({"create_template": "x" * 10}, ""),
        ({"create_status": 400}, "invalid model name"),
        ({"create_line": "no space left on device"}, "no space left"),
        ({"create_cut": True}, "broke in the middle"),
        ({"create_cut": "line"}, "without saying that it succeeded"),
        ({"upload_full": True}, "no space left"),
        ({"upload_cut": 4096}, "broke in the middle"),
        ({"busy": 99}, "busy"),
        ({"load_status": 500}, ""),
    ],
)
def test_what_is_not_the_version_is_refused_and_leaves_nothing(
    store: Store, home: Home, url: str, helping: Help, version: VersionRow, faults: dict[str, Any], said: str
) -> None:
    giving = publisher(store, home, url, helping)
    set_faults(url, **faults)
    try:
        giving.publish(version)
    except (ExportError, BackendError) as error:
        assert said in error.message and error.hint
    else:
        assert not said  # a fault that this way of publishing never meets
    set_faults(url)
    if said:
        assert client(url).digest_of(version.name) is None
        assert deployments.list_deployments(store) == []
    row = giving.publish(version)  # nothing of what went wrong stays in the way
    assert row.digest == client(url).digest_of(version.name)


@pytest.mark.parametrize("era", ERAS)
def test_ollama_that_ends_in_the_middle_is_said_and_the_next_time_is_whole(
    store: Store, home: Home, version: VersionRow, backend: LlamaCppBackend, tmp_path: Path, era: str,
    trained_file: GgufFile,
) -> None:  # fmt: skip
    """It is stopped at each of the questions that are asked of it, one after the other."""
    steps = ("version", "show", "render_only", "chat", "digest_of", "upload", "create")
    for step in steps:
        with fake_ollama(era, tmp_path / "server") as url:
            giving = publisher(store, home, url, Help(local=EchoLocal(backend, trained_file)))

            def gone(*_: Any, **__: Any) -> Any:
                raise OllamaError("No Ollama answers.")

            setattr(giving._api, step, gone)
            try:
                giving.publish(version)
            except BackendError as error:
                assert "No Ollama answers" in error.message
            else:
                assert (step == "render_only" and era == "0.24.0") or step in ("chat", "digest_of"), step
    with fake_ollama(era, tmp_path / "server") as url:
        row = publisher(store, home, url, Help(local=EchoLocal(backend, trained_file))).publish(version)
        assert row.digest == client(url).digest_of(version.name)


def test_a_new_version_of_ollama_gets_the_models_in_its_own_way_and_back(
    store: Store, home: Home, version: VersionRow, backend: LlamaCppBackend, trained_file: GgufFile, tmp_path: Path
) -> None:
    port, rows = 0, []
    for era in ("0.24.0", "0.34.1", "0.33.0", "0.24.0"):
        with fake_ollama(era, tmp_path / "server", port=port) as url:
            port = int(url.rpartition(":")[2])
            giving = publisher(store, home, url, Help(local=EchoLocal(backend, trained_file)))
            rows.append(giving.publish(version))
            shown = client(url).show(version.name)
            assert shown.template.startswith("{{ define") == (MODES[era] == "go")
            sent = len(asked_of(url, "/api/create"))
            assert sent == (era != "0.33.0")  # the mode is the same, so nothing is to be done
    assert [row.mode for row in rows] == ["go", "native", "native", "go"]
    assert rows[1].digest == rows[2].digest and len({row.id for row in rows}) == 1


def test_names_of_one_file_are_all_given_anew_when_the_way_changes(
    store: Store, home: Home, backend: LlamaCppBackend, trained_file: GgufFile, tmp_path: Path
) -> None:
    first = add_model(store, home, 0, trained_file)
    second = add_model(store, home, 0, trained_file, category="api")
    using = Help(local=EchoLocal(backend, trained_file))
    with fake_ollama("0.24.0", tmp_path / "server") as url:
        port = int(url.rpartition(":")[2])
        for version in (first, second):
            publisher(store, home, url, using).publish(version)
    with fake_ollama("0.34.1", tmp_path / "server", port=port) as url:
        publisher(store, home, url, using).publish(second)
        assert {row.mode for row in deployments.list_deployments(store)} == {"native"}
        assert client(url).show(first.name).template == client(url).show(second.name).template


def test_a_rewritten_file_is_let_pass_where_ollama_rewrites_all(
    store: Store, home: Home, helping: Help, version: VersionRow, tmp_path: Path
) -> None:
    with fake_ollama("0.33.0", tmp_path / "server") as url:
        set_faults(url, rewrites_change=True)
        sha256 = version.gguf["f16"]["sha256"]

        class Rewritten(EchoLocal):
            def gap(self, messages: object, text: str) -> float:
                return 0.0  # the echo names the file, which is another one here

        assert isinstance(helping.local, EchoLocal)
        helping.local.__class__ = Rewritten
        row = publisher(store, home, url, helping).publish(version)
        assert row.file_sha256 != sha256 and "rewritten by Ollama 0.33.0" in row.checks[0]["detail"]
        assert publisher(store, home, url, helping).standing(version) == row
        set_faults(url, no_quantize=True)
        with pytest.raises(BackendError, match="llama-quantize unavailable"):
            publisher(store, home, url, helping, max_tokens=9).publish(version)


def test_settings_that_changed_are_given_anew(
    store: Store, home: Home, url: str, helping: Help, version: VersionRow
) -> None:
    publisher(store, home, url, helping).publish(version)
    giving = publisher(store, home, url, helping, stop=("###", '"end"'), temperature=0.7)
    assert giving.standing(version) is None
    row = giving.publish(version)
    assert client(url).show(row.name).parameters["stop"] == ["###", '"end"']
    assert giving.standing(version) == row


def test_a_version_that_is_not_proved_or_an_ollama_too_old_is_refused(
    store: Store, home: Home, helping: Help, version: VersionRow, tmp_path: Path, url: str
) -> None:
    home.resolve(version.gguf["f16"]["path"]).unlink()
    with pytest.raises(ProofError, match="missing"):
        publisher(store, home, url, helping).publish(version)
    with fake_ollama("0.3.0", tmp_path / "old") as old, pytest.raises(ExportError, match=r"0\.3\.0"):
        publisher(store, home, old, helping).publish(version)


def test_an_upload_can_be_stopped(store: Store, home: Home, url: str, helping: Help, version: VersionRow) -> None:
    seen: list[tuple[int, int]] = []
    stopping = replace(helping, cancelled=lambda: True, progress=lambda *at: seen.append(at))
    with pytest.raises(ExportError, match="stopped"):
        publisher(store, home, url, stopping).publish(version)
    publisher(store, home, url, replace(stopping, cancelled=None)).publish(version)
    assert seen[-1] == (version.gguf["f16"]["bytes"],) * 2


def test_taking_a_version_out_again(store: Store, home: Home, url: str, helping: Help, version: VersionRow) -> None:
    publisher(store, home, url, helping).publish(version)
    api = client(url)
    assert unpublish(store, home, version, api) and api.digest_of(version.name) is None
    assert deployments.list_deployments(store) == []
    assert not unpublish(store, home, version, api)


@given(st.text(min_size=1, max_size=100))
def test_names_are_such_as_ollama_takes(text: str) -> None:
    assert re.fullmatch(r"[a-z0-9_][a-z0-9_.-]{0,79}", name_in_ollama(text))


def test_names_that_are_told_apart_stay_apart() -> None:
    assert name_in_ollama("ft-demo-erd-v1") == "ft-demo-erd-v1"
    odd = ["ft-a b-v1", "ft-a+b-v1", "x" * 90 + "1", "x" * 90 + "2"]
    assert len({name_in_ollama(name) for name in odd}) == 4


def test_parameters_are_all_named() -> None:
    assert parameters_of(Publish()) == {
        "temperature": 0.3,
        "top_p": 0.9,
        "top_k": 40,
        "repeat_penalty": 1.0,
        "num_ctx": 4096,
        "num_predict": 512,
    }
    assert parameters_of(Publish(stop=("a",)))["stop"] == ["a"]


def test_a_store_knows_what_a_server_holds(store: Store, home: Home, version: VersionRow) -> None:
    more = {"digest": "d", "file_sha256": "f", "mode": "go", "server_version": "1", "checks": [], "now": 1.0}
    for server in ("http://a", "http://b"):
        deployments.put(store, version_id=version.id, server=server, name="n", **more)  # type: ignore[arg-type]
    again = deployments.put(store, version_id=version.id, server="http://a", name="m", **more)  # type: ignore[arg-type]
    assert (again.name, len(deployments.list_deployments(store))) == ("m", 2)
    assert [row.server for row in deployments.list_deployments(store, "http://b")] == ["http://b"]
    deployments.settle_alias(store, "http://a", "ft-erd", version.id)
    assert deployments.alias_settled(store, version.id, "http://a", "ft-erd")
    assert not deployments.alias_settled(store, version.id, "http://b", "ft-erd")
    deployments.settle_alias(store, "http://a", "ft-erd", None)
    assert not deployments.alias_settled(store, version.id, "http://a", "ft-erd")
    with pytest.raises(FinetuneError):
        deployments.put(store, version_id=99, server="x", name="n", **more)  # type: ignore[arg-type]
