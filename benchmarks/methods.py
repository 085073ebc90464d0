"""What preference pairs and lone thumbs bring beside answers: `python -m benchmarks.methods [--seeds 6]`.

The world is that of `benchmarks.learning`: the same log, the same ten minutes of a person. Every arm makes as many
optimizer steps of as many examples on the shipped model as the others; what differs is what they learn from, and how.
The second half of an arm goes on from the adapter of its first. Paired differences with 95 % intervals (Student's t).
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from benchmarks.learning import measure, world
from benchmarks.learning.people import CATEGORY, NOW, label
from benchmarks.learning.report import estimate, paired
from benchmarks.record import append
from core.categories import load_categories
from core.config import Config, Select
from core.select.methods.selecting import Wanted, selected
from core.train.config import Method, TrainSettings
from core.train.presets import PRESETS
from storage.db import open_store
from storage.rows import DatasetItem

HALF: Final = 12
"""Steps of a half: after 12 there is room below the ceiling of the score."""
GENTLE: Final = 0.05
"""Learning rate of DPO and KTO against that of SFT, the product's default."""


@dataclass(frozen=True, slots=True)
class Part:
    """`HALF` steps by one method, `rate` times the learning rate of SFT."""

    method: Method
    rate: float = 1.0


@dataclass(frozen=True, slots=True)
class Arm:
    """What is learned, half after half."""

    name: str
    parts: tuple[Part, ...]


SFT: Final = Part("sft")
ARMS: Final = (
    Arm("SFT", (SFT,)),
    Arm("SFT, then SFT", (SFT, SFT)),
    Arm("SFT, then DPO", (SFT, Part("dpo", GENTLE))),
    Arm("SFT, then DPO ×4", (SFT, Part("dpo", 4 * GENTLE))),
    Arm("SFT, then KTO", (SFT, Part("kto", GENTLE))),
    Arm("SFT, then KTO ×4", (SFT, Part("kto", 4 * GENTLE))),
    Arm("DPO alone ×4", (Part("dpo", 4 * GENTLE), Part("dpo", 4 * GENTLE))),
    Arm("KTO alone ×4", (Part("kto", 4 * GENTLE), Part("kto", 4 * GENTLE))),
)
REFERENCE: Final = "SFT, then SFT"


def lessons(laid: world.World, folder: Path) -> dict[Method, list[DatasetItem]]:
    """What the product would train on by each method after the person's ten minutes, in training order."""
    found = label(laid, folder, "informative")
    config = Config(select=Select(embeddings="none"))
    own = load_categories(found.home)[CATEGORY]
    methods: Sequence[Method] = ("sft", "dpo", "kto")
    with open_store(found.home.store) as store:
        return {
            method: [
                item
                for item in selected(
                    store, found.home, config, own, Wanted(method=method, seed=laid.seed), now=NOW
                ).items
                if item.split == "train"
            ]
            for method in methods
        }


def run(arm: Arm, laid: world.World, known: dict[Method, list[DatasetItem]], folder: Path) -> dict[str, Any]:
    """The figures of one arm with one seed."""
    adapter: Path | None = None
    for number, part in enumerate(arm.parts):
        adapter = _trained(part, known[part.method], laid.seed + number, folder / f"{number}", adapter)
    return measure.examine(laid, measure.ask([each.prompt for each in laid.test], 0.0, laid.seed, adapter))


def _trained(part: Part, items: Sequence[DatasetItem], seed: int, folder: Path, start: Path | None) -> Path:
    from core.train.trainer import Task, train

    settings = TrainSettings.from_mapping(
        {**PRESETS["demo"].settings, "method": part.method, "epochs": 1, "seed": seed, "save_every": 100_000}
    )
    settings = replace(settings, learning_rate=settings.learning_rate * part.rate, batch_size=measure.BATCH)
    settings = replace(settings, accumulation=1)
    told = measure.unrolled(items, HALF * measure.BATCH)
    go_on = start / "adapter_model.safetensors" if start else None
    result = train(Task(measure.BASE, told, [], settings, folder, start=go_on), measure.Quiet())
    assert result.adapter is not None and result.step == HALF
    return result.adapter


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--first-seed", type=int, default=100, help="seeds below 100 were looked at before")
    given = parser.parse_args()
    os.environ |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    started = time.monotonic()
    scores: dict[str, dict[str, dict[int, float]]] = {arm.name: {} for arm in ARMS}
    counts: dict[str, list[int]] = {}
    for seed in range(given.first_seed, given.first_seed + given.seeds):
        with tempfile.TemporaryDirectory(prefix="finetune-methods-") as folder:
            laid = world.make_world(seed, measure.ask)
            known = lessons(laid, Path(folder) / "home")
            for method, items in known.items():
                counts.setdefault(method, []).append(len(items))
            for arm in ARMS:
                figures = run(arm, laid, known, Path(folder) / arm.name)
                for name, value in figures.items():
                    scores[arm.name].setdefault(name, {})[seed] = value
                passed = time.monotonic() - started
                print(f"{passed:5.0f} s  seed {seed}  {figures['score']:5.1f}  {arm.name}", flush=True)
    table = {arm.name: _row(scores, arm.name) for arm in ARMS}
    print(f"\n{'':18}  score           success    against {REFERENCE!r}: score (95 % interval)")
    for name, row in table.items():
        print(f"{name:18}  {row['score']:5.1f}  {row['success']:6.0%}  {row['change']}")
    append(
        "methods",
        f"python -m benchmarks.methods --seeds {given.seeds} --first-seed {given.first_seed}",
        {"arms": table, "steps": HALF, "examples": counts, "seconds": round(time.monotonic() - started)},
        ("torch", "transformers", "peft"),
    )


def _row(scores: dict[str, dict[str, dict[int, float]]], name: str) -> dict[str, Any]:
    own = scores[name]
    change = paired(scores[REFERENCE]["score"], own["score"])
    return {
        "score": round(estimate([*own["score"].values()]).mean, 2),
        "success": round(estimate([*own["success"].values()]).mean, 4),
        "change": change.show(signed=True) if change is not None and name != REFERENCE else "",
    }


if __name__ == "__main__":
    main()
