"""The line on top of every screen: the tabs, the folder, and errors that nobody has looked at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from textual import events
from textual.content import Content
from textual.reactive import reactive
from textual.style import Style
from textual.widget import Widget

from tui.tabs import TABS, key_of
from tui.text import plain

if TYPE_CHECKING:
    from tui.app import FinetuneApp

_NARROW: Final = 8
"""Columns for the folder in which hardly anything of it can be told."""


class TopBar(Widget):
    """The screens with their keys, the current one marked, the folder that is open, and errors nobody has looked at."""

    DEFAULT_CSS = """
    TopBar { height: 1; background: $panel; color: $text-muted; }
    """

    hovered: reactive[str] = reactive("")

    def __init__(self, current: str, home: Path) -> None:
        super().__init__()
        self.auto_links = False  # the framework's look of links, all underlined, would hide which tab is open
        self._current = current
        self._home = home

    def render(self) -> Content:
        unseen = cast("FinetuneApp", self.app).session.unseen
        alarm = Content.styled(f" ✗ {unseen} ^l ", "bold $text-error") if unseen else Content()
        alarm = alarm.stylize(Style.from_meta({"@click": "app.log"}))
        hints = alarm + Content(" ? help  ^p commands ")
        left = self._tabs([tab.title for tab in TABS])
        if left.cell_length + hints.cell_length > self.size.width:
            left, hints = self._tabs([tab.short for tab in TABS]), alarm + Content("? help")
        if left.cell_length + hints.cell_length > self.size.width:
            hints = alarm
        room = self.size.width - left.cell_length - hints.cell_length
        gap = " " if room > _NARROW and not hints.plain.startswith(" ") else ""
        room = max(room - len(gap), 0)
        return Content("").join([left, Content(f"{_fit(_short(self._home), room - 1):>{room}}{gap}"), hints])

    def _tabs(self, titles: Sequence[str]) -> Content:
        parts: list[Content] = []
        for tab, title in zip(TABS, titles, strict=True):
            here, action = tab.mode == self._current, f"app.open('{tab.mode}')"
            look = "bold $text-primary" if here else "underline $foreground" if action == self.hovered else ""
            label = Content.styled(f"{'▸' if here else ' '}{key_of(tab.mode)} {title}", look)
            parts.append(label.stylize(Style.from_meta({"@click": action})))
        return Content("").join(parts)

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """The tab under the pointer is underlined."""
        self.hovered = str(event.style.meta.get("@click", ""))

    def on_leave(self) -> None:
        """The pointer is elsewhere."""
        self.hovered = ""


def _short(path: Path) -> str:
    try:
        return f"~/{path.relative_to(Path.home())}"
    except (ValueError, RuntimeError):
        return str(path)


def _fit(text: str, width: int) -> str:
    shown = plain(text).replace("\n", "␊").replace("\t", "␉")
    if len(shown) <= width:
        return shown
    return f"…{shown[len(shown) - width + 1 :]}" if width > 8 else ""
