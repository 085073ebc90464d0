"""Where a search for hyper-parameters looks, and how what it draws becomes training settings and back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from core.train.config import TrainSettings

ROOM: Final = 5.0  # a learning rate outside the usual range is not put on the very edge of it
LEARNING_RATES: Final = (1e-8, 1.0)  # what the settings of a run allow


class Draws(Protocol):
    """What draws the values: an Optuna trial, or anything with these two methods."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        """A number from `low` to `high`, both included."""
        ...

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        """A whole number from `low` to `high`, both included."""
        ...


@dataclass(frozen=True, slots=True)
class Range:
    """One parameter from `low` to `high`, both included; with `log` its logarithm is drawn evenly."""

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def around(self, value: float) -> Range:
        """The range widened so that it holds `value`, with some room beyond it where it is a learning rate."""
        low, high = min(self.low, value), max(self.high, value)
        if self.log and not self.whole:
            low = max(LEARNING_RATES[0], value / ROOM) if value < self.low else low
            high = min(LEARNING_RATES[1], value * ROOM) if value > self.high else high
        return Range(low, high, self.log, self.whole)


USUAL: Final[Mapping[str, Range]] = {
    "learning_rate": Range(1e-6, 1e-3, log=True),
    "effective_batch": Range(8, 64, log=True, whole=True),
    "epochs": Range(1, 10, whole=True),
    "warmup_ratio": Range(0.0, 0.2),
    "rank": Range(4, 64, log=True, whole=True),
    "alpha": Range(8, 128, log=True, whole=True),
}
"""The ranges around usual settings; examples of one optimizer step are drawn as a whole."""


def space(base: TrainSettings) -> dict[str, Range]:
    """Each parameter's range, widened where it does not hold the settings that the search starts from."""
    return {
        name: usual.around(value) for (name, usual), value in zip(USUAL.items(), params_of(base).values(), strict=True)
    }


def params_of(settings: TrainSettings) -> dict[str, Any]:
    """The parameters that `suggest` must draw to give these settings, in the order of `USUAL`."""
    return {name: getattr(settings, name) for name in USUAL}


def suggest(draws: Draws, base: TrainSettings) -> dict[str, Any]:
    """Drawn settings by name, to be laid over `base`: an adapter, a schedule and a batch.

    The effective batch is cut into `batch_size * accumulation` by its largest divisor that is no larger than the
    `batch_size` of `base`, so that no trial needs more memory for its examples than the configured settings do.
    """
    drawn = {name: _draw(draws, name, among) for name, among in space(base).items()}
    return settings_of(drawn, base)


def settings_of(params: Mapping[str, Any], base: TrainSettings) -> dict[str, Any]:
    """Settings by name from parameters that were drawn; `params_of` of them gives the same parameters back."""
    values = dict(params)
    effective = int(values.pop("effective_batch"))
    batch = next(size for size in range(min(base.batch_size, effective), 0, -1) if effective % size == 0)
    return {**values, "batch_size": batch, "accumulation": effective // batch}


def progress_index(step: int, steps_per_epoch: int) -> int:
    """Half passes over the data after `step` steps: where trials with batches of any size can be compared."""
    return round(2 * step / steps_per_epoch)


def improvement(loss: float, base_loss: float) -> float:
    """1 - loss / base loss, at least -1: the share of the untrained model's validation loss that training removed."""
    if not math.isfinite(loss) or base_loss <= 0.0:
        return -1.0
    return max(-1.0, 1.0 - loss / base_loss)


def objective(mean_score: float | None, gained: float) -> float:
    """What a search maximises: the mean validator score, 0-100, of greedy answers to validation prompts.

    `gained` (see `improvement`) is added, so that it decides between equal scores and never outweighs more than two
    points. A category whose validator cannot judge has 100 times `gained` alone.
    """
    return 100.0 * gained if mean_score is None else mean_score + gained


def _draw(draws: Draws, name: str, among: Range) -> float | int:
    if among.whole:
        return draws.suggest_int(name, int(among.low), int(among.high), log=among.log)
    return draws.suggest_float(name, among.low, among.high, log=among.log)
