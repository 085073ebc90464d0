from __future__ import annotations

import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.app import App, ComposeResult

from tui.widgets.chart import LineChart
from tui.widgets.curves import Series, decimate, nice_number, plot

FINITE = st.floats(-1e6, 1e6, allow_nan=False)


def text(series: list[Series], width: int = 40, height: int = 8) -> list[str]:
    return ["".join(segment.text for segment in line) for line in plot(series, width, height)]


def test_a_falling_line_with_axes_and_labels() -> None:
    lines = text([Series("loss", [(step, 2.5 - step * 0.3) for step in range(5)])])
    assert lines == [
        " ━━ loss 1.3                            ",
        "2.5 ┤⠉⠒⠒⠤⢄⣀⡀                            ",
        "    │      ⠈⠉⠑⠒⠤⠤⣀⣀                     ",
        "1.9 ┤              ⠉⠉⠒⠢⠤⢄⣀⡀             ",
        "    │                     ⠈⠉⠒⠒⠤⢄⣀⡀      ",
        "1.3 ┤                            ⠈⠉⠑⠒⠤⠤⣀",
        "    └───────────────────────────────────",
        "     0                            step 4",
    ]


def test_two_series_differ_without_colour() -> None:
    first, second = Series("loss", [(0, 2.0), (9, 2.0)]), Series("eval loss", [(0, 1.0), (9, 1.0)])
    picture = plot([first, second], 40, 8)
    drawn = dict.fromkeys(("axis", "first", "second"), "")
    for line in picture[1:-2]:
        for segment in line:
            drawn[segment.role] += segment.text.strip()
    assert set(drawn["first"]) == {"⠉"}
    assert drawn["second"]
    assert "⣀" not in drawn["second"][1:-1] or len(set(drawn["second"])) > 1
    assert "━━ loss 2" in text([first, second])[0] and "┅┅ eval loss 1" in text([first, second])[0]


def test_one_point_and_no_point() -> None:
    assert any("⠂" in line or "⠁" in line or "⠄" in line for line in text([Series("loss", [(1, 2.5)])]))
    assert text([Series("loss")]) == [" " * 40] * 8
    assert text([Series("loss", [(1, 1)])], width=10, height=3) == [" " * 10] * 3


def test_what_is_not_a_finite_number_is_left_out() -> None:
    series = Series("loss", [(0, math.nan), (1, math.inf), (2, 1.0), (3, 2.0)])
    assert list(series.xs) == [2.0, 3.0]
    text([series])


def test_a_resumed_run_rewrites_its_steps() -> None:
    series = Series("loss", [(1, 3.0), (2, 2.0), (3, 1.0)])
    series.extend([(2, 2.5), (3, 1.5), (4, 1.0)])
    assert list(zip(series.xs, series.ys, strict=True)) == [(1, 3.0), (2, 2.5), (3, 1.5), (4, 1.0)]


@given(st.lists(st.tuples(st.floats(0, 1e6), FINITE), max_size=60), st.integers(16, 90), st.integers(4, 20))
def test_the_picture_has_exactly_the_size_asked_for(points: list[tuple[float, float]], width: int, height: int) -> None:
    lines = text([Series("loss", points)], width, height)
    assert len(lines) == height
    assert {len(line) for line in lines[1:]} == {width}


@given(st.lists(FINITE, min_size=1, max_size=200), st.integers(1, 40))
def test_decimation_keeps_the_extremes_and_both_ends(values: list[float], columns: int) -> None:
    series = Series("loss", list(enumerate(values)))
    spans = [span for span in decimate(series, columns, 0.0, float(max(1, len(values) - 1))) if span is not None]
    assert min(span[1] for span in spans) == min(values)
    assert max(span[2] for span in spans) == max(values)
    assert (spans[0][0], spans[-1][3]) == (values[0], values[-1])


def test_a_hundred_thousand_points_are_drawn_within_a_tenth_of_a_second() -> None:
    series = Series("loss", [(step, math.exp(-step / 20_000) + step % 7 / 10) for step in range(100_000)])
    best = math.inf
    for _ in range(3):
        start = time.perf_counter()
        plot([series], 120, 30)
        best = min(best, time.perf_counter() - start)
    assert best < 0.1


def test_numbers_fit_beside_an_axis() -> None:
    shown = [nice_number(value) for value in (0, 0.0125, 1.25, 12.5, 1250, 12_500, 2.5e6, 2e-4, 1e12)]
    assert shown == ["0", "0.0125", "1.25", "12.5", "1,250", "12.5k", "2.5M", "2e-04", "1e+12"]


def test_extremes_follow_what_comes_and_what_is_rewritten() -> None:
    series = Series("loss", [(1, 3.0), (2, 2.0)])
    assert series.extremes == (2.0, 3.0)
    series.extend([(3, 1.0), (4, 9.0)])
    assert series.extremes == (1.0, 9.0)
    series.extend([(4, 2.5)])
    assert series.extremes == (1.0, 3.0)


@given(st.lists(FINITE, min_size=1, max_size=80), st.integers(0, 80), st.integers(0, 80))
def test_merging_parts_gives_the_whole(values: list[float], cut: int, back: int) -> None:
    points = list(enumerate(values))
    whole, first = Series("loss", points), Series("loss", points[:cut])
    if len(first):
        _ = first.extremes
    first.merge(Series("loss", points[max(0, cut - back) :]))
    assert (first.xs, first.ys) == (whole.xs, whole.ys)
    assert first.extremes == whole.extremes


class _Charts(App[None]):
    def compose(self) -> ComposeResult:
        yield LineChart(id="chart")


async def test_more_points_are_drawn_at_most_twice_a_second_and_another_curve_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn: list[int] = []
    lines = LineChart.lines

    def counted(chart: LineChart, width: int, height: int) -> object:
        drawn.append(sum(map(len, chart.series)))
        return lines(chart, width, height)

    monkeypatch.setattr(LineChart, "lines", counted)
    monkeypatch.setattr("tui.widgets.chart.REDRAW_SECONDS", 3600.0)
    loss, rate = Series("loss", [(1, 1.0)]), Series("rate", [(1, 1.0), (2, 2.0), (3, 3.0)])
    async with _Charts().run_test(size=(60, 20)) as pilot:
        chart = pilot.app.query_one(LineChart)
        chart.show([loss])
        await pilot.pause()
        assert drawn[-1] == 1
        loss.extend([(2, 1.0)])
        chart.show([loss])
        await pilot.pause(0.05)
        assert drawn[-1] == 1
        chart.show([rate])
        await pilot.pause()
        assert drawn[-1] == 3
        monkeypatch.setattr("tui.widgets.chart.REDRAW_SECONDS", 0.0)
        rate.extend([(4, 1.0)])
        chart.show([rate])
        await pilot.pause()
        assert drawn[-1] == 4


async def test_a_chart_that_is_not_seen_is_not_worked_out(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []

    def noted(chart: LineChart, *_: int) -> tuple[()]:
        drawn.append(len(chart.series))
        return ()

    monkeypatch.setattr(LineChart, "lines", noted)
    async with _Charts().run_test(size=(60, 20)) as pilot:
        chart = pilot.app.query_one(LineChart)
        chart.display = False
        await pilot.pause()
        drawn.clear()
        chart.show([Series("loss", [(1, 1.0)])])
        await pilot.pause(0.05)
        assert drawn == []
        chart.display = True
        await pilot.pause()
        assert drawn == [1]
