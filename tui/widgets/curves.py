"""The pixels of a line chart: pure functions from series of points to lines of braille, testable without an app.

A braille cell is 2 pixels wide and 4 high. Points are reduced to one (lowest, highest) span per pixel column before
anything is drawn, by slices of sorted arrays, so the cost hardly depends on how many points there are.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import NamedTuple

_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
_BLANK = 0x2800

Span = tuple[float, float, float, float]
Limits = tuple[float, float, float, float]


class Segment(NamedTuple):
    """A stretch of text in one role: `axis`, `first` or `second` (the series that it shows)."""

    text: str
    role: str


class Series:
    """Points in order of x. A point at an x that is already there replaces it, as a resumed run rewrites its steps."""

    def __init__(self, name: str, points: Iterable[tuple[float, float]] = ()) -> None:
        self.name = name
        self.xs = array("d")
        self.ys = array("d")
        self._extremes: tuple[float, float] | None = None
        self._looked = 0
        self.extend(points)

    def __len__(self) -> int:
        return len(self.xs)

    @property
    def extremes(self) -> tuple[float, float]:
        """The lowest and the highest y; only what came since the last look is looked at. Needs a point."""
        fresh = self.ys[self._looked :]
        if fresh:
            found = (min(fresh), max(fresh))
            before = self._extremes or found
            self._extremes = min(before[0], found[0]), max(before[1], found[1])
            self._looked = len(self.ys)
        assert self._extremes is not None, "a series without a point has no extremes"
        return self._extremes

    def extend(self, points: Iterable[tuple[float, float]]) -> None:
        """Add points; those with a value that is not a finite number cannot be drawn and are left out."""
        for x, y in points:
            if not (math.isfinite(x) and math.isfinite(y)):
                continue
            if not self.xs or x > self.xs[-1]:
                self.xs.append(x)
                self.ys.append(y)
                continue
            place = bisect_left(self.xs, x)
            if self.xs[place] == x:
                self.ys[place] = y
            else:
                self.xs.insert(place, x)
                self.ys.insert(place, y)
            self._extremes, self._looked = None, 0

    def merge(self, newer: Series) -> None:
        """Add the points of another series; those that follow the last one here cost next to nothing."""
        if len(newer) and (not self.xs or newer.xs[0] > self.xs[-1]):
            self.xs.extend(newer.xs)
            self.ys.extend(newer.ys)
        else:
            self.extend(zip(newer.xs, newer.ys, strict=True))


def nice_number(value: float) -> str:
    """A figure in at most six characters, as an axis has room for: 0.0125, 1.25, 12.5, 1,250, 12.5k, 2e-04."""
    size = abs(value)
    if value == 0:
        return "0"
    if size >= 1e9 or size < 0.001:
        return f"{value:.0e}"
    if size >= 1_000_000:
        return f"{value / 1_000_000:.3g}M"
    if size >= 10_000:
        return f"{value / 1_000:.3g}k"
    if size >= 1_000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def decimate(series: Series, columns: int, x_low: float, x_high: float) -> list[Span | None]:
    """The (first, lowest, highest, last) value in each of `columns` equal slices of x, None for an empty one."""
    span = x_high - x_low
    spans: list[Span | None] = [None] * columns
    start = bisect_left(series.xs, x_low)
    for column in range(columns):
        if column == columns - 1:
            end = len(series.xs)
        else:
            end = bisect_left(series.xs, x_low + span * (column + 0.5) / max(1, columns - 1), start)
        if end > start:
            part = series.ys[start:end]
            spans[column] = (part[0], min(part), max(part), part[-1])
        start = end
    return spans


def _limits(series: Sequence[Series]) -> Limits:
    filled = [one for one in series if len(one)]
    x_low, x_high = min(one.xs[0] for one in filled), max(one.xs[-1] for one in filled)
    y_low, y_high = min(one.extremes[0] for one in filled), max(one.extremes[1] for one in filled)
    if y_high - y_low < 1e-12 * max(1.0, abs(y_high)):
        room = abs(y_high) * 0.1 or 1.0
        y_low, y_high = y_low - room, y_high + room
    if x_high == x_low:
        x_high = x_low + 1
    return x_low, x_high, y_low, y_high


class Canvas:
    """Braille dots and the role of the series that was last drawn into each cell."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.cells = [[_BLANK] * width for _ in range(height)]
        self.roles = [["axis"] * width for _ in range(height)]

    def dot(self, x: int, y: int, role: str) -> None:
        """Set the pixel `x` from the left and `y` from the bottom."""
        row, column = self.height - 1 - y // 4, x // 2
        self.cells[row][column] |= _DOTS[x % 2][3 - y % 4]
        self.roles[row][column] = role

    def span(self, x: int, low: int, high: int, role: str, *, dotted: bool) -> None:
        """Set a vertical run of pixels; a dotted one leaves out every second pixel of the picture's raster."""
        for y in range(low, high + 1):
            if not dotted or (x + y) % 2 == 0 or (low == high and x % 3 != 2):
                self.dot(x, y, role)

    def mark(self, row: int, column: int, text: str, role: str = "") -> None:
        """Put one character into a cell: in a role over whatever is there, without one where no pixel is."""
        if role or self.cells[row][column] == _BLANK:
            self.cells[row][column] = ord(text)
            self.roles[row][column] = role or "axis"

    def line(self, row: int) -> list[Segment]:
        """One row of cells as segments, neighbours of the same role joined."""
        segments: list[Segment] = []
        for cell, role in zip(self.cells[row], self.roles[row], strict=True):
            mark = " " if cell == _BLANK else chr(cell)
            if segments and (mark == " " or segments[-1].role == role):
                segments[-1] = Segment(segments[-1].text + mark, segments[-1].role)
            else:
                segments.append(Segment(mark, role))
        return segments


