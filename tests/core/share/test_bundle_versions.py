"""Versions that travel in a bundle: recognised by content, whole or not at all, never a file out of its folder."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from share_kit import Person, person
from versions_kit import CHECK, add_version

from core.config import Config, Publish
from core.errors import FinetuneError
from core.paths import sha256_of
from core.release.export import Export
from core.release.files import file_problem, version_problem
from core.release.promote import reconcile
from core.release.quantize import GgufFile
from core.release.registry import Origin, register, staging
from core.release.retention import clean_up_files
from storage import versions
from storage.rows import VersionRow

PICKLE = b"\x80\x04K\x01."


def trained(one: Person, number: int, content: bytes, parent: VersionRow | None = None) -> VersionRow:
    """A version with an adapter beside its file, and with a pickle that somebody put there."""
    with staging(one.home, "demo", "erd") as staged:
        (staged / "adapter" / "deep").mkdir(parents=True)
        (staged / "adapter" / "adapter_model.safetensors").write_bytes(b"weights" + content)
        (staged / "adapter" / "adapter_config.json").write_text('{"r": 8}')
        (staged / "adapter" / "deep" / "state.pkl").write_bytes(PICKLE)
        (staged / "adapter" / "odd name.json").write_text("{}")
        path = staged / f"ft-demo-erd-v{number}.q8_0.gguf"
        path.write_bytes(b"GGUF" + content)
        file = GgufFile(path, sha256_of(path), path.stat().st_size, "q8_0")
        made = Origin("erd", "demo", "Draw it.", parent_id=parent and parent.id, settings={"rank": 8, "seed": 3})
        row = register(
            one.store, one.home, Config(), made, staged=staged, export=Export((file,), (CHECK,)), number=number, now=5e8
        )
    versions.update(one.store, row.id, metrics={"mean_score": 81.5, "n": 7, "score_interval": [70.0, 90.0]})
    return versions.get(one.store, row.id)


def altered(path: Path, target: Path, change: Any) -> Path:
    """A copy of a bundle with other members and manifest; hashes and sizes in it are made to fit."""
    with zipfile.ZipFile(path) as archive:
        held = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(held.pop("manifest.json"))
    change(held, manifest)
    for name, data in held.items():
        if name in manifest["files"]:
            manifest["files"][name] = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    with zipfile.ZipFile(target, "w") as archive:
        for name, data in {**held, "manifest.json": json.dumps(manifest).encode()}.items():
            archive.writestr(name, data)
    return target


def test_a_version_arrives_with_its_files_its_proof_and_its_parent(ann: Person, bob: Person, tmp_path: Path) -> None:
    base = add_version(ann.store, ann.home, 0)
    sent = trained(ann, 1, b"one", base)
    later = trained(ann, 2, b"two", sent)
    summary = ann.bundle(tmp_path / "a.zip")
    assert summary.versions == (base.name, sent.name, later.name)
    report = bob.take(tmp_path / "a.zip").to_mapping()
    assert (report["versions_added"], report["versions_merged"], report["left_out"]) == (3, 0, {})
    got = versions.by_name(bob.store, sent.name)
    for key in ("created_at", "category", "base_model", "number", "folder", "settings", "proof", "proved", "gguf"):
        assert getattr(got, key) == getattr(sent, key)
    assert got.metrics == {**sent.metrics, "imported_from": sent.name}
    assert version_problem(bob.home, got) is None
    assert got.parent_id is not None and versions.get(bob.store, got.parent_id).name == base.name
    last = versions.by_name(bob.store, later.name)
    assert last.parent_id == got.id
    folder = bob.home.resolve(got.folder)
    assert (folder / "adapter" / "adapter_model.safetensors").read_bytes() == b"weightsone"
    assert 'SYSTEM """Draw it."""' in (folder / "Modelfile").read_text()
    assert json.loads((folder / "version.json").read_text())["system_prompt"] == "Draw it."
    assert reconcile(bob.store, bob.home, Config(), now=1.0) == []


def test_no_pickle_travels_and_it_is_told(ann: Person, bob: Person, tmp_path: Path) -> None:
    sent = trained(ann, 1, b"one")
    summary = ann.bundle(tmp_path / "a.zip")
    assert "never a pickle" in summary.left_out[f"{sent.name}: adapter/deep/state.pkl"]
    assert f"{sent.name}: adapter/odd name.json" in summary.left_out
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert archive.testzip() is None
        assert not [name for name in archive.namelist() if name.endswith(".pkl")]
        assert not [name for name in archive.namelist() if PICKLE in archive.read(name)]


def test_versions_are_not_doubled_there_and_back(ann: Person, bob: Person, tmp_path: Path) -> None:
    add_version(ann.store, ann.home, 0)
    trained(ann, 1, b"one")
    trained(bob, 1, b"of bob")
    ann.bundle(tmp_path / "a.zip")
    first = bob.take(tmp_path / "a.zip")
    renamed = [(one.sent_as, one.name, one.added) for one in first.versions]
    assert renamed == [("ft-demo-erd-v0", "ft-demo-erd-v0", True), ("ft-demo-erd-v1", "ft-demo-erd-v2", True)]
    moved = versions.by_name(bob.store, "ft-demo-erd-v2")
    assert moved.metrics["imported_from"] == "ft-demo-erd-v1" and version_problem(bob.home, moved) is None
    assert [file["path"] for file in moved.gguf.values()] == ["models/demo/erd/v2/ft-demo-erd-v2.q8_0.gguf"]
    assert "FROM ./ft-demo-erd-v2.q8_0.gguf" in (bob.home.resolve(moved.folder) / "Modelfile").read_text()
    again = bob.take(tmp_path / "a.zip")
    assert [one.added for one in again.versions] == [False, False]
    bob.bundle(tmp_path / "b.zip")
    back = ann.take(tmp_path / "b.zip")
    assert [(one.sent_as, one.name, one.added) for one in back.versions] == [
        ("ft-demo-erd-v1", "ft-demo-erd-v2", True),
        ("ft-demo-erd-v0", "ft-demo-erd-v0", False),
        ("ft-demo-erd-v2", "ft-demo-erd-v1", False),
    ]
    assert ann.take(tmp_path / "b.zip").to_mapping()["versions_added"] == 0
    assert ann.versions() == ["ft-demo-erd-v0", "ft-demo-erd-v1", "ft-demo-erd-v2"]


def test_another_prefix_and_a_free_number(ann: Person, tmp_path: Path) -> None:
    trained(ann, 7, b"one")
    ann.bundle(tmp_path / "a.zip")
    other = person(tmp_path / "other", '[general]\nprefix = "my"\n')
    other.take(tmp_path / "a.zip")
    assert other.versions() == ["my-demo-erd-v7"]
    assert version_problem(other.home, versions.by_name(other.store, "my-demo-erd-v7")) is None
    other.store.close()


def test_another_base_under_the_same_name_is_left_out(ann: Person, bob: Person, tmp_path: Path) -> None:
    for who, mark in ((ann, "b2:1"), (bob, "b2:2")):
        row = add_version(who.store, who.home, 0, content=b"GGUF" + mark.encode())
        who.store.connection.execute("UPDATE versions SET settings = ?", (json.dumps({"fingerprint": mark}),))
        assert row.number == 0
    ann.bundle(tmp_path / "a.zip")
    report = bob.take(tmp_path / "a.zip")
    assert "another one" in report.left_out["ft-demo-erd-v0"] and not report.versions
    # The same model exported by another release of the program has other files, and is the same base.
    bob.store.connection.execute("UPDATE versions SET settings = ?", (json.dumps({"fingerprint": "b2:1"}),))
    assert [one.added for one in bob.take(tmp_path / "a.zip").versions] == [False]


def test_without_models_and_of_one_category(ann: Person, bob: Person, tmp_path: Path) -> None:
    ann.record("shop")
    trained(ann, 1, b"one")
    add_version(ann.store, ann.home, category="api_docs")
    assert ann.bundle(tmp_path / "a.zip", models=False).versions == ()
    assert ann.bundle(tmp_path / "a.zip", chosen=["api_docs"]).versions == ("ft-demo-api_docs-v1",)
    bob.take(tmp_path / "a.zip")
    assert bob.counts() == (0, 0, 0, 1)


def test_a_damaged_file_does_not_travel(ann: Person, tmp_path: Path) -> None:
    ann.record("shop")
    sent = trained(ann, 1, b"one")
    (ann.home.root / str(sent.gguf["q8_0"]["path"])).write_bytes(b"GGUFtwo")
    summary = ann.bundle(tmp_path / "a.zip")
    assert summary.versions == () and "altered" in summary.left_out[sent.name]


def test_a_version_of_a_missing_category_is_told(ann: Person, bob: Person, tmp_path: Path) -> None:
    own = person(tmp_path / "own", '[categories.haiku]\ntitle = "Haiku"\n')
    add_version(own.store, own.home, category="haiku")
    own.bundle(tmp_path / "a.zip")
    report = bob.take(tmp_path / "a.zip")
    assert "haiku" in report.left_out["ft-demo-haiku-v1"] and "[categories.haiku]" in report.definitions["haiku"]
    own.store.close()


def test_a_failed_proof_stays_failed(ann: Person, bob: Person, tmp_path: Path) -> None:
    add_version(ann.store, ann.home, passed=False)
    ann.bundle(tmp_path / "a.zip")

    def claim(_: dict[str, bytes], manifest: dict[str, Any]) -> None:
        manifest["versions"][0]["proved"] = True

    bob.take(altered(tmp_path / "a.zip", tmp_path / "b.zip", claim))
    assert not versions.by_name(bob.store, "ft-demo-erd-v1").proved


def test_a_version_that_was_not_proved_does_not_arrive_proved(ann: Person, bob: Person, tmp_path: Path) -> None:
    trained(ann, 1, b"one")
    ann.bundle(tmp_path / "a.zip")

    def deny(_: dict[str, bytes], manifest: dict[str, Any]) -> None:
        manifest["versions"][0]["proved"] = False

    bob.take(altered(tmp_path / "a.zip", tmp_path / "b.zip", deny))
    assert not versions.by_name(bob.store, "ft-demo-erd-v1").proved


def _moved(inside: str) -> Any:
    """The first file of the first version gets this name in the version's folder."""

    def change(_: dict[str, bytes], manifest: dict[str, Any]) -> None:
        files = manifest["versions"][0]["files"]
        files[next(iter(files))] = inside

    return change


