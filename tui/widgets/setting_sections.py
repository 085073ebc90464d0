"""The sections of the settings screen, with how many settings of each are changed."""

from __future__ import annotations

from array import array
from collections.abc import Mapping

from textual.content import Content
from textual.message import Message

from tui.text import safe
from tui.widgets.virtual_table import VirtualTable


class SettingSections(VirtualTable[str]):
    """`Opened` is posted for the section under the cursor, `Entered` when one goes into it."""

    class Opened(Message):
        """The cursor stands on another section."""

        def __init__(self, section: str) -> None:
            super().__init__()
            self.section = section

    class Entered(Message):
        """The section was chosen."""

    def __init__(self, titles: Mapping[str, str], *, id: str) -> None:
        super().__init__(self._read, self._line, id=id, classes="pane")
        self._names = list(titles)
        self._titles = titles
        self._changed: Mapping[str, int] = {}

    def on_mount(self) -> None:
        self.show(array("q", range(len(self._names))))

    @property
    def section(self) -> str:
        """The one under the cursor."""
        return self._names[self.current or 0]

    def open(self, section: str) -> None:
        """Put the cursor on a section; unknown ones are passed over."""
        if section in self._names:
            self.go_to(self._names.index(section))

    def show_changed(self, changed: Mapping[str, int]) -> None:
        """How many settings of each section are changed."""
        self._changed = changed
        self.reread()

    def _read(self, ids: object) -> dict[int, str]:
        return dict(enumerate(self._names))

    def _line(self, name: str, width: int) -> Content:
        number = self._changed.get(name, 0)
        mark = f"●{number}" if number else ""
        title = self._titles[name]
        return Content.assemble(safe(f"{title:<{max(0, width - len(mark))}}"), (mark, "$text-accent"))

    def on_virtual_table_moved(self, event: VirtualTable.Moved) -> None:
        event.stop()
        self.post_message(self.Opened(self._names[event.item_id]))

    def on_virtual_table_chosen(self, event: VirtualTable.Chosen) -> None:
        event.stop()
        self.post_message(self.Entered())
