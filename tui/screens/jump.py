"""Letters over the parts of the screen that is in front; pressing one goes there."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.geometry import Region, Size
from textual.screen import ModalScreen
from textual.widgets import Static

from tui.jump import LETTERS, labels

if TYPE_CHECKING:
    from textual.widget import Widget


class _Label(Static):
    """The letters over one part."""

    DEFAULT_CSS = """
    _Label {
        position: absolute; width: auto; height: 1; padding: 0 1;
        background: $accent; color: $background; text-style: bold;
    }
    """

    def __init__(self, keys: str) -> None:
        super().__init__(Content(keys))
        self.keys = keys

    def on_click(self, event: events.Click) -> None:
        """The mouse picks it as well."""
        event.stop()
        if isinstance(self.screen, JumpScreen):
            self.screen.take(self.keys)


class JumpScreen(ModalScreen["Widget | None"]):
    """Returns the part that was chosen, or None."""

    HELP = "jump"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,ctrl+o", "leave", "Back", id="jump.leave", tooltip="Stay where you were"),
    ]
    DEFAULT_CSS = """
    JumpScreen > #said {
        position: absolute; width: auto; height: 1; padding: 0 1; background: $panel; color: $foreground;
    }
    """

    def __init__(self, targets: list[tuple[Widget, Region]]) -> None:
        super().__init__()
        self._parts = dict(zip(labels(len(targets)), targets, strict=True))
        self._typed = ""
        self._laid_out: Size | None = None

    def compose(self) -> ComposeResult:
        """One label for each part, and what to do."""
        for keys in self._parts:
            yield _Label(keys)
        text = "press a letter to go there · esc back" if self._parts else "nothing here takes the focus · esc back"
        yield Static(Content(text), id="said")

    def on_mount(self) -> None:
        """Put the labels on their parts."""
        taken: set[tuple[int, int]] = set()
        for label in self.query(_Label):
            region = self._parts[label.keys][1]
            x, y = region.x + (region.width > 4), region.y
            while (x, y) in taken:
                x += 4
            taken.add((x, y))
            label.styles.offset = (x, y)
        said = self.query_one("#said")
        said.styles.offset = (0, self.app.size.height - 1)

    def on_resize(self, event: events.Resize) -> None:
        """The parts are elsewhere now."""
        if self._laid_out not in (None, event.size):
            self.dismiss(None)
        self._laid_out = event.size

    def on_key(self, event: events.Key) -> None:
        """Letters choose; any other key leaves, so that nobody is caught here."""
        if event.key in {"escape", "ctrl+o"}:
            return
        event.stop()
        event.prevent_default()
        if event.key in LETTERS and len(event.key) == 1:
            self.take(event.key)
        else:
            self.dismiss(None)

    def take(self, keys: str) -> None:
        """One letter more; when they name a part, that is the answer."""
        self._typed = keys if keys in self._parts else self._typed + keys
        if self._typed in self._parts:
            self.dismiss(self._parts[self._typed][0])
            return
        rest = [name for name in self._parts if name.startswith(self._typed)]
        if not rest:
            self.dismiss(None)
        for label in self.query(_Label):
            label.display = label.keys in rest

    def action_leave(self) -> None:
        """Nothing was chosen."""
        self.dismiss(None)
