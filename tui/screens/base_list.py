"""The list of base models: where each is, and whether training it fits into memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Final

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from tui.text import safe

if TYPE_CHECKING:
    from core.train.bases import KnownBase

_VERDICTS: Final = {
    "fits": ("✓", "$text-success"), "tight": ("!", "$text-warning"), "does not fit": ("✗", "$text-error"),
}  # fmt: skip
_PLACES: Final = {"here": "here", "in Ollama": "in Ollama: made ready at the first start", "not here": "to download"}


class BaseListScreen(ModalScreen[str | None]):
    """Returns the name of the chosen base model, or None."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Back", id="bases.back", tooltip="Back to the form, nothing changed"),
        Binding("j", "move('cursor_down')", "Down", show=False, id="bases.down", tooltip="Go to the next"),
        Binding("k", "move('cursor_up')", "Up", show=False, id="bases.up", tooltip="Go to the previous"),
    ]
    DEFAULT_CSS = """
    BaseListScreen { align: center middle; }
    BaseListScreen > Vertical {
        width: 92; max-width: 96%; height: auto; max-height: 90%;
        background: $surface; border: round $primary; padding: 0 1;
    }
    BaseListScreen OptionList, BaseListScreen OptionList:focus {
        height: auto; max-height: 70vh; border: none; padding: 0; background: $surface;
    }
    BaseListScreen Static { margin-top: 1; color: $text-muted; }
    """

    def __init__(self, bases: Sequence[KnownBase], current: str) -> None:
        super().__init__()
        self._bases = bases
        self._current = current.lower()

    def compose(self) -> ComposeResult:
        with Vertical() as box:
            box.border_title = "Base models"
            yield OptionList(*(Option(_line(base)) for base in self._bases), markup=False)
            yield Static("Enter chooses. A folder, a GGUF file or OWNER/NAME can also be typed into the form.")

    def on_mount(self) -> None:
        names = [base.name.lower() for base in self._bases]
        self.query_one(OptionList).highlighted = names.index(self._current) if self._current in names else 0

    def action_move(self, to: str) -> None:
        """Move the cursor."""
        getattr(self.query_one(OptionList), f"action_{to}")()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Enter or a click."""
        self.dismiss(self._bases[event.option_index].name)


def _line(base: KnownBase) -> Content:
    glyph, colour = _VERDICTS.get(base.verdict, ("·", "$text-muted"))
    memory = base.memory or "its memory is told when it is chosen"
    return Content.assemble(
        safe(base.name, "bold", one_line=True), safe(f"  {base.title}", "$text-muted", one_line=True),
        f"  {_PLACES[base.place]}\n  ", (f"{glyph} ", colour), safe(memory, one_line=True),
    )  # fmt: skip
