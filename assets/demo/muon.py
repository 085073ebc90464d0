"""The Muon optimizer for weight matrices (Jordan et al., 2024), in single precision and batched over like shapes.

`torch.optim.Muon` works in bfloat16, one matrix at a time, which is slow on most CPUs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable

import torch

# The quintic of the Newton-Schulz iteration, as published with Muon.
_A, _B, _C = 3.4445, -4.7750, 2.0315


def orthogonalize(stack: torch.Tensor, steps: int) -> torch.Tensor:
    """Bring the singular values of each matrix of a (count, rows, columns) stack near 1; rows <= columns."""
    stack = stack / (stack.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = stack @ stack.mT
        stack = torch.baddbmm(stack, torch.baddbmm(gram, gram, gram, beta=_B, alpha=_C), stack, beta=_A)
    return stack


class Muon(torch.optim.Optimizer):
    """Momentum, made orthogonal: every direction of a matrix moves by the same amount."""

    def __init__(
        self, params: Iterable[torch.nn.Parameter], *, lr: float, momentum: float = 0.95, iterations: int = 4
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "iterations": iterations})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One update; `closure`, if given, computes the loss anew."""
        loss = closure() if closure is not None else None
        for group in self.param_groups:
            alike: dict[tuple[int, int], list[tuple[torch.Tensor, torch.Tensor]]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if "momentum" not in state:
                    state["momentum"] = torch.zeros_like(parameter)
                state["momentum"].lerp_(parameter.grad, 1.0 - group["momentum"])
                update = parameter.grad.lerp(state["momentum"], group["momentum"])
                wide = update if update.shape[0] <= update.shape[1] else update.mT
                alike[(wide.shape[0], wide.shape[1])].append((parameter, wide))
            for members in alike.values():
                done = orthogonalize(torch.stack([wide for _, wide in members]), group["iterations"])
                for (parameter, wide), update in zip(members, done, strict=True):
                    turned = update if wide.shape == parameter.shape else update.mT
                    scale = max(1.0, parameter.shape[0] / parameter.shape[1]) ** 0.5
                    parameter.add_(turned, alpha=-group["lr"] * scale)
        return loss
