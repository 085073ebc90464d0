"""Gemma 2: norms that count from one, norms after each part of a layer too, softly capped scores, every other layer
with a sliding window."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from core.release.families.decoder import Decoder, Sizes
from core.release.families.plan import Slot, decimal, integer, unsupported

if TYPE_CHECKING:
    import numpy.typing as npt

SLIDING, FULL = "sliding_attention", "full_attention"


class Gemma(Decoder):
    """What Gemma 2 and 3 share.

    `period`: see `period_of`. `widest`: layers of the one size whose attention scale llama.cpp takes from the hidden
    size instead of the head's.
    """

    activation_key = "hidden_activation"
    activation = "gelu_pytorch_tanh"
    default_head_dim = 256
    tied_by_default = True
    rope_kinds = frozenset({"default", "linear"})
    period: ClassVar[int]
    widest: ClassVar[int]

    def layer(self, sizes: Sizes) -> Iterator[Slot]:
        yield self.norm("input_layernorm", "attn_norm", sizes.hidden)
        yield from self.attention(sizes)
        yield self.norm("post_attention_layernorm", "post_attention_norm", sizes.hidden)
        yield self.norm("pre_feedforward_layernorm", "ffn_norm", sizes.hidden)
        yield from self.feed_forward(sizes)
        yield self.norm("post_feedforward_layernorm", "post_ffw_norm", sizes.hidden)

    def norm(self, hf_name: str, gguf_name: str, size: int) -> Slot:
        return replace(super().norm(hf_name, gguf_name, size), to_file=_one_more, from_file=_one_less)

    def own_metadata(self, config: Mapping[str, Any], sizes: Sizes) -> dict[str, int | float | str]:
        if config.get("use_bidirectional_attention"):
            raise unsupported("attention in both directions")
        period = self.period_of(config, sizes)
        scalar = float(config.get("query_pre_attn_scalar", 256))
        if scalar != self.attention_scalar(sizes):
            raise unsupported(
                f"an attention scale of 1/√{scalar:g}; llama.cpp takes 1/√{self.attention_scalar(sizes)} for this size"
            )
        values: dict[str, int | float | str] = {"attention.sliding_window": integer(config, "sliding_window")}
        return values if period == self.period else {**values, "attention.sliding_window_pattern": period}

    def own_config(self, fields: Mapping[str, Any], sizes: Sizes) -> dict[str, Any]:
        return {
            "query_pre_attn_scalar": self.attention_scalar(sizes),
            "sliding_window": int(fields.get("attention.sliding_window", 4096)),
            "layer_types": self.layer_types(sizes, self.period),
        }

    def attention_scalar(self, sizes: Sizes) -> int:
        """llama.cpp divides the scores by the root of this."""
        return sizes.hidden // sizes.heads if sizes.layers == self.widest else sizes.head_dim

    def period_of(self, config: Mapping[str, Any], sizes: Sizes) -> int:
        """The number such that each layer of that number attends to the whole context and all others to the window."""
        kinds = config.get("layer_types")
        if kinds is None:
            kinds = self.layer_types(sizes, int(config.get("sliding_window_pattern") or self.period))
        for period in self.periods(sizes):
            if list(kinds) == self.layer_types(sizes, period):
                return period
        raise unsupported(f"an order of sliding windows other than all but each {self.period}th layer")

    def periods(self, sizes: Sizes) -> tuple[int, ...]:
        """The periods that llama.cpp knows of the family, the usual one first."""
        return (self.period,)

    @staticmethod
    def layer_types(sizes: Sizes, period: int) -> list[str]:
        """Which layers have a window."""
        return [SLIDING if (number + 1) % period else FULL for number in range(sizes.layers)]


class Gemma2(Gemma):
    """Scores of the attention and of the vocabulary are capped by a hyperbolic tangent."""

    architecture = "gemma2"
    model_types = ("Gemma2ForCausalLM",)
    model_type = "gemma2"
    period = 2
    widest = 46
    caps: ClassVar[Mapping[str, float]] = {"attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0}

    def own_metadata(self, config: Mapping[str, Any], sizes: Sizes) -> dict[str, int | float | str]:
        values = super().own_metadata(config, sizes)
        if not config.get("tie_word_embeddings", True):
            raise unsupported("an output matrix apart from the embeddings, which llama.cpp does not know of Gemma 2")
        for key, usual in self.caps.items():
            cap = config.get(key, usual)
            if not cap:
                raise unsupported(f"no {key}; llama.cpp always caps the scores of Gemma 2")
            values[key] = float(cap)
        return values

    def own_config(self, fields: Mapping[str, Any], sizes: Sizes) -> dict[str, Any]:
        caps = {key: decimal(fields.get(key, usual)) for key, usual in self.caps.items()}
        return {**super().own_config(fields, sizes), **caps}


def _one_more(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Hugging Face multiplies by 1 + weight, llama.cpp by the weight."""
    import numpy as np

    return values.astype(np.float32) + np.float32(1)


def _one_less(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    import numpy as np

    return values.astype(np.float32) - np.float32(1)


FAMILY = Gemma2()
