from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from storage.files import partial_of


def ended() -> int:
    """The number of a process that is gone."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_every_name_is_new_and_beside_its_file(tmp_path: Path) -> None:
    path = tmp_path / "a.b"
    first, second = partial_of(path), partial_of(path)
    assert first != second
    assert {first.parent, second.parent} == {tmp_path}
    assert first.name.startswith(f".a.b.{os.getpid()}.")


def test_what_the_killed_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    gone, path = ended(), tmp_path / "a.b"
    left = [f".a.b.{gone}.0123abcd.tmp{end}" for end in ("", "-journal", "-wal", "-shm")]
    kept = [
        "a.b",
        f".a.b.{os.getpid()}.0123abcd.tmp",  # a thread of a process that runs is writing it
        f".a_b.{gone}.0123abcd.tmp",  # of another file
        f".a.b.c.{gone}.0123abcd.tmp",
        f".a.b.{gone}.0123abcd.tmp.mine",  # of the user
        f"x.a.b.{gone}.0123abcd.tmp",
        ".a.b.99999999999.0123abcd.tmp",  # the number of no process
    ]
    for name in [*left, *kept]:
        (tmp_path / name).write_text("x")
    partial_of(path)
    assert {entry.name for entry in tmp_path.iterdir()} == set(kept)


def test_a_folder_that_is_not_there_or_in_the_way_is_left_to_the_writer(tmp_path: Path) -> None:
    partial_of(tmp_path / "not" / "yet" / "file")
    (tmp_path / f".file.{ended()}.0123abcd.tmp").mkdir()
    partial_of(tmp_path / "file")
    assert len(list(tmp_path.iterdir())) == 1
