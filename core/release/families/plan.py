"""What a family of architectures tells about its model files: tensors out of a model folder, and tensors into one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from core.errors import ExportError, ModelError
from core.release.weights import Weights

if TYPE_CHECKING:
    import numpy.typing as npt

    Values = npt.NDArray[Any]

MOST_BLOCK_ITEMS = 1 << 23  # values read at once: 32 MiB as float32


def same(values: Values) -> Values:
    """The values unchanged."""
    return values


@dataclass(frozen=True, slots=True)
class Slot:
    """One tensor that a model folder and a GGUF file both hold, of the same shape, as rows of output features.

    `to_file` changes the folder's values into the file's, `from_file` is its inverse; both also take any whole number
    of `unit` rows alone. Vectors stand in the file as float32, all others as half precision or quantised.
    """

    hf_name: str
    gguf_name: str
    shape: tuple[int, ...]
    to_file: Callable[[Values], Values] = same
    from_file: Callable[[Values], Values] = same
    unit: int = 1


@dataclass(frozen=True, slots=True)
class TensorPlan:
    """One tensor of the file to write.

    `blocks` reads its values when its turn comes, some rows at a time, from first to last. `full_precision` keeps
    float32 (vectors, rotary factors). `stored` is the type in the model folder: F16, BF16 or F32.
    """

    name: str
    shape: tuple[int, ...]
    full_precision: bool
    stored: str
    blocks: Callable[[], Iterator[Values]]


@dataclass(frozen=True, slots=True)
class Source:
    """Where one tensor of a model folder comes from: `restore` takes the whole GGUF tensor, dequantised, of the same
    shape, and gives the folder's values (a float32 or float16 array)."""

    hf_name: str
    gguf_name: str
    shape: tuple[int, ...]
    restore: Callable[[Values], Values]


class Family(Protocol):
    """One family of architectures, both ways."""

    @property
    def architecture(self) -> str:
        """llama.cpp's name for it (`general.architecture`)."""
        ...

    @property
    def model_types(self) -> tuple[str, ...]:
        """Hugging Face's names (`architectures` of config.json); files are read as the first of them."""
        ...

    def metadata(self, config: Mapping[str, Any]) -> dict[str, int | float | str]:
        """Hyper-parameters by key without the architecture's prefix, from config.json.

        Raises ExportError, with the reason, for a model that llama.cpp would run differently.
        """
        ...

    def tensors(self, config: Mapping[str, Any], weights: Weights) -> Iterator[TensorPlan]:
        """Every tensor of the file; ExportError where one is missing, misshapen, or has no place in it."""
        ...

    def slots(self, config: Mapping[str, Any]) -> Iterator[Slot]:
        """Every tensor that both formats hold."""
        ...

    def config_of(self, fields: Mapping[str, Any], tensors: Mapping[str, Values]) -> dict[str, Any]:
        """config.json of the model in a GGUF file.

        fields: the file's key-values, those of the architecture without its prefix, all others under their whole key.
        tensors: every tensor by name as the file stores it; only rotary factors (float32 always) are looked into.
        Raises ModelError, with the reason, for a file whose model Hugging Face would run differently.
        """
        ...

    def sources(self, config: Mapping[str, Any]) -> Iterator[Source]:
        """Every tensor of the model folder that `config` (of `config_of`) describes."""
        ...


def blocks_of(slot: Slot, weights: Weights) -> Iterator[Values]:
    """The file's values of a slot, in blocks of at most `MOST_BLOCK_ITEMS` where a unit is no larger than that."""
    if len(slot.shape) == 1:
        yield slot.to_file(weights.read(slot.hf_name))
        return
    rows, columns = slot.shape
    step = max(1, MOST_BLOCK_ITEMS // (columns * slot.unit)) * slot.unit
    for start in range(0, rows, step):
        yield slot.to_file(weights.read(slot.hf_name, start, min(start + step, rows)))


def integer(config: Mapping[str, Any], key: str) -> int:
    """A positive integer of config.json; ExportError otherwise."""
    value = config.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
        raise ExportError(
            f"config.json has {key} = {value!r}; a positive whole number is needed.",
            hint="Check that the model folder is complete.",
        )
    return value


def decimal(value: float) -> float:
    """The shortest decimal number that is the same float32: files keep 1e-6 as 9.99999997e-07."""
    import numpy as np

    return float(str(np.float32(value)))


def unsupported(what: str) -> ExportError:
    """The error for a model folder that has no equal in llama.cpp."""
    return ExportError(f"The model has {what}.", hint="Choose a base model of a supported kind; nothing was written.")


def unreadable(what: str) -> ModelError:
    """The error for a GGUF file that has no equal in Hugging Face's format."""
    return ModelError(
        f"The model in the GGUF file has {what}.",
        title="Unsupported model file",
        hint="Use the model's folder in Hugging Face format (safetensors) as the base instead.",
    )
