"""What a pane says while there is nothing in it: what is missing, and which key brings it."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content
from textual.widgets import Static

from tui.text import safe


class Empty(Static):
    """A title and lines of (key, what it does); a line without a key is plain text."""

    DEFAULT_CSS = """
    Empty { width: 1fr; height: 1fr; content-align: center middle; padding: 0 2; }
    """

    def __init__(
        self,
        title: str = "",
        lines: Sequence[tuple[str, str]] = (),
        *,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        super().__init__(_content(title, lines), id=id, classes=classes)

    def show(self, title: str, lines: Sequence[tuple[str, str]] = ()) -> None:
        """Replace what is said."""
        self.update(_content(title, lines))


def _content(title: str, lines: Sequence[tuple[str, str]]) -> Content:
    rows = [safe(title, "bold"), Content("")]
    width = max((len(key) for key, _ in lines), default=0)
    for key, text in lines:
        rows.append(Content.assemble((f"{key:<{width}}  ", "bold $text-accent") if key else "", safe(text)))
    return Content("\n").join(rows if lines else rows[:1])
