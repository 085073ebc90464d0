"""A long text in few lines: its beginning, and its end, where a question often stands."""

from __future__ import annotations


def folded(text: str, width: int, lines: int) -> tuple[str, int]:
    """`text` in at most `lines` rows (at least 3) of `width` cells, and how many rows are left out, 0 for none.

    A row that wraps counts as several. The last row that is shown is the last one with anything in it.
    """
    rows = [row for line in text.rstrip().split("\n") for row in _wrapped(line, max(width, 10))]
    hidden = len(rows) - lines
    if hidden < 2:  # the note would take the room of what it hides
        return text.rstrip(), 0
    return "\n".join([*rows[: lines - 2], "⋯", rows[-1]]), hidden + 1


def _wrapped(line: str, width: int) -> list[str]:
    return [line[at : at + width] for at in range(0, len(line), width)] or [""]
