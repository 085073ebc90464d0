"""How likely every answer is to the model that training starts from: computed once, kept in the folder of the run."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import torch

from core.paths import write_whole
from core.train.batches import micro_batches
from core.train.data import Lesson
from core.train.recipe import log_probs
from core.train.step import Work, guarded

NAME: Final = "reference.safetensors"
_KEPT: Final = "log_probs"
_SUM: Final = "sum"  # the only entry: safetensors writes several in any order, and the same must give the same bytes


def with_reference(work: Work, lessons: Sequence[Lesson], kept: Path | None, learned: str) -> list[Lesson]:
    """Lessons with the log-probabilities of their answers under the model as it stands before its first step.

    A fresh adapter changes nothing, so that this is the base; one that goes on is held to what it was. `kept` is the
    file of an earlier start of the same run (`learned` is its identity): a resumed run must not take them anew.
    """
    found = None if kept is None else _read(kept, learned, len(lessons))
    if found is None:
        found = guarded(work, lessons, _computed)
        if kept is not None:
            from safetensors.torch import save

            write_whole(kept, save({_KEPT: found}, metadata={_SUM: _sum(learned, found)}))
    return [replace(lesson, reference=tuple(row)) for lesson, row in zip(lessons, found.tolist(), strict=True)]


@torch.no_grad()
def _computed(work: Work, lessons: Sequence[Lesson]) -> torch.Tensor:
    """float32 [lessons, examples]; each process of the run computes its part."""
    session = work.session
    session.model.eval()
    found = torch.zeros(len(lessons), len(lessons[0].examples))
    own = work.peers.part(range(len(lessons)))
    costs = [lesson.cost for lesson in lessons]
    for group in micro_batches(own, costs, token_budget=session.state.token_budget):
        found[group] = log_probs(session, [lessons[index] for index in group]).float().cpu()
    if work.peers.size == 1:
        return found
    summed = work.peers.sums({str(at): value for at, value in enumerate(found.flatten().tolist())})
    return torch.tensor(list(summed.values())).view_as(found)


def _read(kept: Path, learned: str, count: int) -> torch.Tensor | None:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(kept, framework="pt") as file:
            told = file.metadata() or {}
            found: torch.Tensor = file.get_tensor(_KEPT)
    except (OSError, SafetensorError):
        return None
    return found if len(found) == count and told.get(_SUM) == _sum(learned, found) else None


def _sum(learned: str, found: torch.Tensor) -> str:
    """Of what run these are, and that they are as they were written."""
    return hashlib.blake2b(learned.encode() + found.numpy().tobytes(), digest_size=16).hexdigest()
