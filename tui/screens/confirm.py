"""A question that must be answered before something is done that is not easily taken back."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Button, Static

from tui.text import safe


class ConfirmScreen(ModalScreen[bool]):
    """Returns True for yes. Escape, `n` and the other button mean no; nothing is done here."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "Yes", id="confirm.yes", tooltip="Do it"),
        Binding("n,escape", "answer(False)", "No", id="confirm.no", tooltip="Go back and change nothing"),
        Binding(
            "left,right,h,l",
            "app.focus_next",
            "Other button",
            show=False,
            id="confirm.other",
            tooltip="To the other button",
        ),
    ]
    DEFAULT_CSS = """
    ConfirmScreen { align: center middle; }
    ConfirmScreen > Vertical {
        width: 70; max-width: 92%; height: auto; max-height: 90%;
        background: $surface; border: round $primary; padding: 1 2;
    }
    ConfirmScreen.-danger > Vertical { border: round $warning; }
    ConfirmScreen VerticalScroll { height: auto; max-height: 60vh; }
    ConfirmScreen Horizontal { height: auto; margin-top: 1; align-horizontal: right; }
    ConfirmScreen Button { margin-left: 2; }
    """

    def __init__(self, title: str, body: Content | str, verb: str = "Yes", danger: bool = False) -> None:
        super().__init__(classes="-danger" if danger else "")
        self._title = title
        self._body = body if isinstance(body, Content) else safe(body)
        self._verb = verb
        self._danger = danger

    def compose(self) -> ComposeResult:
        with Vertical() as box:
            box.border_title = safe(self._title, one_line=True)
            with VerticalScroll(can_focus=False):
                yield Static(self._body)
            with Horizontal():
                yield Button(Content(f"{self._verb} (y)"), id="yes", variant="warning" if self._danger else "primary")
                yield Button("No (n)", id="no")

    def on_mount(self) -> None:
        self.query_one("#no" if self._danger else "#yes", Button).focus()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        self.dismiss(event.button.id == "yes")

    def action_answer(self, yes: bool) -> None:
        """Close with the answer."""
        self.dismiss(yes)
