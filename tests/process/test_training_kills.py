"""kill -9 of a training at any moment, a full or read-only disk, and damage: nothing half is taken for whole."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from benchmarks.training_kills import (
    CASES,
    REFERENCE,
    Attempt,
    Course,
    Trainer,
    Undisturbed,
    half_things,
    kills,
    published,
    trainer,
    undisturbed,
)

pytestmark = pytest.mark.process
MOUNTS = sys.platform == "linux" and os.geteuid() == 0


def test_killed_at_random_every_run_ends_with_the_same_bits(tmp_path: Path) -> None:
    found = kills(tmp_path, 6, random.Random(1), each=2)  # `python -m benchmarks.training_kills` draws others
    assert found.problems == []
    assert found.kills == 6 and found.runs >= 3
    assert found.most_lost <= 2


@dataclass(frozen=True)
class Dpo:
    """Runs of one kind, and how one ends that nobody disturbs."""

    process: Trainer
    expected: Undisturbed

    def attempt(self, folder: Path) -> Attempt:
        return Attempt(str(self.process.base), str(folder), CASES["dpo"])

    def to_end(self, folder: Path, *, most_bytes: int = 0) -> Course:
        return self.process.to_end(replace(self.attempt(folder), most_bytes=most_bytes))

    def killed_in(self, folder: Path, phase: str) -> Course:
        """Killed where a phase begins for the Nth time."""
        course = self.process.to_end(replace(self.attempt(folder), kill_in=phase))
        assert course.status == -signal.SIGKILL
        return course

    def goes_on(self, folder: Path) -> Course:
        """The next attempt ends as if nothing had been."""
        course = self.to_end(folder)
        assert (course.status, course.result) == (0, self.expected.result), course.error
        assert published(folder) == self.expected.kept
        return course


@pytest.fixture(scope="module")
def dpo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dpo]:
    folder = tmp_path_factory.mktemp("dpo")
    with trainer(folder) as process:
        yield Dpo(process, undisturbed(process, folder / "undisturbed", CASES["dpo"]))


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own that can be filled and made read-only."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(place)]
    if not MOUNTS or subprocess.run(mount, check=False).returncode:
        pytest.skip("only root may mount a disk")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", place], check=False)


def said_in_words(course: Course) -> str:
    """What an attempt that failed tells its user."""
    message, hint = course.error
    assert course.status == 1 and message and hint
    assert "Traceback" not in message and "Errno" not in message
    return message


def test_a_full_disk_is_said_and_the_run_goes_on_with_room(dpo: Dpo, disk: Path) -> None:
    run, ballast = disk / "run", disk / "ballast"
    full = False
    for course in dpo.process.begin(dpo.attempt(run)):
        if not full and course.step == 3:
            with ballast.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(disk).free - 8192)
            full = True
    assert "No space left on device" in said_in_words(course) and "resume the run" in course.error[1]
    assert half_things(run, dpo.expected) == [] and not list(run.rglob(".*"))
    assert "cannot be written" in said_in_words(dpo.to_end(run))
    ballast.unlink()
    assert (dpo.goes_on(run).began or 0) >= max(course.saved)


@pytest.mark.parametrize("most_bytes", [64, 20_000])
def test_files_that_may_not_grow_are_said(dpo: Dpo, tmp_path: Path, most_bytes: int) -> None:
    """Too small for the reference of DPO, and for the first checkpoint."""
    run = tmp_path / "run"
    refused = dpo.to_end(run, most_bytes=most_bytes)
    assert "File too large" in said_in_words(refused)
    assert (run / REFERENCE).exists() == (most_bytes > 64)
    assert half_things(run, dpo.expected) == [] and not list(run.rglob(".*"))
    dpo.goes_on(run)


def test_a_folder_that_is_read_only_is_said(dpo: Dpo, disk: Path) -> None:
    run = disk / "run"
    dpo.killed_in(run, "step 6")
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    assert "Read-only file system" in said_in_words(dpo.to_end(run))
    subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
    assert dpo.goes_on(run).began == 4


def test_a_kill_between_the_reference_and_the_first_checkpoint(dpo: Dpo, tmp_path: Path) -> None:
    dpo.killed_in(tmp_path, "step 1")
    before = (tmp_path / REFERENCE).stat()
    assert not (tmp_path / "checkpoints").exists()
    assert dpo.goes_on(tmp_path).began == 0
    assert (tmp_path / REFERENCE).stat().st_ino == before.st_ino


@pytest.mark.parametrize("damage", ["cut", "bits", "empty", "other"])
def test_a_damaged_reference_is_made_anew(dpo: Dpo, tmp_path: Path, damage: str) -> None:
    dpo.killed_in(tmp_path, "checkpoint 2")
    kept = tmp_path / REFERENCE
    whole = kept.read_bytes()
    bits = bytearray(whole)
    bits[-5] ^= 0x10
    kept.write_bytes({"cut": whole[:-9], "bits": bytes(bits), "empty": b"", "other": b"\xff" * len(whole)}[damage])
    assert dpo.goes_on(tmp_path).began == 2


def test_what_a_kill_left_beside_the_reference_goes(dpo: Dpo, tmp_path: Path) -> None:
    """Killed between the writing of the file and its renaming, which is one of the first file operations of a run."""
    for at in range(1, 10):
        run = tmp_path / str(at)
        dpo.process.to_end(replace(dpo.attempt(run), kill_at_file=at))
        if left := list(run.glob(f".{REFERENCE}.*.tmp")):
            break
    assert len(left) == 1 and not (run / REFERENCE).exists()
    dpo.goes_on(run)
    assert not list(run.rglob(".*"))
