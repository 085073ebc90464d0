"""Supervised fine-tuning: the loss is on the answers."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from core.train.batches import collate
from core.train.data import Lesson
from core.train.loss import answer_losses
from core.train.recipe import Totals
from core.train.session import Session


class Sft:
    """sum(weight * cross-entropy) / answer tokens over the whole step: every answer token of a step counts alike."""

    needs_reference = False

    def totals(self, session: Session, lessons: Sequence[Lesson]) -> dict[str, float]:
        """See `Recipe`: the answer tokens."""
        return {"answers": float(sum(lesson.examples[0].answer_tokens for lesson in lessons))}

    def loss(
        self, session: Session, lessons: Sequence[Lesson], totals: Totals
    ) -> tuple[torch.Tensor, dict[str, float]]:
        """See `Recipe`."""
        batch = collate(lessons, session.device)
        weights = torch.tensor([lesson.weight for lesson in lessons], device=session.device)
        with session.autocast():
            losses = answer_losses(session.model.get_base_model(), batch)
        return (losses * weights[batch.owners]).sum() / totals["answers"], {}
