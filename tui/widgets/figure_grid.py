"""Labelled figures in columns: as many columns as there are groups, or as fit."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

from textual.content import Content

Cell = tuple[str, str]
_GAP = 2


def figure_grid(groups: Sequence[Sequence[Cell]], width: int) -> Content:
    """Label and value of each cell, a column for each group; where that is wider than `width` they flow on.

    Labels stand in one line with the labels of their column, values too. Less room than one column is cut by the
    widget.
    """
    columns = [list(group) for group in groups]
    cells = [cell for group in groups for cell in group]
    count = len(columns)
    while count > 1 and _width(columns) > width:
        count -= 1
        rows = ceil(len(cells) / count)
        columns = [cells[start : start + rows] for start in range(0, len(cells), rows)]
    lines: list[Content] = []
    for row in range(max(map(len, columns), default=0)):
        parts: list[Content] = []
        blank = 0
        for column in columns:
            label_width, value_width = _widths(column)
            if row < len(column):
                label, value = column[row]
                parts.append(Content.assemble(" " * blank, (f"{label:<{label_width}} ", "$text-muted"), value))
                blank = value_width - len(value) + _GAP
            else:
                blank += label_width + 1 + value_width + _GAP
        lines.append(Content("").join(parts))
    return Content("\n").join(lines)


def _widths(column: Sequence[Cell]) -> tuple[int, int]:
    return max(len(label) for label, _ in column), max(len(value) for _, value in column)


def _width(columns: Sequence[Sequence[Cell]]) -> int:
    return sum(sum(_widths(column)) + 1 for column in columns) + _GAP * (len(columns) - 1)
