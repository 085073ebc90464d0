"""Finding a prompt to rank: the list, the search, the ranked ones too; and the way back to the question."""

from __future__ import annotations

from abc import abstractmethod

from tui.rank.book import RankBook
from tui.rank.reading import Entry
from tui.screens.base import BaseScreen
from tui.widgets.rank_view import RankView
from tui.widgets.search_line import SearchLine
from tui.widgets.virtual_table import VirtualTable


class RankFinding(BaseScreen):
    """The half of the rank screen that leads to a question."""

    _book: RankBook

    @abstractmethod
    def _show_question(self) -> None:
        """Draw what is asked now."""

    @property
    def _view(self) -> RankView:
        return self.query_one(RankView)

    @property
    def _table(self) -> VirtualTable[Entry]:
        return self.query_one(VirtualTable)

    def action_prompts(self) -> None:
        """To the list, and back to the question."""
        if self.focused is self._table:
            self.action_back()
        else:
            self.set_class(True, "-listing")
            self.call_after_refresh(self.set_focus, self._table)

    def action_back(self) -> None:
        """From the search, the list or an order back to the question."""
        self._show_search("")
        self.set_class(False, "-listing")
        self._view.take_focus()
        self._show_question()
        self.refresh_bindings()

    def on_descendant_focus(self) -> None:
        self.refresh_bindings()  # keys that answer are for the question only

    def on_virtual_table_moved(self, event: VirtualTable.Moved) -> None:
        if self.focused is self._table:
            self._book.open(event.item_id)

    def on_virtual_table_chosen(self, event: VirtualTable.Chosen) -> None:
        self._book.open(event.item_id)
        self.set_class(False, "-listing")
        self._view.take_focus()

    def action_ranked(self) -> None:
        """List the ranked prompts too, or only the others."""
        self._book.toggle_ranked()

    def action_search(self) -> None:
        """Open the line that searches."""
        line = self.query_one(SearchLine)
        line.display = True
        self.set_focus(line)

    def _show_search(self, text: str) -> None:
        """The line with what is searched for; none where nothing is."""
        line = self.query_one(SearchLine)
        line.value = text
        line.display = bool(text)

    def on_search_line_typed(self, event: SearchLine.Typed) -> None:
        self._book.search(event.text)

    def on_input_submitted(self) -> None:
        self._view.take_focus()
