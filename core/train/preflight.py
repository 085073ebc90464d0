"""What is checked before a run starts: data, memory and disk. Nothing is loaded for it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from core.errors import RunError
from core.paths import free_bytes
from core.train.base_model import read_config
from core.train.checkpoints import KEPT
from core.train.config import TrainSettings
from core.train.footprint import Device, adapter_parameters, model_shape
from core.train.memory import MemoryPlan, detect_device, estimate
from storage.rows import DatasetItem

FEW: Final = 20
_UNITS: Final = {"sft": "examples", "dpo": "pairs", "kto": "thumbs"}
_BITS: Final = {  # of a weight, with its scales
    **{"f16": 16.0, "bf16": 16.0, "q8_0": 8.5, "q6_k": 6.6, "q5_k_m": 5.7, "q5_k_s": 5.5, "q5_1": 6.0, "q5_0": 5.5},
    **{"q4_k_m": 4.9, "q4_k_s": 4.6, "q4_1": 5.0, "q4_0": 4.5, "iq4_nl": 4.5, "iq4_xs": 4.3},
}
_RESERVE: Final = 200 * 2**20


@dataclass(frozen=True, slots=True)
class Preflight:
    """`problems` forbid the start, `warnings` do not. Disk figures in bytes; `total_steps` are optimizer steps."""

    memory: MemoryPlan
    disk_needed: int
    disk_free: int
    total_steps: int
    problems: tuple[str, ...]
    warnings: tuple[str, ...]

    def require(self) -> None:
        """Raises RunError with all problems when there is one."""
        if self.problems:
            raise RunError(
                " ".join(self.problems),
                title="The run cannot start",
                hint="Record and judge more outputs (`finetune-tui stats` counts them), or change the settings.",
            )


def preflight(
    base: Path,
    settings: TrainSettings,
    items: Sequence[DatasetItem],
    folder: Path,
    device: Device | None = None,
) -> Preflight:
    """Checks a run of `items` (all splits) on a checked base model that will keep its files in `folder`.

    Raises ModelError when config.json cannot be read or the architecture is unknown.
    """
    config = read_config(base)
    memory = estimate(config, settings, device or detect_device())
    needed, free = disk_bytes(base, settings), free_bytes(folder)
    learned = [item for item in items if item.split == "train"]
    watching = [item for item in items if item.split == "validation"]
    problems, warnings = _unlearnable(learned, watching, settings.method), []
    if not problems and len(learned) < FEW:
        warnings.append(f"{len(learned)} training {_UNITS[settings.method]} are few; {FEW} or more teach reliably.")
    if learned and not watching:
        warnings.append("There are no validation examples, so that the last checkpoint counts as the best.")
    asked = set(map(_asked, learned))
    held_out = {_asked(item) for item in items if item.split == "test"} & asked
    if held_out:
        problems.append(f"{len(held_out)} prompts stand both in the training data and in the held-out test.")
    repeated = set(map(_asked, watching)) & asked
    if repeated:
        warnings.append(f"{len(repeated)} validation prompts are trained on too, which flatters the validation loss.")
    if memory.verdict == "does not fit":
        problems.append(f"Memory: {memory.sentence}.{_advice(memory)}")
    elif memory.verdict == "tight":
        warnings.append(f"Memory: {memory.sentence}.{_advice(memory)}")
    if needed > free:
        problems.append(f"The disk has {free / 1e9:.1f} GB free, but the run needs {needed / 1e9:.1f} GB.")
    return Preflight(memory, needed, free, settings.total_steps(len(learned)), tuple(problems), tuple(warnings))


def disk_bytes(base: Path, settings: TrainSettings) -> int:
    """Disk space that a run takes at most: checkpoints, adapter, merged model and every exported file, in bytes."""
    shape = model_shape(read_config(base))
    adapter = 4 * adapter_parameters(shape, settings.rank)
    checkpoints = (KEPT + 2) * 3 * adapter + adapter  # the newest, the best and the one being written; two moments each
    merged = 2 * shape.parameters
    exported = sum(shape.parameters * _BITS[kind] / 8 for kind in settings.quantize)
    return int(checkpoints + merged + exported) + _RESERVE


def _unlearnable(learned: Sequence[DatasetItem], watching: Sequence[DatasetItem], method: str) -> list[str]:
    """What a method cannot learn from: dpo needs both sides of each pair, kto both thumbs, also to watch itself."""
    answered = [item for item in learned if item.target.strip()]
    if not answered:
        return ["There is no training example with an answer."]
    if method == "dpo" and (half := sum(not item.rejected.strip() for item in (*learned, *watching))):
        return [f"{half} examples have no rejected answer, but dpo learns from pairs."]
    problems: list[str] = []
    for part, items in (("training", answered), ("validation", watching)):
        if method == "kto" and items and len({item.desirable for item in items}) < 2:
            side = "liked" if items[0].desirable else "disliked"
            problems.append(f"All {part} answers were {side}, but kto needs both thumbs.")
    return problems


def _asked(item: DatasetItem) -> tuple[str, str]:
    """What tells two requests apart: the same "go on" in another chat is another one."""
    return item.prompt, json.dumps(list(item.history), sort_keys=True)


def _advice(memory: MemoryPlan) -> str:
    wanted = memory.suggestion
    if wanted is None:
        return " Choose a smaller base model."
    return (
        f" It fits with batch {wanted.batch_size} × {wanted.accumulation}, length {wanted.max_length}, "
        f"rank {wanted.rank}, gradient checkpointing {wanted.gradient_checkpointing}, "
        f"base in 4 bits {wanted.quantize_base}, optimizer {wanted.optimizer}."
    )
