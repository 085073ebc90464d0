"""A task done in a process of its own: what starts it and waits, and what the process itself is.

The task lies as JSON in a folder that is there for it alone, and the result beside it; what goes wrong is a result too.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from core.errors import FinetuneError, RunError
from core.paths import write_whole
from core.train.launch import child_environment

TASK: Final = "task.json"
RESULT: Final = "result.json"
_LOG: Final = "log.txt"
_LOOK_SECONDS: Final = 0.5


def in_own_process(
    module: str, task: Mapping[str, Any], check_stop: Callable[[], None] = lambda: None
) -> dict[str, Any]:
    """What a child, run as `python -m module FOLDER`, makes of a task: `task.json` in, `result.json` out.

    `check_stop` is called twice a second and may raise to end it. Raises RunError with what the child reports.
    """
    with tempfile.TemporaryDirectory(prefix="finetune-check-") as name:
        folder = Path(name)
        write_whole(folder / TASK, json.dumps(task))
        with (folder / _LOG).open("wb") as log:
            child = subprocess.Popen(
                [sys.executable, "-P", "-m", module, name],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=child_environment(),
                start_new_session=True,
            )
            try:
                code = _ended(child, check_stop)
            finally:
                child.kill()  # one that has ended is left alone
                child.wait()
        try:
            told: dict[str, Any] = json.loads((folder / RESULT).read_text(encoding="utf-8"))
        except (OSError, ValueError) as fault:
            lines = (folder / _LOG).read_text(encoding="utf-8", errors="replace").strip().splitlines()
            raise RunError(
                f"The process of the check ended with status {code}: {lines[-1] if lines else 'it said nothing'}",
                title="The check failed",
                hint="The system killed it, most likely for lack of memory: choose smaller settings."
                if code == -signal.SIGKILL
                else "Try again; when it happens again, another base model will show whether this one is at fault.",
            ) from fault
    if error := told.get("error"):
        raise RunError(error["message"], title=error["title"], hint=error["hint"])
    return told


def _ended(child: subprocess.Popen[bytes], check_stop: Callable[[], None]) -> int:
    while True:
        check_stop()
        try:
            return child.wait(timeout=_LOOK_SECONDS)
        except subprocess.TimeoutExpired:
            continue


def as_process(
    module: str,
    work: Callable[[Mapping[str, Any]], dict[str, Any]],
    unexpected: Callable[[Exception], FinetuneError],
    arguments: Sequence[str] | None = None,
) -> int:
    """The entry point of such a process: `work` makes the result of the task; `unexpected` puts into words what is none
    of our own errors."""
    parser = argparse.ArgumentParser(prog=module)
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args(arguments).folder
    task = json.loads((folder / TASK).read_text(encoding="utf-8"))
    try:
        result = work(task)
    except FinetuneError as error:
        result = _told(error)
    except Exception as error:  # noqa: BLE001  the boundary of the process: whatever it is, the caller must hear of it
        traceback.print_exc()
        result = _told(unexpected(error))
    write_whole(folder / RESULT, json.dumps(result))
    return 0


def _told(error: FinetuneError) -> dict[str, Any]:
    return {"error": {"title": error.title, "message": error.message, "hint": error.hint}}
