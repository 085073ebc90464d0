"""7B and 8B architectures through NF4 on one NVIDIA card: memory, speed against TRL, and what happens when it is full.

The weights are random: they matter neither for memory nor for speed. TRL's defaults run in the same card's bfloat16
with the same 4-bit base, one example in a pass, as a script for a small card would.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from benchmarks.training import rounds
from benchmarks.training.rounds import GPU_LIMIT, Side, environment
from benchmarks.training.workload import Job, count_tokens, made_items, model_folder

LIMITS_GB: Final = {"7b": 6.0, "8b": 7.5}  # peak reserved memory, 512 tokens, one example in a pass
EXAMPLES, ACCUMULATION = 32, 8
_SETTINGS: Final = {"quantize_base": "on", "precision": "bf16", "gradient_checkpointing": "on", "dropout": 0.05}


def measure(place: Path, models: Sequence[str] = ("7b", "8b")) -> dict[str, Any]:
    """All figures by model; raises SystemExit without a GPU."""
    import torch

    if not torch.cuda.is_available():
        raise SystemExit("There is no GPU here.")
    result: dict[str, Any] = {"gpu": torch.cuda.get_device_name(0)}
    for model in models:
        base = model_folder(model, place)
        torch.cuda.empty_cache()
        result[model] = {
            "memory": full_length(model, base, place),
            "sft": speed("sft", base, place / f"{model}-sft"),
            "dpo": speed("dpo", base, place / f"{model}-dpo"),
            "small card": small_card(base, place / f"{model}-small"),
        }
        shutil.rmtree(base)  # two of them would fill a small disk
    return result


def full_length(model: str, base: Path, place: Path) -> dict[str, Any]:
    """Peak reserved memory with examples of 512 tokens, one in a pass, against the limit and the memory plan."""
    from core.train.config import TrainSettings
    from core.train.memory import detect_device, estimate

    items = made_items(2 * ACCUMULATION, exactly=496)
    job = _job("sft", base, items, place / f"{model}-memory", passes=2)
    side = Side(job)
    for _ in range(job.passes):
        side.one_pass()
    peak = side.end()["peak_mb"] / 1024
    settings = TrainSettings.from_mapping({**_SETTINGS, "batch_size": 1, "max_length": 512})
    config = json.loads((base / "config.json").read_text(encoding="utf-8"))
    plan = estimate(config, settings, detect_device())
    planned = (plan.total - plan.parts["libraries"]) / 2**30  # torch does not count what the driver itself takes
    return {
        "peak_reserved_gb": round(peak, 2),
        "limit_gb": LIMITS_GB[model],
        "planned_gb": round(planned, 2),
        "off_percent": round(100 * (planned / peak - 1), 1),
    }


def speed(method: str, base: Path, folder: Path) -> dict[str, Any]:
    """Real tokens per second of examples of every length, ours against TRL's defaults, taking turns."""
    items = made_items(EXAMPLES)
    ours = _job(method, base, items, folder / "ours", passes=3)
    theirs = replace(ours, variant="defaults", folder=str(folder / "trl"))
    return rounds.compare([ours, theirs], 0)


def small_card(base: Path, folder: Path) -> dict[str, Any]:
    """A run whose passes need more than the process may have: it must halve them and finish its steps.

    The limit is what one example in a pass takes, and a tenth more; the settings ask for 16 in a pass.
    """
    items = made_items(2 * ACCUMULATION, exactly=496)
    alone = Side(_job("sft", base, items, folder / "alone", passes=1))
    alone.one_pass()
    limit = 1.1 * alone.end()["peak_mb"]
    job = _job("sft", base, items, folder / "crowded", passes=1)
    with environment(0, **{GPU_LIMIT: f"{limit:.0f}"}):
        side = Side(replace(job, batch=16, accumulation=1))
        seconds = side.one_pass()
        found = side.end()
    halved = (folder / "crowded" / "log.txt").read_text(encoding="utf-8").count("Out of memory")
    return {"limit_mb": round(limit), "peak_mb": found["peak_mb"], "halved": halved, "seconds": round(seconds, 1)}


def _job(method: str, base: Path, items: Sequence[dict[str, Any]], folder: Path, *, passes: int) -> Job:
    tokens = count_tokens(base, items, method, 512)
    return Job(
        "ours",
        method,
        str(base),
        tuple(items),
        tokens,
        str(folder),
        batch=1,
        accumulation=ACCUMULATION,
        passes=passes,
        settings=_SETTINGS,
    )
