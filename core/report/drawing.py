"""Figures as pieces of HTML and SVG that stretch to any width and follow the reader's light or dark setting.

A picture holds no text: its labels stand beside it as HTML, so that they keep their size on a telephone. Colours are
named by class and set in the page's style sheet. Everything that goes in is escaped.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from markupsafe import Markup, escape

_W: Final = 1_000.0
_H: Final = 240.0
_MOST_POINTS: Final = 400


def line(points: Sequence[tuple[float, float]], *, low: float, high: float, titles: Sequence[str] = (),
         area: bool = False) -> Markup:  # fmt: skip
    """A line through (place 0-1, value) between `low` and `high`, with a dot and a tooltip for each of `titles`."""
    if not points:
        return Markup("")
    kept = _thinned(points)
    spots = [(place * _W, _height(value, low, high)) for place, value in kept]
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in spots)
    parts = [f'<path class="line" d="{path}"/>']
    if area:
        parts.insert(0, f'<path class="area" d="{path}L{spots[-1][0]:.1f} {_H:.0f}L{spots[0][0]:.1f} {_H:.0f}Z"/>')
    for (x, y), title in zip(spots, titles if len(kept) == len(points) else (), strict=False):
        parts.append(f'<path class="dot" d="M{x:.1f} {y:.1f}h0"><title>{escape(title)}</title></path>')
    return _svg(parts)


def columns(
    values: Sequence[Sequence[tuple[str, float]]], *, high: float, titles: Sequence[str], gap: float = 0.12
) -> Markup:
    """Stacked columns side by side: for each a list of (class, value) from the bottom up; `high` is the full height."""
    width = _W / max(1, len(values))
    parts = []
    for place, (stack, title) in enumerate(zip(values, titles, strict=True)):
        floor, boxes = _H, []
        for name, value in stack:
            tall = _H * value / high if high > 0 else 0.0
            if tall <= 0.0:
                continue
            floor -= tall
            boxes.append(
                f'<rect class="{escape(name)}" x="{place * width + gap * width / 2:.2f}" y="{floor:.2f}" '
                f'width="{width * (1 - gap):.2f}" height="{tall:.2f}"/>'
            )
        parts.append(f"<g><title>{escape(title)}</title>{''.join(boxes)}</g>")
    return _svg(parts)


def interval(low: float, middle: float, high: float, *, marks: Sequence[tuple[float, str, str]], name: str) -> Markup:
    """An interval of shares 0-1 on a line from 0 to 1: a bar with a dot, and thin marks of (place, class, tooltip)."""
    parts = [
        f'<i class="mark {escape(kind)}" style="left:{100 * place:.2f}%" title="{escape(title)}"></i>'
        for place, kind, title in marks
    ]
    parts.append(
        f'<i class="bar {escape(name)}" style="left:{100 * low:.2f}%;width:{max(0.4, 100 * (high - low)):.2f}%"></i>'
        f'<i class="point {escape(name)}" style="left:{100 * middle:.2f}%"></i>'
    )
    return Markup(f'<span class="track">{"".join(parts)}</span>')


def _height(value: float, low: float, high: float) -> float:
    share = (value - low) / (high - low) if high > low else 0.5
    return _H * (1.0 - max(0.0, min(1.0, share)))


def _thinned(points: Sequence[tuple[float, float]]) -> Sequence[tuple[float, float]]:
    """Of many points the lowest and the highest of each of equal stretches, in their order."""
    if len(points) <= _MOST_POINTS:
        return points
    stretch = len(points) / (_MOST_POINTS / 2)
    kept: list[tuple[float, float]] = []
    for number in range(_MOST_POINTS // 2):
        part = points[int(number * stretch) : int((number + 1) * stretch)]
        if part:
            kept += sorted({min(part, key=lambda at: at[1]), max(part, key=lambda at: at[1])})
    return kept


def _svg(parts: Sequence[str]) -> Markup:
    # What comes in is made of numbers and of text that was escaped above.
    return Markup(f'<svg viewBox="0 0 {_W:.0f} {_H:.0f}" preserveAspectRatio="none" role="img">{"".join(parts)}</svg>')
