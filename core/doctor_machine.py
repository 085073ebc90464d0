"""What `doctor` looks at that no home folder has a part in: Python, packages, what a GPU needs, memory."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import psutil

from core.checks import Check

_NVIDIA_DRIVER = Path("/proc/driver/nvidia/version")
LITTLE_MEMORY = 2e9


def machine_checks() -> Iterator[Check]:
    """One line after the other; none of them takes long."""
    yield _python()
    yield from _packages()
    yield from _hardware()
    yield _memory()


def _python() -> Check:
    return Check("python", "ok", f"{platform.python_version()} on {platform.system()} {platform.machine()}")


def _packages() -> Iterator[Check]:
    """Every direct dependency, from the package's own metadata; nothing is imported."""
    found: list[str] = []
    required = (
        re.match(r"[A-Za-z0-9._-]+", line) for line in metadata.requires("finetune-tui") or [] if "extra" not in line
    )
    for name in [match[0] for match in required if match]:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            yield Check(name, "problem", "is not installed", f"Install it: pip install {name}")
    yield Check("packages", "ok", ", ".join(found))


def _hardware() -> Iterator[Check]:
    """What QLoRA, the watch over a GPU, and training on several devices need; for information."""
    for name, use, without in (
        ("bitsandbytes", "4-bit base models and 8-bit optimizers", "base models stay in 16 or 32 bits"),
        ("nvidia-ml-py", "load and temperature of NVIDIA GPUs", "no GPU is watched"),
        ("accelerate", "training by several processes or machines", "a run trains in one process"),
    ):
        try:
            detail = f"{metadata.version(name)}, for {use}"
        except metadata.PackageNotFoundError:
            yield Check(name, "info", f"is not installed, so {without}", f"To have {use}: pip install {name}")
            continue
        if name == "nvidia-ml-py" and not _NVIDIA_DRIVER.exists() and platform.system() == "Linux":
            detail += "; no NVIDIA driver is loaded here"
        yield Check(name, "info", detail)


def _memory() -> Check:
    memory = psutil.virtual_memory()
    detail = f"{memory.available / 1e9:.1f} of {memory.total / 1e9:.1f} GB free, {os.cpu_count()} processors"
    if memory.available < LITTLE_MEMORY:
        return Check(
            "memory", "warning", detail, "Close other programs before training anything but the smallest model."
        )
    return Check("memory", "ok", detail)
