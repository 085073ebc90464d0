"""The last thing that happens to a line of any widget before it goes to the terminal."""

from __future__ import annotations

from rich.cells import cell_len
from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

from tui.text import without_orders


class Inert(LineFilter):
    """Takes out what a terminal would obey where no widget has shown it as something visible.

    Widgets show foreign text through `tui.text`; a line that a person edits cannot, because what stands in it is used
    as it is: a path that was completed, a word that was pasted.
    """

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The same segments, as wide as they were."""
        if all(segment.text.isprintable() for segment in segments):
            return segments
        return [Segment(without_orders(text, cell_len), style, control) for text, style, control in segments]
