"""A whole parted into its kinds: one bar with a filling of its own for each, and below it what they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from textual.content import Content

from tui.text import safe
from tui.words import percent

_FILLINGS: Final = (
    ("█", "$text-primary"), ("▓", "$text-success"), ("▒", "$text-warning"), ("░", "$text-accent"),
    ("▚", "$text-secondary"), ("▖", "$text-error"), ("·", "$text-muted"),
)  # fmt: skip


def shares(counts: Mapping[str, int], width: int) -> dict[str, int]:
    """Cells of a bar of `width` by kind, by the largest remainders; what there is gets one where there is room.

    Their sum is `width`, or 0 without any count.
    """
    filled = {kind: count for kind, count in counts.items() if count > 0}
    total = sum(filled.values())
    if not total or width <= 0:
        return {}
    exact = {kind: count * width / total for kind, count in filled.items()}
    least = 1 if width >= len(filled) else 0
    cells = {kind: max(least, int(share)) for kind, share in exact.items()}
    while sum(cells.values()) < width:
        cells[max(cells, key=lambda kind: exact[kind] - cells[kind])] += 1
    while sum(cells.values()) > width:
        cells[max(cells, key=lambda kind: (cells[kind] > least, cells[kind] - exact[kind]))] -= 1
    return cells


def mix_bar(counts: Mapping[str, int], width: int, room: int) -> Content:
    """The bar of `width` cells, and in lines of `room` number and share of each kind; nothing without any count."""
    cells, total = shares(counts, width), sum(counts.values())
    if not cells:
        return Content("")
    looks = {kind: _FILLINGS[min(at, len(_FILLINGS) - 1)] for at, kind in enumerate(cells)}
    drawn = [Content.styled(looks[kind][0] * count, looks[kind][1]) for kind, count in cells.items()]
    told = [
        Content.assemble((f"{looks[kind][0]} ", looks[kind][1]), safe(kind), f" {counts[kind]:,}",
                         (f" ({percent(counts[kind] / total)})", "$text-muted"))
        for kind in cells
    ]  # fmt: skip
    lines: list[Content] = []
    for one in told:
        if lines and lines[-1].cell_length + 3 + one.cell_length <= room:
            lines[-1] = Content(" · ").join([lines[-1], one])
        else:
            lines.append(one)
    return Content("\n").join([Content("").join(drawn), *lines])
