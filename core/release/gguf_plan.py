"""What an architecture family tells the exporter: the seam where further families are added."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from core.errors import ExportError
from core.release.weights import Weights

if TYPE_CHECKING:
    import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class TensorPlan:
    """One tensor of the file. `load` reads (and reorders) its values when its turn comes; `full_precision` keeps
    float32 (vectors, norms), everything else is written as float16."""

    name: str
    shape: tuple[int, ...]
    full_precision: bool
    load: Callable[[], npt.NDArray[Any]]


class Family(Protocol):
    """A module that knows one family of architectures."""

    @property
    def architecture(self) -> str:
        """llama.cpp's name for it (`general.architecture`)."""
        ...

    def metadata(self, config: Mapping[str, Any]) -> dict[str, int | float | str]:
        """Hyper-parameters by key without the architecture's prefix, from config.json."""
        ...

    def tensors(self, config: Mapping[str, Any], weights: Weights) -> Iterator[TensorPlan]:
        """Every tensor of the file; ExportError where one is missing or has no place."""
        ...


def integer(config: Mapping[str, Any], key: str) -> int:
    """A positive integer of config.json; ExportError otherwise."""
    value = config.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
        raise ExportError(
            f"config.json has {key} = {value!r}; a positive whole number is needed.",
            hint="Check that the model folder is complete.",
        )
    return value