def _draw(canvas: Canvas, series: Series, limits: Limits, role: str, *, dotted: bool) -> None:
    x_low, x_high, y_low, y_high = limits
    columns, top = canvas.width * 2, canvas.height * 4 - 1

    def level(value: float) -> int:
        return round((value - y_low) / (y_high - y_low) * top)

    before: tuple[int, float] | None = None
    for column, span in enumerate(decimate(series, columns, x_low, x_high)):
        if span is None:
            continue
        first, lowest, highest, last = span
        if before is not None:
            from_column, from_value = before
            steps = column - from_column
            previous = level(from_value)
            for step in range(1, steps + 1):
                here = level(from_value + (first - from_value) * step / steps)
                # The pixels between two neighbouring columns belong to the right one, so that a steep line has no gap.
                low, high = sorted((here, previous))
                low, high = (low + 1, high) if previous < here else (low, high - 1) if previous > here else (low, high)
                canvas.span(from_column + step, low, high, role, dotted=dotted)
                previous = here
        canvas.span(column, level(lowest), level(highest), role, dotted=dotted)
        before = (column, last)


def plot(series: Sequence[Series], width: int, height: int, *, x_label: str = "step") -> list[list[Segment]]:
    """Draw up to two series into `height` lines of `width` columns: a legend, the curves beside a y axis, an x axis.

    The second series is dotted, so that the two can be told apart without colour. Without any point, or with less
    room than 16 × 4, the result is empty lines.
    """
    blank = [[Segment(" " * width, "axis")] for _ in range(height)]
    if width < 16 or height < 4 or not any(len(one) for one in series):
        return blank
    limits = _limits(series)
    x_low, x_high, y_low, y_high = limits
    rows = height - 3
    marks = {0: y_high, rows - 1: y_low}
    if rows >= 5:
        marks[rows // 2] = y_high - (y_high - y_low) * (rows // 2) / (rows - 1)
    labels = {row: nice_number(value) for row, value in marks.items()}
    margin = max(map(len, labels.values()))
    canvas = Canvas(width - margin - 2, rows)
    for place in (1, 0):
        if place < len(series) and len(series[place]):
            _draw(canvas, series[place], limits, ("first", "second")[place], dotted=place == 1)
    lines = [_legend(series, width)]
    for row in range(rows):
        axis = "┤" if row in labels else "│"
        lines.append([Segment(f"{labels.get(row, ''):>{margin}} {axis}", "axis"), *canvas.line(row)])
    lines.append([Segment(" " * (margin + 1) + "└" + "─" * canvas.width, "axis")])
    left, right = nice_number(x_low), f"{x_label} {nice_number(x_high)}"
    gap = max(1, canvas.width - len(left) - len(right))
    lines.append([Segment((" " * (margin + 2) + left + " " * gap + right)[:width].ljust(width), "axis")])
    return lines


def _legend(series: Sequence[Series], width: int) -> list[Segment]:
    segments: list[Segment] = []
    for one, role, sample in zip(series, ("first", "second"), ("━━", "┅┅"), strict=False):
        if len(one):
            segments.append(Segment(f" {sample} {one.name} {nice_number(one.ys[-1])} ", role))
    used = sum(len(segment.text) for segment in segments)
    return [*segments, Segment(" " * max(0, width - used), "axis")]
