"""Attention over examples that lie one after another in a single row, without padding and without seeing each other.

All linear layers of a model work on the row as a whole. Only attention must know where an example begins, and here it
is computed example by example. Answers to one prompt may share the prompt's tokens: these are computed once, and every
answer attends to them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import torch
from torch.nn import functional

NAME: Final = "padding_free"


@dataclass(frozen=True, slots=True)
class Span:
    """One sequence in the row: where its `own` tokens lie, and, `before` them, those that it shares with an earlier
    span, which are the first ones of that span.
    """

    own: slice
    before: slice | None = None

    @property
    def places(self) -> list[int]:
        """Where in the row all its tokens lie, in order."""
        before = range(0) if self.before is None else range(self.before.start, self.before.stop)
        return [*before, *range(self.own.start, self.own.stop)]


Layout = tuple[Span, ...]
"""The sequences of a row; what is their own follows one another in the row's order and fills it."""


def register() -> None:
    """Makes this attention known to transformers under `NAME`; a model is loaded with it by `attn_implementation`."""
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    ALL_ATTENTION_FUNCTIONS.register(NAME, attend)


def attend(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    scaling: float | None = None,
    layout: Layout | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Causal attention inside every span of `layout`, or over the whole row without one.

    `query` is [1, heads, tokens, head size], `key` and `value` [1, key-value heads, tokens, head size]; the result is
    [1, tokens, heads, head size]. A token sees at most the `sliding_window` newest ones, itself included.
    """
    groups = query.shape[1] // key.shape[1]
    if groups > 1:
        key, value = key.repeat_interleave(groups, dim=1), value.repeat_interleave(groups, dim=1)
    options: dict[str, Any] = {"scaling": scaling, "window": sliding_window, "softcap": softcap}
    spans = layout or (Span(slice(0, query.shape[2])),)
    # Cut once: the gradient of a split is put together in one go, that of many slices fills a whole row for each.
    lengths = [span.own.stop - span.own.start for span in spans]
    pieces = [torch.split(one, lengths, dim=2) for one in (query, key, value)]
    owners = {span.own.start: at for at, span in enumerate(spans)}
    parts = []
    for at, span in enumerate(spans):
        whole = [piece[at] for piece in pieces]
        if span.before is None:
            parts.append(_one(*whole, **options))
            continue
        first, shared = owners[span.before.start], span.before.stop - span.before.start
        whole = [torch.cat((piece[first][:, :, :shared], piece[at]), dim=2) for piece in pieces]
        parts.append(_one(*whole, **options)[:, :, shared:])
    found = parts[0] if len(parts) == 1 else torch.cat(parts, dim=2)
    return found.transpose(1, 2).contiguous(), None


def _one(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    *,
    scaling: float | None,
    window: int | None,
    softcap: float | None,
) -> torch.Tensor:
    tokens = query.shape[2]
    if softcap is None:
        mask = _visible(tokens, window, query.device) if window is not None and window < tokens else None
        return functional.scaled_dot_product_attention(
            query, key, value, attn_mask=mask, is_causal=mask is None and tokens > 1, scale=scaling
        )
    scores = torch.matmul(query, key.transpose(2, 3)) * (scaling or query.shape[-1] ** -0.5)
    scores = (torch.tanh(scores / softcap) * softcap).masked_fill(
        ~_visible(tokens, window, query.device), torch.finfo(scores.dtype).min
    )
    return torch.matmul(functional.softmax(scores, dim=-1, dtype=torch.float32).to(query.dtype), value)


def _visible(tokens: int, window: int | None, device: torch.device) -> torch.Tensor:
    """Which token (row) sees which (column), bool [tokens, tokens]."""
    seen = torch.ones(tokens, tokens, dtype=torch.bool, device=device).tril()
    return seen if window is None else seen.triu(1 - window)
