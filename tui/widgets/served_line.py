"""The line below versions and tests: what serves, what a roll-back and an undo would do, or how far a change is."""

from __future__ import annotations

import time

from textual.app import RenderResult
from textual.content import Content
from textual.widget import Widget

from tui.text import safe
from tui.versions.served import Served, served_line

_EDGES = 2


class ServedLine(Widget):
    """One line; what is `told` of a change that is under way stands in place of the rest."""

    DEFAULT_CSS = """
    ServedLine { height: 1; padding: 0 1; color: $text-muted; }
    ServedLine.-told { color: $text; }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._served: Served | None = None
        self._category = ""
        self._told = ""

    def show(self, served: Served | None, category: str) -> None:
        """Tell of what serves a category; None while nothing does, and nothing for no category."""
        self._served, self._category = served, category
        self.refresh()

    def tell(self, text: str) -> None:
        """How far a change is; an empty text ends that."""
        self._told = text
        self.set_class(bool(text), "-told")
        self.refresh()

    @property
    def text(self) -> Content:
        """What stands there now."""
        width = max(1, self.size.width - _EDGES)
        if self._told:
            return (Content("● ") + safe(self._told, one_line=True)).truncate(width, ellipsis=True)
        if self._served is not None:
            return served_line(self._served, time.time(), width)
        if self._category:
            told = safe(
                f"Nothing serves {self._category} yet: p puts the version under the cursor there", one_line=True
            )
            return told.truncate(width, ellipsis=True)
        return Content("")

    def render(self) -> RenderResult:
        return self.text
