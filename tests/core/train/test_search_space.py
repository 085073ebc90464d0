"""Where a search looks: no default is left out, and settings and parameters give each other back."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.config import Config
from core.train.config import TrainSettings, configured
from core.train.presets import PRESETS
from core.train.search_space import (
    USUAL,
    improvement,
    objective,
    params_of,
    progress_index,
    settings_of,
    space,
    suggest,
)

SETTINGS = st.builds(
    TrainSettings,
    epochs=st.integers(1, 30),
    learning_rate=st.floats(1e-8, 1.0),
    batch_size=st.integers(1, 64),
    accumulation=st.integers(1, 64),
    rank=st.integers(1, 256),
    alpha=st.integers(1, 512),
    warmup_ratio=st.floats(0.0, 0.9),
)


class Fixed:
    """Draws at a share of every range, evenly on the scale that was asked for."""

    def __init__(self, share: float) -> None:
        self.share = share
        self.asked: dict[str, tuple[float, float, bool]] = {}

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        assert low <= high and (low > 0 or not log)
        self.asked[name] = (low, high, log)
        if not log:
            return low + self.share * (high - low)
        return min(high, max(low, math.exp(math.log(low) + self.share * (math.log(high) - math.log(low)))))

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        assert isinstance(low, int) and isinstance(high, int)
        return round(self.suggest_float(name, low, high, log=log))


class Enqueued(Fixed):
    """Gives parameters that were fixed before."""

    def __init__(self, params: dict[str, Any]) -> None:
        super().__init__(0.0)
        self.params = params

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        value: float = self.params[name]
        assert low <= value <= high
        return value


@given(SETTINGS)
def test_the_settings_that_a_search_starts_from_are_drawn_back_exactly(base: TrainSettings) -> None:
    drawn = suggest(Enqueued(params_of(base)), base)
    assert replace(base, **drawn) == base


@given(SETTINGS, st.floats(0.0, 1.0))
def test_what_is_drawn_is_valid_fits_the_memory_and_gives_its_parameters_back(
    base: TrainSettings, share: float
) -> None:
    draws = Fixed(share)
    drawn = suggest(draws, base)
    made = TrainSettings.from_mapping({**base.to_mapping(), **drawn})
    assert set(draws.asked) == set(USUAL)
    assert made.batch_size <= base.batch_size
    params = params_of(made)
    assert settings_of(params, base) == drawn
    for name, value in params.items():
        low, high, _ = draws.asked[name]
        assert low <= value <= high


@given(SETTINGS)
def test_ranges_only_grow_and_hold_the_default(base: TrainSettings) -> None:
    for name, found in space(base).items():
        assert found.low <= USUAL[name].low and found.high >= USUAL[name].high
        assert found.low <= params_of(base)[name] <= found.high
        assert found.log == USUAL[name].log and found.whole == USUAL[name].whole


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_every_preset_has_room_on_both_sides_of_its_learning_rate(preset: str) -> None:
    base = TrainSettings.from_mapping(configured(Config(), preset))
    rates = space(base)["learning_rate"]
    assert rates.low * 2 <= base.learning_rate <= rates.high / 2


def test_usual_settings_are_sought_in_the_usual_ranges() -> None:
    assert space(TrainSettings()) == dict(USUAL)
    assert space(TrainSettings(learning_rate=2e-3))["learning_rate"].high == pytest.approx(1e-2)


@pytest.mark.parametrize(
    ("effective", "largest", "batch"), [(64, 8, 8), (24, 8, 8), (20, 8, 5), (13, 8, 1), (8, 64, 8), (9, 1, 1)]
)
def test_a_batch_is_cut_by_its_largest_divisor_that_fits(effective: int, largest: int, batch: int) -> None:
    base = TrainSettings(batch_size=largest)
    cut = settings_of({**params_of(base), "effective_batch": effective}, base)
    assert (cut["batch_size"], cut["batch_size"] * cut["accumulation"]) == (batch, effective)


def test_a_better_score_wins_and_the_loss_decides_between_equal_ones() -> None:
    assert objective(80.0, 0.1) > objective(70.0, 0.9)
    assert objective(80.0, 0.4) > objective(80.0, 0.3)
    assert objective(None, 0.4) == 40.0
    assert improvement(1.0, 2.0) == 0.5
    assert improvement(2.0, 2.0) == 0.0
    assert improvement(float("nan"), 2.0) == improvement(9e9, 2.0) == improvement(1.0, 0.0) == -1.0


def test_progress_is_counted_in_half_passes() -> None:
    assert [progress_index(step, 10) for step in (0, 5, 10, 30)] == [0, 1, 2, 6]
    assert progress_index(3, 1) == 6
