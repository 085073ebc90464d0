"""Key frames of a terminal as one animated SVG: CSS alone, no script and no font to fetch.

Every different line is drawn once and referred to by the frames that show it. Cells have a width that does not depend
on the font: each run of text is given its length.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby
from typing import Final

import pyte
from pyte.screens import Char

CELL: Final = (8.4, 17)
_MARGIN: Final = 14
_TITLE: Final = 40
_GROUND: Final = "121212"
_INK: Final = "e0e0e0"
_NAMED: Final = {
    "black": "000000", "red": "cd3131", "green": "0dbc79", "brown": "e5e510", "blue": "2472c8", "magenta": "bc3fbc",
    "cyan": "11a8cd", "white": "e5e5e5", "brightblack": "666666", "brightred": "f14c4c", "brightgreen": "23d18b",
    "brightbrown": "f5f543", "brightblue": "3b8eea", "bfightmagenta": "d670d6", "brightcyan": "29b8db",
    "brightwhite": "ffffff",
}  # fmt: skip
_FONT: Final = "ui-monospace,'SF Mono',Menlo,Consolas,'DejaVu Sans Mono','Liberation Mono',monospace"


@dataclass(frozen=True, slots=True)
class Look:
    """How a cell is drawn: colours as six hexadecimal digits."""

    ink: str
    ground: str
    bold: bool
    italic: bool
    underlined: bool


Run = tuple[int, str, Look]
"""The column at which it begins, its text, how it looks."""
Line = tuple[Run, ...]


@dataclass(frozen=True, slots=True)
class Frame:
    """What a terminal showed, line by line, and what is said of it."""

    caption: str
    lines: tuple[Line, ...]


def frame_of(screen: pyte.Screen, caption: str) -> Frame:
    """The screen as it stands."""
    return Frame(caption, tuple(_line(screen, row) for row in range(screen.lines)))


def _line(screen: pyte.Screen, row: int) -> Line:
    runs: list[Run] = []
    for column in range(screen.columns):
        cell = screen.buffer[row][column]
        look, text = look_of(cell), cell.data or " "
        if runs and (
            look == runs[-1][2] or (text == " " and look.ground == runs[-1][2].ground and not cell.underscore)
        ):
            runs[-1] = (runs[-1][0], runs[-1][1] + text, runs[-1][2])
        else:
            runs.append((column, text, look))
    return tuple(run for run in runs if run[1].strip() or run[2].ground != _GROUND)


def look_of(cell: Char) -> Look:
    """How a cell of a terminal is drawn; where nothing is written in it its ink does not matter."""
    ink, ground = _hex(cell.fg, _INK), _hex(cell.bg, _GROUND)
    if cell.reverse:
        ink, ground = ground, ink
    if cell.data == " " and not cell.underscore:
        return Look(ground, ground, False, False, False)
    return Look(ink, ground, cell.bold, cell.italics, cell.underscore)


def _hex(name: str, default: str) -> str:
    return default if name == "default" else _NAMED.get(name, name)


def film(frames: Sequence[Frame], *, columns: int, rows: int, seconds: float, still: int) -> str:
    """The SVG, each frame shown for `seconds`; `still` is the number of the frame for whoever wants no motion."""
    width, height = columns * CELL[0] + 2 * _MARGIN, rows * CELL[1] + _TITLE + _MARGIN
    classes: dict[str, str] = {}
    lines: dict[Line, str] = {}
    groups: list[str] = []
    for number, frame in enumerate(frames):
        uses = []
        for row, line in enumerate(frame.lines):
            if line:
                name = lines.setdefault(line, f"l{len(lines)}")
                uses.append(f'<use href="#{name}" y="{row * CELL[1]}"/>')
        shown = f' class="f{" s" if number == still else ""}" style="animation-delay:{number * seconds:g}s"'
        caption = (
            f'<text x="{width / 2:g}" y="26" class="c">{number + 1} / {len(frames)} · {escape(frame.caption)}</text>'
        )
        groups.append(f'<g{shown}>{caption}<g transform="translate({_MARGIN} {_TITLE})">{"".join(uses)}</g></g>')
    drawn = [f'<g id="{name}">{_drawn(line, classes)}</g>' for line, name in lines.items()]
    share = 100 / len(frames)
    style = (
        f"text{{font:14px {_FONT};white-space:pre}}.c{{fill:#b8b8b8;font-weight:bold;text-anchor:middle}}"
        f"@keyframes k{{0%{{visibility:visible}}{share:.4f}%{{visibility:hidden}}100%{{visibility:hidden}}}}"
        f".f{{visibility:hidden;animation:k {len(frames) * seconds:g}s step-end infinite}}"
        "@media (prefers-reduced-motion:reduce){.f{animation:none}.s{visibility:visible}}"
        + "".join(f".{name}{{{rule}}}" for rule, name in classes.items())
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" '
        f'height="{height:g}" role="img" aria-label="The first five minutes with finetune-tui">\n'
        f"<style>{style}</style>\n"
        f'<rect width="100%" height="100%" rx="9" fill="#{_GROUND}" stroke="#4a4a4a"/>\n'
        '<g><circle cx="20" cy="21" r="6" fill="#ff5f57"/><circle cx="40" cy="21" r="6" fill="#febc2e"/>'
        '<circle cx="60" cy="21" r="6" fill="#28c840"/></g>\n'
        f"<defs>\n{chr(10).join(drawn)}\n</defs>\n{chr(10).join(groups)}\n</svg>\n"
    )


def _drawn(line: Line, classes: dict[str, str]) -> str:
    parts = []
    for ground, group in groupby(line, lambda run: run[2].ground):
        runs = list(group)
        at, end = runs[0][0], runs[-1][0] + len(runs[-1][1])
        parts.append(
            f'<rect x="{at * CELL[0]:g}" width="{(end - at) * CELL[0]:g}" height="{CELL[1]}" '
            f'class="{_class(classes, f"fill:#{ground}")}"/>'
        )
    for at, text, look in line:
        shown = text.rstrip()
        if shown:
            rule = f"fill:#{look.ink}" + ";font-weight:bold" * look.bold + ";font-style:italic" * look.italic
            name = _class(classes, rule + ";text-decoration:underline" * look.underlined)
            start = len(shown) - len(shown.lstrip())
            parts.append(
                f'<text x="{(at + start) * CELL[0]:g}" y="13" textLength="{(len(shown) - start) * CELL[0]:g}" '
                f'class="{name}">{escape(shown.lstrip(), quote=False)}</text>'
            )
    return "".join(parts)


def _class(classes: dict[str, str], rule: str) -> str:
    return classes.setdefault(rule, f"_{len(classes)}")
