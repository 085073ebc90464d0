"""Starting, watching and reaping the process of a run."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections import deque
from pathlib import Path
from typing import Final

from core.errors import FinetuneError, RunError
from core.one_thread import not_for_children
from core.paths import Home
from storage import runs
from storage.db import Store
from storage.rows import RunRow

LOG: Final = "log.txt"
LOST_AFTER: Final = 30.0  # seconds without a heartbeat; six of them are due in that time
_TAIL_BYTES: Final = 256 * 1024
_ROOT: Final = Path(__file__).resolve().parents[2]
_FIRST_LOOK: Final = 0.2
OF_A_LAUNCHER: Final = frozenset({"RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"})


def launch(home: Home, run_id: int) -> int:
    """Starts the process of a run and returns its pid; the run claims itself.

    It is a session of its own without input, so that neither a closed terminal nor ctrl+c reaches it; its output goes
    to `runs/<id>/log.txt`. It reaches no model hub. Raises RunError when it does not start.
    """
    command = [sys.executable, "-P", "-m", "core.pipeline", "--home", str(home.root), "--run", str(run_id)]
    return start(command, home.runs / str(run_id) / LOG, cwd=home.root)


def start(command: list[str], log: Path, *, cwd: Path) -> int:
    """Starts a process in a session of its own, its output appended to `log`. Raises RunError when it dies at once."""
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=cwd,
                env=child_environment(),
                start_new_session=True,
                close_fds=True,
            )
    except OSError as error:
        raise RunError(
            f"The training process cannot be started: {error}.", hint="Check the free space and memory, and try again."
        ) from error
    try:
        code = process.wait(timeout=_FIRST_LOOK)
    except subprocess.TimeoutExpired:
        code = 0
        # Waiting in a thread takes the child's exit status when it ends, so that no zombie of it stays.
        threading.Thread(target=process.wait, daemon=True).start()
    if code:
        last = last_lines(log, 1)
        raise RunError(
            f"The training process ended at once with status {code}: {last[-1] if last else 'it said nothing'}",
            hint=f"The whole story is in {log}.",
        )
    return process.pid


def process_started(pid: int) -> float | None:
    """When a living process started, or None when it is gone or a zombie.

    On Linux in seconds since the machine started, which no change of the clock moves; elsewhere since the epoch. Only
    meant to be compared with itself: equal pid and equal start are the same process.
    """
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        try:
            # The name in parentheses may hold spaces; the fields after it start with the state, the 20th is the start.
            fields = stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:
            return None
        return None if fields[0] in "ZXx" else int(fields[19]) / os.sysconf("SC_CLK_TCK")
    import psutil

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else float(process.create_time())
    except psutil.Error:
        return None


def is_alive(run: RunRow) -> bool:
    """Whether the very process that claimed the run lives: same pid and same start, and no zombie."""
    return run.pid is not None and run.pid_started is not None and process_started(run.pid) == run.pid_started


def reap_lost(store: Store, now: float) -> list[int]:
    """Marks the running run lost when its heartbeat is too old *and* its process is gone; returns the ids marked."""
    run = runs.active(store)
    if run is None or is_alive(run):
        return []
    return [run.id] if runs.mark_lost(store, run.id, heartbeat_before=now - LOST_AFTER) else []


def tail_log(home: Home, run: RunRow, lines: int) -> list[str]:
    """The last `lines` lines of a run's log, at most the last 256 KiB of it; none when there is no log yet, or the run
    names a folder that is none of this home's."""
    try:
        folder = home.resolve(run.folder)
    except FinetuneError:
        return []
    return last_lines(folder / LOG, lines)


def last_lines(log: Path, lines: int) -> list[str]:
    """The last `lines` lines of a log, at most its last 256 KiB; none when it cannot be read."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL_BYTES))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return []
    return list(deque(text.splitlines(), maxlen=lines))


def child_environment() -> dict[str, str]:
    """The environment of a child: this package found from any folder, no model hub, no telemetry, output at once.

    It does not belong to the processes that a launcher may have started this one with.
    """
    found = os.environ.get("PYTHONPATH", "")
    own = OF_A_LAUNCHER | not_for_children()
    return {
        **{name: value for name, value in os.environ.items() if name not in own},
        "PYTHONPATH": f"{_ROOT}{os.pathsep}{found}" if found else str(_ROOT),
        "PYTHONUNBUFFERED": "1",
        "PYTHONWARNINGS": "ignore::FutureWarning",  # what libraries tell their developers has no place in a run's log
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "HF_DATASETS_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
