from __future__ import annotations

import math

import pytest

from tui import words


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0, "0 s"), (0.41, "0.4 s"), (59, "59 s"), (60, "1 min"), (125, "2 min 5 s"), (3599, "59 min 59 s"),
     (3600, "1 h"), (12_000, "3 h 20 min"), (187_200, "2 d 4 h"), (math.inf, "?"), (-1, "?")],
)  # fmt: skip
def test_duration(seconds: float, expected: str) -> None:
    assert words.duration(seconds) == expected


@pytest.mark.parametrize(
    ("size", "expected"), [(0, "0 B"), (812, "812 B"), (999.9, "1.0 KB"), (1_340_000, "1.3 MB"), (24e9, "24 GB")]
)
def test_data_size(size: float, expected: str) -> None:
    assert words.data_size(size) == expected


def test_what_is_not_known_is_a_dash() -> None:
    assert [words.percent(None), words.number("x"), words.signed(math.nan), words.rate(None)] == ["–"] * 4
    assert words.odds(None) == "–"


def test_rates_and_odds() -> None:
    assert [words.rate(value) for value in (2e-4, 1.5e-5, 0)] == ["2e-4", "1.5e-5", "0"]
    assert [words.odds(value) for value in (24.6, 0.4, math.inf)] == ["25 : 1", "0.4 : 1", "over a million : 1"]


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0, "0 s left"), (44.6, "45 s left"), (59.6, "1 min left"), (735, "12 min left"), (3569, "59 min left"),
     (12_000, "3 h 20 min left"), (-1, "–"), (math.nan, "–"), (None, "–")],
)  # fmt: skip
def test_time_left(seconds: object, expected: str) -> None:
    assert words.time_left(seconds) == expected


def test_the_units_of_training() -> None:
    tokens = [words.speed(value) for value in (8.43, 12.4, 950, 999.7, 1_234, 12_345, 999_600, None)]
    assert tokens == [
        "8.4 tok/s", "12 tok/s", "950 tok/s", "1.0k tok/s", "1.2k tok/s", "12k tok/s", "1.0M tok/s", "–",
    ]  # fmt: skip
    assert [words.mebibytes(value) for value in (5054.0, 512, "x")] == ["5.3 GB", "537 MB", "–"]
    assert [words.celsius(value) for value in (71.4, math.nan)] == ["71 °C", "–"]


def test_a_state_is_told_by_glyph_and_word() -> None:
    assert [words.run_status(status) for status in ("running", "finished", "failed", "lost")] == [
        "● running",
        "✓ done",
        "✗ failed",
        "? lost",
    ]
