"""A base model with an adapter on it, as one model of the llama.cpp backend."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_BETWEEN: Final = "\0"  # stands in no path


def with_adapter(base: str | Path, adapter: str | Path) -> str:
    """What `LlamaCppBackend` takes as a model: a GGUF file, and a GGUF adapter (LoRA) that works on top of it.

    The base is in memory once, however many adapters it is asked with; changing them takes no loading of the base.
    """
    return f"{base}{_BETWEEN}{adapter}"


def parts_of(model: str) -> tuple[str, str | None]:
    """The file of a model, and that of its adapter where it has one."""
    base, _, adapter = model.partition(_BETWEEN)
    return base, adapter or None
