"""Cross-entropy of answer tokens, without ever holding the logits of a whole batch."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from core.errors import ModelError
from core.train.batches import Batch
from core.train.config import LOGIT_CHUNK_BYTES


def answer_losses(model: Any, batch: Batch) -> torch.Tensor:
    """Cross-entropy, float32 [n], of the n answer tokens of a batch under a causal language model of transformers.

    The decoder runs over all tokens, the output layer only over those that predict an answer token. Where their logits
    are larger than `LOGIT_CHUNK_BYTES` they are made chunk by chunk and made again for the backward pass.
    """
    decoder, head = getattr(model, model.base_model_prefix), model.get_output_embeddings()
    hidden = decoder(input_ids=batch.ids, use_cache=False).last_hidden_state
    hidden = hidden.reshape(-1, hidden.shape[-1])[batch.positions]
    cap = getattr(model.config, "final_logit_softcapping", None)
    rows = max(1, LOGIT_CHUNK_BYTES // (4 * head.weight.shape[0]))
    if len(hidden) <= rows:
        return _losses(hidden, batch.labels, head, cap)
    chunks = zip(torch.split(hidden, rows), torch.split(batch.labels, rows), strict=True)
    return torch.cat([checkpoint(_losses, part, labels, head, cap, use_reentrant=False) for part, labels in chunks])


def _losses(hidden: torch.Tensor, labels: torch.Tensor, head: Any, cap: float | None) -> torch.Tensor:
    return functional.cross_entropy(_logits(hidden, head, cap), labels, reduction="none")


def _logits(hidden: torch.Tensor, head: Any, cap: float | None) -> torch.Tensor:
    logits: torch.Tensor = head(hidden).float()
    return logits if cap is None else torch.tanh(logits / cap) * cap


@torch.no_grad()
def check_output_layer(model: Any) -> None:
    """Raises ModelError when the model's own logits are not what `answer_losses` computes them from.

    Some architectures scale or shift their logits; learning from other ones would silently go wrong. Eight tokens tell.
    """
    ids = torch.arange(8, device=model.device).remainder(model.config.vocab_size).unsqueeze(0)
    expected = model(input_ids=ids, use_cache=False).logits[0].float()
    hidden = getattr(model, model.base_model_prefix)(input_ids=ids, use_cache=False).last_hidden_state[0]
    cap = getattr(model.config, "final_logit_softcapping", None)
    computed = _logits(hidden, model.get_output_embeddings(), cap)
    if not torch.allclose(computed, expected, rtol=1e-2, atol=1e-2 * float(expected.abs().max())):
        raise ModelError(
            f"Models of the type {model.config.model_type} treat their output in a way that training does not know.",
            hint="Choose a base model of another architecture, for example Llama, Mistral or Qwen.",
        )
