"""The person's own editor, without the app."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from tui.external_editor import EditorError, edit, editor_command, suffix_of


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the files of editors lie during a test."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def script(tmp_path: Path, body: str) -> list[str]:
    path = tmp_path / "editor"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o700)
    return [str(path)]


def test_what_the_editor_leaves_comes_back_and_nothing_stays(tmp_path: Path, place: Path) -> None:
    seen = tmp_path / "seen"
    command = script(tmp_path, f'ls -ld "$(dirname "$1")" "$1" > {seen}; cat "$1" >> {seen}; printf "new\\n" > "$1"')
    assert edit("old", suffix=".mmd", command=command) == "new"
    folder, file, text = seen.read_text().splitlines()
    assert folder.startswith("drwx------") and file.startswith("-rw-------") and file.endswith(".mmd")
    assert text == "old"
    assert not list(place.iterdir())


@pytest.mark.parametrize("body", ["true", 'echo >> "$1"', 'rm "$1"'], ids=["unchanged", "last newline", "removed"])
def test_the_same_text_is_none(tmp_path: Path, place: Path, body: str) -> None:
    assert edit("old", suffix=".md", command=script(tmp_path, body)) is None
    assert not list(place.iterdir())


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('echo more >> "$1"; exit 3', "ended with code 3, so nothing of it was taken over"),
        ("kill -9 $$", "was ended by signal 9"),
        ('printf "\\377" > "$1"', "did not save it in UTF-8"),
    ],
)
def test_a_fault_is_told_in_words(tmp_path: Path, place: Path, body: str, said: str) -> None:
    with pytest.raises(EditorError, match=said):
        edit("old", suffix=".md", command=script(tmp_path, body))
    assert not list(place.iterdir())


def test_an_editor_that_cannot_be_started_is_told(tmp_path: Path) -> None:
    path = tmp_path / "no-program"
    path.write_bytes(b"\x7fELF")
    path.chmod(0o700)
    with pytest.raises(EditorError, match="cannot be started"):
        edit("old", suffix=".md", command=[str(path)])


def test_which_editor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = script(tmp_path, "true")[0]
    assert editor_command({"VISUAL": f"'{mine}' -w", "EDITOR": "other"}) == [mine, "-w"]
    assert editor_command({"VISUAL": " ", "EDITOR": mine}) == [mine]
    with pytest.raises(EditorError, match="'no-such-editor' is not there"):
        editor_command({"EDITOR": "no-such-editor -w"})
    with pytest.raises(EditorError, match="is no command"):
        editor_command({"EDITOR": "'vi"})
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    with pytest.raises(EditorError, match="No editor is named"):
        editor_command({})


def test_the_name_tells_the_kind() -> None:
    assert suffix_of("mermaid_er", "erDiagram") == ".mmd"
    assert suffix_of("python", "x = 1") == ".py"
    assert suffix_of("label", ' {"label": "x"}') == ".json"
    assert suffix_of("none", "words") == ".md"
