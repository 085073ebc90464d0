"""What all families share: a stack of pre-normed layers with rotary attention and a gated feed-forward network."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from core.errors import ExportError
from core.release.families import rope as ropes
from core.release.families.plan import (
    Slot,
    Source,
    TensorPlan,
    blocks_of,
    decimal,
    integer,
    unreadable,
    unsupported,
)
from core.release.families.rope import Rope
from core.release.weights import Weights

if TYPE_CHECKING:
    import numpy.typing as npt

    Values = npt.NDArray[Any]

EMBEDDING = ("model.embed_tokens.weight", "token_embd.weight")
HEAD = ("lm_head.weight", "output.weight")
# Keys that change what a model computes and that no family here has.
FOREIGN_KEYS = ("expert_count", "attention.scale", "logit_scale", "embedding_scale", "residual_scale")


@dataclass(frozen=True, slots=True)
class Sizes:
    """Numbers of layers, of features (hidden, of the feed-forward network), heads, features of a head, vocabulary
    rows, and tokens of context."""

    layers: int
    hidden: int
    inner: int
    heads: int
    kv_heads: int
    head_dim: int
    rows: int
    context: int


class Decoder:
    """The common part of every family; a family says how it differs. Satisfies `plan.Family`."""

    architecture: ClassVar[str]
    model_types: ClassVar[tuple[str, ...]]
    model_type: ClassVar[str]
    activation_key: ClassVar[str] = "hidden_act"
    activation: ClassVar[str] = "silu"
    default_head_dim: ClassVar[int | None] = None
    default_epsilon: ClassVar[float] = 1e-6
    tied_by_default: ClassVar[bool] = False
    states_head_dim: ClassVar[bool] = True
    rope_kinds: ClassVar[frozenset[str]] = frozenset({"default", "linear", "yarn"})

    def metadata(self, config: Mapping[str, Any]) -> dict[str, int | float | str]:
        """See `plan.Family.metadata`."""
        activation = config.get(self.activation_key) or self.activation
        if activation != self.activation:
            raise unsupported(f"the activation {activation!r}; the family knows only {self.activation!r}")
        sizes = self.sizes(config)
        return {
            "block_count": sizes.layers,
            "context_length": sizes.context,
            "embedding_length": sizes.hidden,
            "feed_forward_length": sizes.inner,
            "attention.head_count": sizes.heads,
            "attention.head_count_kv": sizes.kv_heads,
            "attention.key_length": sizes.head_dim,
            "attention.value_length": sizes.head_dim,
            "attention.layer_norm_rms_epsilon": float(config.get("rms_norm_eps", self.default_epsilon)),
            "rope.dimension_count": self.rotated(config, sizes),
            "vocab_size": sizes.rows,
            **ropes.rope_metadata(self.rope(config), sizes.context),
            **self.own_metadata(config, sizes),
        }

    def tensors(self, config: Mapping[str, Any], weights: Weights) -> Iterator[TensorPlan]:
        """See `plan.Family.tensors`."""
        sizes = self.sizes(config)
        left = {name for name in weights.names if not name.endswith("rotary_emb.inv_freq")}
        for slot in self.slots(config):
            left.discard(slot.hf_name)
            yield _plan(slot, weights)
        if HEAD[0] in left:
            left.discard(HEAD[0])
            if not weights.equal(HEAD[0], EMBEDDING[0]):
                raise unsupported("tied embeddings whose two copies differ; one of them would be lost")
        for name, factors in ropes.factor_tensors(self.rope(config), self.rotated(config, sizes)).items():
            yield TensorPlan(name, factors.shape, True, "F32", partial(_once, factors))
        if left:
            raise unsupported(f"tensors that the family has no place for, such as {min(left)}")

    def config_of(self, fields: Mapping[str, Any], tensors: Mapping[str, Values]) -> dict[str, Any]:
        """See `plan.Family.config_of`."""
        sizes = _sizes_in_file(fields)
        dims = int(fields.get("rope.dimension_count", sizes.head_dim))
        config: dict[str, Any] = {
            "architectures": [self.model_types[0]],
            "model_type": self.model_type,
            "num_hidden_layers": sizes.layers,
            "hidden_size": sizes.hidden,
            "intermediate_size": sizes.inner,
            "num_attention_heads": sizes.heads,
            "num_key_value_heads": sizes.kv_heads,
            "head_dim": sizes.head_dim,
            "vocab_size": sizes.rows,
            "max_position_embeddings": sizes.context,
            "rms_norm_eps": decimal(_needed(fields, "attention.layer_norm_rms_epsilon")),
            self.activation_key: self.activation,
            "tie_word_embeddings": HEAD[1] not in tensors,
            "rope_parameters": self.rope_of_file(fields, tensors, sizes, dims),
            **self.own_config(fields, sizes),
        }
        if not self.states_head_dim:
            if sizes.head_dim * sizes.heads != sizes.hidden:
                raise unreadable(f"heads of {sizes.head_dim} features, which its kind cannot have")
            del config["head_dim"]
        for key in ("bos", "eos", "pad"):
            token = fields.get(f"tokenizer.ggml.{'padding' if key == 'pad' else key}_token_id")
            config[f"{key}_token_id"] = None if token is None else int(token)
        return config

    def sources(self, config: Mapping[str, Any]) -> Iterator[Source]:
        """See `plan.Family.sources`."""
        for slot in self.slots(config):
            yield Source(slot.hf_name, slot.gguf_name, slot.shape, slot.from_file)

    def slots(self, config: Mapping[str, Any]) -> Iterator[Slot]:
        """See `plan.Family.slots`."""
        sizes = self.sizes(config)
        yield Slot(*EMBEDDING, (sizes.rows, sizes.hidden))
        yield self.norm("model.norm", "output_norm", sizes.hidden)
        if not config.get("tie_word_embeddings", self.tied_by_default):
            yield Slot(*HEAD, (sizes.rows, sizes.hidden))
        for number in range(sizes.layers):
            for slot in self.layer(sizes):
                yield replace(
                    slot,
                    hf_name=f"model.layers.{number}.{slot.hf_name}",
                    gguf_name=f"blk.{number}.{slot.gguf_name}",
                )

    def layer(self, sizes: Sizes) -> Iterator[Slot]:
        """The tensors of one layer, their names without its prefix."""
        yield self.norm("input_layernorm", "attn_norm", sizes.hidden)
        yield from self.attention(sizes)
        yield self.norm("post_attention_layernorm", "ffn_norm", sizes.hidden)
        yield from self.feed_forward(sizes)

    def attention(self, sizes: Sizes) -> Iterator[Slot]:
        """The projections of the attention."""
        queries, keys = sizes.heads * sizes.head_dim, sizes.kv_heads * sizes.head_dim
        yield Slot("self_attn.q_proj.weight", "attn_q.weight", (queries, sizes.hidden))
        yield Slot("self_attn.k_proj.weight", "attn_k.weight", (keys, sizes.hidden))
        yield Slot("self_attn.v_proj.weight", "attn_v.weight", (keys, sizes.hidden))
        yield Slot("self_attn.o_proj.weight", "attn_output.weight", (sizes.hidden, queries))

    def feed_forward(self, sizes: Sizes) -> Iterator[Slot]:
        """The projections of the feed-forward network."""
        yield Slot("mlp.gate_proj.weight", "ffn_gate.weight", (sizes.inner, sizes.hidden))
        yield Slot("mlp.up_proj.weight", "ffn_up.weight", (sizes.inner, sizes.hidden))
        yield Slot("mlp.down_proj.weight", "ffn_down.weight", (sizes.hidden, sizes.inner))

    def norm(self, hf_name: str, gguf_name: str, size: int) -> Slot:
        """A norm's weight."""
        return Slot(f"{hf_name}.weight", f"{gguf_name}.weight", (size,))

    def own_metadata(self, config: Mapping[str, Any], sizes: Sizes) -> dict[str, int | float | str]:
        """Keys of this family alone; raises ExportError for what llama.cpp does not know of it."""
        return {}

    def own_config(self, fields: Mapping[str, Any], sizes: Sizes) -> dict[str, Any]:
        """Settings of config.json of this family alone: the inverse of `own_metadata`."""
        return {}

    def window(self, config: Mapping[str, Any]) -> int | None:
        """Tokens that attention reaches back in some layer where llama.cpp lets it reach all; None without such."""
        return None

    def rotated(self, config: Mapping[str, Any], sizes: Sizes) -> int:
        """Features of a head that are rotated: all of them."""
        parameters = config.get("rope_parameters") or config.get("rope_scaling") or {}
        if float(parameters.get("partial_rotary_factor", config.get("partial_rotary_factor") or 1.0)) != 1.0:
            raise unsupported("a partial rotary embedding")
        return sizes.head_dim

    def rope(self, config: Mapping[str, Any]) -> Rope:
        """Rotary settings of either form: `rope_parameters`, or `rope_theta` beside `rope_scaling`."""
        parameters = config.get("rope_parameters") or config.get("rope_scaling")
        theta = float(config.get("rope_theta") or ropes.DEFAULT_THETA)
        return ropes.read_rope(config, parameters, theta, self.rope_kinds)

    def rope_of_file(
        self, fields: Mapping[str, Any], tensors: Mapping[str, Values], sizes: Sizes, dims: int
    ) -> dict[str, Any]:
        """`rope_parameters` of config.json; ModelError for a kind that the family does not have."""
        if dims != sizes.head_dim:
            raise unreadable("a partial rotary embedding")
        values = ropes.rope_parameters(fields, tensors, dims=dims, context=sizes.context)
        if values["rope_type"] not in self.rope_kinds:
            raise unreadable(f"rotary scaling of type {values['rope_type']!r}, which its kind cannot have")
        return values

    def sizes(self, config: Mapping[str, Any]) -> Sizes:
        """The sizes of config.json. The context is cut to where a window that llama.cpp ignores begins to matter."""
        hidden, heads = integer(config, "hidden_size"), integer(config, "num_attention_heads")
        context = integer(config, "max_position_embeddings")
        return Sizes(
            layers=integer(config, "num_hidden_layers"),
            hidden=hidden,
            inner=integer(config, "intermediate_size"),
            heads=heads,
            kv_heads=int(config.get("num_key_value_heads") or heads),
            head_dim=int(config.get("head_dim") or self.default_head_dim or hidden // heads),
            rows=integer(config, "vocab_size"),
            context=min(context, self.window(config) or context),
        )


def check_used(names: Mapping[str, Any] | frozenset[str], sources: list[Source]) -> None:
    """Raises ModelError where a file holds tensors that no source takes (biases, experts, …), for they would be
    lost."""
    left = set(names) - {source.gguf_name for source in sources} - ropes.FACTOR_TENSORS
    if left:
        raise unreadable(f"tensors that its kind has no place for, such as {min(left)}")


def _plan(slot: Slot, weights: Weights) -> TensorPlan:
    if weights.shape(slot.hf_name) != slot.shape:
        raise ExportError(
            f"The tensor {slot.hf_name} has shape {weights.shape(slot.hf_name)}, its configuration says {slot.shape}.",
            hint="Check that config.json belongs to these weights (after adding tokens the embedding grows).",
        )
    blocks: Callable[[], Iterator[Values]] = partial(blocks_of, slot, weights)
    return TensorPlan(slot.gguf_name, slot.shape, len(slot.shape) == 1, weights.dtype(slot.hf_name), blocks)


def _once(values: Values) -> Iterator[Values]:
    yield values


def _sizes_in_file(fields: Mapping[str, Any]) -> Sizes:
    foreign = [key for key in FOREIGN_KEYS if float(fields.get(key) or 0.0) != 0.0]
    if foreign:
        raise unreadable(f"a setting that its kind does not know ({foreign[0]})")
    hidden, heads = _whole(fields, "embedding_length"), _whole(fields, "attention.head_count")
    head_dim = _whole(fields, "attention.key_length", hidden // heads)
    if _whole(fields, "attention.value_length", hidden // heads) != head_dim:
        raise unreadable("heads whose keys and values differ in length")
    tokens = len(fields.get("tokenizer.ggml.tokens") or ())
    return Sizes(
        layers=_whole(fields, "block_count"),
        hidden=hidden,
        inner=_whole(fields, "feed_forward_length"),
        heads=heads,
        kv_heads=_whole(fields, "attention.head_count_kv", heads),
        head_dim=head_dim,
        rows=_whole(fields, "vocab_size", tokens),
        context=_whole(fields, "context_length"),
    )


def _needed(fields: Mapping[str, Any], key: str) -> Any:
    if key not in fields:
        raise unreadable(f"no setting {key}")
    return fields[key]


def _whole(fields: Mapping[str, Any], key: str, default: int | None = None) -> int:
    """A positive whole number, or a list that says the same one for every layer."""
    value = _needed(fields, key) if default is None else fields.get(key, default)
    if isinstance(value, list | tuple):
        if len(set(value)) != 1:
            raise unreadable(f"layers that differ in {key}")
        value = value[0]
    if int(value) <= 0:
        raise unreadable(f"{key} = {value}")
    return int(value)
