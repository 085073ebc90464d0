"""What a run would be, before it is queued: its plan, its first rows, and one step of it in a process of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from core.paths import Home
from core.train.masked import MaskedRow
from core.train.own_process import in_own_process
from core.train.preflight import Preflight

if TYPE_CHECKING:
    from core.training import Plan, Prepared


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
    told = in_own_process("core.train.check", task)
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