def _renamed(name: str) -> Any:
    """The adapter's weights get this name in the bundle."""

    def change(held: dict[str, bytes], manifest: dict[str, Any]) -> None:
        files = manifest["versions"][0]["files"]
        old = next(key for key, inside in files.items() if inside.endswith(".safetensors"))
        files[name] = files.pop(old)
        held[name] = held.pop(old)
        manifest["files"][name] = manifest["files"].pop(old)

    return change


def _told(key: str, value: Any) -> Any:
    def change(_: dict[str, bytes], manifest: dict[str, Any]) -> None:
        manifest["versions"][0][key] = value

    return change


def _first_metrics(_: dict[str, bytes], manifest: dict[str, Any]) -> None:
    manifest["versions"][0]["metrics"] = {"mean_score": "<script>", "n": 3, "prompts": "a\x1b[2J", "x_interval": [1]}


@pytest.mark.parametrize(
    "change",
    [
        _moved("../../../evil.gguf"),
        _moved("/etc/evil.gguf"),
        _moved("a/../../evil.gguf"),
        _moved("..\\evil.gguf"),
        _moved("C:evil.gguf"),
        _moved("deep/evil.gguf"),
        _moved("evil.pkl"),
        _moved(".hidden.gguf"),
        _moved("MODELFILE"),
        _moved("adapter/adapter_MODEL.safetensors"),
        _moved("nul\x00.gguf"),
        _moved(5),
        _renamed("../evil.safetensors"),
        _renamed("evil.safetensors"),
        _renamed("models/0/\x00"),
        _told("base_model", ".."),
        _told("base_model", "a/b"),
        _told("base_model", "base"),
        _told("base_model", ".staging-1-1"),
        _told("category", "../erd"),
        _told("name", "\x1b[2J"),
        _told("number", -1),
        _told("number", 1.5),
        _told("gguf", {}),
        _told("gguf", {"q8_0": "models/0/none.gguf"}),
        _told("gguf", {"q8_0": []}),
        _told("gguf", []),
        _told("created_at", float("nan")),
        _told("proof", [{"name": 1, "passed": True}]),
        _told("proof", {}),
        _told("parent", {"category": "erd"}),
        _told("parent", 3),
        _told("settings", {"a": "x" * 200_000}),
    ],
)
def test_a_bundle_that_would_leave_its_folder_is_refused(ann: Person, bob: Person, tmp_path: Path, change: Any) -> None:
    trained(ann, 1, b"one")
    ann.bundle(tmp_path / "a.zip")
    path = altered(tmp_path / "a.zip", tmp_path / "b.zip", change)
    before = {each for each in tmp_path.rglob("*") if "bob" not in each.parts}
    with pytest.raises(FinetuneError, match="cannot be used"):
        bob.take(path)
    assert {each for each in tmp_path.rglob("*") if "bob" not in each.parts} == before
    assert not list(bob.home.models.iterdir()) and bob.counts() == (0, 0, 0, 0)


