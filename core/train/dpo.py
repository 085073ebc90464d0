"""Direct preference optimisation: the chosen answer shall become likelier than the rejected one, against a reference.

Rafailov et al., arXiv 2305.18290, with the likelihood of the chosen answer as a second term (Pang et al.,
arXiv 2404.19733), without which both answers may become less likely together.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional

from core.train.data import Lesson
from core.train.recipe import Totals, log_probs
from core.train.session import Session


class Dpo:
    """-log sigmoid(beta * (r(chosen) - r(rejected))), the mean over the pairs, r being how much likelier an answer has
    become than under the reference, in nats; and `nll_weight` times the mean cross-entropy of the chosen answer tokens.
    """

    needs_reference = True

    def totals(self, session: Session, lessons: Sequence[Lesson]) -> dict[str, float]:
        """See `Recipe`: the pairs, and the tokens of the chosen answers."""
        chosen = sum(lesson.examples[0].answer_tokens for lesson in lessons)
        return {"pairs": float(len(lessons)), "answers": float(chosen)}

    def loss(
        self, session: Session, lessons: Sequence[Lesson], totals: Totals
    ) -> tuple[torch.Tensor, dict[str, float]]:
        """See `Recipe`."""
        settings = session.settings
        weights = torch.tensor([lesson.weight for lesson in lessons], device=session.device)
        reference = torch.tensor([lesson.reference for lesson in lessons], device=session.device)
        now = log_probs(session, lessons)
        rewards = settings.beta * (now - reference)
        margins = rewards[:, 0] - rewards[:, 1]
        preference = -(weights * functional.logsigmoid(margins)).sum() / totals["pairs"]
        likelihood = -(weights * now[:, 0]).sum() / totals["answers"]
        told = torch.stack([margins, rewards[:, 0], rewards[:, 1], (margins > 0).float()]).detach().sum(dim=1)
        names = ("reward_margin", "reward_chosen", "reward_rejected", "accuracy")
        figures = dict(zip(names, (told / totals["pairs"]).tolist(), strict=True))
        return preference + settings.nll_weight * likelihood, figures
