"""A text that is longer than its pane: read with the arrows, the page keys and the keys of vim."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll

from tui.vim import SCROLL, without


class TextPane(VerticalScroll):
    """Scrolls what is in it. Lines are wrapped, so `h` and `l` are free for the screen."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *without("scroll.left", without("scroll.right", SCROLL)),
        Binding("space", "page_down", "Page down", show=False, id="scroll.page_down", tooltip="One page down"),
    ]
    DEFAULT_CSS = """
    TextPane { scrollbar-size-vertical: 1; }
    TextPane Static { height: auto; }
    """