def test_figures_that_no_version_has_are_dropped(ann: Person, bob: Person, tmp_path: Path) -> None:
    trained(ann, 1, b"one")
    ann.bundle(tmp_path / "a.zip")
    bob.take(altered(tmp_path / "a.zip", tmp_path / "b.zip", _first_metrics))
    assert versions.by_name(bob.store, "ft-demo-erd-v1").metrics == {"n": 3, "imported_from": "ft-demo-erd-v1"}


def test_what_is_no_gguf_is_left_out(ann: Person, bob: Person, tmp_path: Path) -> None:
    trained(ann, 1, b"one")
    ann.bundle(tmp_path / "a.zip")

    def swap(held: dict[str, bytes], _: dict[str, Any]) -> None:
        name = next(name for name in held if name.endswith(".gguf"))
        held[name] = b"PK\x03\x04 something else"

    report = bob.take(altered(tmp_path / "a.zip", tmp_path / "b.zip", swap))
    assert "no GGUF file" in report.left_out["ft-demo-erd-v1"]
    assert bob.versions() == [] and not list(bob.home.models.rglob("*.gguf"))


def test_a_version_without_files_stays_behind_and_is_known_again(ann: Person, tmp_path: Path) -> None:
    """What a bundle brings back is the version that gave up its files, not another one beside it."""
    ann.record("shop", verdict="good")
    first = trained(ann, 1, b"one")
    trained(ann, 2, b"two", first)
    ann.bundle(tmp_path / "whole.zip")
    clean_up_files(ann.store, ann.home, Config(publish=Publish(keep_versions=1)), now=9.0)
    sent = ann.bundle(tmp_path / "less.zip")
    assert sent.versions == ("ft-demo-erd-v2",)
    assert sent.left_out["ft-demo-erd-v1"].endswith("its files were removed to save space")
    ann.take(tmp_path / "whole.zip")
    assert [version.name for version in versions.list_versions(ann.store)] == ["ft-demo-erd-v1", "ft-demo-erd-v2"]
    carl = person(tmp_path / "carl")
    carl.take(tmp_path / "less.zip")
    carl.take(tmp_path / "whole.zip")
    assert len(versions.list_versions(carl.store)) == 2
    (ann.home.resolve(first.folder) / "version.json").write_text("no JSON")
    ann.take(tmp_path / "whole.zip")  # then nothing tells that it is the same
    assert len(versions.list_versions(ann.store)) == 3
    carl.store.close()


