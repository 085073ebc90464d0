"""Append one measured result, with date, device and versions, to `benchmarks/results/<name>.jsonl`."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, smallest and largest of repeated measurements."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "n": len(values)}


def append(name: str, command: str, result: Mapping[str, Any], packages: Sequence[str] = ()) -> None:
    """Keep a result; `packages` names the distributions whose versions matter for it."""
    RESULTS.mkdir(exist_ok=True)
    row = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command,
        "device": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}",
        "versions": {"python": platform.python_version()} | {package: version(package) for package in packages},
        "result": dict(result),
    }
    with (RESULTS / f"{name}.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(row, ensure_ascii=False) + "\n")
