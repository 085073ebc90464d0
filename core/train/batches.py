"""In which order lessons are learned, which share a step, and which share a forward pass."""

from __future__ import annotations

import math
import random
from bisect import insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import torch

from core.train.attention import Layout, Span
from core.train.data import Lesson

WINDOW_STEPS: Final = 4


@dataclass(frozen=True, slots=True)
class Batch:
    """Sequences one after another in a single row, without padding.

    `ids` and `places` (rotary positions) are int64 [1, tokens]. For each of the n answer tokens, int64 [n]: `predicted`
    is where in the row it is predicted, `labels` what it is, `owners` which of the `count` sequences it belongs to.
    """

    ids: torch.Tensor
    places: torch.Tensor
    layout: Layout
    predicted: torch.Tensor
    labels: torch.Tensor
    owners: torch.Tensor
    count: int


def epoch_steps(lengths: Sequence[int], *, per_step: int, seed: int, epoch: int) -> list[list[int]]:
    """Indices into `lengths`, one list for each optimizer step; every index once.

    The given order (the curriculum) is kept from window to window of `WINDOW_STEPS` steps. Inside a window examples of
    similar length share a step, so that little is padded, and the steps are shuffled, so that length teaches nothing.
    Steps are of equal size to within one example. A pure function of its arguments.
    """
    chance = random.Random(f"{seed}/{epoch}")
    steps = math.ceil(len(lengths) / per_step)
    bounds = [at * len(lengths) // steps for at in range(steps + 1)] if steps else []
    sizes = [after - before for before, after in pairwise(bounds)]
    order: list[list[int]] = []
    for first in range(0, steps, WINDOW_STEPS):
        window = sizes[first : first + WINDOW_STEPS]
        members = list(range(bounds[first], bounds[first] + sum(window)))
        chance.shuffle(members)
        members.sort(key=lambda index: lengths[index])
        parts = iter(members)
        grouped = [[next(parts) for _ in range(size)] for size in window]
        chance.shuffle(grouped)
        order.extend(grouped)
    return order


def micro_batches(indices: Iterable[int], costs: Sequence[int], *, token_budget: int) -> list[list[int]]:
    """Splits a step into forward passes of at most `token_budget` tokens; a longer lesson goes alone.

    Best fit, longest first: few passes, and what does not fit into memory shows itself at once.
    """
    groups: list[list[int]] = []
    room: list[tuple[int, int]] = []  # tokens left, group; ascending
    for index in sorted(indices, key=lambda index: (-costs[index], index)):
        fitting = next((at for at, (left, _) in enumerate(room) if left >= costs[index]), None)
        if fitting is None:
            left, group = token_budget, len(groups)
            groups.append([])
        else:
            left, group = room.pop(fitting)
        groups[group].append(index)
        insort(room, (left - costs[index], group))
    return groups


def collate(lessons: Sequence[Lesson], device: torch.device | str = "cpu", *, only: slice = slice(None)) -> Batch:
    """Lays the examples of lessons (those of `only` in each) end to end; what they share stands once.

    Sequences are numbered in the order of the lessons, within one in the order of its examples.
    """
    ids: list[int] = []
    places: list[int] = []
    layout: list[Span] = []
    predicted: list[int] = []
    labels: list[int] = []
    owners: list[int] = []
    for lesson in lessons:
        begin = len(ids)
        for number, example in enumerate(lesson.examples[only]):
            shared = lesson.shared if number else 0
            own = len(ids)
            ids += example.ids[shared:]
            places += range(shared, len(example.ids))
            length = len(example.ids)
            answer = range(example.answer_start - 1, length - 1)
            predicted += (begin + at if at < shared else own + at - shared for at in answer)
            labels += example.ids[example.answer_start :]
            owners += [len(layout)] * len(answer)
            layout.append(Span(slice(own, len(ids)), slice(begin, begin + shared) if shared else None))

    def tensor(values: list[int]) -> torch.Tensor:
        return torch.tensor(values, dtype=torch.int64, device=device)

    return Batch(
        tensor(ids)[None],
        tensor(places)[None],
        tuple(layout),
        tensor(predicted),
        tensor(labels),
        tensor(owners),
        len(layout),
    )
