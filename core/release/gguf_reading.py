"""Reading GGUF files: header, key-values and where each tensor lies, with every length held against the file's size.

The format: magic, version, number of tensors and of key-values; the key-values; name, shape, type and offset of every
tensor; then the data, aligned (github.com/ggml-org/ggml, docs/gguf.md). Only little-endian files of version 2 and 3.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from core.errors import ModelError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_MAGIC: Final = b"GGUF"
_STRING: Final = 8
_ARRAY: Final = 9
# Type of a value -> its form for struct; 8 is a string and 9 an array.
_FORMS: Final = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_MOST_DIMENSIONS: Final = 4
_CHUNK_ELEMENTS: Final = 1 << 24
_F32, _F16, _BF16 = 0, 1, 30


@dataclass(frozen=True, slots=True)
class GgufTensor:
    """One tensor: shape as Hugging Face counts (rows first), ggml type, place and size of its bytes in the file."""

    name: str
    shape: tuple[int, ...]
    type: int
    offset: int
    bytes: int

    @property
    def elements(self) -> int:
        """How many values it has."""
        count = 1
        for n in self.shape:
            count *= n
        return count


class GgufReading:
    """An open GGUF file: `fields` as Python values by key, `tensors` by name.

    Raises ModelError where the file is missing, no GGUF file, damaged or cut short.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with path.open("rb") as file:
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except OSError as error:
            raise ModelError(
                f"{path} cannot be read: {error.strerror or error}.", hint="Check the path and its permissions."
            ) from error
        except ValueError as error:  # an empty file cannot be mapped
            raise _damaged(path, "it is empty") from error
        try:
            self.fields, self.tensors = _Header(self._map, path).read()
        except BaseException:
            self._map.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._map.close()

    def values(self, name: str) -> npt.NDArray[Any]:
        """The values of a tensor: vectors as float32, BF16 matrices as their uint16 bits, all others as float16.

        Matrices are taken apart in pieces, so that never more than the result and 64 MiB are held. Raises ModelError
        for values that are no numbers or too large for float16.
        """
        import numpy as np

        tensor = self.tensors[name]
        if len(tensor.shape) < 2:
            return self._check(name, self._decoded(tensor, 0, 1).reshape(tensor.shape))
        if tensor.type == _BF16:
            bits = np.frombuffer(self._bytes(tensor), dtype="<u2").reshape(tensor.shape).copy()
            if ((bits & 0x7F80) == 0x7F80).any():
                raise _not_numbers(self.path, name)
            return bits
        rows = tensor.elements // tensor.shape[-1]
        result = np.empty((rows, tensor.shape[-1]), dtype=np.float16)
        step = max(1, _CHUNK_ELEMENTS // tensor.shape[-1])
        for start in range(0, rows, step):
            end = min(rows, start + step)
            with np.errstate(over="ignore"):
                result[start:end] = self._decoded(tensor, start, end).reshape(end - start, -1)
            self._check(name, result[start:end])
        return result.reshape(tensor.shape)

    def _bytes(self, tensor: GgufTensor) -> bytes:
        return self._map[tensor.offset : tensor.offset + tensor.bytes]

    def _decoded(self, tensor: GgufTensor, start: int, end: int) -> npt.NDArray[np.float32]:
        """Rows `start` to `end`, [n · columns] in float32."""
        import gguf
        import numpy as np

        rows = max(1, tensor.elements // tensor.shape[-1]) if tensor.shape else 1
        width = tensor.bytes // rows
        raw = np.frombuffer(self._map[tensor.offset + start * width : tensor.offset + end * width], dtype=np.uint8)
        if tensor.type in (_F32, _F16):
            return raw.view("<f4" if tensor.type == _F32 else "<f2").astype(np.float32, copy=False)
        kind = gguf.GGMLQuantizationType(tensor.type)
        values: npt.NDArray[np.float32] = gguf.quants.dequantize(raw.reshape(end - start, width), kind)
        return values.reshape(-1)

    def _check(self, name: str, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        import numpy as np

        if not np.isfinite(values).all():
            raise _not_numbers(self.path, name)
        return values


class _Header:
    def __init__(self, data: mmap.mmap, path: Path) -> None:
        self._data = data
        self._path = path
        self._size = len(data)
        self._at = 0

    def read(self) -> tuple[dict[str, Any], Mapping[str, GgufTensor]]:
        try:
            return self._read()
        except (struct.error, UnicodeDecodeError, OverflowError, MemoryError, RecursionError) as error:
            raise _damaged(self._path, str(error) or type(error).__name__) from error

    def _read(self) -> tuple[dict[str, Any], Mapping[str, GgufTensor]]:
        if self._data[:4] != _MAGIC:
            raise _damaged(self._path, "it does not begin as a GGUF file")
        self._at = 4
        (version,) = self._take("I")
        if version not in (2, 3):
            raise _damaged(self._path, f"its version is {version}; only 2 and 3 are known")
        tensors, keys = self._take("QQ")
        fields: dict[str, Any] = {}
        for _ in range(self._counted(keys, 13)):
            key = self._string()
            if key in fields:
                raise _damaged(self._path, f"the key {key[:80]!r} stands in it twice")
            (kind,) = self._take("I")
            fields[key] = self._value(kind)
        infos = [self._info() for _ in range(self._counted(tensors, 24))]
        alignment = fields.get("general.alignment", 32)
        if not isinstance(alignment, int) or alignment <= 0 or alignment & (alignment - 1):
            raise _damaged(self._path, f"its alignment is {alignment!r}")
        start = -(-self._at // alignment) * alignment
        found: dict[str, GgufTensor] = {}
        for name, shape, kind, offset in infos:
            tensor = GgufTensor(name, shape, kind, start + offset, self._tensor_bytes(name, shape, kind))
            if name in found:
                raise _damaged(self._path, f"the tensor {name[:80]!r} stands in it twice")
            if offset % alignment or tensor.offset + tensor.bytes > self._size:
                missing = tensor.offset + tensor.bytes - self._size
                why = (
                    f"at least {missing:,} bytes are missing at its end" if missing > 0 else f"{name[:80]} is misplaced"
                )
                raise _damaged(self._path, why)
            found[name] = tensor
        return fields, found

    def _tensor_bytes(self, name: str, shape: tuple[int, ...], kind: int) -> int:
        import gguf

        try:
            block, size = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType(kind)]
        except (ValueError, KeyError) as error:
            raise ModelError(
                f"{self._path} holds {name[:80]} as ggml type {kind}, which this program cannot take apart.",
                hint="Choose another file of the same model, such as Q8_0, Q4_K_M or F16.",
            ) from error
        if not shape or shape[-1] % block:
            raise _damaged(self._path, f"the shape {shape} of {name[:80]} does not fit its type")
        elements = 1
        for n in shape:
            elements *= n
        return elements // int(block) * int(size)

    def _info(self) -> tuple[str, tuple[int, ...], int, int]:
        name = self._string()
        (count,) = self._take("I")
        if not 1 <= count <= _MOST_DIMENSIONS:
            raise _damaged(self._path, f"{name[:80]} has {count} dimensions")
        sizes = self._take(f"{count}Q")
        if not all(sizes):
            raise _damaged(self._path, f"{name[:80]} has a dimension of 0")
        kind, offset = self._take("IQ")
        return name, tuple(reversed(sizes)), kind, offset

    def _value(self, kind: int) -> Any:
        if kind == _STRING:
            return self._string()
        if kind != _ARRAY:
            return self._take(self._form(kind))[0]
        element, count = self._take("IQ")
        if element == _STRING:
            return self._strings(self._counted(count, 8))
        form = self._form(element)  # arrays of arrays are in no model's file
        return list(self._take(f"{self._counted(count, struct.calcsize(form))}{form}"))

    def _strings(self, count: int) -> list[str]:
        unpack: Callable[..., tuple[int]] = struct.Struct("<Q").unpack_from
        data, at, size, found = self._data, self._at, self._size, []
        for _ in range(count):
            begin = at + 8
            at = begin + unpack(data, at)[0]
            if at > size:
                raise _damaged(self._path, "it ends in the middle of its header")
            found.append(data[begin:at].decode("utf-8"))
        self._at = at
        return found

    def _string(self) -> str:
        return self._strings(1)[0]

    def _form(self, kind: int) -> str:
        if kind not in _FORMS:
            raise _damaged(self._path, f"it has a value of the unknown type {kind}")
        return _FORMS[kind]

    def _take(self, form: str) -> tuple[Any, ...]:
        values = struct.unpack_from(f"<{form}", self._data, self._at)
        self._at += struct.calcsize(f"<{form}")
        return values

    def _counted(self, count: int, least: int) -> int:
        """A count, once it is sure that so many entries of at least `least` bytes can follow."""
        if count * least > self._size - self._at:
            raise _damaged(self._path, "its header promises more than the file has")
        return count


def _not_numbers(path: Path, name: str) -> ModelError:
    return ModelError(
        f"The tensor {name} of {path} holds values that are not numbers or too large for float16.",
        hint="Fetch the file again; if that does not help, choose another model.",
    )


def _damaged(path: Path, why: str) -> ModelError:
    return ModelError(
        f"{path} is no whole GGUF file: {why}.", title="The model file is damaged", hint="Fetch or copy the file again."
    )
