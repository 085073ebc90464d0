"""The optimizer of an adapter: plain AdamW, or the 8-bit one of bitsandbytes, whose state a GPU may page out."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping
from typing import Any, Final

import torch

from core.errors import RunError
from core.train.config import TrainSettings

_TABLE: Final = "qmap"  # of what an 8-bit code stands for: constants, in memory that all parameters share
_WHOLE: Final = torch.int64  # what a plain Python number in an optimizer's state is kept as


def has_bitsandbytes() -> bool:
    """Whether bitsandbytes can be imported; what it says while it is goes nowhere."""
    try:
        with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
            import bitsandbytes  # noqa: F401
    except (ImportError, OSError, RuntimeError):
        return False
    return True


def make_optimizer(
    parameters: Mapping[str, torch.nn.Parameter], settings: TrainSettings, device: torch.device
) -> torch.optim.Optimizer:
    """AdamW over an adapter's matrices, in 8 bits where the settings say so, or by themselves on a GPU.

    Raises RunError when 8 bits are wanted and bitsandbytes is missing.
    """
    eight = settings.optimizer == "adamw_8bit" or (settings.optimizer == "auto" and device.type == "cuda")
    rate, decay = settings.learning_rate, settings.weight_decay
    if eight and has_bitsandbytes():
        from bitsandbytes import optim

        kind = optim.PagedAdamW8bit if device.type == "cuda" else optim.AdamW8bit  # type: ignore[attr-defined]
        made: torch.optim.Optimizer = kind(list(parameters.values()), lr=rate, weight_decay=decay)
        return made
    if settings.optimizer == "adamw_8bit":
        raise RunError(
            "The 8-bit optimizer needs the package bitsandbytes, which cannot be imported here.",
            hint="Install it, or choose the optimizer `adamw`.",
        )
    return torch.optim.AdamW(parameters.values(), lr=rate, weight_decay=decay, fused=True)


def state_tensors(
    optimizer: torch.optim.Optimizer, parameters: Mapping[str, torch.nn.Parameter]
) -> dict[str, torch.Tensor]:
    """All that the optimizer remembers, by parameter and kind ("name/exp_avg"), on the CPU."""
    found: dict[str, torch.Tensor] = {}
    for name, parameter in parameters.items():
        for kind, value in optimizer.state.get(parameter, {}).items():
            if kind.startswith(_TABLE):
                continue
            kept = value.detach() if isinstance(value, torch.Tensor) else torch.tensor(value, dtype=_WHOLE)
            found[f"{name}/{kind}"] = kept.cpu().contiguous()
    return found


def restore(
    optimizer: torch.optim.Optimizer,
    parameters: Mapping[str, torch.nn.Parameter],
    tensors: Mapping[str, torch.Tensor],
) -> None:
    """Gives the optimizer back what `state_tensors` took down."""
    by_name: dict[str, dict[str, torch.Tensor]] = {}
    for key, value in tensors.items():
        name, _, kind = key.rpartition("/")
        by_name.setdefault(name, {})[kind] = value
    for group_index, group in enumerate(optimizer.param_groups):
        for index, parameter in enumerate(group["params"]):
            name = next(name for name, one in parameters.items() if one is parameter)
            if name in by_name:
                optimizer.state[parameter] = _made(optimizer, group_index, index, parameter, by_name[name])


def _made(
    optimizer: Any, group_index: int, index: int, parameter: torch.nn.Parameter, kept: Mapping[str, torch.Tensor]
) -> dict[str, Any]:
    """The state of one parameter, in memory of the kind that the optimizer itself would take for it."""
    if not hasattr(optimizer, "init_state"):
        return {kind: value.to(parameter.device) for kind, value in kept.items()}
    optimizer.check_overrides()
    optimizer.init_state(optimizer.param_groups[group_index], parameter, group_index, index)
    state: dict[str, Any] = optimizer.state[parameter]
    for kind, value in kept.items():
        if isinstance(state.get(kind), torch.Tensor):
            state[kind].copy_(value)
        else:
            state[kind] = int(value)
    return state
