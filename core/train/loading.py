"""Loading a base model for training: on which device, in which type, in how many bits."""

from __future__ import annotations

import gc
import importlib
import math
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import torch

from core.errors import ModelError, RunError
from core.release.vocabulary.loading import load_tokenizer as stored_tokenizer
from core.release.weights import Weights
from core.train import attention
from core.train.config import TrainSettings
from core.train.footprint import Device, quantizes
from core.train.memory import out_of_memory
from core.train.optimizer import has_bitsandbytes

_LOOK_SECONDS: Final = 0.3
_DTYPES: Final[Mapping[str, torch.dtype]] = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def use_free_cores(wanted: int = 0) -> int:
    """Sets torch's threads to `wanted`, or to the physical cores that are idle right now, and returns their number.

    A thread too many on a busy core makes all others wait for it at every layer, which costs far more than it brings.
    OMP_NUM_THREADS overrules both.
    """
    import psutil

    if os.environ.get("OMP_NUM_THREADS"):
        return torch.get_num_threads()
    if not wanted:
        before, begun = _busy_elsewhere(), time.monotonic()
        import_libraries()  # has to be done sometime, and takes longer than the look
        time.sleep(max(0.0, _LOOK_SECONDS - (time.monotonic() - begun)))
        everywhere = (psutil.cpu_count() or 1) * (time.monotonic() - begun)
        allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        cores = min(allowed, psutil.cpu_count(logical=False) or allowed)
        wanted = round(cores * (1.0 - (_busy_elsewhere() - before) / everywhere))
    torch.set_num_threads(max(1, wanted))
    return torch.get_num_threads()


def _busy_elsewhere() -> float:
    """Seconds that all processors together have worked, but for those of this process."""
    import psutil

    spent = psutil.cpu_times()
    # What a virtual machine on this one works is counted twice: as the host's and as the guest's.
    other = ("idle", "iowait", "guest", "guest_nice")
    return float(sum(spent)) - sum(getattr(spent, kind, 0.0) for kind in other) - time.process_time()


@contextmanager
def without(package: str) -> Iterator[None]:
    """Inside it a package that is not imported yet counts as not installed; libraries that could use it do without."""
    if package in sys.modules:
        yield
        return
    sys.modules[package] = None  # type: ignore[assignment]  # Python's own way to say so
    try:
        yield
    finally:
        del sys.modules[package]


def import_libraries() -> None:
    """Imports transformers and peft in half of their time, by leaving out what is not used here.

    That is: losses of object detection (scipy), peft's own 4-bit layers and torch's compiler (bitsandbytes), and the
    search for garbage among a million new objects that are all there to stay.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        with without("scipy"):
            importlib.import_module("transformers.modeling_utils")
        with without("bitsandbytes"):
            importlib.import_module("peft")
    finally:
        if collects:
            gc.enable()


def load_tokenizer(base: Path) -> Any:
    """The tokenizer of a model folder. Raises ModelError."""
    import_libraries()
    with _loading(base):
        return stored_tokenizer(base)


def compute_type(settings: TrainSettings, device: torch.device) -> torch.dtype:
    """What the base computes in: as set, else bfloat16 on a GPU that has it, float16 on an older one, and float32 on a
    CPU, where half precision is emulated and slow."""
    if settings.precision != "auto":
        return _DTYPES[settings.precision]
    if device.type != "cuda":
        return torch.float32
    # `is_bf16_supported` also counts emulation, which GPUs before compute capability 8.0 have.
    return torch.bfloat16 if torch.cuda.get_device_capability(device)[0] >= 8 else torch.float16


def _quantizes(settings: TrainSettings, device: torch.device, parameters: int) -> bool:
    if device.type != "cuda":
        return quantizes(settings, Device("cpu", "CPU", 0), parameters)
    free, total = torch.cuda.mem_get_info(device)
    return quantizes(settings, Device("cuda", torch.cuda.get_device_name(device), free, total), parameters)


def first_device() -> torch.device:
    """The first GPU; of several processes on one machine each takes its own."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
    torch.cuda.set_device(device)
    return device


def load_model(base: Path, settings: TrainSettings, device: torch.device, dtype: torch.dtype) -> Any:
    """The frozen base model of a checked folder on a device, ready for `core.train.batches`. Raises ModelError."""
    import_libraries()
    from transformers import AutoModelForCausalLM
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    attention.register()
    options: dict[str, Any] = {}
    if _quantizes(settings, device, parameters_of(base)):
        options = {"quantization_config": _four_bits(dtype), "device_map": {"": device}}
    with _loading(base):
        model = AutoModelForCausalLM.from_pretrained(
            base,
            dtype=dtype,
            attn_implementation=attention.NAME,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            **options,
        )
    if options:
        _keep_trainable(model)
    else:
        model = model.to(device)
    model.config.use_cache = False
    model.requires_grad_(False)
    model.eval()
    return model


def _keep_trainable(model: Any) -> None:
    """On CPUs with AVX-512 BF16 bitsandbytes repacks a 4-bit layer for good at its first use without a gradient, into a
    form through which no gradient flows any more: layers below would learn from a part of it only."""
    for layer in model.modules():
        if hasattr(layer, "support_avx512bf16_for_cpu"):
            layer.support_avx512bf16_for_cpu = False


def _four_bits(dtype: torch.dtype) -> Any:
    from transformers import BitsAndBytesConfig

    if not has_bitsandbytes():
        raise RunError(
            "A base model in 4 bits needs the package bitsandbytes, which cannot be imported here.",
            hint="Install it, or set `quantize_base` to off.",
        )
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )


def parameters_of(base: Path) -> int:
    """How many weights a model folder holds."""

    weights = Weights(base)
    return sum(math.prod(weights.shape(name)) for name in weights.names)


@contextmanager
def _loading(base: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, RuntimeError, KeyError, TypeError, ImportError) as error:
        if out_of_memory(error):
            raise
        raise ModelError(
            f"The model in {base} cannot be loaded: {error}", hint="Download its folder again, or choose another base."
        ) from error
