"""Ollama answers under an application's name with what the store says, whatever happens on the way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fake_ollama import fake_ollama, set_faults
from ollama_kit import ERAS, EchoLocal, add_model, asked_of, config_for

from core.backends.llamacpp import LlamaCppBackend
from core.backends.ollama_api import OllamaApi
from core.config import Config, Serve
from core.doctor_ollama import ollama_checks
from core.errors import BackendError, ConflictError, ExportError, FinetuneError, ProofError
from core.paths import Home
from core.release import ollama_publish, promote
from core.release.local_model import LocalModel
from core.release.ollama_publish import Help, Publisher
from core.release.ollama_serving import catch_up, follow, point
from core.release.quantize import GgufFile
from core.release.switch import Switch
from core.trials import Trials
from storage import aliases, deployments
from storage.db import Store
from storage.rows import VersionRow

ALIAS = "ft-erd"


@pytest.fixture
def versions(store: Store, home: Home, trained_file: GgufFile, llama3_file: GgufFile) -> list[VersionRow]:
    """The base and version 2 are one file, as two trainings never are but bases of two categories may be."""
    files = (trained_file, llama3_file, trained_file)
    return [add_model(store, home, number, file) for number, file in enumerate(files)]


@pytest.fixture(autouse=True)
def echoing(monkeypatch: pytest.MonkeyPatch, backend: LlamaCppBackend) -> None:
    """The embedded side answers as the fake does when it echoes."""

    def local(_: object, path: Path) -> LocalModel:
        from core.paths import sha256_of

        return EchoLocal(backend, GgufFile(path, sha256_of(path), path.stat().st_size, "f16"))

    monkeypatch.setattr(ollama_publish, "LocalModel", local)
    monkeypatch.setattr(Publisher, "_embedded", lambda self: backend_of(backend))


class backend_of:
    def __init__(self, backend: LlamaCppBackend) -> None:
        self._backend = backend

    def __enter__(self) -> LlamaCppBackend:
        return self._backend

    def __exit__(self, *exc: object) -> None: ...


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def switched(store: Store, home: Home, url: str, said: list[str]) -> Callable[..., Any]:
    """Does one thing as the command line does: `switched("promote", 1)`."""

    def do(what: str, number: int | None = None, **serve: Any) -> Any:
        config = Config(publish=config_for(url).publish, serve=Serve(**{"ollama": url, **serve}))
        switch, using = Switch(store, home, config), Help(said.append)
        if what == "promote":
            chosen = next(one.id for one in promote.versions.list_versions(store) if one.number == number)
            return switch.promote(chosen, why="", evidence={}, using=using)
        return switch.rollback("erd", why="", using=using) if what == "rollback" else switch.undo("erd", using=using)

    return do


def agrees(store: Store, api: OllamaApi) -> bool:
    """Does Ollama answer under the alias with the version that the store names?"""
    alias = aliases.get(store, ALIAS)
    assert alias is not None
    row = deployments.get(store, alias.version_id, api.url)
    return row is not None and api.digest_of(ALIAS) == row.digest == api.digest_of(row.name)


def test_every_change_takes_ollama_along(
    store: Store, api: OllamaApi, versions: list[VersionRow], switched: Callable[..., Any], said: list[str]
) -> None:
    for what, number in (("promote", 1), ("promote", 2), ("rollback", None), ("undo", None), ("rollback", None)):
        switched(what, number)
        assert agrees(store, api), what
    assert said[-1] == "ft-erd in Ollama answers with ft-demo-erd-v1."
    switched("rollback")  # to the base, which was never given to Ollama before
    assert agrees(store, api) and promote.serving(store, Config(), "erd") == versions[0]
    assert [name for name in api.loaded() if "v1" in name] == []
    assert {one.name for one in api.models()} == {f"{ALIAS}:latest", *(f"{one.name}:latest" for one in versions)}


def test_a_promotion_that_ollama_cannot_serve_is_refused_and_changes_nothing(
    store: Store, url: str, api: OllamaApi, versions: list[VersionRow], switched: Callable[..., Any]
) -> None:
    switched("promote", 1)
    history = aliases.history(store, ALIAS)
    for faults in ({"chat_wrong": True}, {"upload_full": True}, {"create_status": 500}):
        set_faults(url, **faults)
        if "upload_full" in faults:  # version 2 has the base's file, which is there already after the first
            continue
        with pytest.raises((ExportError, BackendError)):
            switched("promote", 2)
        set_faults(url)
        assert aliases.history(store, ALIAS) == history and agrees(store, api)
        assert api.digest_of(versions[2].name) is None
    switched("promote", 2)
    assert agrees(store, api)


def test_a_full_disk_of_ollama_refuses_the_promotion(
    store: Store, url: str, versions: list[VersionRow], switched: Callable[..., Any]
) -> None:
    set_faults(url, upload_full=True)
    with pytest.raises(BackendError, match="no space left") as refused:
        switched("promote", 1)
    assert "OLLAMA_MODELS" in refused.value.hint and aliases.get(store, ALIAS) is None


def test_a_full_disk_here_leaves_what_served(
    store: Store, api: OllamaApi, versions: list[VersionRow], switched: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    switched("promote", 1)

    def full(*_: object, **__: object) -> None:
        raise FinetuneError("The disk is full.")

    with monkeypatch.context() as patch:
        patch.setattr(aliases, "point", full)
        with pytest.raises(FinetuneError, match="disk is full"):
            switched("promote", 2)
    assert promote.serving(store, Config(), "erd") == versions[1] and agrees(store, api)


def test_proof_and_conflict_come_before_anything_is_sent(
    store: Store, home: Home, url: str, versions: list[VersionRow], switched: Callable[..., Any]
) -> None:
    switched("promote", 1)
    asked = len(asked_of(url, "/api/create"))
    with pytest.raises(ConflictError):
        switched("promote", 1)
    file = home.resolve(versions[2].gguf["f16"]["path"])
    content = file.read_bytes()
    file.unlink()
    file.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    with pytest.raises(ProofError, match="altered"):
        switched("promote", 2)
    assert len(asked_of(url, "/api/create")) == asked


def test_without_ollama_or_where_it_is_not_wanted_the_store_alone_changes(
    store: Store, url: str, versions: list[VersionRow], switched: Callable[..., Any], said: list[str]
) -> None:
    switched("promote", 1, ollama="127.0.0.1:9")
    assert said == []
    switched("promote", 2, backend="embedded")
    switched("rollback", backend="ollama", ollama="127.0.0.1:9")
    assert "follows" in said[-1] and asked_of(url, "/api/version") == []
    assert promote.serving(store, Config(), "erd") == versions[1]


@pytest.mark.parametrize("kind", ["status", "between", "unlike"])
def test_a_copy_that_fails_once_or_twice_is_made_again(
    store: Store, url: str, api: OllamaApi, versions: list[VersionRow], switched: Callable[..., Any], kind: str
) -> None:
    switched("promote", 1)
    set_faults(url, copy=kind, copy_times=2)
    switched("promote", 2)
    assert agrees(store, api)


@pytest.mark.parametrize("faults", [{"copy": "status"}, {"copy": "between"}, {"copy": "unlike"}, {"load_status": 500}])
def test_an_alias_that_cannot_be_pointed_waits_and_follows_later(
    store: Store, home: Home, url: str, api: OllamaApi, versions: list[VersionRow], switched: Callable[..., Any],
    said: list[str], faults: dict[str, Any],
) -> None:  # fmt: skip
    """The store has changed by then, and it alone is the truth."""
    switched("promote", 1)
    Publisher(store, home, config_for(url), api).publish(versions[2])
    set_faults(url, **({"copy_times": -1} if "copy" in faults else {}), **faults)
    switched("promote", 2)
    assert said[-1].startswith("The change holds, but Ollama does not follow yet")
    assert promote.serving(store, Config(), "erd") == versions[2] and not agrees(store, api)
    if faults.get("copy") != "between":
        assert api.digest_of(ALIAS) == api.digest_of(versions[1].name)  # it answers as before meanwhile
    set_faults(url)
    assert catch_up(store, home, config_for(url)) == ["ft-erd in Ollama answers with ft-demo-erd-v2."]
    assert agrees(store, api)
    assert catch_up(store, home, config_for(url)) == follow(store, home, config_for(url)) == []


def test_an_alias_of_its_own_is_not_lost_when_pointing_fails(
    url: str, api: OllamaApi, store: Store, home: Home, versions: list[VersionRow]
) -> None:
    """Nothing else has its manifest: a copy is kept until the change is through."""
    giving = Publisher(store, home, config_for(url), api)
    for version in versions[:2]:
        giving.publish(version)
    api.copy(versions[0].name, ALIAS)
    before = api.digest_of(ALIAS)
    api.delete(versions[0].name)
    set_faults(url, load_status=500)
    with pytest.raises(BackendError):
        point(api, ALIAS, versions[1].name)
    assert api.digest_of(ALIAS) == before
    set_faults(url)
    assert point(api, ALIAS, versions[1].name) and not point(api, ALIAS, versions[1].name)
    assert {model.name for model in api.models()} == {f"{ALIAS}:latest", f"{versions[1].name}:latest"}


def test_an_alias_that_was_not_there_is_not_left_when_pointing_fails(
    url: str, api: OllamaApi, store: Store, home: Home, versions: list[VersionRow]
) -> None:
    Publisher(store, home, config_for(url), api).publish(versions[1])
    set_faults(url, load_status=500)
    with pytest.raises(BackendError):
        point(api, ALIAS, versions[1].name)
    assert api.digest_of(ALIAS) is None
    with pytest.raises(BackendError, match="any more"):
        point(api, ALIAS, "ft-none")


def test_what_somebody_else_promotes_meanwhile_wins(
    store: Store, home: Home, api: OllamaApi, url: str, versions: list[VersionRow], switched: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    switched("promote", 1)
    real, raced = OllamaApi.warm, []

    def warm(self: OllamaApi, name: str) -> None:
        if not raced:  # another process promotes while this one is at its alias, and waits for its turn to point it
            raced.append(name)
            more: dict[str, Any] = {"who": "", "why": "", "evidence": {}, "now": 1.0}
            promote.promote(store, home, config_for(url), versions[0].id, **more)
        real(self, name)

    monkeypatch.setattr(OllamaApi, "warm", warm)
    switched("promote", 2)
    assert promote.serving(store, Config(), "erd") == versions[0] and agrees(store, api)


def test_ollama_without_its_models_gets_them_again(
    store: Store, home: Home, url: str, api: OllamaApi, versions: list[VersionRow], switched: Callable[..., Any]
) -> None:
    switched("promote", 1)
    for model in api.models():
        api.delete(model.name)
    (line,) = [one for one in ollama_checks_of(home, url) if one.name.startswith(ALIAS)]
    assert (line.state, line.hint) == ("warning", "`finetune-tui doctor` makes it follow.")
    assert catch_up(store, home, config_for(url)) == []  # nothing is known to be late, and giving takes time
    assert follow(store, home, config_for(url)) == ["ft-erd in Ollama answers with ft-demo-erd-v1."]
    assert agrees(store, api)
    (line,) = [one for one in ollama_checks_of(home, url) if one.name.startswith(ALIAS)]
    assert line.state == "ok"


def ollama_checks_of(home: Home, url: str) -> list[Any]:
    home.config.write_text(f'[publish]\nnum_ctx = 512\n[serve]\nollama = "{url}"\n', encoding="utf-8")
    return list(ollama_checks(home))


@pytest.mark.parametrize("era", ERAS)
def test_an_update_or_downgrade_of_ollama_is_followed(
    store: Store, home: Home, versions: list[VersionRow], tmp_path: Path, era: str
) -> None:
    with fake_ollama("0.24.0" if era != "0.24.0" else "0.34.1", tmp_path / "changing") as url:
        port = int(url.rpartition(":")[2])
        config = config_for(url)
        Switch(store, home, config).promote(versions[1].id, why="", evidence={})
    with fake_ollama(era, tmp_path / "changing", port=port) as url, OllamaApi(url) as api:
        told: list[str] = []
        follow(store, home, config, note=told.append)
        assert agrees(store, api) and any(era in text for text in told)
        assert follow(store, home, config) == []


def test_ollama_that_is_gone_stops_nothing_but_a_promotion(
    store: Store, home: Home, versions: list[VersionRow], tmp_path: Path
) -> None:
    with fake_ollama("0.34.1", tmp_path / "leaving") as url:
        config = config_for(url)
        Switch(store, home, config).promote(versions[1].id, why="", evidence={})
        port = int(url.rpartition(":")[2])
    Switch(store, home, config).promote(versions[2].id, why="", evidence={})
    assert follow(store, home, config) == catch_up(store, home, config) == []
    Switch(store, home, config).rollback("erd", why="")
    Switch(store, home, config).undo("erd")
    with fake_ollama("0.34.1", tmp_path / "leaving", port=port) as url, OllamaApi(url) as api:
        assert not agrees(store, api)
        assert follow(store, home, config) == ["ft-erd in Ollama answers with ft-demo-erd-v2."]
        assert agrees(store, api)


def test_a_run_tells_where_ollama_refuses_what_it_would_promote(
    store: Store, home: Home, url: str, versions: list[VersionRow], said: list[str]
) -> None:
    """The version is there all the same, and the run goes on."""
    reporter = SimpleNamespace(note=said.append, should_stop=lambda: False)
    at = SimpleNamespace(store=store, home=home, config=config_for(url), reporter=reporter, backend=None)
    trials = Trials(at, versions[1], versions[0])  # type: ignore[arg-type]
    test = SimpleNamespace(id=1, result={"summary": "better"})
    set_faults(url, chat_wrong=True)
    trials._promote(test)  # type: ignore[arg-type]
    assert said[-1].startswith("ft-demo-erd-v1 was not promoted: ") and aliases.get(store, ALIAS) is None
    set_faults(url)
    trials._promote(test)  # type: ignore[arg-type]
    assert said[-1] == "ft-erd serves ft-demo-erd-v1 now."
    trials._promote(test)  # type: ignore[arg-type]
    assert len(aliases.history(store, ALIAS)) == 1
