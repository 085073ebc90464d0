"""Phi-3, 3.5 and Phi-4-mini: fused projections, and two sets of rotary factors in the long-context models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from core.release.families import rope as ropes
from core.release.families.decoder import Decoder, Sizes
from core.release.families.plan import Slot, unreadable, unsupported
from core.release.families.rope import Rope

if TYPE_CHECKING:
    import numpy.typing as npt


class Phi3(Decoder):
    """Queries, keys and values are one matrix, and so are gate and up, in both formats alike."""

    architecture = "phi3"
    model_types = ("Phi3ForCausalLM",)
    model_type = "phi3"
    default_epsilon = 1e-5
    states_head_dim = False
    rope_kinds = frozenset({"default", "longrope"})

    def attention(self, sizes: Sizes) -> Iterator[Slot]:
        rows = (sizes.heads + 2 * sizes.kv_heads) * sizes.head_dim
        yield Slot("self_attn.qkv_proj.weight", "attn_qkv.weight", (rows, sizes.hidden))
        yield Slot("self_attn.o_proj.weight", "attn_output.weight", (sizes.hidden, sizes.heads * sizes.head_dim))

    def feed_forward(self, sizes: Sizes) -> Iterator[Slot]:
        yield Slot("mlp.gate_up_proj.weight", "ffn_up.weight", (2 * sizes.inner, sizes.hidden))
        yield Slot("mlp.down_proj.weight", "ffn_down.weight", (sizes.hidden, sizes.inner))

    def window(self, config: Mapping[str, Any]) -> int | None:
        return config.get("sliding_window")

    def own_metadata(self, config: Mapping[str, Any], sizes: Sizes) -> dict[str, int | float | str]:
        window = config.get("sliding_window")
        return {} if window is None else {"attention.sliding_window": int(window)}

    def own_config(self, fields: Mapping[str, Any], sizes: Sizes) -> dict[str, Any]:
        window = fields.get("attention.sliding_window")
        return {"sliding_window": int(window) if window else None}

    def config_of(self, fields: Mapping[str, Any], tensors: Mapping[str, npt.NDArray[Any]]) -> dict[str, Any]:
        config = super().config_of(fields, tensors)
        key = "original_max_position_embeddings"  # transformers prefers the one outside of the rotary settings
        trained = config["rope_parameters"].get(key)
        return config if trained is None else {**config, key: trained}

    def rotated(self, config: Mapping[str, Any], sizes: Sizes) -> int:
        parameters = config.get("rope_parameters") or config.get("rope_scaling") or {}
        share = float(parameters.get("partial_rotary_factor", config.get("partial_rotary_factor") or 1.0))
        dims = int(sizes.head_dim * share)
        if dims % 2 or not 0 < dims <= sizes.head_dim:
            raise unsupported(f"a partial rotary embedding of {dims} features")
        return dims

    def rope(self, config: Mapping[str, Any]) -> Rope:
        parameters = dict(config.get("rope_parameters") or config.get("rope_scaling") or {})
        if parameters.get("rope_type", parameters.get("type")) in ("su", "yarn"):  # longrope's names in early releases
            parameters["rope_type"] = "longrope"
        theta = float(config.get("rope_theta") or ropes.DEFAULT_THETA)
        if config.get("original_max_position_embeddings"):
            parameters["original_max_position_embeddings"] = config["original_max_position_embeddings"]
        return ropes.read_rope(config, parameters, theta, self.rope_kinds)

    def rope_of_file(
        self, fields: Mapping[str, Any], tensors: Mapping[str, npt.NDArray[Any]], sizes: Sizes, dims: int
    ) -> dict[str, Any]:
        if dims > sizes.head_dim:
            raise unreadable(f"a rotary embedding of {dims} features in heads of {sizes.head_dim}")
        values = ropes.rope_parameters(fields, tensors, dims=dims, context=sizes.context)
        if values["rope_type"] not in self.rope_kinds:
            raise unreadable(f"rotary scaling of type {values['rope_type']!r}, which its kind cannot have")
        return {**values, "partial_rotary_factor": dims / sizes.head_dim}


FAMILY = Phi3()
