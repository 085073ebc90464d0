"""Easy before hard: stages calibrated per category, mixes by level, and the order of a training batch."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Final, Literal

Stage = Literal["easy", "medium", "hard"]

STAGES: Final[tuple[Stage, ...]] = ("easy", "medium", "hard")
EASY_BELOW: Final = 0.35
HARD_FROM: Final = 0.65
ADVANCE_ABOVE: Final = 75.0
ADVANCE_AFTER: Final = 3
MIXES: Final[tuple[Mapping[Stage, float], ...]] = (
    {"easy": 1.0},
    {"easy": 0.7, "medium": 0.3},
    {"easy": 0.5, "medium": 0.3, "hard": 0.2},
)
MIXED: Final = len(MIXES)


def stage_of(difficulty: float) -> Stage:
    """easy < 0.35 ≤ medium < 0.65 ≤ hard."""
    return "easy" if difficulty < EASY_BELOW else "medium" if difficulty < HARD_FROM else "hard"


def calibrate(difficulties: Mapping[int, float]) -> dict[int, float]:
    """Difficulties (by event id) as mid-rank quantiles 0-1 of their category, ties broken by event id.

    So every stage has its share of any category, however easy it is on the whole; with three events or more no stage
    is empty.
    """
    ranked = sorted(difficulties, key=lambda event: (difficulties[event], event))
    return {event: (rank + 0.5) / len(ranked) for rank, event in enumerate(ranked)}


def level_of(scores: Sequence[float]) -> int:
    """The level after evaluations with these mean scores (oldest first), 0 (easy only) to 3 (mixed).

    One level up each time that the average of three evaluations in a row is above 75.
    """
    level = 0
    window: list[float] = []
    for score in scores:
        window = [*window, score][-ADVANCE_AFTER:]
        if len(window) == ADVANCE_AFTER and fmean(window) > ADVANCE_ABOVE:
            level, window = min(level + 1, MIXED), []
    return level


def quotas(available: Mapping[Stage, int], level: int, size: int) -> dict[Stage, int]:
    """How many of a batch of `size` come from each stage in the mix of `level`, given how many each stage has.

    A stage that is short is filled from its nearest neighbour, the easier one first; the sum is the smaller of `size`
    and all there is. From level 3 on the mix is that of the pool.
    """
    total = sum(available.get(stage, 0) for stage in STAGES)
    size = min(size, total)
    if size == 0:
        return dict.fromkeys(STAGES, 0)
    mix = MIXES[level] if level < MIXED else {stage: available.get(stage, 0) / total for stage in STAGES}
    wanted = _shares(mix, size)
    taken = {stage: min(wanted[stage], available.get(stage, 0)) for stage in STAGES}
    for index, stage in enumerate(STAGES):
        missing = wanted[stage] - min(wanted[stage], available.get(stage, 0))
        for other in sorted(STAGES, key=lambda name: (abs(STAGES.index(name) - index), STAGES.index(name))):
            extra = min(missing, available.get(other, 0) - taken[other])
            taken[other] += extra
            missing -= extra
    return taken


def order(stage_by_event: Mapping[int, Stage], seed: int) -> list[int]:
    """The event ids easy → medium → hard, shuffled inside each stage by `seed`, whatever order they came in."""
    ordered: list[int] = []
    for stage in STAGES:
        members = sorted(event for event, own in stage_by_event.items() if own == stage)
        random.Random(f"{seed}:{stage}").shuffle(members)
        ordered.extend(members)
    return ordered


def _shares(mix: Mapping[Stage, float], size: int) -> dict[Stage, int]:
    """Whole numbers that sum to `size`, by largest remainder."""
    exact = {stage: mix.get(stage, 0.0) * size for stage in STAGES}
    whole = {stage: int(exact[stage] + 1e-9) for stage in STAGES}
    for stage in sorted(STAGES, key=lambda name: whole[name] - exact[name])[: size - sum(whole.values())]:
        whole[stage] += 1
    return whole
