"""Families of architectures that GGUF files are written for and read from: one module each, both ways."""

from __future__ import annotations

from collections.abc import Mapping

from core.errors import ModelError
from core.release.families import gemma2, gemma3, llama, phi3, qwen2, qwen3
from core.release.families.decoder import check_used
from core.release.families.plan import Family, Source, TensorPlan
from core.release.families.rope import FACTOR_TENSORS

__all__ = ["FACTOR_TENSORS", "FAMILIES", "Family", "Source", "TensorPlan", "check_used", "family_of"]

_KNOWN: tuple[Family, ...] = (llama.FAMILY, qwen2.FAMILY, qwen3.FAMILY, gemma2.FAMILY, gemma3.FAMILY, phi3.FAMILY)

# Architecture named in config.json -> its family.
FAMILIES: Mapping[str, Family] = {name: family for family in _KNOWN for name in family.model_types}


def family_of(architecture: str) -> Family:
    """The family that llama.cpp calls so (`general.architecture`). Raises ModelError where it is unknown."""
    for family in _KNOWN:
        if family.architecture == architecture:
            return family
    raise ModelError(
        f"Model files of the architecture {architecture!r} cannot be trained on.",
        title="Unsupported architecture",
        hint=f"Choose a base model of one of these: {', '.join(family.architecture for family in _KNOWN)}.",
    )
