"""How much memory a run will take, from config.json alone, and the nearest settings that fit.

The figures follow what one training step of a Llama-like decoder with LoRA on every linear layer keeps for the backward
pass; tests compare them with what torch really keeps.
"""

from __future__ import annotations

import errno
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

from core.errors import ModelError
from core.train.config import LOGIT_CHUNK_BYTES, TrainSettings

Verdict = Literal["fits", "tight", "does not fit"]
TIGHT_FROM: Final = 0.8  # share of the free memory
_MIB: Final = 2**20
_LIBRARIES: Final[Mapping[str, int]] = {"cpu": 450 * _MIB, "cuda": 600 * _MIB}  # Python with torch; a CUDA context
_SHORTEST: Final = 128
_NO_MEMORY: Final = ("out of memory", "can't allocate", "cannot allocate", "alloc_cpu", "failed to map segment")


@dataclass(frozen=True, slots=True)
class Device:
    """Where training runs and what is free there, in bytes."""

    kind: Literal["cpu", "cuda"]
    name: str
    free: int


@dataclass(frozen=True, slots=True)
class ModelShape:
    """The sizes that memory depends on. `parameters` counts all weights, tied ones once."""

    hidden: int
    feed_forward: int
    layers: int
    query: int
    key_value: int
    vocabulary: int
    parameters: int

    @property
    def linear_widths(self) -> tuple[tuple[int, int], ...]:
        """(inputs, outputs) of the seven linear layers of a block: query, key, value, output, gate, up, down."""
        hidden, wide = self.hidden, self.feed_forward
        return (
            (hidden, self.query),
            (hidden, self.key_value),
            (hidden, self.key_value),
            (self.query, hidden),
            (hidden, wide),
            (hidden, wide),
            (wide, hidden),
        )


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """Peak memory of a run in bytes, by part, against what is free on the device.

    `suggestion` is the nearest setting that fits: None when these do, or when none does.
    """

    verdict: Verdict
    parts: Mapping[str, int]
    device: Device
    suggestion: TrainSettings | None

    @property
    def total(self) -> int:
        """Bytes needed at the peak."""
        return sum(self.parts.values())

    @property
    def sentence(self) -> str:
        """The verdict in words, for example "tight: needs 5.1 of 6.0 GB free on the GPU"."""
        place = "GPU" if self.device.kind == "cuda" else "computer"
        return f"{self.verdict}: needs {self.total / 1e9:.1f} of {self.device.free / 1e9:.1f} GB free on the {place}"


