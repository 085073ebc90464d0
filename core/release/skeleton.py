"""A model without its weights: what it computes is there, its parameters are not read before they are asked for.

Runs in processes that may import torch; it is imported inside all the same.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from core.errors import ModelError
from core.release.weights import Weights

if TYPE_CHECKING:
    import torch

HEAD: Final = "lm_head.weight"
EMBEDDING: Final = "model.embed_tokens.weight"
# What peft puts into the names of the parameters that it wraps.
_WRAPPINGS: Final = (".base_layer", ".original_module")
_ITEMS_AT_ONCE: Final = 1 << 24


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """No progress bars on standard error while a model loads."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


@contextlib.contextmanager
def loading(folder: Path) -> Iterator[None]:
    """Whatever a library raises for a model that it cannot load becomes a ModelError."""
    try:
        with quiet():
            yield
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise ModelError(
            f"The model in {folder} cannot be loaded: {error}", hint="Check that the folder is complete."
        ) from error


def skeleton(folder: Path, adapter: Path | None = None) -> Any:
    """The causal language model of a folder in float32, its parameters on the device `meta`.

    With an adapter peft's layers are in their places, and only what the adapter file holds is in memory. Raises
    ValueError where a value of the adapter has no place in the model or is missing, and what transformers and peft
    raise for folders that they cannot read.
    """
    import torch
    from accelerate import init_empty_weights  # type: ignore[import-untyped]
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(folder, local_files_only=True)
    # Only the plain implementation knows Gemma 2's soft cap; the other one does not hold the scores of all heads.
    attention = "eager" if getattr(config, "attn_logit_softcapping", None) else "sdpa"
    with init_empty_weights(include_buffers=False):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32, attn_implementation=attention)
    model.generation_config = generation_settings(folder, config)
    return (model if adapter is None else _adapted(model, adapter)).eval()


class Parameters:
    """The stored values of a model folder as float32; rounded to float16 on the way where `rounded`."""

    def __init__(self, folder: Path, *, rounded: bool) -> None:
        self.weights = Weights(folder)
        self._rounded = rounded

    @property
    def count(self) -> int:
        """Values in all tensors together."""
        return sum(math.prod(self.weights.shape(name)) for name in self.weights.names)

    def stored_name(self, name: str) -> str:
        """The name in the folder of a parameter of the model, with or without an adapter around it."""
        for wrapping in _WRAPPINGS:
            name = name.replace(wrapping, "")
        other = {HEAD: EMBEDDING, EMBEDDING: HEAD}.get(name)
        return other if other in self.weights.names and name not in self.weights.names else name

    def rows(self, name: str, start: int = 0, stop: int | None = None) -> torch.Tensor:
        """Rows `start` to `stop` of a parameter, float32; beside the result little is held at any time."""
        import numpy as np
        import torch

        stored = self.stored_name(name)
        length, *rest = self.weights.shape(stored)
        stop = length if stop is None else min(stop, length)
        step = max(1, _ITEMS_AT_ONCE // max(1, math.prod(rest)))
        result = torch.empty((stop - start, *rest), dtype=torch.float32)
        for at in range(start, stop, step):
            part = torch.from_numpy(np.array(self.weights.read(stored, at, min(at + step, stop))))
            result[at - start : at - start + len(part)] = part.half() if self._rounded else part
        return result

    def picked(self, name: str, rows: list[int]) -> torch.Tensor:
        """Single rows of a parameter, float32 [len(rows), …]."""
        import torch

        return torch.cat([self.rows(name, row, row + 1) for row in rows])

    def fill(self, module: Any, prefix: str) -> list[tuple[Any, str, Any]]:
        """Reads every parameter of a module that is not there yet; what `clear` takes to let them go again.

        `prefix` is the module's name in the model.
        """
        import torch

        filled: list[tuple[Any, str, Any]] = []
        for name, empty in list(module.named_parameters()):
            if not empty.is_meta or ".original_module." in f".{name}":  # peft keeps that one and never computes with it
                continue
            values = self.rows(f"{prefix}.{name}")
            if values.shape != empty.shape:
                raise ValueError(f"{prefix}.{name} is {list(values.shape)}, the model needs {list(empty.shape)}")
            path, _, leaf = name.rpartition(".")
            owner = module.get_submodule(path)
            owner._parameters[leaf] = torch.nn.Parameter(values, requires_grad=False)
            filled.append((owner, leaf, empty))
        return filled


def clear(filled: list[tuple[Any, str, Any]]) -> None:
    """Takes out of memory what `Parameters.fill` read."""
    for owner, leaf, empty in filled:
        owner._parameters[leaf] = empty


def generation_settings(folder: Path, config: Any) -> Any:
    """The generation settings beside a model, else those that its configuration implies."""
    from transformers import GenerationConfig

    if (folder / "generation_config.json").is_file():
        return GenerationConfig.from_pretrained(folder, local_files_only=True)
    return GenerationConfig.from_model_config(config)


def _adapted(model: Any, folder: Path) -> Any:
    """The same model with peft's layers around its own, and the adapter's values in them."""
    from peft import PeftConfig, PeftModel, get_peft_model_state_dict, set_peft_model_state_dict
    from peft.utils import load_peft_weights

    settings = PeftConfig.from_pretrained(str(folder))
    settings.inference_mode = True
    if getattr(settings, "bias", "none") != "none":
        raise ValueError("its adapter trained the biases of the base as well")
    values = load_peft_weights(str(folder), device="cpu")
    with _standing_in(model):
        wrapped = PeftModel(model, settings)
        expected = get_peft_model_state_dict(wrapped, save_embedding_layers=False)
        if missing := sorted(expected.keys() - values.keys()):
            raise ValueError(f"the adapter has no {missing[0]}")
        # Beside a branch at the embedding peft stores the untrained embedding too.
        values = {name: value for name, value in values.items() if not _is_copy(name, value, wrapped)}
        if unused := sorted(values.keys() - expected.keys()):
            raise ValueError(f"the model has no place for {unused[0]}")
        set_peft_model_state_dict(wrapped, values)
    return wrapped.get_base_model()


def _is_copy(name: str, value: torch.Tensor, wrapped: Any) -> bool:
    own = dict(wrapped.named_parameters()).get(name) if name.endswith(".base_layer.weight") else None
    return own is not None and own.shape == value.shape


@contextlib.contextmanager
def _standing_in(model: Any) -> Iterator[None]:
    """One zero, in the shape of each parameter, in its place: peft puts its own values where those of a layer are."""
    import torch

    empty = []
    for owner in model.modules():
        for leaf, parameter in owner._parameters.items():
            if parameter is not None and parameter.is_meta:
                zeros = torch.zeros((), dtype=parameter.dtype).expand(parameter.shape)
                owner._parameters[leaf] = torch.nn.Parameter(zeros, requires_grad=False)
                empty.append((owner, leaf, parameter))
    try:
        yield
    finally:
        clear(empty)
