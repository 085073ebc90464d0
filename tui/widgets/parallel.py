"""Parallel coordinates in braille: an upright axis for each setting, and a path through them for each trial."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from tui.runs.search import Axis
from tui.widgets.chart import Picture
from tui.widgets.curves import Canvas, Segment, nice_number

NARROWEST: Final = 10  # cells from one axis to the next
MOST_PATHS: Final = 48
_MARKS: Final = {"first": "★", "second": "◆"}
_NAMES: Final = {
    "learning_rate": "rate", "effective_batch": "batch", "warmup_ratio": "warm-up", "objective": "objective",
}  # fmt: skip

Path = Sequence[float | None]
"""The place of a trial on each axis, 0-1; None where it has none."""


def short_name(name: str) -> str:
    """What an axis is called."""
    return _NAMES.get(name, name.replace("_", " "))


def fits(axes: int, width: int) -> bool:
    """Whether so many axes can be told apart in so many columns."""
    return axes >= 2 and width >= NARROWEST * axes


def parallel(
    axes: Sequence[Axis], others: Sequence[Path], marked: Mapping[str, Path | None], width: int, height: int
) -> list[list[Segment]]:
    """Names and highest values over the paths, lowest values below; `height` lines of `width` columns.

    The `marked` paths are lines in the role that is their key, with a sign at each axis, the others dots. Nothing where
    the axes do not fit, see `fits`, or fewer than 7 lines are there.
    """
    if not fits(len(axes), width) or height < 7:
        return []
    canvas = Canvas(width, height - 3)
    margin = NARROWEST // 2
    columns = [margin + round(place * (width - 2 * margin - 1) / (len(axes) - 1)) for place in range(len(axes))]
    top = canvas.height * 4 - 1
    drawn = {_levels(path, top) for path in others}
    for levels in sorted(drawn, key=str):
        _path(canvas, columns, levels, "axis", dotted=True)
    for role, path in marked.items():
        if path is not None:
            _path(canvas, columns, _levels(path, top), role, dotted=False)
    for column in columns:
        for row in range(canvas.height):
            canvas.mark(row, column, "│")
    for role, path in marked.items():
        for column, level in zip(columns, _levels(path or (), top), strict=False):
            if level is not None:
                canvas.mark(canvas.height - 1 - level // 4, column, _MARKS[role], role)
    names = _spread([short_name(axis.name) for axis in axes], columns, width)
    highs = _spread([nice_number(axis.high) for axis in axes], columns, width)
    lows = _spread([nice_number(axis.low) for axis in axes], columns, width)
    lines = [[Segment(names, "axis")], [Segment(highs, "axis")]]
    lines += [canvas.line(row) for row in range(canvas.height)]
    return [*lines, [Segment(lows, "axis")]]


def _levels(path: Path, top: int) -> tuple[int | None, ...]:
    return tuple(None if place is None else round(place * top) for place in path)


def _path(canvas: Canvas, columns: Sequence[int], levels: Sequence[int | None], role: str, *, dotted: bool) -> None:
    for at in range(len(columns) - 1):
        left, right = levels[at], levels[at + 1]
        if left is None or right is None:
            continue
        start, end = columns[at] * 2, columns[at + 1] * 2
        before = left
        for x in range(start, end + 1):
            here = round(left + (right - left) * (x - start) / (end - start))
            low, high = sorted((before, here))
            canvas.span(x, low + (before < here), high - (before > here), role, dotted=dotted)
            before = here


def _spread(texts: Sequence[str], columns: Sequence[int], width: int) -> str:
    """Each text with its middle over its column, cut where it would touch the next one."""
    line = [" "] * width
    for text, column in zip(texts, columns, strict=True):
        shown = text[: NARROWEST - 1]
        start = max(0, min(width - len(shown), column - len(shown) // 2))
        line[start : start + len(shown)] = shown
    return "".join(line)


class ParallelChart(Picture):
    """Shows trials; the best one and the chosen one stand out."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(empty="Too narrow for the paths, or no trial yet: the table has all of it.", id=id)
        self._axes: Sequence[Axis] = ()
        self._others: Sequence[Path] = ()
        self._best: Path | None = None
        self._chosen: Path | None = None

    def show(self, axes: Sequence[Axis], others: Sequence[Path], best: Path | None) -> None:
        """Replace what is drawn, the best first among the others; those beyond `MOST_PATHS` are left out, and none is
        chosen any more: it may have had other axes."""
        self._axes, self._others, self._best, self._chosen = axes, others[:MOST_PATHS], best, None
        self.redraw()

    def choose(self, path: Path | None) -> None:
        """Let another trial stand out."""
        self._chosen = path
        self.redraw()

    def lines(self, width: int, height: int) -> Sequence[Sequence[Segment]]:
        """The paths between their axes."""
        marked = {"first": self._best, "second": self._chosen}
        return parallel(self._axes, self._others, marked, width, height)
