"""Writing a LoRA adapter as a GGUF file of its own, for llama.cpp to put on the base model's file.

Many adapters can share one base in memory that way. What llama.cpp computes is W x + (alpha / rank) B (A x), with one
`adapter.lora.alpha` for the whole file and the rank of each B; whatever scales otherwise is folded into that number or
into B.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from core.errors import ExportError
from core.release.families.plan import Slot
from core.release.gguf import family_in
from core.release.quantize import GgufFile, made_whole
from core.release.vocabulary import read_json
from core.release.weights import Weights

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Matrix = npt.NDArray[np.float32]

KIND: Final = "lora"
SETTINGS: Final = "adapter_config.json"
VALUES: Final = "adapter_model.safetensors"
# What peft can do beside plain LoRA and llama.cpp cannot, by the key of the settings, with its name.
FOREIGN: Final[Mapping[str, str]] = {
    "use_dora": "DoRA, which also scales the columns of the base",
    "modules_to_save": "whole layers that were trained beside it",
    "trainable_token_indices": "single embeddings that were trained beside it",
    "lora_bias": "biases of its own",
    "layer_replication": "layers used more than once",
    "fan_in_fan_out": "transposed weights",
    "use_qalora": "QALoRA",
    "alora_invocation_tokens": "invocation tokens",
    "megatron_config": "layers of Megatron",
}
# Ways to begin that change the base as well: on the untouched base such an adapter is another model.
CHANGING_STARTS: Final = ("pissa", "olora", "corda", "loftq")
_PREFIX: Final = "base_model.model."
_COPY: Final = ".base_layer.weight"
_PART: Final = re.compile(r"(.+)\.lora_([AB])\.weight")


@dataclass(frozen=True, slots=True)
class _Branch:
    """The two matrices of one layer as the file holds them: down [rank, inputs], up [outputs, rank]."""

    gguf_name: str
    down: Matrix
    up: Matrix


def export_adapter(base_dir: Path, adapter_dir: Path, target: Path, *, name: str | None = None) -> GgufFile:
    """Write a peft adapter of the base model in `base_dir` as a GGUF adapter; the same folder gives the same bytes.

    rsLoRA, ranks and alphas of single layers are carried over exactly; matrices stay float32. `name` goes into the file
    (default: the adapter's folder). The file is there whole or not at all. Raises ExportError, with the reason, for an
    adapter that llama.cpp would run differently (see `FOREIGN`), that does not fit the base, or that cannot be read.
    """
    config, settings = read_json(base_dir / "config.json"), read_json(adapter_dir / SETTINGS)
    family = family_in(config)
    _check(settings)
    alpha = _file_alpha(settings)
    slots = {slot.hf_name: slot for slot in family.slots(config)}
    branches = list(_branches(Weights(adapter_dir, VALUES), settings, slots, alpha))
    label = name or adapter_dir.resolve().name
    return made_whole(
        target, KIND, lambda partial: _write(partial, family.architecture, branches, alpha=alpha, name=label)
    )


def _check(settings: Mapping[str, Any]) -> None:
    kind = str(settings.get("peft_type"))
    if kind != "LORA":
        raise _refused(f"it is of the kind {kind}, not LoRA")
    for key, what in FOREIGN.items():
        if settings.get(key):
            raise _refused(f"it has {what}")
    if settings.get("bias", "none") != "none":
        raise _refused("it trained biases of the base")
    start = settings.get("init_lora_weights")
    if isinstance(start, str) and start.lower().startswith(CHANGING_STARTS):
        raise _refused(f"it was begun by {start}, which changes the base as well")


def _refused(why: str) -> ExportError:
    return ExportError(
        f"The adapter cannot be a GGUF file of its own: {why}.",
        title="Not a plain LoRA adapter",
        hint="Use the merged model of the version instead; its GGUF files hold everything that was trained.",
    )


def _number(settings: Mapping[str, Any], key: str, default: float) -> float:
    value = settings.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value <= 0:
        raise _refused(f"{SETTINGS} has {key} = {value!r}")
    return float(value)


def _scaling(settings: Mapping[str, Any], rank: float, alpha: float) -> float:
    """What peft multiplies B A x by: alpha / rank, or alpha / √rank with rsLoRA (Kalajdzievski, arXiv 2312.03732)."""
    return alpha / math.sqrt(rank) if settings.get("use_rslora") else alpha / rank


def _file_alpha(settings: Mapping[str, Any]) -> float:
    """`adapter.lora.alpha`: llama.cpp divides it by the rank, which gives the scaling of most layers."""
    rank = _number(settings, "r", 8)
    return _scaling(settings, rank, _number(settings, "lora_alpha", 8)) * rank


def _own(settings: Mapping[str, Any], key: str, module: str, default: float) -> float:
    """The value for one layer: that of the first pattern that its name ends with, as peft matches them."""
    patterns: Mapping[str, Any] = settings.get(key) or {}
    for pattern in patterns:
        if re.match(rf"(.*\.)?({pattern})$", module):
            return _number(patterns, pattern, default)
    return default


def _branches(
    weights: Weights, settings: Mapping[str, Any], slots: Mapping[str, Slot], file_alpha: float
) -> Iterator[_Branch]:
    import numpy as np

    modules: dict[str, dict[str, str]] = {}
    for stored in sorted(weights.names):
        if stored.endswith(_COPY):  # of the base, which peft stores beside a branch at the output layer
            continue
        part = _PART.fullmatch(stored.removeprefix(_PREFIX))
        if part is None:
            raise _refused(f"it has the tensor {stored}, which is no part of a linear layer's LoRA")
        modules.setdefault(part[1], {})[part[2]] = stored
    if not modules:
        raise _refused("it holds nothing")
    for module, parts in modules.items():
        slot = slots.get(f"{module}.weight")
        if slot is None or module == "model.embed_tokens":
            raise _refused(f"it changes {module}, which the base model does not have as a linear layer")
        if set(parts) != {"A", "B"}:
            raise _refused(f"one of the two matrices of {module} is missing")
        down = np.array(weights.read(parts["A"]), dtype=np.float32)
        up = np.array(weights.read(parts["B"]), dtype=np.float32)
        rank = len(down)
        if up.shape != (slot.shape[0], rank) or down.shape != (rank, slot.shape[1]):
            raise _refused(f"its {module} is {up.shape} times {down.shape}, the base has {slot.shape}")
        if not (np.isfinite(down).all() and np.isfinite(up).all()):
            raise ExportError(
                f"The adapter holds values in {module} that are not numbers.",
                title="The weights are damaged",
                hint="The training run diverged; train again with a lower learning rate.",
            )
        if rank != _own(settings, "rank_pattern", module, _number(settings, "r", 8)):
            raise _refused(f"its {module} has rank {rank}, which {SETTINGS} does not say")
        alpha = _own(settings, "alpha_pattern", module, _number(settings, "lora_alpha", 8))
        factor = _scaling(settings, rank, alpha) * rank / file_alpha
        up = slot.to_file(up)  # rows are outputs: what reorders those of the base reorders these
        yield _Branch(slot.gguf_name, down, up if factor == 1.0 else up * np.float32(factor))


def _write(path: Path, architecture: str, branches: list[_Branch], *, alpha: float, name: str) -> None:
    import gguf
    import numpy as np

    writer = gguf.GGUFWriter(path, architecture)
    try:
        writer.add_type("adapter")
        writer.add_name(name)
        writer.add_string("adapter.type", "lora")
        writer.add_float32("adapter.lora.alpha", alpha)
        for branch in branches:
            writer.add_tensor(f"{branch.gguf_name}.lora_a", np.ascontiguousarray(branch.down))
            writer.add_tensor(f"{branch.gguf_name}.lora_b", np.ascontiguousarray(branch.up))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    finally:
        writer.close()
