"""The memory plan of a run against the peak that a process really reaches."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from benchmarks.training.rounds import Side, environment
from benchmarks.training.workload import Job, count_tokens, made_items, model_folder

# Model, and the settings of the run; every example is as long as the length limit allows.
CASES: Final[tuple[tuple[str, dict[str, Any]], ...]] = (
    ("demo", {"batch_size": 8, "max_length": 256}),
    ("demo", {"batch_size": 16, "max_length": 512}),
    ("demo", {"batch_size": 16, "max_length": 512, "dropout": 0.0}),
    ("demo", {"batch_size": 16, "max_length": 512, "gradient_checkpointing": "on"}),
    ("large", {"batch_size": 4, "max_length": 256}),
    ("large", {"batch_size": 8, "max_length": 512}),
    ("large", {"batch_size": 8, "max_length": 512, "gradient_checkpointing": "on"}),
    ("large", {"batch_size": 8, "max_length": 512, "quantize_base": "on"}),
    ("large", {"batch_size": 4, "max_length": 512, "method": "dpo"}),
)


def measure(place: Path, threads: int) -> dict[str, Any]:
    """Planned and measured peak of each case in MiB, and how far the plan is off, in percent of the measured peak."""
    found = [one_case(model, settings, place / str(at), place, threads) for at, (model, settings) in enumerate(CASES)]
    return {"cases": found, "worst_percent": max(abs(case["off_percent"]) for case in found)}


def one_case(model: str, settings: dict[str, Any], folder: Path, place: Path, threads: int) -> dict[str, Any]:
    """Two passes over two steps of full-length examples in a fresh process."""
    from core.train.config import TrainSettings
    from core.train.memory import detect_device, estimate

    base = model_folder(model, place)
    chosen = TrainSettings.from_mapping({"accumulation": 1, **settings})
    items = made_items(2 * chosen.batch_size, exactly=chosen.max_length - 16)  # room for the marks of the turns
    tokens = count_tokens(base, items, chosen.method, chosen.max_length)
    job = Job("ours", chosen.method, str(base), tuple(items), tokens, str(folder), settings={**settings})
    job = replace(job, batch=chosen.batch_size, max_length=chosen.max_length, passes=2)
    with environment(threads):
        side = Side(job)
        for _ in range(job.passes):
            side.one_pass()
        peak = side.end()["peak_mb"]
    config = json.loads((base / "config.json").read_text(encoding="utf-8"))
    planned = estimate(config, chosen, detect_device()).total / 2**20
    return {
        "model": model,
        "settings": settings,
        "planned_mb": round(planned),
        "measured_mb": round(peak),
        "off_percent": round(100 * (planned / peak - 1), 1),
    }
