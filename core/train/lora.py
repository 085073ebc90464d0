"""A linear layer with a LoRA branch (Hu et al., arXiv 2106.09685) as one operation.

peft's own layer, with the same weights and the same result, computes the branch as half a dozen operations that each
read and write all tokens. Here the products with the narrow matrices are laid out so that their long side is
contiguous, and the branch is added to what the base layer gives while that is multiplied out.
"""

from __future__ import annotations

from typing import Any, Final

import torch
from peft import LoraConfig, get_peft_model
from peft.tuners.lora.layer import Linear
from torch.nn import functional

from core.errors import ModelError
from core.train.config import TrainSettings
from core.train.loading import without

_STEPS: Final = 1 << 16  # in which the chance of a dropped input is expressed


def with_adapter(model: Any, settings: TrainSettings) -> Any:
    """A PeftModel around a frozen model: a fresh adapter on its linear layers, those that the settings name or all but
    the output. Raises ModelError where none is of that name.
    """
    lora = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=list(settings.target_modules) or "all-linear",
        task_type="CAUSAL_LM",
    )
    lora._register_custom_module({torch.nn.Linear: FusedLinear})
    with without("bitsandbytes"):  # peft would ask it whether the layers are its own, but `FusedLinear` takes them all
        try:
            return get_peft_model(model, lora)
        except ValueError as error:
            raise ModelError(
                f"No adapter can be put on this model: {error}", hint="Leave `target_modules` empty: all linear layers."
            ) from error


class FusedLinear(Linear):  # type: ignore[misc]
    """peft's layer over a `torch.nn.Linear`, 4-bit or not, computed by `_Branch` where there is one plain adapter."""

    def forward(self, x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        """x [..., inputs] → [..., outputs]."""
        base, name = self.get_base_layer(), self.active_adapters[0]
        plain = len(self.active_adapters) == 1 and name in self.lora_A and name not in self.lora_variant
        quantized = getattr(base.weight, "quant_state", None)
        typed = quantized is not None or x.dtype == base.weight.dtype
        if args or kwargs or self.disable_adapters or self.merged or not plain or not typed:
            found: torch.Tensor = super().forward(x, *args, **kwargs)
            return found
        dropout = self.lora_dropout[name]
        chance = float(dropout.p) if self.training and isinstance(dropout, torch.nn.Dropout) else 0.0
        kept = _kept(x, chance) if chance else None
        scale = self.scaling[name] / (1.0 - chance)
        down, up = self.lora_A[name].weight, self.lora_B[name].weight
        made: torch.Tensor = _Branch.apply(  # type: ignore[no-untyped-call]
            x, base.weight, quantized, base.bias, down, up, scale, kept
        )
        return made


def _kept(x: torch.Tensor, chance: float) -> torch.Tensor:
    """1 where an input is kept and 0 where it is dropped, like x; each is dropped with this chance, to 1/65536.

    Drawn 16 bits at a time from whole words: torch's own dropout draws a number for each, which on a CPU costs as much
    as a small layer.
    """
    words = torch.empty((x.numel() + 3) // 4, dtype=torch.int64, device=x.device).random_(-(1 << 63), None)
    bits = words.view(torch.int16)[: x.numel()].view(x.shape)
    return (bits >= round(chance * _STEPS) - _STEPS // 2).to(x.dtype)


class _Branch(torch.autograd.Function):
    """x W' + bias + scale * (x * kept) A' B', with a gradient for x, A and B; the base layer does not learn.

    x [..., inputs], weight W [outputs, inputs] (or packed 4-bit values and how they were `quantized`), bias [outputs]
    or None, down A [rank, inputs], up B [outputs, rank], kept like x or None. Of what is as long as a row only x itself
    is remembered.
    """

    @staticmethod
    def forward(  # noqa: PLR0917  torch gives them by position
        ctx: Any,
        x: torch.Tensor,
        weight: torch.Tensor,
        quantized: Any,
        bias: torch.Tensor | None,
        down: torch.Tensor,
        up: torch.Tensor,
        scale: float,
        kept: torch.Tensor | None,
    ) -> torch.Tensor:
        rows = x.reshape(-1, x.shape[-1])
        dropped = rows if kept is None else rows * kept.view_as(rows)
        narrow = torch.mm(down.to(x.dtype), dropped.t()).mul_(scale)  # [rank, n]
        out = functional.linear(
            rows, _dense(weight, quantized, x.dtype), None if bias is None else bias.to(x.dtype)
        ).addmm_(narrow.t(), up.to(x.dtype).t())
        ctx.save_for_backward(x, weight, down, up, narrow, kept)
        ctx.scale, ctx.quantized = scale, quantized
        return out.view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, weight, down, up, narrow, kept = ctx.saved_tensors
        wide = grad.reshape(-1, grad.shape[-1]).to(x.dtype)
        rows = x.reshape(-1, x.shape[-1])
        change = torch.mm(up.to(x.dtype).t().contiguous(), wide.t()).mul_(ctx.scale)  # [rank, n]
        dropped = rows if kept is None else rows * kept.view_as(rows)
        d_down = torch.mm(change, dropped).to(down.dtype)
        d_up = torch.mm(narrow, wide).t().to(up.dtype)
        d_x = None
        if ctx.needs_input_grad[0]:
            d_x = torch.mm(wide, _dense(weight, ctx.quantized, x.dtype))
            if kept is None:
                d_x.addmm_(change.t(), down.to(x.dtype))
            else:
                d_x.addcmul_(torch.mm(change.t(), down.to(x.dtype)), kept.view_as(rows))
            d_x = d_x.view_as(x)
        return d_x, None, None, None, d_down, d_up, None, None


def _dense(weight: torch.Tensor, quantized: Any, dtype: torch.dtype) -> torch.Tensor:
    """The matrix [outputs, inputs] itself, for the moment."""
    if quantized is None:
        return weight
    from bitsandbytes.functional import dequantize_4bit

    return dequantize_4bit(weight, quantized).to(dtype)
