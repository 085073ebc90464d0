"""One line that tells of a search for training settings while one is at work, and is not there otherwise."""

from __future__ import annotations

from typing import Final

from textual.content import Content
from textual.widgets import Static

from core.paths import Home
from tui.text import safe

_LOOK_SECONDS: Final = 3.0


class SearchAtWork(Static):
    """Looks by itself, at `home`, whether a search that was begun from an app goes on."""

    DEFAULT_CSS = """
    SearchAtWork { height: 1; text-wrap: nowrap; text-overflow: ellipsis; display: none; }
    """

    def __init__(self, home: Home, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._home = home

    def on_mount(self) -> None:
        self.call_after_refresh(self._look)
        self.set_interval(_LOOK_SECONDS, self._look)

    def _look(self) -> None:
        line = self._line() if self._home.search_note.exists() else None
        self.display = line is not None
        if line is not None:
            self.update(line)

    def _line(self) -> Content | None:
        from tui.runs.search_work import BEGINS, at_work, last_words  # most starts of the app do without

        work = at_work(self._home)
        if work is None:
            return None
        text = f"● searching settings of {work.scope} · {last_words(self._home) or BEGINS}"
        return safe(text, "$text-primary", one_line=True)
