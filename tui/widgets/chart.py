"""A live line chart in braille, drawn line by line and only as fine as the terminal's pixels."""

from __future__ import annotations

import math
import operator
import time
from collections.abc import Sequence
from typing import ClassVar, Final

from rich.segment import Segment as RichSegment
from textual.strip import Strip
from textual.timer import Timer
from textual.widget import Widget

from tui.once import once
from tui.widgets.curves import Segment, Series, plot

REDRAW_SECONDS: Final = 0.5


class Picture(Widget):
    """Lines of segments in three roles, worked out when they are first drawn after a change of data, size or theme."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"chart--axis", "chart--first", "chart--second"}
    DEFAULT_CSS = """
    Picture { width: 1fr; height: 1fr; min-height: 6; }
    Picture > .chart--axis { color: $foreground 60%; }
    Picture > .chart--first { color: $text-primary; }
    Picture > .chart--second { color: $text-warning; }
    """

    def __init__(self, *, empty: str = "", id: str | None = None) -> None:
        super().__init__(id=id)
        self._empty = empty
        self._drawn: tuple[int, int] | None = None
        self._strips: list[Strip] = []

    def lines(self, width: int, height: int) -> Sequence[Sequence[Segment]]:
        """What to draw at this size; without a line the sentence for an empty picture stands there."""
        raise NotImplementedError

    def redraw(self) -> None:
        """Draw anew at the next refresh; a picture that is not seen is not worked out."""
        self._drawn = None
        self.refresh()

    def notify_style_update(self) -> None:
        """Draw again in the new theme's colours."""
        super().notify_style_update()
        self._drawn = None

    def render_line(self, y: int) -> Strip:
        """One line of the picture; the whole is worked out once per change."""
        width, height = self.size
        if self._drawn != (width, height):
            self._strips = self._picture(width, height)
            self._drawn = (width, height)
        return self._strips[y] if y < len(self._strips) else Strip.blank(width, self.rich_style)

    def _picture(self, width: int, height: int) -> list[Strip]:
        base = self.rich_style
        styles = {role: base + self.get_component_rich_style(f"chart--{role}") for role in ("axis", "first", "second")}
        lines = self.lines(width, height)
        if not lines:
            message = f"{self._empty:^{width}}"[:width]
            return [
                Strip([RichSegment(message, styles["axis"])], width) if row == height // 2 else Strip.blank(width, base)
                for row in range(height)
            ]
        return [
            Strip([RichSegment(text, styles[role]) for text, role in line]).adjust_cell_length(width, base)
            for line in lines
        ]


class LineChart(Picture):
    """Up to two series over the same steps. `show` of more points redraws at most twice a second."""

    def __init__(self, *, empty: str = "No figures yet.", id: str | None = None) -> None:
        super().__init__(empty=empty, id=id)
        self._series: list[Series] = []
        self._shown_at = -math.inf
        self._waiting: Timer | None = None

    @property
    def series(self) -> Sequence[Series]:
        """What is shown; change it only through `show`."""
        return self._series

    def show(self, series: Sequence[Series], *, empty: str | None = None) -> None:
        """Replace what is drawn: other series at once, more points of the same ones when their time has come.

        `empty` is the sentence shown while there is no point.
        """
        same = len(series) == len(self._series) and all(map(operator.is_, series, self._series))
        self._series = list(series)
        if empty is not None:
            self._empty = empty
        rest = self._shown_at + REDRAW_SECONDS - time.monotonic() if same else 0.0
        if rest <= 0:
            self._show_now()
        elif self._waiting is None:
            self._waiting = once(self, rest, self._show_now)

    def _show_now(self) -> None:
        if self._waiting is not None:
            self._waiting.stop()
            self._waiting = None
        self._shown_at = time.monotonic()
        self.redraw()

    def lines(self, width: int, height: int) -> Sequence[Sequence[Segment]]:
        """The curves with their axes."""
        return plot(self._series, width, height) if any(len(one) for one in self._series) else ()
