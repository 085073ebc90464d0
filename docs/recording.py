"""What a terminal showed over time as an asciicast (version 2): only what changed from one look to the next."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import groupby

import pyte

from docs.film import Look, look_of

Cell = tuple[str, Look]
_PLAIN = Look("", "", False, False, False)


class Recording:
    """Looks at a screen whenever `look` is called. `seconds` is how long it lasts so far, in the time of the recording;
    a pause longer than `longest_pause` seconds is kept at that."""

    def __init__(self, screen: pyte.Screen, title: str, *, longest_pause: float) -> None:
        self.seconds = 0.0
        self._screen = screen
        self._longest = longest_pause
        self._shown: list[list[Cell]] = [[] for _ in range(screen.lines)]
        self._pen = _PLAIN
        header = {"version": 2, "width": screen.columns, "height": screen.lines, "title": title,
                  "env": {"TERM": "xterm-256color"}}  # fmt: skip
        self._lines = [json.dumps(header), json.dumps([0.0, "o", "\x1b[?25l\x1b[2J"])]
        self._waited = 0.0

    def look(self, passed: float) -> None:
        """Take down what changed in the `passed` seconds since the last look."""
        self._waited += passed
        drawn = "".join(self._changes())
        if drawn:
            self.seconds += min(self._longest, self._waited)
            self._waited = 0.0
            self._lines.append(json.dumps([round(self.seconds, 2), "o", drawn], ensure_ascii=False))

    @property
    def text(self) -> str:
        """The file."""
        end = json.dumps([round(self.seconds + self._longest, 2), "o", "\x1b[0m\x1b[?25h"])
        return "\n".join([*self._lines, end]) + "\n"

    def _changes(self) -> Iterator[str]:
        for row in range(self._screen.lines):
            line = self._screen.buffer[row]
            now = [(line[column].data, look_of(line[column])) for column in range(self._screen.columns)]
            before, self._shown[row] = self._shown[row], now
            if now == before:
                continue
            differing = [at for at, cell in enumerate(now) if at >= len(before) or cell != before[at]]
            first, last = differing[0], differing[-1] + 1
            if not now[first][0]:  # the right half of a wide character
                first -= 1
            yield f"\x1b[{row + 1};{first + 1}H"
            yield from self._painted(now[first:last])

    def _painted(self, cells: Sequence[Cell]) -> Iterator[str]:
        for look, group in groupby(cells, lambda cell: cell[1]):
            yield self._dip(look)
            yield "".join(text for text, _ in group)

    def _dip(self, look: Look) -> str:
        """The shortest sequence that makes the pen write like this."""
        pen, self._pen = self._pen, look
        codes = []
        if look.ink != pen.ink:
            codes.append(f"38;2;{_channels(look.ink)}")
        if look.ground != pen.ground:
            codes.append(f"48;2;{_channels(look.ground)}")
        for now, before, on, off in (
            (look.bold, pen.bold, "1", "22"), (look.italic, pen.italic, "3", "23"),
            (look.underlined, pen.underlined, "4", "24"),
        ):  # fmt: skip
            if now != before:
                codes.append(on if now else off)
        return f"\x1b[{';'.join(codes)}m" if codes else ""


def _channels(colour: str) -> str:
    return ";".join(str(int(colour[at : at + 2], 16)) for at in (0, 2, 4))
