"""An estimate and its interval drawn on a scale, with the marks that it is judged against."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import RenderResult
from textual.content import Content
from textual.widget import Widget


def scale_lines(
    low: float, high: float, point: float, *, width: int, span: tuple[float, float], marks: Sequence[tuple[float, str]]
) -> list[str]:
    """Two lines of `width` columns: the interval [low, high] with its estimate, and the labels of the marks below.

    `├` and `┤` are the interval's ends, `●` the estimate, `┊` a mark and `◉` an estimate that stands on a mark. Values
    outside `span` are drawn at its nearer end, where the interval's end becomes an arrow.
    """
    if width < 8:
        return [" " * width, " " * width]
    start, end = span

    def column(value: float) -> int:
        share = (min(max(value, start), end) - start) / (end - start)
        return round(share * (width - 1))

    line = ["─"] * width
    labels = [" "] * width
    for place in range(column(low), column(high) + 1):
        line[place] = "━"
    for value, text in marks:
        at = column(value)
        line[at] = "┊" if line[at] == "─" else "╋"
        left = min(max(0, at - len(text) // 2), width - len(text))
        around = labels[max(0, left - 1) : left + len(text) + 1]
        if left >= 0 and not "".join(around).strip():
            labels[left : left + len(text)] = text
    line[column(low)] = "◂" if low < start else "├"
    line[column(high)] = "▸" if high > end else "┤"
    at = column(point)
    line[at] = "◉" if any(column(value) == at for value, _ in marks) else "●"
    return ["".join(line), "".join(labels)]


class IntervalBar(Widget):
    """Two lines: the interval on its scale, and what the marks mean. The same figures stand beside it in words."""

    DEFAULT_CSS = """
    IntervalBar { height: 2; color: $text-primary; }
    """

    def __init__(self, *, span: tuple[float, float], marks: Sequence[tuple[float, str]], id: str | None = None) -> None:
        super().__init__(id=id)
        self._span = span
        self._marks = tuple(marks)
        self._interval: tuple[float, float, float] | None = None

    def show(self, low: float, high: float, point: float, *, marks: Sequence[tuple[float, str]] | None = None) -> None:
        """Draw this interval; `marks` replaces the marks when given."""
        self._interval = (low, high, point)
        if marks is not None:
            self._marks = tuple(marks)
        self.refresh()

    def render(self) -> RenderResult:
        """The two lines, or nothing before the first interval."""
        if self._interval is None:
            return Content()
        low, high, point = self._interval
        bar, labels = scale_lines(low, high, point, width=self.size.width, span=self._span, marks=self._marks)
        return Content.assemble(bar, "\n", (labels, "$text-muted"))
