"""What a training step holds in memory, part by part, from the sizes in config.json.

Everything is counted as autograd keeps it for LoRA on every linear layer of a block, over one row without padding;
tests list the tensors that torch really keeps and compare.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from core.errors import ModelError
from core.train.config import LOGIT_CHUNK_BYTES, TrainSettings

if TYPE_CHECKING:
    from core.train.data import Lesson

FILLED: Final = 1 / 3  # share of a GPU from which on the base is kept in 4 bits

_MIB: Final = 2**20
_LIBRARIES: Final[Mapping[str, int]] = {"cpu": 300 * _MIB, "cuda": 500 * _MIB}  # Python with torch; a CUDA context
_BITSANDBYTES: Final = 60 * _MIB
_FOUR_BITS: Final = 0.5 + 1 / 64 + 4 / (64 * 256)  # a weight, its scale in 8 bits, and the scale of the scales
_SMALL_STATE: Final = 4096  # parameters of a matrix up to which bitsandbytes keeps its state in 32 bits
_EIGHT_BITS: Final = 2 + 2 * 4 / 256  # both moments of a parameter, with a scale for each 256
# Holes that freed tensors leave. With gradient checkpointing on a CPU none are kept (`memory.return_freed_memory`).
_HOLES: Final[Mapping[str, float]] = {"cpu": 0.4, "cuda": 0.05}
_WORKSPACE: Final = 40 * _MIB  # of cuBLAS


@dataclass(frozen=True, slots=True)
class Device:
    """Where training runs, and what is free there, in bytes; `total` 0 means that nothing else uses the device."""

    kind: Literal["cpu", "cuda"]
    name: str
    free: int
    total: int = 0


@dataclass(frozen=True, slots=True)
class ModelShape:
    """The sizes that memory depends on. `parameters` counts all weights, tied ones once.

    `norms` are those of a block, beside them queries and keys may be `normed` too. `fused` are models whose query, key
    and value, and whose gate and up, are one layer each. `window` is the most tokens that one sees, 0 for all;
    `capped` models squash their attention scores, which takes a whole matrix of them.
    """

    hidden: int
    feed_forward: int
    layers: int
    heads: int
    query: int
    key_value: int
    vocabulary: int
    parameters: int
    norms: int = 2
    normed: bool = False
    fused: bool = False
    window: int = 0
    capped: bool = False

    @property
    def linear_widths(self) -> tuple[tuple[int, int], ...]:
        """(inputs, outputs) of the linear layers of a block: query, key, value, gate, up, output, down."""
        hidden, wide = self.hidden, self.feed_forward
        ends = ((self.query, hidden), (wide, hidden))
        if self.fused:
            return ((hidden, self.query + 2 * self.key_value), (hidden, 2 * wide), *ends)
        pair = (hidden, self.key_value)
        return ((hidden, self.query), pair, pair, (hidden, wide), (hidden, wide), *ends)

    @property
    def linear_parameters(self) -> int:
        """Weights of all linear layers inside the blocks, which are those that can be kept in 4 bits."""
        return self.layers * sum(inputs * outputs for inputs, outputs in self.linear_widths)


@dataclass(frozen=True, slots=True)
class Load:
    """The largest pass of a run. `tokens` are those it computes, `answers` those with a loss, `longest` those of its
    longest sequence, `copied` those of the sequences that share their beginning with an earlier one, shared ones
    included.
    """

    tokens: int
    answers: int
    longest: int
    copied: int = 0

    @classmethod
    def most(cls, settings: TrainSettings) -> Load:
        """What the settings allow: full passes, or a longer lesson alone, as a pair of answers may be."""
        pair = settings.method == "dpo"
        tokens = max(settings.token_budget, (2 if pair else 1) * settings.max_length)
        return cls(tokens, tokens, settings.max_length, tokens // 2 if pair else 0)

    @classmethod
    def of(cls, lessons: Sequence[Lesson]) -> Load:
        """A pass over these lessons."""
        examples = [example for lesson in lessons for example in lesson.examples]
        copied = [len(one.ids) for lesson in lessons if lesson.shared for one in lesson.examples[1:]]
        return cls(
            tokens=sum(lesson.cost for lesson in lessons),
            answers=sum(example.answer_tokens for example in examples),
            longest=max(len(example.ids) for example in examples),
            copied=sum(copied),
        )


def model_shape(config: Mapping[str, Any]) -> ModelShape:
    """Reads the config.json of a decoder with gated blocks. Raises ModelError when it is not one."""
    kind = str(config.get("model_type", "nameless"))
    gemma = kind.startswith("gemma")
    try:
        hidden, heads = int(config["hidden_size"]), int(config["num_attention_heads"])
        head = int(config.get("head_dim") or hidden // heads)
        wide, layers = int(config["intermediate_size"]), int(config["num_hidden_layers"])
        words = int(config["vocab_size"])
        query, key_value = heads * head, int(config.get("num_key_value_heads") or heads) * head
        windowed = config.get("use_sliding_window", True) is not False
        window = int(config.get("sliding_window") or 0) if windowed else 0
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise ModelError(
            f"The memory needs of a {kind} model are not known: {error}.",
            hint="Choose a model with Llama-like layers, for example Llama, Mistral or Qwen.",
        ) from error
    norms, normed = (4 if kind[:6] in ("gemma2", "gemma3") else 2), kind == "qwen3" or kind.startswith("gemma3")
    block = 2 * hidden * (query + key_value) + 3 * hidden * wide + norms * hidden + (2 * head if normed else 0)
    embeddings = words * hidden * (1 if config.get("tie_word_embeddings", gemma) else 2)
    return ModelShape(
        hidden,
        wide,
        layers,
        heads,
        query,
        key_value,
        words,
        layers * block + embeddings + hidden,
        norms=norms,
        normed=normed,
        fused=kind == "phi3",
        window=window,
        capped=bool(config.get("attn_logit_softcapping")),
    )


def adapter_parameters(shape: ModelShape, rank: int) -> int:
    """Trainable parameters of LoRA matrices A [rank, inputs] and B [outputs, rank] on every linear layer."""
    return shape.layers * rank * sum(inputs + outputs for inputs, outputs in shape.linear_widths)


def quantizes(settings: TrainSettings, device: Device, parameters: int) -> bool:
    """Whether a base of so many parameters is kept in 4 bits: as set, else where 16 would fill a third of the GPU."""
    if settings.quantize_base != "auto":
        return settings.quantize_base == "on"
    return device.kind == "cuda" and 2 * parameters > FILLED * (device.total or device.free)


def footprint(shape: ModelShape, settings: TrainSettings, device: Device, load: Load) -> dict[str, int]:
    """Bytes by part at the peak of a run, of all its processes where they share one memory."""
    half = settings.precision in ("bf16", "fp16") or (settings.precision == "auto" and device.kind == "cuda")
    width = 2 if half else 4
    four = quantizes(settings, device, shape.parameters)
    adapter = adapter_parameters(shape, settings.rank)
    kept, passing = _activations(shape, settings, load, width, unpacked=four)
    packed = shape.linear_parameters if four else 0
    changing = kept + passing
    parts = {
        "weights": int(_FOUR_BITS * packed) + width * (shape.parameters - packed),
        "adapter": 8 * adapter,  # values and gradients, float32
        "optimizer": _optimizer(shape, settings, device),
        "activations": kept,
        "temporaries": passing,
        "allocator": _allocator(device, changing, compact=settings.recomputes_activations(shape.parameters)),
        "libraries": _LIBRARIES[device.kind] + (_BITSANDBYTES if four or _eight_bits(settings, device) else 0),
    }
    together = settings.processes if device.kind == "cpu" else 1
    return {name: together * size for name, size in parts.items()}


def _allocator(device: Device, changing: int, *, compact: bool) -> int:
    if device.kind == "cuda":
        return int(_HOLES["cuda"] * changing) + _WORKSPACE
    return 0 if compact else int(_HOLES["cpu"] * changing)


def _eight_bits(settings: TrainSettings, device: Device) -> bool:
    return settings.optimizer == "adamw_8bit" or (settings.optimizer == "auto" and device.kind == "cuda")


def _optimizer(shape: ModelShape, settings: TrainSettings, device: Device) -> int:
    """Two moments of AdamW for each parameter of the adapter."""
    sizes = [settings.rank * width for widths in shape.linear_widths for width in widths]
    if not _eight_bits(settings, device):
        return 8 * shape.layers * sum(sizes)
    return int(shape.layers * sum(size * (8 if size < _SMALL_STATE else _EIGHT_BITS) for size in sizes))


def _activations(
    shape: ModelShape, settings: TrainSettings, load: Load, width: int, *, unpacked: bool
) -> tuple[int, int]:
    """Bytes that the backward pass finds when it begins, and those beside them at its worst moment."""
    hidden, wide = shape.hidden, shape.feed_forward
    block = load.tokens * _token_bytes(shape, settings, load, width) + load.copied * _copied_bytes(shape, width)
    # Inside a block: gradients as wide as the feed-forward layer, and one more while inputs are dropped.
    inside = load.tokens * (3 if settings.dropout else 2) * wide * width
    if shape.capped:
        inside += load.tokens * 2 * width * shape.heads * load.longest
    if unpacked:
        inside += width * max(inputs * outputs for inputs, outputs in shape.linear_widths)
    # Before the first block: the output layer, or the last norm, whichever takes more.
    outside = max(_logits(shape, load, width), load.tokens * 20 * hidden)
    last = load.tokens * 4 * hidden  # the input of the last norm, in float32
    if settings.recomputes_activations(shape.parameters):
        return shape.layers * load.tokens * hidden * width + last, max(block + inside, outside)
    return shape.layers * block + last, max(inside, outside)


def _token_bytes(shape: ModelShape, settings: TrainSettings, load: Load, width: int) -> int:
    """Bytes that one token leaves in one block for the backward pass."""
    hidden, wide, query, key_value = shape.hidden, shape.feed_forward, shape.query, shape.key_value
    # Each norm keeps its input, in float32, and one factor.
    norms = 4 * shape.norms * (hidden + 1)
    if shape.normed:
        norms += 4 * (query + key_value) + 8 * shape.heads
    # Rotated queries, keys and values (repeated to as many heads), the output, and one float32 a head.
    attention = 4 * query * width + 4 * shape.heads
    if shape.fused and key_value == query:
        attention += 2 * key_value * width  # values are a part of what the fused layer gave, which stays whole
    if shape.capped:
        # Squashed scores, their softmax in float32 (and as the product with the values takes it), and what is seen.
        attention += shape.heads * load.longest * (8 if width == 4 else 4 + 2 * width) + load.longest
    elif 0 < shape.window < load.longest:
        attention += load.longest * width  # what is seen, as numbers
    # Gate, its activation, up, and their product; what the attention's and the feed-forward part's norms gave.
    inputs = (4 * wide + 2 * hidden) * width
    if load.tokens > load.longest:
        inputs += query * width  # outputs of the attention, put together
    # What was dropped of each layer's input, and the narrow middle of its branch.
    dropped = sum(inputs for inputs, _ in shape.linear_widths) * width if settings.dropout else 0
    return norms + attention + inputs + dropped + width * settings.rank * len(shape.linear_widths)


def _copied_bytes(shape: ModelShape, width: int) -> int:
    """Bytes in one block for a token of a sequence whose beginning was computed with an earlier one."""
    return 3 * shape.query * width + 4 * shape.heads


def _logits(shape: ModelShape, load: Load, width: int) -> int:
    """Bytes of the output layer: a chunk of float32 logits, in half precision too; hidden states, their gradient."""
    chunk = min(4 * load.answers * shape.vocabulary, LOGIT_CHUNK_BYTES)
    copies = (1 if width == 4 else 1.5) + (2 if shape.capped else 0)
    return int(copies * chunk) + (load.tokens + 2 * load.answers) * shape.hidden * width
