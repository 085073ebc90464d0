"""Cross-entropy of answer tokens, without ever holding the logits of a whole batch."""

from __future__ import annotations

from typing import Any

import torch

from core.errors import ModelError
from core.train.batches import Batch
from core.train.config import LOGIT_CHUNK_BYTES


def answer_losses(model: Any, batch: Batch) -> torch.Tensor:
    """Cross-entropy, float32 [n], of the n answer tokens of a batch under a causal language model of transformers.

    The decoder runs over all tokens, the output layer only over those that predict an answer token.
    """
    decoder = getattr(model, model.base_model_prefix)
    hidden = decoder(
        input_ids=batch.ids, position_ids=batch.places, use_cache=False, layout=batch.layout
    ).last_hidden_state[0]
    head = model.get_output_embeddings()
    cap = getattr(model.config, "final_logit_softcapping", None)
    losses: torch.Tensor = _FrozenHead.apply(  # type: ignore[no-untyped-call]
        hidden[batch.predicted], head.weight, head.bias, batch.labels, cap
    )
    return losses


def answer_log_probs(model: Any, batch: Batch) -> torch.Tensor:
    """Log-probability in nats, float32 [count], of every sequence's answer: the sum over its tokens."""
    losses = answer_losses(model, batch)
    return torch.zeros(batch.count, device=losses.device).index_add(0, batch.owners, -losses)


class _FrozenHead(torch.autograd.Function):
    """Cross-entropy through an output layer that does not learn, and its gradient, in one look at the logits.

    hidden [n, h], weight [words, h], bias [words] or None, labels int64 [n] → losses float32 [n]. The loss of a token
    depends on its own hidden state alone, so that its gradient, (softmax - one-hot) @ weight, can be kept instead of
    the logits: these are made once, at most `LOGIT_CHUNK_BYTES` of them at a time.
    """

    @staticmethod
    def forward(  # noqa: PLR0917  torch gives them by position
        ctx: Any,
        hidden: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        labels: torch.Tensor,
        cap: float | None,
    ) -> torch.Tensor:
        wanted = ctx.needs_input_grad[0]
        losses = torch.empty(len(hidden), dtype=torch.float32, device=hidden.device)
        gradient = torch.empty_like(hidden) if wanted else None
        rows = max(1, LOGIT_CHUNK_BYTES // (4 * len(weight)))
        for first in range(0, len(hidden), rows):
            part = slice(first, first + rows)
            logits = _logits(hidden[part], weight, bias, cap)
            found = labels[part, None]
            # d tanh(x / cap) * cap = 1 - (capped / cap)²
            slope = None if cap is None or gradient is None else 1.0 - (logits / cap).square_()
            wanted_logits = logits.gather(1, found)
            top = logits.amax(dim=1, keepdim=True)
            change = logits.sub_(top).exp_()  # in place: a look at all logits costs about as much as making them
            total = change.sum(dim=1, keepdim=True)
            losses[part] = (total.log() + top - wanted_logits)[:, 0]
            if gradient is None:
                continue
            change.div_(total).scatter_add_(1, found, torch.full_like(total, -1.0))
            if slope is not None:
                change.mul_(slope)
            gradient[part] = change.to(weight.dtype) @ weight
        ctx.gradient = gradient
        return losses

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        gradient: torch.Tensor = ctx.gradient
        return gradient * grad[:, None].to(gradient.dtype), None, None, None, None


def _logits(hidden: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, cap: float | None) -> torch.Tensor:
    logits = torch.nn.functional.linear(hidden.to(weight.dtype), weight, bias).float()
    return logits if cap is None else torch.tanh(logits / cap) * cap


@torch.no_grad()
def check_output_layer(model: Any) -> None:
    """Raises ModelError when the model's own logits are not what `answer_losses` computes them from.

    Some architectures scale or shift their logits; learning from other ones would silently go wrong. Eight tokens tell.
    """
    ids = torch.arange(8, device=model.device).remainder(model.config.vocab_size).unsqueeze(0)
    expected = model(input_ids=ids, use_cache=False).logits[0].float()
    hidden = getattr(model, model.base_model_prefix)(input_ids=ids, use_cache=False).last_hidden_state[0]
    head, cap = model.get_output_embeddings(), getattr(model.config, "final_logit_softcapping", None)
    computed = _logits(hidden, head.weight, head.bias, cap)
    if not torch.allclose(computed, expected, rtol=1e-2, atol=1e-2 * float(expected.abs().max())):
        raise ModelError(
            f"Models of the type {model.config.model_type} treat their output in a way that training does not know.",
            hint="Choose a base model of another architecture, for example Llama, Mistral or Qwen.",
        )
