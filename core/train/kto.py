"""Kahneman-Tversky optimisation: learning from lone thumbs, up or down (Ethayarajh et al., arXiv 2402.01306)."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from core.train.batches import micro_batches
from core.train.data import Lesson
from core.train.recipe import Totals, log_probs
from core.train.session import Session

_ANSWER, _OTHER = slice(0, 1), slice(1, 2)


class Kto:
    """1 - sigmoid(beta * (r - z)) for an answer that was liked, 1 - sigmoid(beta * (z - r)) for one that was not, each
    times its weight, the mean over the step.

    r is how much likelier an answer has become than under the reference, in nats. z, at least 0, is the mean of that
    over answers to *other* prompts: how far the model has moved altogether. It is taken over the whole step and carries
    no gradient.
    """

    needs_reference = True

    @torch.no_grad()
    def totals(self, session: Session, lessons: Sequence[Lesson]) -> dict[str, float]:
        """See `Recipe`: the thumbs of each kind, and how much likelier mismatched answers have become."""
        training = session.model.training
        session.model.eval()
        moved = 0.0
        costs = [len(lesson.examples[1].ids) for lesson in lessons]
        for group in micro_batches(range(len(lessons)), costs, token_budget=session.state.token_budget):
            part = [lessons[index] for index in group]
            reference = torch.tensor([lesson.reference[1] for lesson in part], device=session.device)
            moved += float((log_probs(session, part, only=_OTHER)[:, 0] - reference).sum())
        session.model.train(training)
        liked = sum(lesson.desirable for lesson in lessons)
        return {"thumbs": float(len(lessons)), "liked": float(liked), "moved": moved}

    def loss(
        self, session: Session, lessons: Sequence[Lesson], totals: Totals
    ) -> tuple[torch.Tensor, dict[str, float]]:
        """See `Recipe`."""
        settings = session.settings
        liked = torch.tensor([lesson.desirable for lesson in lessons], device=session.device)
        weights = torch.tensor([lesson.weight for lesson in lessons], device=session.device)
        weights = weights * torch.where(liked, settings.desirable_weight, settings.undesirable_weight)
        reference = torch.tensor([lesson.reference[0] for lesson in lessons], device=session.device)
        likelier = log_probs(session, lessons, only=_ANSWER)[:, 0] - reference
        drift = max(0.0, totals["moved"] / totals["thumbs"])
        gains = torch.where(liked, likelier - drift, drift - likelier)
        loss = (weights * (1.0 - torch.sigmoid(settings.beta * gains))).sum() / totals["thumbs"]
        rewards = (settings.beta * likelier).detach()
        disliked = totals["thumbs"] - totals["liked"]
        figures = {
            "reward_chosen": float(rewards[liked].sum()) / max(1.0, totals["liked"]),
            "reward_rejected": float(rewards[~liked].sum()) / max(1.0, disliked),
            "accuracy": float((gains > 0).sum()) / totals["thumbs"],
        }
        return loss, {**figures, "reward_margin": figures["reward_chosen"] - figures["reward_rejected"]}
