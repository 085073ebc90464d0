"""A list to choose one line from: a model, or a category."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from tui.text import safe


@dataclass(frozen=True, slots=True)
class Line:
    """`key` is what choosing it returns; one with a `problem` cannot be chosen."""

    key: str
    name: str
    note: str = ""
    problem: str = ""


class PickScreen(ModalScreen[str | None]):
    """Returns the key of the chosen line, or None."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Back", id="pick.back", tooltip="Back, nothing changed"),
        Binding("j", "move('cursor_down')", "Down", show=False, id="pick.down", tooltip="Go to the next"),
        Binding("k", "move('cursor_up')", "Up", show=False, id="pick.up", tooltip="Go to the previous"),
        Binding("g", "move('first')", "First", show=False, id="pick.first", tooltip="Go to the first"),
        Binding("G", "move('last')", "Last", show=False, id="pick.last", tooltip="Go to the last"),
    ]
    DEFAULT_CSS = """
    PickScreen { align: center middle; }
    PickScreen > Vertical {
        width: 76; max-width: 96%; height: auto; max-height: 90%;
        background: $surface; border: round $primary; padding: 0 1;
    }
    PickScreen OptionList, PickScreen OptionList:focus {
        height: auto; max-height: 70vh; border: none; padding: 0; background: $surface;
    }
    PickScreen Static { margin-top: 1; color: $text-muted; }
    """

    def __init__(self, title: str, lines: Sequence[Line], current: str, below: str) -> None:
        super().__init__()
        self._title = title
        self._lines = lines
        self._current = current
        self._below = below

    def compose(self) -> ComposeResult:
        with Vertical() as box:
            box.border_title = self._title
            yield OptionList(
                *(
                    Option(_content(line, line.key == self._current), disabled=bool(line.problem))
                    for line in self._lines
                ),
                markup=False,
            )
            yield Static(self._below)

    def on_mount(self) -> None:
        keys = [line.key for line in self._lines]
        self.query_one(OptionList).highlighted = keys.index(self._current) if self._current in keys else 0

    def action_move(self, to: str) -> None:
        """Move the cursor."""
        getattr(self.query_one(OptionList), f"action_{to}")()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Enter or a click."""
        self.dismiss(self._lines[event.option_index].key)


def _content(line: Line, current: bool) -> Content:
    return Content.assemble(
        "▸ " if current else "  ",
        safe(line.name, "bold", one_line=True, limit=60),
        safe(f"  {line.note}", "$text-muted", one_line=True, limit=120) if line.note else "",
        safe(f"  ✗ {line.problem}", "$text-error", one_line=True, limit=200) if line.problem else "",
    )
