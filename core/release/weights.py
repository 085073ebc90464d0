"""Reading safetensors folders tensor by tensor, without torch and without holding a model in memory."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import ExportError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

MOST_HEADER_BYTES = 100 << 20  # the format's own limit
MOST_ITEMS_AT_ONCE = 1 << 23  # values compared at once
ITEM_BYTES = {"F16": 2, "BF16": 2, "F32": 4}


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """Where one tensor lies: `offset` counts from the start of the file."""

    file: Path
    dtype: str
    shape: tuple[int, ...]
    offset: int


class Weights:
    """The tensors of a model folder: those of its file `name`, or of the shards that the index of that name lists.

    Raises ExportError where a file is missing, cut short, or holds what is not F16, BF16 or F32.
    """

    def __init__(self, folder: Path, name: str = "model.safetensors") -> None:
        self._tensors: dict[str, StoredTensor] = {}
        for file in _files(folder, name):
            for key, tensor in _read_header(file).items():
                if key in self._tensors:
                    raise _broken(file, f"the tensor {key} stands in two files")
                self._tensors[key] = tensor

    @property
    def names(self) -> frozenset[str]:
        return frozenset(self._tensors)

    def shape(self, name: str) -> tuple[int, ...]:
        """Raises ExportError where there is no such tensor."""
        return self._get(name).shape

    def dtype(self, name: str) -> str:
        """How the values are stored: F16, BF16 or F32."""
        return self._get(name).dtype

    def read(
        self, name: str, start: int = 0, stop: int | None = None
    ) -> npt.NDArray[np.float32] | npt.NDArray[np.float16]:
        """The values, or rows `start` to `stop` of them: float16 as stored, bfloat16 and float32 as float32."""
        import numpy as np

        tensor = self._get(name)
        kind = {"F16": "<f2", "BF16": "<u2", "F32": "<f4"}[tensor.dtype]
        stored = np.memmap(tensor.file, dtype=kind, mode="r", offset=tensor.offset, shape=tensor.shape)[start:stop]
        if tensor.dtype == "BF16":  # the upper half of a float32
            return (stored.astype(np.uint32) << 16).view(np.float32)
        return stored

    def equal(self, first: str, second: str) -> bool:
        """Do two tensors hold the same values? Compared some rows at a time."""
        import numpy as np

        shape = self.shape(first)
        if shape != self.shape(second):
            return False
        step = max(1, MOST_ITEMS_AT_ONCE // max(1, shape[-1]))
        return all(
            np.array_equal(self.read(first, start, start + step), self.read(second, start, start + step))
            for start in range(0, shape[0], step)
        )

    def _get(self, name: str) -> StoredTensor:
        if name not in self._tensors:
            raise ExportError(
                f"The model has no tensor {name}, which its configuration calls for.",
                hint="Check that the model folder is complete and config.json belongs to it.",
            )
        return self._tensors[name]


def _files(folder: Path, name: str) -> list[Path]:
    index = folder / f"{name}.index.json"
    if index.is_file():
        try:
            names = sorted(set(json.loads(index.read_bytes())["weight_map"].values()))
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise _broken(index, "it is not an index of weights") from error
        if any(Path(name).name != name for name in names):
            raise _broken(index, "it names files outside the model folder")
        return [folder / name for name in names]
    return [folder / name]


def _read_header(file: Path) -> dict[str, StoredTensor]:
    try:
        size = file.stat().st_size
        with file.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            if length > min(MOST_HEADER_BYTES, size - 8):
                raise _broken(file, "its header is longer than the file")
            header: dict[str, Any] = json.loads(stream.read(length))
        header.pop("__metadata__", None)
        return {name: _tensor(file, name, entry, 8 + length, size) for name, entry in header.items()}
    except FileNotFoundError as error:
        raise ExportError(
            f"There is no {file.name} in {file.parent}.",
            hint="Only safetensors weights are read; check that the model folder is complete.",
        ) from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError, struct.error) as error:
        raise _broken(file, "its header cannot be read") from error


def _tensor(file: Path, name: str, entry: dict[str, Any], start: int, size: int) -> StoredTensor:
    dtype, shape = str(entry["dtype"]), tuple(int(n) for n in entry["shape"])
    begin, end = (int(n) for n in entry["data_offsets"])
    if dtype not in ITEM_BYTES:
        raise ExportError(
            f"The tensor {name} is stored as {dtype}; only F16, BF16 and F32 weights can be exported.",
            hint="Merge the adapter into the unquantised base model and export that.",
        )
    items = 1
    for n in shape:
        items *= n
    if not 0 <= begin <= end or end - begin != items * ITEM_BYTES[dtype]:
        raise _broken(file, f"the place of {name} does not fit its shape")
    if start + end > size:
        raise _broken(file, "it is cut short")
    return StoredTensor(file, dtype, shape, start + begin)


def _broken(file: Path, why: str) -> ExportError:
    return ExportError(f"{file} is damaged: {why}.", hint="Make or copy the model folder again.")
