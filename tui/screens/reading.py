"""A text to read over a screen: scrolled by keys, closed by escape or by the key that opened it."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from tui.text import safe
from tui.widgets.text_pane import TextPane


class ReadingScreen(ModalScreen[None]):
    """Shows a text under `title`; `write` makes it for a width in columns."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,h,d,w,equals_sign", "close", "Back", id="reading.close", tooltip="Back to the screen"),
    ]
    DEFAULT_CSS = """
    ReadingScreen { align: center middle; }
    ReadingScreen > TextPane {
        width: 132; max-width: 98%; height: auto; max-height: 96%;
        background: $surface; border: round $primary; padding: 0 2;
    }
    """

    def __init__(self, title: str, write: Callable[[int], Content]) -> None:
        super().__init__()
        self._title, self._write = title, write
        self._shown = Content("")

    def compose(self) -> ComposeResult:
        with TextPane() as box:
            box.border_title = safe(self._title, one_line=True)
            box.border_subtitle = "esc back · j k scroll"
            yield Static(id="reading-text")

    def on_mount(self) -> None:
        self.query_one(TextPane).focus()

    def on_resize(self) -> None:
        """Tables take the shape that the window has room for."""
        box = self.query_one(TextPane)
        self._shown = self._write(max(1, box.content_region.width - box.styles.scrollbar_size_vertical))
        self.query_one("#reading-text", Static).update(self._shown)

    def copyable(self) -> str:
        """The whole text."""
        return self._shown.plain

    def action_close(self) -> None:
        """Back to the screen."""
        self.dismiss()
