"""Old versions give up their files: which, in which order, and what everybody says of them afterwards."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fake_ollama import fake_ollama
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from versions_kit import add_version

from core.backends.ollama_api import OllamaApi
from core.config import Config, Publish
from core.errors import BackendError, ConflictError, ExportError, FinetuneError, ProofError
from core.loop import LearningLoop
from core.paths import Home, sha256_of
from core.release import retention
from core.release.files import common_kind, serving_kind, version_problem
from core.release.promote import promote, reconcile, rollback, serving, undo
from core.release.retention import clean_up_files, disk_use, gguf_files, needed, old_versions, retire
from storage import ab_tests, deployments, versions
from storage.db import Store, integrity_problems
from storage.rows import VersionRow

TESTS = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join((str(TESTS.parent), str(TESTS)))}
NONE_NEW = Config(publish=Publish(keep_versions=1))


def put(store: Store, home: Home, version: VersionRow) -> None:
    promote(store, home, NONE_NEW, version.id, who="me", why="", evidence={}, now=5.0)


def old(store: Store, config: Config = NONE_NEW) -> list[int]:
    return [version.number for version in old_versions(store, config, "erd")]


def clean(store: Store, home: Home, **more: Any) -> dict[str, int]:
    return {one.version: one.bytes for one in clean_up_files(store, home, NONE_NEW, now=9.0, **more)}


def again(store: Store, version: VersionRow) -> VersionRow:
    return versions.get(store, version.id)


@pytest.fixture
def chain(store: Store, home: Home) -> list[VersionRow]:
    return [add_version(store, home, number) for number in range(6)]


class TestWhatStays:
    def test_the_base_and_the_newest(self, store: Store, chain: list[VersionRow]) -> None:
        assert old(store) == [1, 2, 3, 4]
        assert old(store, Config(publish=Publish(keep_versions=3))) == [1, 2]
        assert old(store, Config()) == []
        assert old(store, Config(publish=Publish(keep_versions=0))) == []

    def test_what_serves_and_where_rollback_and_undo_lead(
        self, store: Store, home: Home, chain: list[VersionRow]
    ) -> None:
        for number in (1, 2, 3):
            put(store, home, chain[number])
        assert old(store) == [1, 4]
        rollback(store, home, NONE_NEW, "erd", who="me", why="", now=6.0)
        assert old(store) == [4]  # v2 serves, a rollback leads to v1, an undo to v3
        reasons = needed(store, NONE_NEW, "erd")
        assert [reasons.get(chain[number].id) for number in (0, 1, 2, 3, 4)] == [
            "the untouched base", "a rollback leads to it", "it serves", "an undo leads to it", None,
        ]  # fmt: skip

    def test_an_open_test_and_an_open_run(self, store: Store, chain: list[VersionRow]) -> None:
        test = ab_tests.start(
            store, created_at=1.0, category="erd", version_a=chain[1].id, version_b=chain[2].id, seed=0, settings={}
        )
        assert old(store) == [3, 4]
        ab_tests.finish(store, test, {"verdict": "keep"}, now=2.0)
        assert old(store) == [1, 2, 3, 4]

    def test_each_category_has_its_own(self, store: Store, home: Home, chain: list[VersionRow]) -> None:
        add_version(store, home, 1, category="architecture")
        assert old(store) == [1, 2, 3, 4]
        assert old_versions(store, NONE_NEW, "architecture") == []


@given(st.lists(st.sampled_from(["1", "2", "3", "4", "rollback", "undo"]), max_size=12))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_was_done_the_way_back_is_never_removed(store: Store, home: Home, steps: list[str]) -> None:
    if not versions.list_versions(store, "erd"):
        for number in range(6):
            add_version(store, home, number)
    for step in steps:
        chain = versions.list_versions(store, "erd")
        try:
            if step == "rollback":
                rollback(store, home, NONE_NEW, "erd", who="me", why="", now=6.0)
            elif step == "undo":
                undo(store, home, NONE_NEW, "erd", who="me", now=6.0)
            else:
                put(store, home, next(each for each in chain if each.number == int(step)))
        except (ConflictError, ProofError):  # nothing to go back to, or long removed
            continue
        clean(store, home)
        current = serving(store, NONE_NEW, "erd")
        assert current is None or version_problem(home, current) is None
        # One rollback, and one undo, must always be possible from here, where there is anything to go back to.
        if current is not None:
            for move in (rollback_of, undo_of):
                move(store, home)


class Back(Exception):
    pass


def rollback_of(store: Store, home: Home) -> None:
    with pytest.raises((Back, ConflictError)), store.transaction():
        rollback(store, home, NONE_NEW, "erd", who="me", why="", now=6.0)
        raise Back


def undo_of(store: Store, home: Home) -> None:
    with pytest.raises((Back, ConflictError)), store.transaction():
        undo(store, home, NONE_NEW, "erd", who="me", now=6.0)
        raise Back


class TestRetiring:
    def test_files_go_and_the_rest_stays(self, store: Store, home: Home, chain: list[VersionRow]) -> None:
        adapter = home.resolve(chain[1].folder) / "adapter" / "adapter_model.safetensors"
        adapter.parent.mkdir()
        adapter.write_bytes(b"weights")
        size = sum(path.stat().st_size for path in gguf_files(home, chain[1]))
        removed = clean(store, home)
        assert removed[chain[1].name] == size > 0
        retired = again(store, chain[1])
        assert (retired.gguf, retired.retired_at, retired.proved, retired.proof) == ({}, 9.0, True, chain[1].proof)
        assert list(gguf_files(home, retired)) == []
        assert adapter.read_bytes() == b"weights"
        assert (home.resolve(retired.folder) / "version.json").exists()
        assert clean(store, home) == {}
        assert version_problem(home, again(store, chain[5])) is None

    def test_a_dry_run_says_the_same_and_removes_nothing(
        self, store: Store, home: Home, chain: list[VersionRow]
    ) -> None:
        foreseen = clean(store, home, dry_run=True)
        assert all(version_problem(home, each) is None for each in versions.list_versions(store))
        assert clean(store, home) == foreseen

    def test_what_is_needed_meanwhile_stays(self, store: Store, home: Home, chain: list[VersionRow]) -> None:
        assert old(store) == [1, 2, 3, 4]
        put(store, home, chain[2])
        assert not retire(store, NONE_NEW, chain[2], now=9.0)
        assert version_problem(home, again(store, chain[2])) is None

    def test_a_promotion_that_was_checked_before_the_clean_up_is_refused(
        self, store: Store, home: Home, chain: list[VersionRow], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def slow(*given: Any, **more: Any) -> str | None:
            found = version_problem(*given, **more)
            monkeypatch.setattr("core.release.promote.version_problem", version_problem)
            clean(store, home)
            return found

        monkeypatch.setattr("core.release.promote.version_problem", slow)
        with pytest.raises(ProofError, match="removed to save space"):
            put(store, home, chain[2])
        assert serving(store, NONE_NEW, "erd") is None

    def test_a_kill_between_the_two_steps_is_made_good(self, store: Store, home: Home, chain: list[VersionRow]) -> None:
        assert retire(store, NONE_NEW, chain[1], now=9.0)
        assert len(list(gguf_files(home, chain[1]))) == 2
        assert clean(store, home, categories=["erd"])[chain[1].name] > 0
        assert list(gguf_files(home, chain[1])) == []

    def test_a_file_that_cannot_be_removed_is_told_and_tried_again(
        self, store: Store, home: Home, chain: list[VersionRow], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        unlink = Path.unlink

        def refused(path: Path, missing_ok: bool = False) -> None:
            if path.suffix == ".gguf":
                raise PermissionError(1, "Operation not permitted")
            unlink(path, missing_ok=missing_ok)

        with monkeypatch.context() as patched:
            patched.setattr(Path, "unlink", refused)
            first = clean_up_files(store, home, NONE_NEW, now=9.0)[0]
        assert (first.bytes, "cannot be removed: Operation not permitted" in first.problem) == (0, True)
        assert clean(store, home)[chain[1].name] > 0

    def test_the_files_of_a_reconciled_store_are_the_same(
        self, store: Store, home: Home, chain: list[VersionRow]
    ) -> None:
        clean(store, home)
        assert reconcile(store, home, NONE_NEW, now=10.0) == []
        assert home.resolve(chain[1].folder).is_dir()


_CLEANER = """
import sys, time
from pathlib import Path
from core.config import Config, Publish
from core.paths import Home
from core.release.retention import clean_up_files
from storage.db import open_store
home = Home(Path(sys.argv[1]))
with open_store(home.store) as store:
    print("ready", flush=True)
    clean_up_files(store, home, Config(publish=Publish(keep_versions=1)), now=9.0)
    time.sleep(5)
