"""In which order examples are learned, which share a step, and which share a forward pass."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import torch

from core.train.data import Example

WINDOW_STEPS: Final = 4


@dataclass(frozen=True, slots=True)
class Batch:
    """Right-padded examples. A causal model never looks right, so that no attention mask is needed.

    `ids` is int64 [examples, tokens]. For each of the n answer tokens: `positions` int64 [n] is where it is *predicted*
    in the flattened [examples * tokens], `labels` int64 [n] what it is, `weights` float32 [n] what it counts.
    """

    ids: torch.Tensor
    positions: torch.Tensor
    labels: torch.Tensor
    weights: torch.Tensor

    def to(self, device: torch.device) -> Batch:
        """The same batch on a device."""
        return Batch(*(tensor.to(device) for tensor in (self.ids, self.positions, self.labels, self.weights)))


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


def micro_batches(indices: Sequence[int], lengths: Sequence[int], *, token_budget: int) -> list[list[int]]:
    """Splits a step into forward passes of at most `token_budget` tokens, padding included; a long example goes alone.

    Longest first: what does not fit into memory shows itself at once.
    """
    groups: list[list[int]] = []
    for index in sorted(indices, key=lambda index: (-lengths[index], index)):
        if groups and lengths[groups[-1][0]] * (len(groups[-1]) + 1) <= token_budget:
            groups[-1].append(index)
        else:
            groups.append([index])
    return groups


def collate(examples: Sequence[Example], *, pad_id: int) -> Batch:
    """Pads examples to the longest of them and lists their answer tokens."""
    width = max(len(example.ids) for example in examples)
    ids = torch.full((len(examples), width), pad_id, dtype=torch.int64)
    positions: list[int] = []
    labels: list[int] = []
    weights: list[float] = []
    for row, example in enumerate(examples):
        ids[row, : len(example.ids)] = torch.tensor(example.ids, dtype=torch.int64)
        answer = example.ids[example.answer_start :]
        first = row * width + example.answer_start - 1
        positions.extend(range(first, first + len(answer)))
        labels.extend(answer)
        weights.extend([example.weight] * len(answer))
    return Batch(ids, torch.tensor(positions), torch.tensor(labels), torch.tensor(weights, dtype=torch.float32))
