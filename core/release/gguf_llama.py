"""The Llama family: how a LlamaForCausalLM folder is laid out in a GGUF file."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from core.errors import ExportError
from core.release.gguf_plan import TensorPlan, integer
from core.release.weights import Weights

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

architecture = "llama"

# Within one layer: Hugging Face name -> GGUF name.
LAYER_NAMES = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def metadata(config: Mapping[str, Any]) -> dict[str, int | float | str]:
    """The hyper-parameters, by key without the architecture's prefix. Raises ExportError for what is not supported."""
    if config.get("hidden_act", "silu") != "silu":
        raise _unsupported(f"the activation {config['hidden_act']!r}; the family knows only 'silu'")
    heads = integer(config, "num_attention_heads")
    head_dim = _head_dim(config)
    rope = _rope(config)
    values: dict[str, int | float | str] = {
        "block_count": integer(config, "num_hidden_layers"),
        "context_length": integer(config, "max_position_embeddings"),
        "embedding_length": integer(config, "hidden_size"),
        "feed_forward_length": integer(config, "intermediate_size"),
        "attention.head_count": heads,
        "attention.head_count_kv": int(config.get("num_key_value_heads") or heads),
        "attention.key_length": head_dim,
        "attention.value_length": head_dim,
        "attention.layer_norm_rms_epsilon": float(config.get("rms_norm_eps", 1e-6)),
        "rope.dimension_count": head_dim,
        "rope.freq_base": float(rope.get("rope_theta", 10000.0)),
        "vocab_size": integer(config, "vocab_size"),
    }
    if rope["rope_type"] == "linear":
        values["rope.scaling.type"] = "linear"
        values["rope.scaling.factor"] = float(rope["factor"])
    return values


def tensors(config: Mapping[str, Any], weights: Weights) -> Iterator[TensorPlan]:
    """Every tensor of the file. Raises ExportError when one is missing, misshapen, or has no place in the file."""
    hidden, rows = integer(config, "hidden_size"), integer(config, "vocab_size")
    left = {name for name in weights.names if not name.endswith("rotary_emb.inv_freq")}

    def take(source: str, target: str, shape: tuple[int, ...], heads: int | None = None) -> TensorPlan:
        left.discard(source)
        if weights.shape(source) != shape:
            raise ExportError(
                f"The tensor {source} has shape {weights.shape(source)}, its configuration says {shape}.",
                hint="Check that config.json belongs to these weights (after adding tokens the embedding grows).",
            )

        def load() -> npt.NDArray[Any]:
            values = weights.read(source)
            return values if heads is None else interleave_halves(values, heads)

        return TensorPlan(target, shape, full_precision=len(shape) == 1, load=load)

    yield take("model.embed_tokens.weight", "token_embd.weight", (rows, hidden))
    yield take("model.norm.weight", "output_norm.weight", (hidden,))
    if "lm_head.weight" in weights.names:
        head = take("lm_head.weight", "output.weight", (rows, hidden))
        if not config.get("tie_word_embeddings", False):
            yield head
        elif not _equal(weights, "lm_head.weight", "model.embed_tokens.weight"):
            raise _unsupported("tied embeddings whose two copies differ; one of them would be lost")
    elif not config.get("tie_word_embeddings", False):
        weights.shape("lm_head.weight")  # raises: it is missing
    factors = rope_factors(config)
    if factors is not None:
        yield TensorPlan("rope_freqs.weight", factors.shape, full_precision=True, load=lambda: factors)
    shapes = _layer_shapes(config)
    heads = {"self_attn.q_proj": integer(config, "num_attention_heads")}
    heads["self_attn.k_proj"] = int(config.get("num_key_value_heads") or heads["self_attn.q_proj"])
    for layer in range(integer(config, "num_hidden_layers")):
        for source, target in LAYER_NAMES.items():
            yield take(
                f"model.layers.{layer}.{source}.weight",
                f"blk.{layer}.{target}.weight",
                shapes[source],
                heads.get(source),
            )
    if left:
        raise _unsupported(f"tensors that the family has no place for, such as {min(left)}")


