"""Hostile text on every screen: rows stay as wide as the screen, nothing is obeyed, nothing goes wrong."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hostile_kit import NASTY, OBEYED, Hostile, nasty, seed
from pilot_kit import settle
from pty_kit import obeyed
from textual import events
from textual.widgets import Input, TextArea
from wcwidth import wcwidth

from core.paths import Home
from storage.db import Store
from tui.app import FinetuneApp
from tui.screens.base import BaseScreen
from tui.screens.edit import EditScreen
from tui.tabs import TABS
from tui.text import plain, restored, safe

SIZES = {"narrow": (80, 24), "wide": (140, 40)}


@pytest.fixture
def hostile_home(home: Home, store: Store) -> Hostile:
    """The home of the app, hostile in every text; the longest text is short enough to be drawn often."""
    return seed(store, home, huge=50_000)


def rows(app: FinetuneApp) -> list[str]:
    """What the screen shows, row by row."""
    return [strip.text for strip in app.screen._compositor.render_strips(app.size)]


def cells(row: str) -> int:
    """How many cells a terminal gives to a row, character by character."""
    return sum(max(0, wcwidth(one)) for one in row)


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("mode", [tab.mode for tab in TABS])
async def test_no_row_is_torn_and_nothing_is_obeyed(
    mode: str, size: tuple[int, int], hostile_home: Hostile, new_app: Callable[[], FinetuneApp]
) -> None:
    app = new_app()
    async with app.run_test(size=size) as pilot:
        app.open(mode)
        await settle(pilot)
        app.clear_notifications()
        for key in ("escape", "escape", "j", "j", "enter", "escape"):
            await pilot.press(key)
            await settle(pilot)
            shown = rows(app)
            assert [row for row in shown if cells(row) != size[0]] == []
            assert obeyed("\n".join(shown).encode("utf-8")) == []
        assert [entry.message for entry in app.session.entries if entry.severity == "error"] == []


async def test_a_line_of_ten_megabytes_and_a_hundred_thousand_lines_can_be_read_and_edited(
    home: Home, store: Store, new_app: Callable[[], FinetuneApp]
) -> None:
    made = seed(store, home)
    app = new_app()
    async with app.run_test(size=(100, 30)) as pilot:
        for number, start in ((made.events[9], "LONGLINE"), (made.events[10], "LINES")):
            app.open("review", event=number)
            await settle(pilot)
            await pilot.press("G")
            await pilot.press("c")
            await pilot.pause()
            assert isinstance(app.screen, EditScreen)
            area = app.screen.query_one(TextArea)
            assert area.text.startswith(start) and not area.soft_wrap
            await pilot.press("escape")
            await settle(pilot)
            assert isinstance(app.screen, BaseScreen)


async def test_what_is_pasted_is_shown_and_comes_back(
    hostile_home: Hostile, new_app: Callable[[], FinetuneApp]
) -> None:
    app = new_app()
    async with app.run_test(size=(100, 30)) as pilot:
        app.open("review", event=hostile_home.events[2])
        await settle(pilot)
        await pilot.press("c")
        await pilot.pause()
        area = app.screen.query_one(TextArea)
        area.clear()
        app.post_message(events.Paste(f"one\rtwo\r\n{NASTY}"))
        await pilot.pause()
        assert area.text.startswith("one\ntwo\n") and "\x1b" not in area.text
        assert "left\u202eright" in restored(area.text)
        await pilot.press("escape", "slash")
        await pilot.pause()
        app.post_message(events.Paste(NASTY))
        await pilot.pause()
        assert "␛]52" in app.screen.query_one("#search", Input).value


async def test_a_value_that_cannot_be_shown_otherwise_is_not_obeyed(
    hostile_home: Hostile, new_app: Callable[[], FinetuneApp]
) -> None:
    app = new_app()
    async with app.run_test(size=(100, 30)) as pilot:
        app.open("dashboard")
        await settle(pilot)
        await pilot.press("i")
        await pilot.pause()
        line = app.screen.query_one("#import-path", Input)
        line.value = "".join(OBEYED)
        await pilot.pause()
        assert line.value == "".join(OBEYED)
        assert obeyed("\n".join(rows(app)).encode()) == []
        assert [row for row in rows(app) if cells(row) != 100] == []


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("❤\ufe0f and ⚠\ufe0f", "❤ and ⚠"),
        ("👍\U0001f3fd 1\ufe0f\u20e3", "👍 1\u20e3"),
        ("a\ufe0f", "a‹U+FE0F›"),
        ("❤\ufe0f\ufe01", "❤‹U+FE01›"),
        ("\U0001f3fd", "‹U+1F3FD›"),
    ],
)
def test_symbols_have_one_width_in_every_terminal(text: str, shown: str) -> None:
    assert plain(text) == shown
    assert safe(text).cell_length == cells(shown)
    assert plain(plain(text)) == plain(text)


def test_one_line_that_is_cut_ends_in_an_ellipsis() -> None:
    shown = safe(nasty("x") * 50, one_line=True, limit=40).plain
    assert shown.endswith("…") and "more characters" not in shown and len(shown) == 41
