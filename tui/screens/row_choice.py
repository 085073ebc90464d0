"""A small dialogue with a choice in each line: up and down go from line to line, left and right change it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import ModalScreen, ScreenResultType
from textual.style import Style
from textual.widgets import Button, Static


class RowChoice(ModalScreen[ScreenResultType | None]):
    """Asks for a few choices, each a line; None when it is left. A subclass says which lines there are (`rows`), what a
    step changes (`change`), what is said below them (`below`), and what the choice comes to (`chosen`)."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "begin", "Begin", priority=True, id="choices.begin", tooltip="Begin with what is chosen"),
        Binding("left,h", "change(-1)", "Less", id="choices.less", tooltip="Fewer, or the other choice"),
        Binding("right,l", "change(1)", "More", id="choices.more", tooltip="More, or the other choice"),
        Binding("down,j,tab", "row(1)", "Next row", show=False, id="choices.next", tooltip="The next line"),
        Binding("up,k,shift+tab", "row(-1)", "Back a row", show=False, id="choices.up", tooltip="A line up"),
        Binding("escape", "close", "Back", id="choices.close", tooltip="Back, nothing is begun"),
    ]
    DEFAULT_CSS = """
    RowChoice { align: center middle; }
    RowChoice > Vertical {
        width: 72; max-width: 96%; height: auto; background: $surface; border: round $primary; padding: 1 2;
    }
    RowChoice Static { height: auto; }
    RowChoice Horizontal { height: auto; margin-top: 1; align-horizontal: right; }
    RowChoice Button { margin-left: 2; }
    """

    def __init__(self, title: str) -> None:
        super().__init__()
        self._title = title
        self._row = 0

    def compose(self) -> ComposeResult:
        with Vertical() as box:
            box.border_title = self._title
            yield Static(id="choices")
            with Horizontal():
                yield Button("Begin (enter)", id="begin", variant="primary")
                yield Button("Back (esc)", id="back")

    def on_mount(self) -> None:
        """Show what is chosen."""
        self.set_focus(None)
        self._show()

    @property
    @abstractmethod
    def rows(self) -> Sequence[tuple[str, str]]:
        """The lines that there are now: a name, and what is chosen in words."""

    @abstractmethod
    def change(self, name: str, step: int) -> None:
        """Take the next (1) or the former (-1) choice of a line."""

    @abstractmethod
    def below(self) -> Sequence[Content]:
        """The lines under the choices."""

    @abstractmethod
    def chosen(self) -> ScreenResultType:
        """What is chosen."""

    def _show(self) -> None:
        rows = self.rows
        self._row = min(self._row, len(rows) - 1)
        lines: list[Content] = []
        for at, (name, text) in enumerate(rows):
            here = at == self._row
            less, more = (
                Content.styled(sign, Style.from_meta({"@click": f"screen.turn('{name}', {step})"})) for sign, step in
                ((" ◂ ", -1), (" ▸ ", 1))
            )  # fmt: skip
            lines.append(
                Content("▸" if here else " ") + less + Content.styled(f"{text:^30}", "bold" if here else "") + more
            )
        self.query_one("#choices", Static).update(Content("\n").join([*lines, *self.below()]))

    def action_row(self, step: int) -> None:
        """Another line."""
        self._row = (self._row + step) % len(self.rows)
        self._show()

    def action_change(self, step: int) -> None:
        """Change the line at hand."""
        self.action_turn(self.rows[self._row][0], step)

    def action_turn(self, name: str, step: int) -> None:
        """Change a line."""
        self.change(name, step)
        self._row = [row for row, _ in self.rows].index(name)
        self._show()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Begin, or back."""
        self.action_begin() if event.button.id == "begin" else self.action_close()

    def action_begin(self) -> None:
        """Close with what is chosen."""
        self.dismiss(self.chosen())

    def action_close(self) -> None:
        """Close, nothing is begun."""
        self.dismiss(None)
