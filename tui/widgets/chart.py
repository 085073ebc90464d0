"""A live line chart in braille, drawn line by line and only as fine as the terminal's pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.segment import Segment as RichSegment
from rich.style import Style
from textual.strip import Strip
from textual.widget import Widget

from tui.widgets.curves import Series, plot


class LineChart(Widget):
    """Up to two series over the same steps, drawn at the next refresh after `show`."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"chart--axis", "chart--first", "chart--second"}
    DEFAULT_CSS = """
    LineChart { width: 1fr; height: 1fr; min-height: 6; }
    LineChart > .chart--axis { color: $foreground 60%; }
    LineChart > .chart--first { color: $text-primary; }
    LineChart > .chart--second { color: $text-warning; }
    """

    def __init__(self, *, empty: str = "No figures yet.", id: str | None = None) -> None:
        super().__init__(id=id)
        self._series: list[Series] = []
        self._empty = empty
        self._drawn: tuple[int, int] | None = None
        self._strips: list[Strip] = []

    @property
    def series(self) -> Sequence[Series]:
        """What is shown; change it only through `show`."""
        return self._series

    def show(self, series: Sequence[Series], *, empty: str | None = None) -> None:
        """Replace what is drawn. `empty` is the sentence shown while there is no point."""
        self._series = list(series)
        if empty is not None:
            self._empty = empty
        self._drawn = None
        self.refresh()

    def notify_style_update(self) -> None:
        """Draw again in the new theme's colours."""
        super().notify_style_update()
        self._drawn = None

    def render_line(self, y: int) -> Strip:
        """One line of the chart; the whole picture is computed once per change of data, size or theme."""
        width, height = self.size
        if self._drawn != (width, height):
            self._strips = self._picture(width, height)
            self._drawn = (width, height)
        return self._strips[y] if y < len(self._strips) else Strip.blank(width, self.rich_style)

    def _picture(self, width: int, height: int) -> list[Strip]:
        base = self.rich_style
        if not any(len(one) for one in self._series):
            message = f"{self._empty:^{width}}"[:width]
            style = base + self._style("axis")
            return [
                Strip([RichSegment(message, style)], width) if row == height // 2 else Strip.blank(width, base)
                for row in range(height)
            ]
        styles = {role: base + self._style(role) for role in ("axis", "first", "second")}
        return [
            Strip([RichSegment(text, styles[role]) for text, role in line]).adjust_cell_length(width, base)
            for line in plot(self._series, width, height)
        ]

    def _style(self, role: str) -> Style:
        return self.get_component_rich_style(f"chart--{role}")
