"""Writing safetensors files tensor by tensor, in shards, without holding a model in memory.

The format: 8 bytes little-endian length of the header, the header (a JSON object: dtype, shape and place of each
tensor), then the tensors without gaps (github.com/huggingface/safetensors).
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from storage.files import flush

if TYPE_CHECKING:
    import numpy.typing as npt

Dtype = Literal["F32", "F16", "BF16"]
SHARD_BYTES: Final = 4 << 30
_ITEM_BYTES: Final[Mapping[Dtype, int]] = {"F32": 4, "F16": 2, "BF16": 2}


@dataclass(frozen=True, slots=True)
class Outline:
    """A tensor before its values are there. BF16 values are given as uint16 bits."""

    name: str
    dtype: Dtype
    shape: tuple[int, ...]

    @property
    def bytes(self) -> int:
        """Size of the values."""
        count = _ITEM_BYTES[self.dtype]
        for n in self.shape:
            count *= n
        return count


def write_safetensors(
    folder: Path,
    outlines: Sequence[Outline],
    values: Callable[[str], npt.NDArray[Any]],
    *,
    shard_bytes: int = SHARD_BYTES,
    progress: Callable[[int, int], None] | None = None,
) -> list[Path]:
    """Writes `model.safetensors`, or shards of at most `shard_bytes` (a larger tensor has one of its own) and their
    index; the files. `values` is asked for each tensor when its turn comes; `progress(done, total)` counts bytes.

    Every file is on the disk when this returns, but the folder is not whole before: write into one that nobody looks
    at yet. Raises OSError, and ValueError where values do not fit their outline.
    """
    shards = _shards(outlines, shard_bytes)
    total, done = sum(outline.bytes for outline in outlines), 0
    files: list[Path] = []
    placed: dict[str, str] = {}
    for number, shard in enumerate(shards, 1):
        name = "model.safetensors" if len(shards) == 1 else f"model-{number:05}-of-{len(shards):05}.safetensors"
        with (folder / name).open("xb") as file:
            file.write(_header(shard))
            for outline in shard:
                file.write(_checked(outline, values(outline.name)))
                done += outline.bytes
                if progress is not None:
                    progress(done, total)
            file.flush()
            os.fsync(file.fileno())
        files.append(folder / name)
        placed |= {outline.name: name for outline in shard}
    if len(shards) > 1:
        index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(placed.items()))}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=1), encoding="utf-8")
    flush(folder)
    return files


def _shards(outlines: Sequence[Outline], most: int) -> list[list[Outline]]:
    shards: list[list[Outline]] = [[]]
    size = 0
    for outline in outlines:
        if shards[-1] and size + outline.bytes > most:
            shards.append([])
            size = 0
        shards[-1].append(outline)
        size += outline.bytes
    for shard in shards:  # the wider values first, so that all stand at a multiple of their width
        shard.sort(key=lambda outline: -_ITEM_BYTES[outline.dtype])
    return shards


def _header(shard: Sequence[Outline]) -> bytes:
    entries: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at = 0
    for outline in shard:
        entries[outline.name] = {
            "dtype": outline.dtype,
            "shape": list(outline.shape),
            "data_offsets": [at, at + outline.bytes],
        }
        at += outline.bytes
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text


def _checked(outline: Outline, values: npt.NDArray[Any]) -> memoryview:
    import numpy as np

    kind = {"F32": "<f4", "F16": "<f2", "BF16": "<u2"}[outline.dtype]
    if values.shape != outline.shape or values.dtype != np.dtype(kind):
        raise ValueError(f"{outline.name}: {values.dtype} {values.shape} instead of {outline.dtype} {outline.shape}")
    return np.ascontiguousarray(values).reshape(-1).view(np.uint8).data
