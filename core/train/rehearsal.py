"""What a run would be, before it is queued: its plan, its first rows, and one step of it in a process of its own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from core.errors import RunError
from core.paths import Home, write_whole
from core.train.launch import child_environment
from core.train.masked import MaskedRow
from core.train.preflight import Preflight

if TYPE_CHECKING:
    from core.training import Plan, Prepared

TASK: Final = "task.json"
RESULT: Final = "result.json"
_LOG: Final = "log.txt"


@dataclass(frozen=True, slots=True)
class Step:
    """One step as it really was. `examples` filled one pass with `tokens`; `loss` is that of the method.

    `peak` are the bytes it held at most, `planned` what the memory plan says for just these examples; on a GPU both
    without the context that CUDA keeps for itself.
    """

    examples: int
    tokens: int
    loss: float
    gradient_norm: float
    load_seconds: float
    seconds: float
    peak: int
    planned: int
    device: str
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RunCheck:
    """A run that was not begun. `summary` tells of the selection, `counts` its items by split, `left_out` training
    examples by the reason why they are not, or not wholly, learned from. `tokens` are those of all `learned` examples,
    `longest` those of the longest conversation.
    """

    category: str
    base: str
    settings: Mapping[str, Any]
    summary: str
    counts: Mapping[str, int]
    preflight: Preflight
    learned: int
    tokens: int
    longest: int
    left_out: Mapping[str, int]
    rows: tuple[MaskedRow, ...]
    step: Step


def rehearse_run(home: Home, ready: Prepared, plan: Plan) -> RunCheck:
    """Takes one step of a prepared run; nothing of it is kept. Raises FinetuneError where the run could not start."""
    from core.training import adapter_of

    ready.check.require()
    items = ready.selection.items
    task = {
        "base": str(ready.model.path),
        "settings": ready.settings.to_mapping(),
        "start": str(adapter_of(home, plan.start)) if plan.start else "",
        "items": [asdict(item) for item in items if item.split == "train"],
    }
    told = _in_own_process(task)
    return RunCheck(
        category=plan.category.name,
        base=ready.base,
        settings=ready.settings.to_mapping(),
        summary=ready.selection.summary,
        counts={split: sum(item.split == split for item in items) for split in ("train", "validation", "test")},
        preflight=ready.check,
        learned=told["examples"],
        tokens=told["tokens"],
        longest=told["longest"],
        left_out=told["left_out"],
        rows=tuple(MaskedRow(**row) for row in told["rows"]),
        step=Step(
            examples=told["step_examples"],
            tokens=told["step_tokens"],
            loss=told["loss"],
            gradient_norm=told["gradient_norm"],
            load_seconds=told["load_seconds"],
            seconds=told["step_seconds"],
            peak=told["peak_bytes"],
            planned=told["planned_bytes"],
            device=told["device"],
            notes=tuple(told["notes"]),
        ),
    )


def _in_own_process(task: Mapping[str, Any]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="finetune-check-") as name:
        folder = Path(name)
        write_whole(folder / TASK, json.dumps(task))
        command = [sys.executable, "-P", "-m", "core.train.check", name]
        with (folder / _LOG).open("wb") as log:
            code = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=child_environment(),
                check=False,
            ).returncode
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
