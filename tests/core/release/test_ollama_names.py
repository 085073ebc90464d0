"""Whose a name in Ollama is, and what is left there when a giving fails or is killed."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from fake_ollama import fake_ollama, set_faults
from ollama_kit import EchoLocal, add_model, asked_of, config_for

from core.backends.llamacpp import LlamaCppBackend
from core.backends.ollama_api import OllamaApi
from core.config import Config, Publish
from core.errors import BackendError, ConflictError, ExportError, FinetuneError
from core.paths import Home
from core.release import promote
from core.release.ollama_names import KEPT_TAG, UNCHECKED_TAG
from core.release.ollama_publish import Help, Publisher
from core.release.ollama_serving import Follower, catch_up, follow, point
from core.release.ollama_turns import turn
from core.release.ollama_unpublish import tidy, unpublish
from core.release.quantize import GgufFile
from core.release.switch import Switch
from storage import aliases, deployments
from storage.db import Store
from storage.rows import VersionRow

ALIAS = "ft-erd"
OTHER = b"GGUF and what somebody else has made"


@pytest.fixture
def version(store: Store, home: Home, trained_file: GgufFile) -> VersionRow:
    return add_model(store, home, 1, trained_file)


@pytest.fixture
def helping(backend: LlamaCppBackend, trained_file: GgufFile) -> Help:
    return Help(local=EchoLocal(backend, trained_file))


def give(store: Store, home: Home, api: OllamaApi, using: Help, version: VersionRow, **publish: Any) -> Any:
    return Publisher(store, home, config_for(api.url, **publish), api, using=using).publish(version)


def somebodys(api: OllamaApi, name: str, tmp_path: Path) -> str:
    """Makes a model under a name that is none of ours; its digest."""
    from core.paths import sha256_of

    path = tmp_path / "other.gguf"
    path.write_bytes(OTHER)
    api.upload(path, sha256_of(path))
    api.create(name, files={"other.gguf": sha256_of(path)}, parameters={"num_ctx": 64})
    return api.digest_of(name) or ""


class TestWhatSomebodyElseMade:
    @pytest.mark.parametrize("tag", ["", UNCHECKED_TAG])
    def test_a_version_is_not_written_over_it(
        self, store: Store, home: Home, api: OllamaApi, helping: Help, version: VersionRow, tmp_path: Path, tag: str
    ) -> None:
        theirs = somebodys(api, version.name + tag, tmp_path)
        with pytest.raises(ExportError, match="did not come from here") as refused:
            give(store, home, api, helping, version)
        assert "ollama cp" in refused.value.hint
        assert api.digest_of(version.name + tag) == theirs
        assert deployments.list_deployments(store) == []

    def test_nor_where_they_replaced_ours(
        self, store: Store, home: Home, api: OllamaApi, helping: Help, version: VersionRow, tmp_path: Path
    ) -> None:
        give(store, home, api, helping, version)
        theirs = somebodys(api, version.name, tmp_path)
        with pytest.raises(ExportError, match="did not come from here"):
            give(store, home, api, helping, version)
        assert not unpublish(store, home, version, api)
        assert api.digest_of(version.name) == theirs
        assert deployments.list_deployments(store) == []

    def test_an_alias_of_that_name_refuses_the_promotion(
        self, store: Store, home: Home, api: OllamaApi, helping: Help, version: VersionRow, tmp_path: Path
    ) -> None:
        theirs = somebodys(api, ALIAS, tmp_path)
        switch = Switch(store, home, config_for(api.url))
        with pytest.raises(ExportError, match=f"a model called {ALIAS} that did not come from here"):
            switch.promote(version.id, why="", evidence={}, using=helping)
        assert aliases.get(store, ALIAS) is None and asked_of(api.url, "/api/copy") == []
        # What was promoted while Ollama was away does not take the name either.
        promote.promote(store, home, Config(), version.id, who="", why="", evidence={}, now=1.0)
        alias = aliases.get(store, ALIAS)
        assert alias is not None
        with pytest.raises(ExportError, match="did not come from here"):
            Follower(store, home, config_for(api.url), api, using=helping).follow(alias)
        (said,) = follow(store, home, config_for(api.url))
        assert "does not follow ft-erd yet" in said and "ollama cp" in said
        assert api.digest_of(ALIAS) == theirs

    def test_a_kept_meaning_of_theirs_stays(
        self, store: Store, home: Home, api: OllamaApi, helping: Help, version: VersionRow, tmp_path: Path
    ) -> None:
        theirs = somebodys(api, ALIAS + KEPT_TAG, tmp_path)
        Switch(store, home, config_for(api.url)).promote(version.id, why="", evidence={}, using=helping)
        assert api.digest_of(ALIAS) == api.digest_of(version.name)
        assert api.digest_of(ALIAS + KEPT_TAG) == theirs

    def test_upper_and_lower_case_are_one_name_to_ollama(
        self, store: Store, home: Home, api: OllamaApi, helping: Help, version: VersionRow
    ) -> None:
        give(store, home, api, helping, version)
        point(api, ALIAS, version.name)
        real = OllamaApi.models

        class Shouting(OllamaApi):
            def models(self) -> Any:
                return [type(one)(**{**_fields(one), "name": one.name.upper()}) for one in real(self)]

        with Shouting(api.url) as shouting:
            assert not point(shouting, ALIAS, version.name)


def _fields(row: Any) -> dict[str, Any]:
    return {name: getattr(row, name) for name in row.__slots__}


class TestOurs:
    def test_a_store_put_back_from_a_copy_finds_its_own(
        self, store: Store, home: Home, api: OllamaApi, helping: Help, version: VersionRow
    ) -> None:
        give(store, home, api, helping, version)
        deployments.remove(store, version.id, api.url)
        row = give(store, home, api, helping, version, temperature=0.9)
        assert row.digest == api.digest_of(version.name)
        deployments.remove(store, version.id, api.url)
        assert unpublish(store, home, version, api) and api.digest_of(version.name) is None

    def test_settings_that_fail_leave_what_answered_before(
        self, store: Store, home: Home, api: OllamaApi, helping: Help, version: VersionRow
    ) -> None:
        before = give(store, home, api, helping, version)
        set_faults(api.url, chat_wrong=True)
        with pytest.raises(ExportError, match="is not that version"):
            give(store, home, api, helping, version, temperature=0.9)
        assert api.digest_of(version.name) == before.digest
        assert deployments.list_deployments(store) == [before]
        assert api.digest_of(version.name + UNCHECKED_TAG) is None

    def test_nothing_unchecked_ever_answers_under_the_name(
        self, store: Store, home: Home, api: OllamaApi, helping: Help, version: VersionRow
    ) -> None:
        give(store, home, api, helping, version)
        for path in ("/api/create", "/api/chat"):
            assert {body["model"] for body in asked_of(api.url, path)} == {version.name + UNCHECKED_TAG}
        assert [model.name for model in api.models()] == [f"{version.name}:latest"]

    def test_what_a_kill_left_is_known_and_removed(
        self, store: Store, home: Home, api: OllamaApi, helping: Help, version: VersionRow,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        """The process is gone while it looks at what was made: nothing of its own way out is run."""
        with monkeypatch.context() as patch:
            patch.setattr(OllamaApi, "unload", _gone)
            patch.setattr(OllamaApi, "delete", _gone)
            patch.setattr(OllamaApi, "digest_of", _once(OllamaApi.digest_of, 2))
            with pytest.raises(FinetuneError):
                give(store, home, api, helping, version)
        (begun,) = deployments.list_deployments(store)
        assert begun.digest == "" and api.digest_of(version.name + UNCHECKED_TAG)
        with turn(home, "giving"):
            tidy(store, home, api)  # somebody is at it: left alone
        assert deployments.list_deployments(store) == [begun]
        tidy(store, home, api)
        assert deployments.list_deployments(store) == [] and api.models() == []


def _gone(*_: Any, **__: Any) -> Any:
    raise BackendError("No Ollama answers.")


def _once(real: Any, times: int) -> Any:
    """As the real one so many times, then gone."""
    left = [times]

    def asked(*given: Any) -> Any:
        left[0] -= 1
        return real(*given) if left[0] >= 0 else _gone()

    return asked


class TestStart:
    def test_it_loads_nothing_and_leaves_to_others_what_they_are_at(
        self, store: Store, home: Home, api: OllamaApi, helping: Help, version: VersionRow
    ) -> None:
        config = config_for(api.url)
        give(store, home, api, helping, version)
        promote.promote(store, home, Config(), version.id, who="", why="", evidence={}, now=1.0)
        before = len(asked_of(api.url, "/api/generate"))
        with turn(home, "pointing"):
            assert catch_up(store, home, config) == []
        assert catch_up(store, home, config) == [f"{ALIAS} in Ollama answers with {version.name}."]
        assert api.digest_of(ALIAS) == api.digest_of(version.name)
        assert len(asked_of(api.url, "/api/generate")) == before

    def test_another_server_than_the_configured_one_is_not_meant(
        self, store: Store, home: Home, api: OllamaApi, helping: Help, version: VersionRow, tmp_path: Path
    ) -> None:
        """The version stands on both, and the other one was given it last."""
        config = Config(publish=Publish(num_ctx=512), serve=config_for(api.url).serve)
        give(store, home, api, helping, version)
        promote.promote(store, home, Config(), version.id, who="", why="", evidence={}, now=1.0)
        with fake_ollama("0.34.1", tmp_path / "elsewhere") as elsewhere, OllamaApi(elsewhere) as other:
            give(store, home, other, helping, version)
            deployments.settle_alias(store, other.url, ALIAS, version.id)
            assert catch_up(store, home, config) != []
        assert api.digest_of(ALIAS) == api.digest_of(version.name)


class TestTurns:
    def test_one_at_a_time(self, home: Home) -> None:
        told: list[str] = []
        with turn(home, "giving"):
            with pytest.raises(ConflictError), turn(home, "giving", patient=False):
                pass
            with turn(home, "pointing", patient=False):
                pass

            def other() -> None:
                with turn(home, "giving", check=lambda: told.append("waits")):
                    told.append("has it")

            waiting = threading.Thread(target=other)
            waiting.start()
            while not told:
                pass
            assert "has it" not in told
        waiting.join(10)
        assert told[-1] == "has it"

    def test_a_wait_can_be_ended(self, home: Home) -> None:
        def stop() -> None:
            raise ExportError("stopped")

        with turn(home, "giving"), pytest.raises(ExportError, match="stopped"), turn(home, "giving", check=stop):
            pass
