"""What recording one output costs: `python -m benchmarks.recording [--events 2000]`.

`record_feedback` (durable: sanitise, validate, score, reward, tier, near-duplicates, index) on a store that holds
10,000 events, against the validator alone, and against a plain script that appends a JSON line and calls fsync. Both
write to the same disk, in turn. In batches the cost of an event is that of `record_many` divided by its rows.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from benchmarks.feedback import rows
from benchmarks.record import append
from core.loop import LearningLoop
from core.validate.mermaid.er import MermaidErValidator


def timed(call: Callable[[dict[str, Any]], object], events: list[dict[str, Any]]) -> list[float]:
    """Milliseconds of each call."""
    times = []
    for event in events:
        started = time.perf_counter()
        call(event)
        times.append((time.perf_counter() - started) * 1e3)
    return times


def figures(times: list[float]) -> dict[str, float]:
    return {"median_ms": round(median(times), 4), "p99_ms": round(quantiles(times, n=100)[98], 4)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=2_000)
    args = parser.parse_args()
    many = list(rows(10_000, "erd", seed=1))
    events = list(rows(args.events, "erd", seed=2))
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as name, LearningLoop(Path(name) / "home") as loop:
        started = time.perf_counter()
        loop.record_many(many)
        batched = (time.perf_counter() - started) / len(many) * 1e3
        recorded = timed(lambda event: loop.record_feedback(**event), events)
        validator = MermaidErValidator()
        validated = timed(lambda event: validator.validate(event["response"]), events)
        with (Path(name) / "plain.jsonl").open("a", encoding="utf-8") as file:

            def plain(event: dict[str, Any]) -> None:
                file.write(json.dumps(event) + "\n")
                file.flush()
                os.fsync(file.fileno())

            appended = timed(plain, events)
        result = {
            "record_feedback": figures(recorded),
            "validator": figures(validated),
            "above_validator_median_ms": round(median(recorded) - median(validated), 4),
            "append_and_fsync": figures(appended),
            "record_many_ms_per_event": round(batched, 4),
            "append_over_batched": round(median(appended) / batched, 2),
        }
    print(json.dumps(result, indent=2))
    append("recording", " ".join(["python -m benchmarks.recording", *sys.argv[1:]]), result)


if __name__ == "__main__":
    main()