def model_shape(config: Mapping[str, Any]) -> ModelShape:
    """Reads a Llama-like config.json. Raises ModelError when it is not one."""
    try:
        hidden, heads = int(config["hidden_size"]), int(config["num_attention_heads"])
        head = int(config.get("head_dim") or hidden // heads)
        wide, layers = int(config["intermediate_size"]), int(config["num_hidden_layers"])
        words = int(config["vocab_size"])
        query, key_value = heads * head, int(config.get("num_key_value_heads") or heads) * head
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise ModelError(
            f"The memory needs of a {config.get('model_type', 'nameless')} model are not known: {error}.",
            hint="Choose a model with Llama-like layers, for example Llama, Mistral or Qwen.",
        ) from error
    block = 2 * hidden * (query + key_value) + 3 * hidden * wide + 2 * hidden
    embeddings = words * hidden * (1 if config.get("tie_word_embeddings", False) else 2)
    return ModelShape(hidden, wide, layers, query, key_value, words, layers * block + embeddings + hidden)


def adapter_parameters(shape: ModelShape, rank: int) -> int:
    """Trainable parameters of LoRA matrices A [rank, inputs] and B [outputs, rank] on every linear layer."""
    return shape.layers * rank * sum(inputs + outputs for inputs, outputs in shape.linear_widths)


def estimate(config: Mapping[str, Any], settings: TrainSettings, device: Device) -> MemoryPlan:
    """The memory plan of a run on a base model with this config.json. Raises ModelError for an unknown architecture."""
    shape = model_shape(config)
    parts = _parts(shape, settings, device)
    verdict = _verdict(sum(parts.values()), device)
    suggestion = None
    if verdict != "fits":
        suggestion = next((one for one in _smaller(settings) if _fits(shape, one, device)), None)
    return MemoryPlan(verdict, parts, device, suggestion)


def detect_device() -> Device:
    """The first NVIDIA GPU that nvidia-smi reports, else the computer's memory, within the limit of its container."""
    tool = shutil.which("nvidia-smi")
    if tool:
        try:
            query = [tool, "--query-gpu=name,memory.free", "--format=csv,noheader,nounits"]
            shown = subprocess.run(query, capture_output=True, text=True, timeout=10, check=True).stdout
            name, _, free = shown.strip().splitlines()[0].rpartition(",")
            return Device("cuda", name.strip(), int(free) * _MIB)
        except (OSError, subprocess.SubprocessError, ValueError, IndexError):
            pass  # a driver without a device: training will take the CPU too
    return Device("cpu", "CPU", _free_memory())


def _parts(shape: ModelShape, settings: TrainSettings, device: Device) -> dict[str, int]:
    half = settings.precision == "bf16" or (settings.precision == "auto" and device.kind == "cuda")
    width = 2 if half else 4
    tokens = settings.token_budget
    adapter = adapter_parameters(shape, settings.rank)
    block = tokens * _block_bytes(shape, settings, width)
    if settings.recomputes_activations(shape.parameters):
        activations = shape.layers * tokens * shape.hidden * width + block
    else:
        activations = shape.layers * block
    return {
        "weights": shape.parameters * width,
        "adapter": 4 * adapter * 2,  # values and gradients, float32
        "optimizer": 4 * adapter * 2,  # two moments of AdamW
        "activations": activations,
        # Logits, their softmax and their gradient, in float32; one chunk at a time.
        "logits": 3 * min(4 * tokens * shape.vocabulary, LOGIT_CHUNK_BYTES) + tokens * shape.hidden * width,
        "libraries": _LIBRARIES[device.kind],
    }


def _block_bytes(shape: ModelShape, settings: TrainSettings, width: int) -> int:
    """Bytes that one token leaves in one block for the backward pass."""
    hidden, wide = shape.hidden, shape.feed_forward
    # The norms keep their input and its scaled form in float32; the attention its rotated queries, its keys, values
    # and output.
    norms = 2 * hidden * (4 + width)
    attention = (2 * shape.query + 2 * shape.key_value) * width
    # Gate, its activation, up and their product.
    gated = 4 * wide * width
    # Each LoRA branch keeps its dropped-out input in float32 with a mask of one byte, and the rank-sized middle.
    dropped = 5 if settings.dropout > 0 else (4 if width != 4 else 0)
    branches = sum(inputs * dropped + 4 * settings.rank for inputs, _ in shape.linear_widths)
    return norms + attention + gated + branches


def _verdict(needed: int, device: Device) -> Verdict:
    if needed <= TIGHT_FROM * device.free:
        return "fits"
    return "tight" if needed <= device.free else "does not fit"


def _fits(shape: ModelShape, settings: TrainSettings, device: Device) -> bool:
    return _verdict(sum(_parts(shape, settings, device).values()), device) == "fits"


def _smaller(settings: TrainSettings) -> Iterator[TrainSettings]:
    """Ever thriftier settings; what does not change the result comes first."""
    current = settings
    while current.batch_size > 1:
        halved = max(1, current.batch_size // 2)
        steps = max(1, round(settings.effective_batch / halved))
        current = replace(current, batch_size=halved, accumulation=steps)
        yield current
    if current.gradient_checkpointing != "on":
        current = replace(current, gradient_checkpointing="on")
        yield current
    while current.max_length > _SHORTEST:
        current = replace(current, max_length=max(_SHORTEST, current.max_length // 2))
        yield current
    while current.rank > 4:
        current = replace(current, rank=current.rank // 2, alpha=max(1, current.alpha // 2))
        yield current


def _free_memory() -> int:
    import psutil

    free = int(psutil.virtual_memory().available)
    try:
        limit = int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii"))
        used = int(Path("/sys/fs/cgroup/memory.current").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return free
    return min(free, max(0, limit - used))


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out; on a CPU torch, and the loader of libraries, say so only in words."""
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return True
    text = str(error).lower()
    return any(words in text for words in _NO_MEMORY)
