"""How long a training run still takes, from the steps and evaluations that it has done."""

from __future__ import annotations

import heapq
import math
import statistics
from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from itertools import accumulate
from typing import Final

STEPS_KEPT: Final = 512
STEPS_SEEN: Final = 64
SECONDS_SEEN: Final = 120.0
SPIKE: Final = 3.0  # times the median time per token
SPIKES_PASSED_OVER: Final = 0.02  # of the steps that are looked at, at least one
EVALUATIONS_SEEN: Final = 5


class Eta:
    """Estimates the seconds that a run still takes.

    Remaining time = tokens still to learn from x seconds per token + evaluations to come x seconds per evaluation.

    Seconds per token are sum(seconds) / sum(tokens) of the newest steps: at least 64 of them and at least two minutes,
    so that neither noise nor a change of speed long ago weighs much. The sums, not the median of the ratios, because
    the mean is what adds up and step times are skewed. The highest 2 % (at least one step), where they are spikes of
    over three times the median, are lowered to the next highest or to that bound: a one-sided winsorised mean (Tukey,
    Annals of Mathematical Statistics 33, 1962). So a laptop that slept counts for nothing, while a pause that comes
    again and again counts in full. The first step of a process (kernels are loaded, memory is reserved) is left out as
    soon as there is another.

    An evaluation is taken to last as long as the median of the newest five, the first left out as soon as there is
    another. Before the first one, evaluations are not counted.

    `costs` are the tokens of every step of the whole run in order, `evaluations` the steps after which the model is
    evaluated. Step n is the n-th optimizer step, counted from 1. Early stopping is not foreseen.
    """

    def __init__(self, costs: Sequence[float], evaluations: Sequence[int]) -> None:
        self._costs = [max(1.0, float(cost)) for cost in costs]
        self._done = [0.0, *accumulate(self._costs)]
        self._evaluations = sorted(set(evaluations))
        self._steps: deque[tuple[float, float]] = deque(maxlen=STEPS_KEPT)
        self._warming_up = True
        self._evaluated: list[float] = []
        self._step = 0
        self._evaluated_to = -1

    def stepped(self, step: int, seconds: float) -> None:
        """Step `step` is done and took `seconds`, saving and waiting included, evaluations not."""
        self._step = step
        # What was to be evaluated before this step has been, or is left out for good.
        self._evaluated_to = max(self._evaluated_to, step - 1)
        if not (1 <= step <= len(self._costs) and math.isfinite(seconds) and seconds >= 0):
            return
        if self._warming_up and len(self._steps) == 1:
            self._steps.clear()
            self._warming_up = False
        self._steps.append((self._costs[step - 1], seconds))

    def evaluated(self, seconds: float) -> None:
        """The evaluation after the newest step, or before the first one, took `seconds`."""
        self._evaluated_to = max(self._evaluated_to, self._step)
        if math.isfinite(seconds) and seconds >= 0:
            self._evaluated.append(seconds)

    def remaining(self, step: int) -> float | None:
        """Seconds from the end of step `step` to the end of the run, 0 or more; None before any step is known."""
        if not self._steps:
            return None
        at = min(max(step, 0), len(self._costs))
        tokens = self._done[-1] - self._done[at]
        passed = min(at, self._evaluated_to) if at <= self._step else max(at, self._evaluated_to)
        to_come = len(self._evaluations) - bisect_right(self._evaluations, passed)
        return tokens * self._seconds_per_token() + to_come * self._seconds_per_evaluation()

    def _seconds_per_token(self) -> float:
        seen: list[tuple[float, float]] = []
        total = 0.0
        for tokens, seconds in reversed(self._steps):
            if len(seen) >= STEPS_SEEN and total >= SECONDS_SEEN:
                break
            seen.append((tokens, seconds))
            total += seconds
        paces = [seconds / tokens for tokens, seconds in seen]
        bound = _spike_bound(paces)
        return sum(min(seconds, bound * tokens) for tokens, seconds in seen) / sum(tokens for tokens, _ in seen)

    def _seconds_per_evaluation(self) -> float:
        known = self._evaluated[1:] or self._evaluated
        return statistics.median(known[-EVALUATIONS_SEEN:]) if known else 0.0


def _spike_bound(paces: Sequence[float]) -> float:
    """What a pace is lowered to: the highest one that is no spike, or is one of many."""
    passed_over = max(1, round(SPIKES_PASSED_OVER * len(paces)))
    highest = heapq.nlargest(passed_over + 1, paces)
    return max(SPIKE * statistics.median(paces), highest[-1] if len(highest) > passed_over else 0.0)
