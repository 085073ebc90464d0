"""What a category asks of an answer, beside the event that is judged."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Markdown

from tui.text import plain, safe
from tui.vim import SCROLL


class _Page(VerticalScroll):
    BINDINGS: ClassVar[list[BindingType]] = list(SCROLL)


class GuidelinesScreen(ModalScreen[None]):
    """Shows the guidelines of a category as Markdown, or where to write them when there are none."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,i,q,enter", "close", "Back", id="guidelines.close", tooltip="Back to the event"),
    ]
    DEFAULT_CSS = """
    GuidelinesScreen { align: right middle; }
    GuidelinesScreen VerticalScroll {
        width: 60; max-width: 92%; height: 100%; background: $surface; border: round $primary; padding: 0 1;
        scrollbar-size-vertical: 1;
    }
    GuidelinesScreen Markdown { padding: 0; background: $surface; }
    """

    def __init__(self, category: str, guidelines: str, config: Path) -> None:
        super().__init__()
        self._category = category
        self._text = plain(guidelines) if guidelines.strip() else _none(category, config)

    def compose(self) -> ComposeResult:
        with _Page() as page:
            page.border_title = safe(f"Guidelines: {self._category}", one_line=True, limit=60)
            page.border_subtitle = safe("esc back · j k scroll")
            yield Markdown(self._text, open_links=False)

    def on_mount(self) -> None:
        self.query_one(_Page).focus()

    def action_close(self) -> None:
        """Close the page."""
        self.dismiss()


def _none(category: str, config: Path) -> str:
    return (
        f"There are no guidelines for `{plain(category)}` yet.\n\n"
        "A few lines on what makes an answer good keep your verdicts alike from one day to the next. "
        f"Write them in `{plain(str(config))}`:\n\n"
        f'```toml\n[categories.{plain(category)}]\nguidelines = """\n* A good answer …\n* Bad is …\n"""\n```\n'
    )
