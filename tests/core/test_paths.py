from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.errors import FinetuneError
from core.paths import Home, free_bytes, locate_home, sha256_of, write_whole


def test_where_the_home_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert locate_home(tmp_path / "x").root == tmp_path / "x"
    monkeypatch.setenv("FINETUNE_TUI_HOME", "~/ft")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert locate_home().root == tmp_path / "ft"
    monkeypatch.delenv("FINETUNE_TUI_HOME")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert locate_home().root.name == "finetune-tui"
    assert not (tmp_path / "data").exists()


def test_ensure_makes_the_folders_for_their_owner(tmp_path: Path) -> None:
    home = Home(tmp_path / "a" / "b")
    home.ensure()
    home.ensure()
    assert all(folder.is_dir() for folder in (home.models, home.runs, home.logs, home.exports))
    assert home.root.stat().st_mode & 0o077 == 0
    assert not home.store.exists()


def test_a_home_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FinetuneError) as caught:
        Home(tmp_path / "file" / "home").ensure()
    assert "FINETUNE_TUI_HOME" in caught.value.hint


def test_stored_names_go_there_and_back(home: Home) -> None:
    path = home.models / "demo" / "v1" / "f16.gguf"
    assert home.relative(path) == "models/demo/v1/f16.gguf"
    assert home.resolve("models/demo/v1/f16.gguf") == path
    with pytest.raises(FinetuneError):
        home.relative(home.root.parent / "elsewhere")
    with pytest.raises(FinetuneError):
        home.relative(home.models / ".." / ".." / "elsewhere")


@pytest.mark.parametrize(
    "name", ["", "/etc/passwd", "../x", "models/../../x", "a\\..\\..\\x", "C:\\x", "C:x", "\\x", "a\x00b", ".."]
)
def test_names_cannot_leave_the_home(home: Home, name: str) -> None:
    with pytest.raises(FinetuneError):
        home.resolve(name)


@settings(max_examples=100, suppress_health_check=list(HealthCheck))
@given(name=st.text(st.sampled_from("a./\\:\x00~ é"), max_size=12))
def test_whatever_resolves_lies_inside(home: Home, name: str) -> None:
    try:
        path = home.resolve(name)
    except FinetuneError:
        return
    assert path.resolve().is_relative_to(home.root.resolve())


def test_links(home: Home, tmp_path: Path) -> None:
    outside = tmp_path / "disk2"
    outside.mkdir()
    (home.runs / "trap").symlink_to(tmp_path)
    with pytest.raises(FinetuneError):
        home.resolve("runs/trap/x")
    home.models.rmdir()
    home.models.symlink_to(outside)
    assert home.resolve("models/v1") == home.models / "v1"
    assert home.relative(home.models / "v1") == "models/v1"


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "new" / "file.txt"
    write_whole(path, "größe")
    assert path.read_bytes() == "größe".encode()

    def fail(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(FinetuneError, match="No space left"):
        write_whole(path, b"second")
    assert path.read_bytes() == "größe".encode()
    assert [entry.name for entry in path.parent.iterdir()] == ["file.txt"]


def test_writing_below_a_file_fails_with_a_next_step(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FinetuneError) as caught:
        write_whole(tmp_path / "file" / "deeper", "x")
    assert caught.value.hint


def test_free_space_of_a_folder_that_is_not_there_yet(tmp_path: Path) -> None:
    assert free_bytes(tmp_path / "not" / "yet") > 0


def test_sha256_with_progress(tmp_path: Path) -> None:
    path = tmp_path / "big"
    data = bytes(range(256)) * 20_000
    path.write_bytes(data)
    heard: list[tuple[int, int]] = []
    assert sha256_of(path, lambda done, total: heard.append((done, total))) == hashlib.sha256(data).hexdigest()
    assert heard == [(4 * 1024 * 1024, len(data)), (len(data), len(data))]
