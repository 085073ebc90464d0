"""Broken models, a full disk, a read-only disk and too little memory: said in words, and a way to go on."""

from __future__ import annotations

import json
import os
import resource as limits
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from process_kit import ROOT, cli, command, end_runs, ended, environment, fill, pass_time, resume, start, until

from core.loop import LearningLoop
from core.paths import Home
from core.train.launch import is_alive
from storage.rows import RunRow

pytestmark = pytest.mark.process
SHIPPED = ROOT / "assets" / "demo" / "model"
MOUNTS = sys.platform == "linux" and os.geteuid() == 0


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    made = fill(tmp_path_factory.mktemp("faults") / "home")
    try:
        yield made
    finally:
        end_runs(made)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own that can be filled and made read-only."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=400m", "tmpfs", str(place)]
    if not MOUNTS or subprocess.run(mount, check=False).returncode:
        pytest.skip("only root may mount a disk")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", place], check=False)


def failed(run: RunRow) -> bool:
    return ended(run) and run.status == "failed"


def broken_off(home: Home, run_id: int) -> RunRow:
    """The row of a run that has failed, in words for its user."""
    left = until(home, run_id, failed)
    assert left.error and left.hint
    assert "Traceback" not in left.error and "Unexpected" not in left.error
    shown = cli(home.root, "runs", str(run_id))
    assert shown.returncode == 0 and "✗ failed" in shown.stdout and f"→ {left.hint}" in shown.stdout
    assert cli(home.root, "doctor").returncode == 0
    return left


def goes_on(home: Home, run_id: int) -> None:
    told = resume(home, run_id)
    assert told["status"] == "finished" and told["version"]["proved"] and told["error"] == ""
    folders = {path.name for path in (home.models / told["base_model"].split("/")[-1] / "erd").iterdir()}
    assert folders == {f"v{number}" for number in range(len(folders))}


def test_a_broken_base_model_is_refused_at_the_start_and_survived_later(home: Home, tmp_path: Path) -> None:
    own = tmp_path / "own"
    shutil.copytree(SHIPPED, own)
    weights, config = own / "model.safetensors", own / "config.json"
    whole, described = weights.read_bytes(), config.read_text(encoding="utf-8")

    def refused(message: str) -> None:
        done = cli(home.root, "train", "erd", "--base", str(own), "--json")
        told = json.loads(done.stdout)["error"]
        assert done.returncode == 1 and message in told["message"] and told["hint"]

    weights.write_bytes(whole[: len(whole) // 2])
    refused("is incomplete")
    weights.write_bytes(b"\xff" * 1000)
    refused("is damaged")
    weights.unlink()
    refused("holds no weights")
    weights.write_bytes(whole)
    config.unlink()
    refused("config.json is missing")
    config.write_text(described[:50], encoding="utf-8")
    refused("is damaged")
    shutil.rmtree(own)
    refused("neither a known base model nor a folder")
    assert json.loads(cli(home.root, "runs", "--json").stdout) == []

    shutil.copytree(SHIPPED, own)
    with LearningLoop(home) as loop, pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop.dispatcher, "tend", lambda: [])
        run_id = loop.start_run("erd", base=str(own))
    weights.write_bytes(whole[: len(whole) // 2])
    done = cli(home.root, "resume", str(run_id))
    assert done.returncode == 1 and "is incomplete" in done.stderr and "→" in done.stderr
    assert "is incomplete" in broken_off(home, run_id).error
    weights.write_bytes(whole)
    goes_on(home, run_id)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux sets the limits of a running process")
def test_too_little_memory_is_said_and_the_run_goes_on_with_more(home: Home) -> None:
    run_id = start(home)
    running = until(home, run_id, lambda run: run.step >= 2)
    assert running.pid is not None
    pages = int(Path(f"/proc/{running.pid}/statm").read_text(encoding="ascii").split()[0])
    # Half of what it has mapped: a limit at its present size would still let it reuse what it gives back.
    limits.prlimit(running.pid, limits.RLIMIT_AS, (pages * limits.getpagesize() // 2, limits.RLIM_INFINITY))
    left = broken_off(home, run_id)
    assert "emory" in left.error
    goes_on(home, run_id)


def test_a_full_disk_is_said_and_the_run_goes_on_when_there_is_room(disk: Path) -> None:
    home = fill(disk / "home")
    try:
        run_id = start(home)
        until(home, run_id, lambda run: run.step >= 2)
        ballast = disk / "ballast"
        with ballast.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(disk).free - 4096)
        # Not even the end of the run can be written now: its log says why, and then it counts as lost.
        left = until(home, run_id, lambda run: ended(run) or not is_alive(run))
        said = cli(home.root, "runs", str(run_id), "--log", "20").stdout
        assert "The disk is full" in said and "No space left on device" in said
        assert all(path.name.startswith("step-") for path in (home.resolve(left.folder) / "checkpoints").iterdir())
        refused = cli(home.root, "train", "erd", "--json")
        assert refused.returncode == 1 and "GB free" in json.loads(refused.stdout)["error"]["message"]
        ballast.unlink()
        if not ended(left):
            pass_time(home, run_id)
        goes_on(home, run_id)
        assert cli(home.root, "doctor").returncode == 0
    finally:
        end_runs(home)


def test_a_read_only_home_is_said(disk: Path) -> None:
    home = fill(disk / "home", count=5)
    before = home.store.read_bytes()
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    flags = ("--category", "erd", "--model", "m", "--prompt", "p", "--response", "r")
    for arguments in (("record", *flags), ("train", "erd"), ("stats",), ("runs",), ("backup", str(disk / "copy.db"))):
        done = cli(home.root, *arguments, "--json")
        told = json.loads(done.stdout)
        if done.returncode != 0:
            assert told["error"]["message"] and told["error"]["hint"], arguments
            plain = cli(home.root, *arguments)
            assert plain.returncode == 1 and plain.stderr.startswith("✗ ") and "→" in plain.stderr
        else:
            assert arguments[0] in ("stats", "runs")
    doctor = cli(home.root, "doctor", "--json")
    states = {check["name"]: check["state"] for check in json.loads(doctor.stdout)["checks"]}
    assert doctor.returncode == 1 and states["home"] == "problem"
    assert home.store.read_bytes() == before
    fresh = cli(disk / "fresh", "stats", "--json")
    assert fresh.returncode == 1 and "cannot be made" in json.loads(fresh.stdout)["error"]["message"]


def test_files_may_not_grow_and_nothing_half_written_is_taken_for_whole(tmp_path: Path) -> None:
    home = fill(tmp_path / "home")
    try:
        most = 2_000_000

        def small_files() -> None:
            limits.setrlimit(limits.RLIMIT_FSIZE, (most, most))

        done = cli(home.root, "train", "erd", before=small_files)
        assert done.returncode == 1 and "→" in done.stderr
        with LearningLoop(home) as loop:
            (run,) = loop.runs()
            assert run.status == "failed" and run.hint and loop.versions() == []
        assert [path.name for path in (home.models / "demo" / "erd").iterdir()] == []
        assert cli(home.root, "doctor").returncode == 0
    finally:
        end_runs(home)


def test_a_reader_that_goes_away_ends_a_command_quietly(home: Home) -> None:
    for arguments in (("stats",), ("runs", "999", "--json")):
        reading, writing = os.pipe()
        os.close(reading)
        child = subprocess.Popen(
            command(home.root, *arguments), stdout=writing, stderr=subprocess.PIPE, text=True, env=environment()
        )
        os.close(writing)
        try:
            _, said = child.communicate(timeout=60)
        finally:
            child.kill()
        assert (child.returncode, said) == (1, "")
