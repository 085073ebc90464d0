"""How much memory a run will take, from config.json alone, and the nearest settings that fit.

The figures are those of `core.train.footprint`; `python -m benchmarks.memory_plan` compares them with real peaks.
"""

from __future__ import annotations

import ctypes
import errno
import importlib.util
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

from core.train.config import TrainSettings
from core.train.footprint import Device, Load, ModelShape, footprint, model_shape

Verdict = Literal["fits", "tight", "does not fit"]
TIGHT_FROM: Final = 0.8  # share of the free memory
_MIB: Final = 2**20
_SHORTEST: Final = 128
_MMAP_THRESHOLD: Final = -3  # of malloc.h: the parameter of `mallopt`
_NO_MEMORY: Final = ("out of memory", "can't allocate", "cannot allocate", "alloc_cpu", "failed to map segment")


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


def estimate(
    config: Mapping[str, Any], settings: TrainSettings, device: Device, load: Load | None = None
) -> MemoryPlan:
    """The memory plan of a run on a base model with this config.json, for its largest pass where that is known, else
    for the largest that the settings allow. Raises ModelError for an unknown architecture.
    """
    shape = model_shape(config)
    parts = footprint(shape, settings, device, load or Load.most(settings))
    verdict = _verdict(sum(parts.values()), device)
    suggestion = None
    if verdict != "fits":
        suggestion = next((one for one in _smaller(settings) if _fits(shape, one, device)), None)
    return MemoryPlan(verdict, parts, device, suggestion)


def detect_device() -> Device:
    """The first NVIDIA GPU that CUDA may use, else the computer's memory, within the limit of its container."""
    tool = shutil.which("nvidia-smi")
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0].strip()
    if tool and chosen not in ("", "-1"):
        try:
            query = [tool, "--query-gpu=name,memory.free,memory.total", "--format=csv,noheader,nounits"]
            query += [] if chosen.startswith("MIG") else ["-i", chosen]
            shown = subprocess.run(query, capture_output=True, text=True, timeout=10, check=True).stdout
            name, free, total = shown.strip().splitlines()[0].rsplit(",", 2)
            return Device("cuda", name.strip(), int(free) * _MIB, int(total) * _MIB)
        except (OSError, subprocess.SubprocessError, ValueError, IndexError):
            pass  # a driver without a device: training will take the CPU too
    return Device("cpu", "CPU", _free_memory())


def _verdict(needed: int, device: Device) -> Verdict:
    if needed <= TIGHT_FROM * device.free:
        return "fits"
    return "tight" if needed <= device.free else "does not fit"


def _fits(shape: ModelShape, settings: TrainSettings, device: Device) -> bool:
    return _verdict(sum(footprint(shape, settings, device, Load.most(settings)).values()), device) == "fits"


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
    if importlib.util.find_spec("bitsandbytes") is not None:
        for name, thrifty in (("quantize_base", "on"), ("optimizer", "adamw_8bit")):
            if getattr(current, name) != thrifty:
                current = replace(current, **{name: thrifty})  # type: ignore[arg-type]
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
        # Files that were read once are given up for whoever needs the room.
        counts = dict(
            line.split() for line in Path("/sys/fs/cgroup/memory.stat").read_text(encoding="ascii").splitlines()
        )
        used -= int(counts.get("inactive_file", 0))
    except (OSError, ValueError):
        return free
    return min(free, max(0, limit - used))


def return_freed_memory() -> None:
    """Makes the C library hand large blocks back to the system when they are freed, instead of keeping them for later.

    Tensors are aligned, and glibc cannot put an aligned block into a hole of its own size: what a step frees may lie
    idle until a process holds three times what it uses. Costs about a tenth of the speed. Only glibc has this.
    """
    with suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).mallopt(_MMAP_THRESHOLD, _MIB)


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out; on a CPU torch, and the loader of libraries, say so only in words."""
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return True
    text = str(error).lower()
    return any(words in text for words in _NO_MEMORY)
