"""The memory plan of a run against the peak that a process really reaches: `python -m benchmarks.memory_plan`.

Every case trains full-length examples on random weights in a process of its own. On a computer with an NVIDIA card the
peak is what torch reserves there, and the plan is taken without the CUDA context.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.record import append

ROOT: Final = Path(__file__).parents[1]
PACKAGES: Final = ("torch", "transformers", "peft", "bitsandbytes")
STEPS: Final = 2
# hidden, feed-forward, layers, heads, key-value heads, vocabulary
SHAPES: Final[Mapping[str, tuple[int, ...]]] = {
    "narrow": (512, 1408, 6, 8, 4, 16_000),
    "wide": (1024, 2816, 4, 8, 8, 32_000),
}
CASES: Final[tuple[tuple[str, dict[str, Any]], ...]] = (
    ("narrow", {"batch_size": 4, "max_length": 256}),
    ("narrow", {"batch_size": 4, "max_length": 512}),
    ("narrow", {"batch_size": 4, "max_length": 256, "dropout": 0.0}),
    ("narrow", {"batch_size": 4, "max_length": 256, "gradient_checkpointing": "on"}),
    ("narrow", {"batch_size": 2, "max_length": 512, "method": "dpo"}),
    ("narrow", {"max_length": 512, "accumulation": 2, "quantize_base": "on", "optimizer": "adamw_8bit"}),
    ("wide", {"max_length": 512, "rank": 32}),
    ("wide", {"batch_size": 2, "max_length": 512, "gradient_checkpointing": "on"}),
)


def build(folder: Path, shape: Sequence[int]) -> None:
    """A Llama of this shape with random weights, and the tokenizer of the demonstration model."""
    from transformers import LlamaConfig, LlamaForCausalLM

    hidden, wide, layers, heads, key_value, words = shape
    model = LlamaForCausalLM(
        LlamaConfig(
            hidden_size=hidden,
            intermediate_size=wide,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            num_key_value_heads=key_value,
            vocab_size=words,
        )
    )
    model.save_pretrained(folder)
    for file in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(ROOT / "assets" / "demo" / "model" / file, folder / file)


def measure(base: Path, chosen: Mapping[str, Any], threads: int) -> dict[str, Any]:
    """In a fresh process: planned and measured peak in MiB, and the plan's error in percent of the measured one."""
    import torch

    from core.train.base_model import read_config
    from core.train.batches import micro_batches
    from core.train.config import TrainSettings
    from core.train.data import Example, Lesson
    from core.train.footprint import Load
    from core.train.loading import load_tokenizer
    from core.train.memory import detect_device, estimate
    from core.train.parallel import ALONE
    from core.train.peak import PeakMemory
    from core.train.session import open_session
    from core.train.step import Work, learn
    from core.train.trainer import RECIPES

    torch.set_num_threads(threads)
    settings = TrainSettings.from_mapping({"accumulation": 1, **chosen})
    length, half, pair = settings.max_length, settings.max_length // 2, settings.method != "sft"

    def answer(of: int, seed: int) -> Example:
        prompt = [(7 * at + of) % 1000 for at in range(half)]
        return Example((*prompt, *((11 * at + seed) % 1000 for at in range(length - half))), half)

    lessons = [
        Lesson((answer(at, at), answer(at, at + 500)), shared=half, reference=(-100.0, -100.0))
        if pair
        else Lesson((answer(at, at),))
        for at in range(settings.effective_batch)
    ]
    with PeakMemory() as watched:
        session = open_session(base, settings, load_tokenizer(base))
        work = Work(session, RECIPES[settings.method](), ALONE, print)
        for _ in range(STEPS):
            learn(work, lessons)
    peak = watched.total(session.model, session.device)
    passes = micro_batches(range(len(lessons)), [one.cost for one in lessons], token_budget=settings.token_budget)
    load = Load.of([lessons[at] for at in passes[0]])
    plan = estimate(read_config(base), settings, detect_device(), load)
    planned = plan.total - (plan.parts["libraries"] if session.device.type == "cuda" else 0)
    return {
        "planned_mb": round(planned / 2**20),
        "measured_mb": round(peak / 2**20),
        "error_percent": round(100 * (planned / peak - 1), 1),
        "parts_mb": {name: round(size / 2**20) for name, size in plan.parts.items()},
    }


def in_own_process(base: Path, settings: Mapping[str, Any], threads: int) -> dict[str, Any]:
    """`measure` in a process that holds nothing else."""
    command = [sys.executable, "-m", "benchmarks.memory_plan", "--threads", str(threads)]
    command += ["--case", str(base), json.dumps(settings)]
    told = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    if told.returncode:
        raise SystemExit(f"{settings} failed:\n{told.stderr}")
    found: dict[str, Any] = json.loads(told.stdout.splitlines()[-1])
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures every case, prints and records."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--case", nargs=2, metavar=("FOLDER", "SETTINGS"), help=argparse.SUPPRESS)
    args = parser.parse_args(arguments)
    if args.case:
        print(json.dumps(measure(Path(args.case[0]), json.loads(args.case[1]), args.threads)))
        return
    cases = []
    with tempfile.TemporaryDirectory(prefix="bench-memory-") as name:
        for shape, sizes in SHAPES.items():
            build(Path(name) / shape, sizes)
        for shape, settings in CASES:
            found = in_own_process(Path(name) / shape, settings, args.threads)
            cases.append({"model": shape, "settings": settings, **found})
            told = ", ".join(f"{key} {value}" for key, value in settings.items())
            print(
                f"{shape:7} planned {found['planned_mb']:5} MiB  measured {found['measured_mb']:5} MiB  "
                f"{found['error_percent']:+5.1f} %  {told}",
                flush=True,
            )
    worst = max(abs(case["error_percent"]) for case in cases)
    print(f"The plan is off by {worst} % at most.")
    append("memory_plan", "python -m benchmarks.memory_plan", {"worst_percent": worst, "cases": cases}, PACKAGES)


if __name__ == "__main__":
    main()