"""


@pytest.mark.process
def test_a_kill_at_any_moment_leaves_no_version_without_the_files_it_claims(store: Store, home: Home) -> None:
    for number in range(30):
        add_version(store, home, number)
    rng = random.Random(5)
    for _ in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", _CLEANER, str(home.root)], env=ENVIRONMENT, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(rng.uniform(0.0, 0.03))
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        for version in versions.list_versions(store):
            problem = version_problem(home, version)
            assert problem is None or "removed to save space" in problem
    clean(store, home)
    for version in versions.list_versions(store):
        assert bool(version.gguf) == bool(list(gguf_files(home, version))) == (version.number in (0, 29))
    assert integrity_problems(store) == []


class TestWhatIsSaidOfThem:
    @pytest.fixture
    def retired(self, store: Store, home: Home, chain: list[VersionRow]) -> Iterator[VersionRow]:
        clean(store, home)
        yield again(store, chain[1])

    def test_it_may_not_serve(self, store: Store, home: Home, retired: VersionRow) -> None:
        said = "ft-demo-erd-v1 cannot answer: its files were removed to save space"
        assert version_problem(home, retired) == said
        with pytest.raises(ProofError, match=said):
            put(store, home, retired)

    def test_a_rollback_to_one_says_why_not(self, store: Store, home: Home, chain: list[VersionRow]) -> None:
        for number in (1, 2, 3):
            put(store, home, chain[number])
        clean(store, home)
        rollback(store, home, NONE_NEW, "erd", who="me", why="", now=6.0)
        with pytest.raises(ProofError, match="removed to save space") as refused:
            rollback(store, home, NONE_NEW, "erd", who="me", why="", now=6.0)
        assert refused.value.hint == "Promote another version by its name instead."

    def test_it_cannot_be_compared(
        self, home: Home, store: Store, chain: list[VersionRow], retired: VersionRow
    ) -> None:
        with LearningLoop(home) as loop, pytest.raises(FinetuneError, match="removed to save space"):
            loop.ab(chain[5].id, against=retired.id)
        for a, b in ((retired, chain[5]), (chain[5], retired), (retired, retired)):
            with pytest.raises(ExportError, match="removed to save space") as refused:
                common_kind(a, b)
            assert refused.value.title == "Files removed"
        with pytest.raises(ExportError, match="removed to save space"):
            serving_kind(retired)

    def test_another_that_shares_no_kind_says_so(self, chain: list[VersionRow]) -> None:
        other = replace(chain[2], gguf={"q4_k_m": chain[2].gguf["q8_0"]})
        with pytest.raises(ExportError, match="has f16, q8_0, ft-demo-erd-v2 has q4_k_m"):
            common_kind(chain[1], other)


class TestOllama:
    @pytest.fixture
    def published(self, store: Store, chain: list[VersionRow]) -> VersionRow:
        deployments.put(
            store, version_id=chain[1].id, server="http://127.0.0.1:9", name=chain[1].name, digest="0" * 64,
            file_sha256="0" * 64, mode="native", server_version="0.34.1", checks=[], now=1.0,
        )  # fmt: skip
        return chain[1]

    def test_its_copy_goes_too(
        self, store: Store, home: Home, published: VersionRow, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[tuple[str, str]] = []

        def unpublish(store: Store, home: Home, version: VersionRow, server: str) -> None:
            asked.append((version.name, server))
            deployments.remove(store, version.id, server)

        monkeypatch.setattr(retention, "_unpublish", unpublish)
        found = {one.version: one for one in clean_up_files(store, home, NONE_NEW, now=9.0)}
        assert found[published.name].unpublished
        assert "removed from Ollama" in found[published.name].in_words()
        assert asked == [(published.name, "http://127.0.0.1:9")]
        assert clean_up_files(store, home, NONE_NEW, now=10.0) == []

    def test_where_it_does_not_answer_it_is_tried_again(
        self, store: Store, home: Home, published: VersionRow, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def gone(store: Store, home: Home, version: VersionRow, server: str) -> None:
            raise BackendError("Ollama does not answer.")

        monkeypatch.setattr(retention, "_unpublish", gone)
        found = {one.version: one for one in clean_up_files(store, home, NONE_NEW, now=9.0)}
        assert found[published.name].problem == "Ollama keeps its copy for now: Ollama does not answer."
        assert found[published.name].bytes > 0
        (left,) = clean_up_files(store, home, NONE_NEW, now=10.0)
        assert (left.version, left.bytes, left.unpublished) == (published.name, 0, False)


def test_a_server_that_answers_gives_it_up(store: Store, home: Home, tmp_path: Path, chain: list[VersionRow]) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF and the rest")
    digest = sha256_of(path)
    with fake_ollama("0.34.1", tmp_path / "ollama") as url, OllamaApi(url) as api:
        api.upload(path, digest)
        for version in (chain[1], chain[5]):
            api.create(version.name, files={path.name: digest}, parameters={}, template="{{ .Prompt }}")
            deployments.put(
                store, version_id=version.id, server=api.url, name=version.name, digest="0" * 64, file_sha256=digest,
                mode="native", server_version="0.34.1", checks=[], now=1.0,
            )  # fmt: skip
        done = clean_up_files(store, home, NONE_NEW, now=9.0)
        assert [one.version for one in done if one.unpublished] == [chain[1].name]
        assert [model.name for model in api.models()] == [f"{chain[5].name}:latest"]
        assert [row.version_id for row in deployments.list_deployments(store)] == [chain[5].id]


def test_room_on_the_disk_counts_shared_files_once(store: Store, home: Home) -> None:
    one, other = add_version(store, home, 0), add_version(store, home, 0, category="architecture")
    whole, total = disk_use(home, [one, other])
    shared = home.resolve(str(other.gguf["f16"]["path"]))
    size = shared.stat().st_size
    shared.unlink()
    os.link(home.resolve(str(one.gguf["f16"]["path"])), shared)
    again, less = disk_use(home, [one, other])
    assert again == whole
    assert less == total - size
