"""Training against TRL's trainers: `python -m benchmarks.training [--only sft dpo kto start] [--gpu]`.

Same model, same examples, same batch, same adapter; real tokens (no padding) per second of training steps, each side in
a process of its own, all taking turns. TRL runs with its defaults as they come, with its defaults in this project's
precision, and with its fastest settings. `--gpu` runs 7B and 8B architectures through NF4 on one NVIDIA card.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.record import append
from benchmarks.training import rounds, start
from benchmarks.training.theirs import VARIANTS
from benchmarks.training.workload import Job, count_tokens, made_items, model_folder, seed_items

PACKAGES: Final = ("torch", "transformers", "peft", "trl", "accelerate", "bitsandbytes")
PARTS: Final = ("sft", "dpo", "kto", "start")
# Model, method, examples in a pass, passes that are measured: as much as a few minutes allow.
PLAN: Final = (
    ("demo", "sft", 64, 3),
    ("demo", "dpo", 48, 3),
    ("demo", "kto", 32, 2),
    ("large", "sft", 16, 2),
    ("large", "dpo", 8, 2),
)


def jobs(model: str, method: str, examples: int, measured: int, place: Path) -> list[Job]:
    """The jobs of all sides for one line of the plan, ours first."""
    items = seed_items(examples) if model == "demo" else made_items(examples)
    base = model_folder(model, place)
    tokens = count_tokens(base, items, method, 512)
    return [
        Job(
            variant,
            method,
            str(base),
            tuple(items),
            tokens,
            str(place / f"{model}-{method}-{at}"),
            passes=measured + 1,
        )
        for at, variant in enumerate(("ours", *VARIANTS[method]))
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, prints and records."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--models", nargs="+", choices=("demo", "large"), default=("demo", "large"))
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="of every side (default: all cores)")
    parser.add_argument("--repeat", type=int, default=3, help="starts of each side (default: 3)")
    parser.add_argument("--gpu", action="store_true", help="only: 7B and 8B through NF4 on one NVIDIA card")
    args = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="bench-training-") as name:
        place = Path(name)
        if args.gpu:
            from benchmarks.training.gpu import measure

            result = measure(place)
        else:
            result = _speed(args, place)
    print(json.dumps(result, indent=2))
    append("training", " ".join(["python -m benchmarks.training", *sys.argv[1:]]), result, PACKAGES)


def _speed(args: argparse.Namespace, place: Path) -> dict[str, Any]:
    result: dict[str, Any] = {"threads": args.threads, "load": [round(one, 2) for one in os.getloadavg()]}
    for model, method, examples, measured in PLAN:
        if method in args.only and model in args.models:
            sides = jobs(model, method, examples, measured, place)
            found = rounds.compare(sides, args.threads)
            result[f"{model} {method}"] = {"examples": examples, "tokens": sides[0].tokens, **found}
            print(f"{model} {method}: {json.dumps(found)}", file=sys.stderr)
    if "start" in args.only:
        items = seed_items(700)
        base = model_folder("demo", place)
        result["start"] = start.compare(
            Job("ours", "sft", str(base), tuple(items), count_tokens(base, items, "sft", 512), str(place / "start")),
            args.repeat,
            args.threads,
        )
    return result


if __name__ == "__main__":
    main()
