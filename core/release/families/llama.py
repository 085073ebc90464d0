"""Llama 1 to 3, and Mistral, which llama.cpp runs as the same architecture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from core.release.families.decoder import Decoder, Sizes
from core.release.families.plan import Slot

if TYPE_CHECKING:
    import numpy.typing as npt

MISTRAL = "MistralForCausalLM"
MISTRAL_WINDOW = 4096


class Llama(Decoder):
    """Rows of queries and keys stand in another order: see `interleave_halves`."""

    architecture = "llama"
    model_types = ("LlamaForCausalLM", MISTRAL)
    model_type = "llama"
    rope_kinds = Decoder.rope_kinds | {"llama3"}

    def attention(self, sizes: Sizes) -> Iterator[Slot]:
        def to_file(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
            return interleave_halves(values, len(values) // sizes.head_dim)

        def from_file(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
            return part_halves(values, len(values) // sizes.head_dim)

        for slot in super().attention(sizes):
            if slot.gguf_name in ("attn_q.weight", "attn_k.weight"):
                yield replace(slot, to_file=to_file, from_file=from_file, unit=sizes.head_dim)
            else:
                yield slot

    def window(self, config: Mapping[str, Any]) -> int | None:
        mistral = MISTRAL in (config.get("architectures") or ())
        return config.get("sliding_window", MISTRAL_WINDOW) if mistral else None


def interleave_halves(weight: npt.NDArray[Any], heads: int) -> npt.NDArray[Any]:
    """Reorder the rows of a query or key projection, [heads · d, n], for llama.cpp's rotary embedding.

    Hugging Face rotates row i of a head together with row i + d/2, llama.cpp rows 2i and 2i + 1.
    """
    rows, columns = weight.shape
    return weight.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)


def part_halves(weight: npt.NDArray[Any], heads: int) -> npt.NDArray[Any]:
    """The inverse of `interleave_halves`."""
    rows, columns = weight.shape
    return weight.reshape(heads, rows // heads // 2, 2, columns).swapaxes(1, 2).reshape(rows, columns)


FAMILY = Llama()
