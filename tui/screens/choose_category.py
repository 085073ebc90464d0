"""Choosing another category by typing the beginning of any part of its name."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList
from textual.widgets.option_list import Option

from core.categories import Category, load_categories
from core.paths import Home
from tui.text import safe
from tui.words import counted


class ChooseCategoryScreen(ModalScreen[str]):
    """Returns the name of the category; escape returns nothing. `current` is not offered."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "Back", id="choose_category.cancel", tooltip="Leave the category as it is"),
        Binding(
            "down,ctrl+n", "move(1)", "Next", show=False, id="choose_category.next", priority=True, tooltip="One down"
        ),
        Binding(
            "up,ctrl+p",
            "move(-1)",
            "Previous",
            show=False,
            id="choose_category.previous",
            priority=True,
            tooltip="One up",
        ),
    ]
    DEFAULT_CSS = """
    ChooseCategoryScreen { align: center middle; }
    ChooseCategoryScreen > Vertical {
        width: 64; max-width: 92%; height: auto; max-height: 80%;
        background: $surface; border: round $primary; padding: 0 1;
    }
    ChooseCategoryScreen OptionList > .option-list--option-highlighted { background: $primary-muted; text-style: bold; }
    ChooseCategoryScreen OptionList { height: auto; max-height: 16; border: none; background: transparent; }
    """

    def __init__(self, home: Home, current: str, count: int) -> None:
        super().__init__()
        known = load_categories(home)
        self._known: list[Category] = [one for name, one in sorted(known.items()) if name != current]
        self._count = count

    def compose(self) -> ComposeResult:
        with Vertical() as box:
            box.border_title = safe(f"Another category for {counted(self._count, 'output')}")
            box.border_subtitle = safe("enter moves · esc back")
            yield Input(placeholder="type a part of its name", compact=True)
            yield OptionList()

    def on_mount(self) -> None:
        self.query_one(OptionList).can_focus = False
        self._offer("")
        self.query_one(Input).focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self._offer(event.value)

    def _offer(self, typed: str) -> None:
        wanted = typed.lower().split()
        found = [one for one in self._known if all(word in f"{one.name} {one.title}".lower() for word in wanted)]
        options = self.query_one(OptionList)
        options.clear_options()
        options.add_options(
            Option(
                Content.assemble(safe(one.name, one_line=True), safe(f"  {one.title}", "$text-muted", one_line=True)),
                id=one.name,
            )
            for one in found
        )
        options.highlighted = 0 if found else None

    def action_move(self, lines: int) -> None:
        """Mark the category below or above."""
        options = self.query_one(OptionList)
        if lines > 0:
            options.action_cursor_down()
        else:
            options.action_cursor_up()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        options = self.query_one(OptionList)
        if options.highlighted is not None:
            self.dismiss(options.get_option_at_index(options.highlighted).id)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(event.option.id)

    def action_cancel(self) -> None:
        """Close without a choice."""
        self.dismiss(None)
