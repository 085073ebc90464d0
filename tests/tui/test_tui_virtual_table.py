from __future__ import annotations

import time
from array import array
from collections.abc import Mapping, Sequence

import pytest
from textual.app import App, ComposeResult
from textual.content import Content
from textual.message import Message

from tui.widgets.virtual_table import VirtualTable


class TableApp(App[None]):
    """A table over ids that counts what it reads."""

    def __init__(self) -> None:
        super().__init__()
        self.read: list[int] = []

    def compose(self) -> ComposeResult:
        yield VirtualTable(self.fetch, lambda row, width: Content(row))

    def fetch(self, ids: Sequence[int]) -> Mapping[int, str]:
        self.read += ids
        return {one: f"row {one}" for one in ids if one != 13}

    @property
    def table(self) -> VirtualTable[str]:
        return self.query_one(VirtualTable)

    def line(self, y: int) -> str:
        return self.table.render_line(y).text.rstrip()


async def test_a_hundred_thousand_rows_open_at_once_and_only_a_page_is_read() -> None:
    app = TableApp()
    async with app.run_test(size=(40, 10)) as pilot:
        started = time.perf_counter()
        app.table.show(array("q", range(100_000)))
        await pilot.pause()
        assert time.perf_counter() - started < 0.3
        assert app.line(0) == "row 0"
        await pilot.press("end")
        await pilot.pause()
        assert app.table.current == 99_999
        assert app.line(9) == "row 99999"
        assert len(app.read) < 300


async def test_the_keys_move_and_each_move_is_told() -> None:
    moves: list[VirtualTable.Moved] = []

    def hook(message: Message) -> None:
        # The hook sees a message once for each node that it bubbles through.
        if isinstance(message, VirtualTable.Moved) and message not in moves:
            moves.append(message)

    app = TableApp()
    async with app.run_test(size=(40, 10), message_hook=hook) as pilot:
        app.table.focus()
        app.table.show(array("q", [7, 8, 9, 10]))
        await pilot.pause()
        await pilot.press("j", "j", "k", "down", "down", "down", "home", "G")
        await pilot.pause()
        assert [move.item_id for move in moves] == [7, 8, 9, 8, 9, 10, 7, 10]


async def test_what_is_added_leaves_the_cursor_where_it_is() -> None:
    app = TableApp()
    async with app.run_test(size=(40, 10)) as pilot:
        table = app.table
        table.show(array("q", [7, 8, 9]), current=8)
        table.extend([11, 12])
        await pilot.pause()
        assert (table.current, list(table.ids)) == (8, [7, 8, 9, 11, 12])
        assert app.line(4) == "row 12"
        table.insert(5)
        assert (table.current, list(table.ids)) == (5, [7, 5, 8, 9, 11, 12])
        assert table.go_to(12) and table.current == 12
        assert not table.go_to(99) and table.current == 12


async def test_a_row_that_is_gone_says_so_and_an_empty_list_stays_quiet() -> None:
    app = TableApp()
    async with app.run_test(size=(40, 10)) as pilot:
        app.table.focus()
        assert app.table.current is None
        await pilot.press("j", "enter", "end")
        app.table.show(array("q", [13]))
        await pilot.pause()
        assert app.line(0) == "(removed)"


async def test_a_click_moves_the_cursor() -> None:
    app = TableApp()
    async with app.run_test(size=(40, 10)) as pilot:
        app.table.show(array("q", range(20)))
        await pilot.click(VirtualTable, offset=(3, 4))
        assert app.table.current == 4


async def test_the_tail_is_replaced_and_the_cursor_stays() -> None:
    moves: list[VirtualTable.Moved] = []
    app = TableApp()
    async with app.run_test(
        size=(40, 10),
        message_hook=lambda message: moves.append(message) if type(message) is VirtualTable.Moved else None,
    ) as pilot:
        app.table.show(array("q", range(200)), current=5)
        await pilot.pause()
        assert app.line(8) == "row 8"
        moves.clear()
        app.table.replace_tail(7, list(reversed(range(7, 200))))
        await pilot.pause()
        assert list(app.table.ids) == [*range(7), *reversed(range(7, 200))]
        assert [app.line(y) for y in (5, 6, 7, 8)] == ["row 5", "row 6", "row 199", "row 198"]
        assert (app.table.current, moves) == (5, [])
        for start in (0, 5):
            with pytest.raises(ValueError, match="below the cursor"):
                app.table.replace_tail(start, [])
        app.table.replace_tail(6, [])
        assert list(app.table.ids) == list(range(6))