KILLED = """
import os, signal, sys
from pathlib import Path
from core.release import registry
from share_kit import person

after = int(sys.argv[3])
seen = 0

def die(*_):
    global seen
    seen += 1
    if seen > after:
        os.kill(os.getpid(), signal.SIGKILL)

flush = registry.flush
registry.flush = lambda path: (die(), flush(path))
person(Path(sys.argv[1])).take(Path(sys.argv[2]), progress=die)
"""


@pytest.mark.process
def test_killed_anywhere_it_is_whole_and_can_be_completed(ann: Person, tmp_path: Path) -> None:
    for number in range(30):
        ann.record(f"shop {number}", verdict="good")
    sent = trained(ann, 1, b"one")
    trained(ann, 2, b"two", sent)
    ann.bundle(tmp_path / "a.zip")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    after, died = 0, 0
    while True:
        root = tmp_path / f"carl{after}"
        command = [sys.executable, "-c", KILLED, str(root), str(tmp_path / "a.zip"), str(after)]
        code = subprocess.run(command, env=environment, check=False).returncode
        carl = person(root)
        reconcile(carl.store, carl.home, Config(), now=1.0)
        known = versions.list_versions(carl.store)
        assert all(file_problem(carl.home, version, "q8_0") is None for version in known)
        assert {path.name for path in carl.home.models.glob("demo/erd/*")} == {f"v{one.number}" for one in known}
        carl.take(tmp_path / "a.zip")
        assert carl.counts() == ann.counts() and carl.outputs() == ann.outputs()
        assert carl.versions() == ann.versions()
        carl.store.close()
        if code == 0:
            break
        assert code == -signal.SIGKILL
        died += 1
        after += 3
    assert died > 4
