"""Versions appear whole, or not at all."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from versions_kit import add_version

from core.config import Config, Publish
from core.errors import ConflictError, ExportError, NotFoundError
from core.paths import Home, sha256_of
from core.release.export import modelfile
from core.release.files import common_kind, serving_kind, version_problem
from core.release.promote import reconcile
from core.release.registry import base_of, find, staging, version_name
from storage import versions
from storage.db import Store, integrity_problems, open_store

TESTS = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join((str(TESTS.parent), str(TESTS)))}


def test_a_version_is_a_folder_and_a_row(store: Store, home: Home) -> None:
    version = add_version(store, home, 3)
    assert version.name == "ft-demo-erd-v3"
    folder = home.models / "demo" / "erd" / "v3"
    assert home.resolve(version.folder) == folder
    assert sorted(path.name for path in folder.iterdir()) == [
        "Modelfile",
        "ft-demo-erd-v3.f16.gguf",
        "ft-demo-erd-v3.q8_0.gguf",
        "version.json",
    ]
    for file in version.gguf.values():
        assert sha256_of(home.resolve(file["path"])) == file["sha256"]
    described = json.loads((folder / "version.json").read_text(encoding="utf-8"))
    assert (described["name"], described["number"], described["proved"]) == (version.name, 3, True)
    assert version.proved
    assert version_problem(home, version) is None
    assert not list(folder.parent.glob(".staging*"))


def test_a_taken_number_is_refused_and_harms_nothing(store: Store, home: Home) -> None:
    first = add_version(store, home, 1)
    with pytest.raises(ConflictError):
        add_version(store, home, 1, content=b"other")
    assert version_problem(home, first) is None
    assert [version.number for version in versions.list_versions(store)] == [1]


def test_a_folder_without_a_row_gives_way(store: Store, home: Home) -> None:
    orphan = home.models / "demo" / "erd" / "v1"
    orphan.mkdir(parents=True)
    (orphan / "half.gguf").write_bytes(b"x")
    version = add_version(store, home, 1)
    assert not (orphan / "half.gguf").exists()
    assert version_problem(home, version) is None


def test_files_are_looked_into(store: Store, home: Home) -> None:
    version = add_version(store, home, 1)
    small, large = (home.resolve(version.gguf[kind]["path"]) for kind in ("q8_0", "f16"))
    assert serving_kind(version) == "q8_0"
    content = small.read_bytes()
    small.write_bytes(b"X" + content[1:])
    assert "altered" in (version_problem(home, version) or "")
    assert version_problem(home, version, thorough=False) is None
    small.write_bytes(content[:-1])
    assert "bytes instead of" in (version_problem(home, version, thorough=False) or "")
    small.write_bytes(content)
    large.unlink()
    assert "missing" in (version_problem(home, version) or "")


def test_an_unproved_version_says_which_check_failed(store: Store, home: Home) -> None:
    assert "q8_0: stops" in (version_problem(home, add_version(store, home, 1, passed=False)) or "")


def test_arms_need_a_common_kind(store: Store, home: Home) -> None:
    a, b = add_version(store, home, 1), add_version(store, home, 2)
    assert common_kind(a, b) == "q8_0"
    versions.update(store, a.id, gguf={"f16": a.gguf["f16"]})
    versions.update(store, b.id, gguf={"q8_0": b.gguf["q8_0"]})
    with pytest.raises(ExportError, match="f16"):
        common_kind(versions.get(store, a.id), versions.get(store, b.id))


def test_versions_are_found_by_name_and_id(store: Store, home: Home) -> None:
    base, version = add_version(store, home, 0), add_version(store, home, 1)
    assert find(store, "ft-demo-erd-v1") == version
    assert find(store, str(version.id)) == version
    assert base_of(store, "erd", "demo") == base
    assert base_of(store, "erd", "other") is None
    with pytest.raises(NotFoundError, match="v9") as caught:
        find(store, "ft-demo-erd-v9")
    assert "ft-demo-erd-v" in caught.value.hint
    assert version_name("ft", "qwen3-4b", "scam_detection", 12) == "ft-qwen3-4b-scam_detection-v12"


def test_the_modelfile_carries_every_parameter_and_cannot_be_broken_out_of() -> None:
    text = modelfile("m.gguf", 'Say """no""" quotes.\nFROM evil', Publish())
    assert text.startswith("FROM ./m.gguf\n")
    for line in ("temperature 0.3", "top_p 0.9", "top_k 40", "num_ctx 4096", "repeat_penalty 1", "num_predict 512"):
        assert f"PARAMETER {line}\n" in text
    assert text.count('"""') == 2
    assert "SYSTEM" not in modelfile("m.gguf", "", Publish())


def test_a_staging_folder_is_gone_after_a_fault(home: Home) -> None:
    with pytest.raises(RuntimeError), staging(home, "demo", "erd") as staged:
        (staged / "file").write_bytes(b"x")
        raise RuntimeError
    assert not staged.exists()


_REGISTER_FOR_EVER = """
import sys
from pathlib import Path
from core.paths import Home
from storage.db import open_store
from versions_kit import add_version
home = Home(Path(sys.argv[1]))
with open_store(home.store) as store:
    print("ready", flush=True)
    while True:
        add_version(store, home, content=b"x" * 20_000)
"""


@pytest.mark.process
def test_a_kill_at_any_moment_leaves_whole_versions(home: Home) -> None:
    """Every row has its folder with the recorded files, and no folder stands without a row after `reconcile`."""
    draw = random.Random(5)
    for _ in range(8):
        child = subprocess.Popen(
            [sys.executable, "-c", _REGISTER_FOR_EVER, str(home.root)], stdout=subprocess.PIPE, env=ENVIRONMENT
        )
        assert child.stdout is not None and child.stdout.readline() == b"ready\n"
        time.sleep(draw.uniform(0.02, 0.15))
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        child.stdout.close()
        with open_store(home.store) as store:
            reconcile(store, home, Config(), now=time.time())
            rows = versions.list_versions(store)
            assert [row for row in rows if version_problem(home, row) is not None] == []
            assert integrity_problems(store) == []
            folders = {path.name for path in (home.models / "demo" / "erd").iterdir()}
            assert folders == {f"v{row.number}" for row in rows}
    assert rows
