"""What a training method is: what it needs to know of a step, and what the loss of a part of the step is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import torch

from core.train.batches import collate
from core.train.data import Lesson
from core.train.loss import answer_log_probs
from core.train.session import Session

Totals = Mapping[str, float]
"""Sums over all lessons of a step. They do not depend on how it is cut into passes or shared among processes."""


class Recipe(Protocol):
    """One method. A step's loss is the sum of `loss` over its passes, given the `totals` of the whole step."""

    needs_reference: bool
    """Whether lessons must carry the log-probabilities of the model that training starts from."""

    def totals(self, session: Session, lessons: Sequence[Lesson]) -> dict[str, float]:
        """What some lessons add to the totals of their step; always the same names. No gradient is kept."""
        ...

    def loss(
        self, session: Session, lessons: Sequence[Lesson], totals: Totals
    ) -> tuple[torch.Tensor, dict[str, float]]:
        """A pass's share of the loss, and of the figures to show, by name; both add up over the passes of a step."""
        ...


def log_probs(session: Session, lessons: Sequence[Lesson], *, only: slice = slice(None)) -> torch.Tensor:
    """Log-probabilities in nats, float32 [lessons, examples], of the answers of lessons with as many examples each."""
    batch = collate(lessons, session.device, only=only)
    with session.autocast():
        found = answer_log_probs(session.model.get_base_model(), batch)
    return found.view(len(lessons), -1)
