"""Qwen 3 (dense): norms on the queries and keys of each head, heads of any length."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from core.release.families.decoder import Decoder, Sizes
from core.release.families.plan import Slot
from core.release.families.qwen2 import upper_window


class Qwen3(Decoder):
    """As Qwen 2, with head norms in the place of biases."""

    architecture = "qwen3"
    model_types = ("Qwen3ForCausalLM",)
    model_type = "qwen3"
    default_head_dim = 128

    def attention(self, sizes: Sizes) -> Iterator[Slot]:
        yield from super().attention(sizes)
        yield self.norm("self_attn.q_norm", "attn_q_norm", sizes.head_dim)
        yield self.norm("self_attn.k_norm", "attn_k_norm", sizes.head_dim)

    def window(self, config: Mapping[str, Any]) -> int | None:
        return upper_window(config)

    def own_config(self, fields: Mapping[str, Any], sizes: Sizes) -> dict[str, Any]:
        return {"use_sliding_window": False, "sliding_window": None, "attention_bias": False}


FAMILY = Qwen3()
