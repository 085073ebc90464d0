"""Qwen 2 and 2.5: biases on queries, keys and values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from core.release.families.decoder import Decoder, Sizes
from core.release.families.plan import Slot


class Qwen2(Decoder):
    """llama.cpp lets every layer attend to the whole context; the windows of upper layers only cut the context."""

    architecture = "qwen2"
    model_types = ("Qwen2ForCausalLM",)
    model_type = "qwen2"
    states_head_dim = False

    def attention(self, sizes: Sizes) -> Iterator[Slot]:
        yield from super().attention(sizes)
        for letter, heads in (("q", sizes.heads), ("k", sizes.kv_heads), ("v", sizes.kv_heads)):
            yield Slot(f"self_attn.{letter}_proj.bias", f"attn_{letter}.bias", (heads * sizes.head_dim,))

    def window(self, config: Mapping[str, Any]) -> int | None:
        return upper_window(config)

    def own_config(self, fields: Mapping[str, Any], sizes: Sizes) -> dict[str, Any]:
        return {"use_sliding_window": False, "sliding_window": None}


def upper_window(config: Mapping[str, Any]) -> int | None:
    """The window of Qwen's upper layers; None where no layer has one."""
    kinds = config.get("layer_types")
    if kinds is None:
        layers, first = config.get("num_hidden_layers", 0), config.get("max_window_layers", 28)
        windowed = bool(config.get("use_sliding_window")) and layers > first
    else:
        windowed = "sliding_attention" in kinds
    return config.get("sliding_window", 4096) if windowed else None


FAMILY = Qwen2()
