"""Homes with real feedback, runs in real processes, and ways to disturb them."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from core.demo import SEED_FEEDBACK
from core.loop import LearningLoop
from core.paths import Home
from storage import runs
from storage.rows import RunRow

ROOT = Path(__file__).parents[2]
PATIENCE = 180.0
QUICK = """
[train]
epochs = 2
batch_size = 1
accumulation = 4
rank = 4
save_every = 1
quantize = ["q8_0"]
ab_prompts = 5
"""


def environment() -> dict[str, str]:
    """One thread everywhere, so that a run and its repetition sum in the same order; no Ollama, no model hub."""
    told = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "OLLAMA_HOST": "127.0.0.1:9", "TERM": "xterm-256color"}
    return {**os.environ, **told, "PYTHONPATH": str(ROOT)}


def command(home: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "tui", "--home", str(home), *arguments]


def cli(
    home: Path,
    *arguments: str,
    stdin: str = "",
    before: Callable[[], None] | None = None,
    seconds: float = PATIENCE,
) -> subprocess.CompletedProcess[str]:
    """A command to its end. No command may ever show a traceback."""
    done = subprocess.run(
        command(home, *arguments),
        input=stdin,
        capture_output=True,
        text=True,
        env=environment(),
        timeout=seconds,
        check=False,
        preexec_fn=before,
    )
    assert "Traceback" not in done.stdout + done.stderr, done.stderr
    return done


def seed_lines(count: int) -> str:
    """Corrected outputs of the shipped feedback as JSON lines, as `record` reads them."""
    rows = [json.loads(line) for line in SEED_FEEDBACK.read_text(encoding="utf-8").splitlines()]
    chosen = [row for row in rows if row.get("correction")][:count]
    keys = ("prompt", "response", "correction")
    return "\n".join(
        json.dumps({**{key: row[key] for key in keys}, "metadata": {"expected": row["expected"]}}) for row in chosen
    )


def fill(folder: Path, settings: str = QUICK, count: int = 60) -> Home:
    """A home with feedback to train on, recorded on the command line."""
    home = Home(folder)
    home.ensure()
    home.config.write_text(settings, encoding="utf-8")
    done = cli(folder, "record", "--category", "erd", "--model", "demo", "--json", stdin=seed_lines(count))
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["recorded"]) == count
    return home


def start(home: Home, *arguments: str) -> int:
    """Starts a run that goes on by itself; its id."""
    done = cli(home.root, "train", "erd", "--base", "demo", "--detach", "--json", *arguments)
    assert done.returncode == 0, done.stdout
    return int(json.loads(done.stdout)["id"])


def until(home: Home, run_id: int, reached: Callable[[RunRow], bool]) -> RunRow:
    """Waits for a state of a run. Fails when it ends without, or takes too long."""
    deadline = time.monotonic() + PATIENCE
    with LearningLoop(home) as loop:
        while time.monotonic() < deadline:
            run = loop.run(run_id)
            if reached(run):
                return run
            assert run.status in ("queued", "running"), (run.status, run.error, loop.log(run_id, 20))
            time.sleep(0.01)
        raise AssertionError((loop.run(run_id), loop.log(run_id, 20)))


def wait(reached: Callable[[], bool], seconds: float = PATIENCE) -> None:
    """Waits until something holds. Fails when it takes too long."""
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def go_on(home: Home, run_id: int) -> None:
    """Lets a run go on in a process of its own, and waits until that has begun: before that its row is the old one."""
    with LearningLoop(home) as loop:
        attempts = loop.run(run_id).attempts
        loop.resume(run_id)
        wait(lambda: loop.run(run_id).attempts > attempts)


def ended(run: RunRow) -> bool:
    return run.status not in ("queued", "running")


def kill(run: RunRow) -> None:
    """kill -9 of the worker of a run."""
    assert run.pid is not None
    os.kill(run.pid, signal.SIGKILL)


def pass_time(home: Home, run_id: int) -> None:
    """What a minute of waiting would do: the last heartbeat is old, so that the run counts as lost."""
    with LearningLoop(home) as loop:
        assert runs.heartbeat(loop.store, run_id, time.time() - 60.0)


def end_runs(home: Home) -> None:
    """Nothing that a test started may outlive it."""
    with LearningLoop(home) as loop:
        for run in loop.runs():
            if run.status == "running" and run.pid is not None and Path(f"/proc/{run.pid}").exists():
                os.kill(run.pid, signal.SIGKILL)


def resume(home: Home, run_id: int) -> dict[str, Any]:
    """`resume` on the command line, to the end of the run."""
    done = cli(home.root, "resume", str(run_id), "--json")
    assert done.returncode == 0, done.stdout
    told: dict[str, Any] = json.loads(done.stdout)
    return told


class Terminal:
    """A child on a pseudo terminal of 120×40, and everything that it has written."""

    def __init__(self, arguments: list[str]) -> None:
        self.fd, child_end = pty.openpty()
        fcntl.ioctl(child_end, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        self.written = b""
        self.process = subprocess.Popen(
            arguments, stdin=child_end, stdout=child_end, stderr=child_end, start_new_session=True, env=environment()
        )
        os.close(child_end)

    def until(self, text: str) -> None:
        """Reads until `text` was written since the last key."""
        end = time.monotonic() + PATIENCE
        while text.encode() not in self.written:
            assert time.monotonic() < end and self.process.poll() is None, f"{text!r}: {self.written[-3000:]!r}"
            self.read(0.1)

    def read(self, seconds: float) -> None:
        """Takes what was written within `seconds`, so that the child never waits for its reader."""
        ready, _, _ = select.select([self.fd], [], [], seconds)
        if ready:
            try:
                self.written += os.read(self.fd, 65_536)
            except OSError:
                return

    def press(self, keys: str) -> None:
        self.written = b""
        os.write(self.fd, keys.encode())

    def close(self) -> None:
        """kill -9, and the terminal is gone."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.fd)
