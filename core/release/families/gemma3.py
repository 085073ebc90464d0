"""Gemma 3, text models: as Gemma 2 with norms on the queries and keys of each head instead of caps, a window in five of
six layers, and rotary frequencies of their own for those."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from core.release.families import rope as ropes
from core.release.families.decoder import Sizes
from core.release.families.gemma2 import FULL, SLIDING, Gemma
from core.release.families.plan import Slot, decimal, unreadable, unsupported
from core.release.families.rope import Rope

if TYPE_CHECKING:
    import numpy.typing as npt

GLOBAL_THETA, LOCAL_THETA = 1_000_000.0, 10_000.0
ATTENTION_CAP, CAP = "attn_logit_softcapping", "final_logit_softcapping"
PATTERN = "attention.sliding_window_pattern"
# What versions of Ollama before 0.30 called the bases of the two kinds of frequencies, in their own model files.
OTHER_NAMES = {"rope.global.freq_base": FULL, "rope.local.freq_base": SLIDING}


class Gemma3(Gemma):
    """config.json has rotary settings for each kind of layer; scaling only where attention is full."""

    architecture = "gemma3"
    model_types = ("Gemma3ForCausalLM",)
    model_type = "gemma3_text"
    period = 6
    widest = 62

    def attention(self, sizes: Sizes) -> Iterator[Slot]:
        yield from super().attention(sizes)
        yield self.norm("self_attn.q_norm", "attn_q_norm", sizes.head_dim)
        yield self.norm("self_attn.k_norm", "attn_k_norm", sizes.head_dim)

    def own_metadata(self, config: Mapping[str, Any], sizes: Sizes) -> dict[str, int | float | str]:
        if config.get(ATTENTION_CAP):
            raise unsupported(f"{ATTENTION_CAP}, which llama.cpp does not know of Gemma 3")
        local = ropes.read_rope(config, *_local(config), frozenset({"default"}))
        values = {**super().own_metadata(config, sizes), "rope.freq_base_swa": local.theta}
        return {**values, CAP: float(config[CAP])} if config.get(CAP) else values

    def own_config(self, fields: Mapping[str, Any], sizes: Sizes) -> dict[str, Any]:
        if fields.get(ATTENTION_CAP):
            raise unreadable("capped scores in the attention, which its kind does not have")
        if not fields.get("attention.sliding_window"):
            raise unreadable("no sliding window, which its kind always has")
        pattern = fields.get(PATTERN, self.period)
        if not isinstance(pattern, int):  # one truth value a layer
            pattern = next((n for n in self.periods(sizes) if list(pattern) == _windowed(self, sizes, n)), 0)
        if pattern <= 0:
            raise unreadable("an order of sliding windows that is not its kind's")
        return {
            **super().own_config(fields, sizes),
            "layer_types": self.layer_types(sizes, pattern),
            ATTENTION_CAP: None,
            CAP: decimal(fields[CAP]) if fields.get(CAP) else None,
        }

    def periods(self, sizes: Sizes) -> tuple[int, ...]:
        return (self.period, *range(1, sizes.layers + 1))

    def rope(self, config: Mapping[str, Any]) -> Rope:
        nested = config.get("rope_parameters")
        parameters = nested.get(FULL) if nested else config.get("rope_scaling")
        theta = float(config.get("rope_theta") or GLOBAL_THETA)
        return ropes.read_rope(config, parameters, theta, self.rope_kinds)

    def rope_of_file(
        self, fields: Mapping[str, Any], tensors: Mapping[str, npt.NDArray[Any]], sizes: Sizes, dims: int
    ) -> dict[str, Any]:
        local = {"rope_type": "default", "rope_theta": decimal(fields.get("rope.freq_base_swa", LOCAL_THETA))}
        values = {FULL: super().rope_of_file(fields, tensors, sizes, dims), SLIDING: local}
        for key, kind in OTHER_NAMES.items():
            if key in fields and decimal(fields[key]) != values[kind]["rope_theta"]:
                raise unreadable(f"rotary settings under a key that llama.cpp does not read ({key})")
        return values


def _windowed(family: Gemma3, sizes: Sizes, period: int) -> list[bool]:
    return [kind == SLIDING for kind in family.layer_types(sizes, period)]


def _local(config: Mapping[str, Any]) -> tuple[Mapping[str, Any] | None, float]:
    nested = config.get("rope_parameters") or {}
    return nested.get(SLIDING), float(config.get("rope_local_base_freq") or LOCAL_THETA)


FAMILY = Gemma3()
