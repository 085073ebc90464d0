"""Base + adapter, one tensor after the other: peft's own sum, without the model in memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from core.errors import ExportError
from core.release.safetensors_writing import Outline
from core.release.skeleton import EMBEDDING, HEAD, Parameters, clear, skeleton

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import torch

_ITEMS_AT_ONCE: Final = 1 << 24
_EXPONENT: Final = 0x7C00  # of a float16; all ones in what is infinite or no number


class MergedTensors:
    """The float16 tensors of base + adapter; each is made when it is asked for, its sum in float32.

    Beside the adapter, little more than one tensor is in memory at a time. Raises what `skeleton` raises, and
    ExportError where the base lacks a tensor.
    """

    def __init__(self, base: Path, adapter: Path) -> None:
        names = [name for name, _ in skeleton(base).named_parameters(remove_duplicate=False)]
        self._model = skeleton(base, adapter)
        self._parameters = Parameters(base, rounded=False)
        self._stored = self._parameters.weights
        self.tied = self._tied()
        self._names = [name for name in names if name != HEAD or not self.tied]

    @property
    def config(self) -> Any:
        """The configuration of the merged model."""
        return self._model.config

    @property
    def generation_config(self) -> Any:
        """Its generation settings."""
        return self._model.generation_config

    @property
    def architecture(self) -> str:
        """Its class in transformers."""
        return type(self._model).__name__

    @property
    def rows(self) -> int:
        """Rows of the embedding."""
        return self._shape(EMBEDDING)[0]

    @property
    def outlines(self) -> list[Outline]:
        """Names and shapes of the tensors, in the model's order; a head tied to the embedding is not among them."""
        return [Outline(name, "F16", self._shape(name)) for name in self._names]

    def values(self, name: str) -> npt.NDArray[np.float16]:
        """One tensor. Raises ExportError where a value is no number or does not fit float16."""
        made = self._changed(name)
        values = self._as_stored(name) if made is None else made.half().numpy()
        if not _finite(values):
            raise ExportError(
                f"The merged weight {name} holds values that are not numbers or too large for float16.",
                title="The weights are damaged",
                hint="The training run diverged; train again with a lower learning rate.",
            )
        return values

    def _tied(self) -> bool:
        """Whether head and embedding are one, as the configuration says; training may have drawn them apart."""
        import numpy as np

        if not self._model.config.tie_word_embeddings:
            return False
        both_stored = {HEAD, EMBEDDING} <= self._stored.names
        if both_stored and not self._stored.equal(HEAD, EMBEDDING):
            return False
        head, embedding = self._changed(HEAD), self._changed(EMBEDDING)
        if head is None and embedding is None:
            return True
        first = self._as_stored(HEAD) if head is None else head.half().numpy()
        second = self._as_stored(EMBEDDING) if embedding is None else embedding.half().numpy()
        return np.array_equal(first, second)

    def _changed(self, name: str) -> torch.Tensor | None:
        """What the adapter makes of a parameter, float32; None where it leaves the stored one as it is."""
        import torch
        from peft.tuners.lora import LoraLayer

        module, leaf = self._place(name)
        if not isinstance(module, LoraLayer):
            parameter = getattr(module, leaf)
            return None if parameter.is_meta else parameter.detach().float()
        base: Any = module.get_base_layer()
        filled = self._parameters.fill(base, name.rpartition(".")[0])
        try:
            with torch.no_grad():
                module.merge()
            summed: torch.Tensor = getattr(base, leaf).detach()
            return summed
        finally:
            module.merged_adapters.clear()
            clear(filled)

    def _place(self, name: str) -> tuple[Any, str]:
        """The module that holds a parameter of the base model, or peft's layer around it, and what it is there."""
        from peft.utils import ModulesToSaveWrapper

        path, _, leaf = name.rpartition(".")
        module = self._model.get_submodule(path)
        if isinstance(module, ModulesToSaveWrapper):
            module = module.modules_to_save[module.active_adapters[0]]
        return module, leaf

    def _shape(self, name: str) -> tuple[int, ...]:
        from peft.tuners.lora import LoraLayer

        module, leaf = self._place(name)
        parameter = getattr(module.get_base_layer() if isinstance(module, LoraLayer) else module, leaf)
        return tuple(parameter.shape)

    def _as_stored(self, name: str) -> npt.NDArray[np.float16]:
        import numpy as np
        import torch

        stored = self._parameters.stored_name(name)
        if self._stored.dtype(stored) == "F16":
            return np.asarray(self._stored.read(stored), dtype=np.float16)
        shape = self._stored.shape(stored)
        values = np.empty(shape, dtype=np.float16)
        step = max(1, _ITEMS_AT_ONCE // max(1, values[:1].size))
        for start in range(0, shape[0], step):
            rows = torch.from_numpy(np.array(self._stored.read(stored, start, start + step)))
            values[start : start + step] = rows.half().numpy()
        return values


def _finite(values: npt.NDArray[np.float16]) -> bool:
    import numpy as np

    def parts() -> Iterator[npt.NDArray[np.uint16]]:
        bits = values.reshape(-1).view(np.uint16)
        for start in range(0, len(bits), _ITEMS_AT_ONCE):
            yield bits[start : start + _ITEMS_AT_ONCE]

    return not any(((part & _EXPONENT) == _EXPONENT).any() for part in parts())