def interleave_halves(weight: npt.NDArray[Any], heads: int) -> npt.NDArray[Any]:
    """Reorder the rows of a query or key projection, [heads · d, n], for llama.cpp's rotary embedding.

    Hugging Face rotates row i of a head together with row i + d/2, llama.cpp rows 2i and 2i + 1.
    """
    rows, columns = weight.shape
    return weight.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)


def rope_factors(config: Mapping[str, Any]) -> npt.NDArray[np.float32] | None:
    """Divisors of the rotary frequencies, [head_dim / 2], for Llama 3's scaling; None without it.

    Frequencies of long wavelength are divided by `factor`, those of short wavelength are kept, and between the two
    bounds the inverse goes linearly (Llama 3.1 model card; transformers `_compute_llama3_parameters`).
    """
    import numpy as np

    rope = _rope(config)
    if rope["rope_type"] != "llama3":
        return None
    head_dim = _head_dim(config)
    factor, low, high = float(rope["factor"]), float(rope["low_freq_factor"]), float(rope["high_freq_factor"])
    trained = float(rope["original_max_position_embeddings"])
    frequencies = float(rope.get("rope_theta", 10000.0)) ** (-np.arange(0, head_dim, 2, dtype=np.float64) / head_dim)
    wavelengths = 2 * math.pi / frequencies
    smooth = np.clip((trained / wavelengths - low) / (high - low), 0.0, 1.0)
    return (1.0 / ((1 - smooth) / factor + smooth)).astype(np.float32)


def _rope(config: Mapping[str, Any]) -> dict[str, Any]:
    """Rotary settings of either form of config.json: `rope_parameters`, or `rope_theta` beside `rope_scaling`."""
    rope = dict(config.get("rope_parameters") or config.get("rope_scaling") or {})
    rope.setdefault("rope_type", rope.get("type", "default"))
    if "rope_theta" not in rope and "rope_theta" in config:
        rope["rope_theta"] = config["rope_theta"]
    needed = {
        "default": (),
        "linear": ("factor",),
        "llama3": ("factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"),
    }
    if rope["rope_type"] not in needed:
        raise _unsupported(f"rotary scaling of type {rope['rope_type']!r}; known are {', '.join(needed)}")
    missing = [key for key in needed[rope["rope_type"]] if key not in rope]
    if missing:
        raise _unsupported(f"rotary scaling without {', '.join(missing)}")
    if float(rope.get("partial_rotary_factor", config.get("partial_rotary_factor", 1.0))) != 1.0:
        raise _unsupported("a partial rotary embedding")
    return rope


def _head_dim(config: Mapping[str, Any]) -> int:
    return int(config.get("head_dim") or integer(config, "hidden_size") // integer(config, "num_attention_heads"))


def _layer_shapes(config: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    hidden, inner, head_dim = integer(config, "hidden_size"), integer(config, "intermediate_size"), _head_dim(config)
    heads = integer(config, "num_attention_heads")
    queries, keys = heads * head_dim, int(config.get("num_key_value_heads") or heads) * head_dim
    return {
        "input_layernorm": (hidden,),
        "self_attn.q_proj": (queries, hidden),
        "self_attn.k_proj": (keys, hidden),
        "self_attn.v_proj": (keys, hidden),
        "self_attn.o_proj": (hidden, queries),
        "post_attention_layernorm": (hidden,),
        "mlp.gate_proj": (inner, hidden),
        "mlp.up_proj": (inner, hidden),
        "mlp.down_proj": (hidden, inner),
    }


def _equal(weights: Weights, first: str, second: str) -> bool:
    import numpy as np

    return bool(np.array_equal(weights.read(first), weights.read(second)))


def _unsupported(what: str) -> ExportError:
    return ExportError(f"The model has {what}.", hint="Choose a base model of a supported kind; nothing was written.")
