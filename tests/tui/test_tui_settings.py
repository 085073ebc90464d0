"""The settings screen: what keys change in config.toml, and what it does when that file cannot be read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pilot_kit import settle
from textual.pilot import Pilot
from textual.widgets import Input, Static

from core.checks import Check
from core.config import load_config
from core.doctor_fixes import FIXES
from core.paths import Home
from storage.db import Store, open_store
from tui.app import FinetuneApp
from tui.screens.settings import SettingsScreen
from tui.settings.external import editor_command
from tui.settings.rows import SettingRow
from tui.widgets.setting_editor import SettingEditor

SIZE = (80, 24)


@pytest.fixture(autouse=True)
def quick_doctor(monkeypatch: pytest.MonkeyPatch) -> None:
    def examining(home: Home) -> Iterator[Check]:
        yield Check("python", "ok", "3.11")
        yield Check("trials", "warning", "2 folders of trials", "Remove them.", "trials")

    monkeypatch.setattr("tui.settings.doctor.examining", examining)


async def opened(pilot: Pilot[None], section: str) -> SettingsScreen:
    app = pilot.app
    assert isinstance(app, FinetuneApp)
    app.open("settings", section=section)
    for _ in range(400):
        await settle(pilot)
        screen = app.screen
        if isinstance(screen, SettingsScreen) and screen.section == section and screen._rows and not screen.work:
            break
    assert isinstance(screen, SettingsScreen)
    if not screen._table.has_focus:
        assert screen._sections.has_focus
        await pilot.press("l")
    await settle(pilot)
    assert screen._table.has_focus
    return screen


async def keys(pilot: Pilot[None], *pressed: str) -> None:
    await pilot.press(*pressed)
    await settle(pilot)


async def to_setting(pilot: Pilot[None], screen: SettingsScreen, name: str) -> None:
    place = next(place for place, row in enumerate(screen._rows) if row.name == name)
    screen._table.go_to(place)
    await settle(pilot)


def footer(app: FinetuneApp) -> list[str]:
    return [one.binding.description for one in app.screen.active_bindings.values() if one.binding.show and one.enabled]


async def test_a_number_is_changed_in_place_and_taken_back(app: FinetuneApp, home: Home) -> None:
    home.config.write_text("# mine\n[ab]\nmin_win_rate = 0.6 # why\n")
    async with app.run_test(size=SIZE) as pilot:
        screen = await opened(pilot, "ab")
        assert footer(app) == ["Change", "Find"]
        await keys(pilot, "e")
        editor = screen.query_one(SettingEditor)
        assert editor.is_open and screen.query_one("#editor Input", Input).value == "100"
        await keys(pilot, "0")
        assert "whole number from 1" in str(screen.query_one("#fault", Static).visual)
        await keys(pilot, "enter")
        assert editor.is_open and load_config(home).ab.min_tests == 100
        await keys(pilot, "backspace", "4", "2", "enter")
        assert not editor.is_open and load_config(home).ab.min_tests == 42
        row = screen.row
        assert isinstance(row, SettingRow) and row.held.changed and row.name == "ab.min_tests"
        assert footer(app) == ["Change", "Default", "Undo", "Find"]
        await keys(pilot, "u")
        assert home.config.read_text() == "# mine\n[ab]\nmin_win_rate = 0.6 # why\n"
        await to_setting(pilot, screen, "ab.min_win_rate")
        await keys(pilot, "d")
        assert load_config(home).ab.min_win_rate == 0.65 and home.config.read_text().startswith("# mine")


async def test_a_switch_turns_over_and_a_choice_is_chosen(app: FinetuneApp, home: Home) -> None:
    async with app.run_test(size=SIZE) as pilot:
        screen = await opened(pilot, "loop")
        await keys(pilot, "enter")
        assert not load_config(home).loop.auto_train
        await to_setting(pilot, screen, "loop.policy")
        await keys(pilot, "enter", "j", "enter")
        assert load_config(home).loop.policy == "fixed"


async def test_leaving_the_editor_keeps_what_was_typed(app: FinetuneApp, home: Home) -> None:
    async with app.run_test(size=SIZE) as pilot:
        screen = await opened(pilot, "general")
        await to_setting(pilot, screen, "general.author")
        await keys(pilot, "e", "a", "d", "q", "escape")
        assert not home.config.exists() and screen._table.has_focus
        await keys(pilot, "e")
        assert screen.query_one("#editor Input", Input).value == "adq"
        await keys(pilot, "enter")
        assert load_config(home).general.author == "adq"


async def test_somebody_else_was_faster(app: FinetuneApp, home: Home) -> None:
    async with app.run_test(size=SIZE) as pilot:
        screen = await opened(pilot, "loop")
        home.config.write_text("[loop]\nmax_attempts = 7\n")
        await keys(pilot, "enter")
        assert load_config(home).loop.auto_train and load_config(home).loop.max_attempts == 7
        values = {row.name: row.held.value for row in screen._rows if isinstance(row, SettingRow)}
        assert values["loop.max_attempts"] == 7
        await keys(pilot, "enter")
        assert not load_config(home).loop.auto_train and load_config(home).loop.max_attempts == 7


async def test_a_category_of_ones_own(app: FinetuneApp, home: Home, store: Store) -> None:
    async with app.run_test(size=SIZE) as pilot:
        screen = await opened(pilot, "categories")
        await keys(pilot, "n", "e", "r", "d", "enter")
        assert screen.query_one(SettingEditor).is_open  # the name is taken
        await keys(pilot, "2", "enter")
        assert "[categories.erd2]" in home.config.read_text()
        assert screen.row is not None and screen.row.name == "categories.erd2"
        await keys(pilot, "enter")
        await to_setting(pilot, screen, "categories.erd2.min_tier")
        await keys(pilot, "enter", "k", "enter")
        assert '"silver"' in home.config.read_text()
        await keys(pilot, "escape")
        assert screen.row is not None and screen.row.name == "categories.erd2"


async def test_find_looks_in_all_sections(app: FinetuneApp, home: Home, store: Store) -> None:
    async with app.run_test(size=SIZE) as pilot:
        screen = await opened(pilot, "general")
        await keys(pilot, "slash", *"shadow")
        assert {row.name for row in screen._rows} >= {"serve.shadow_share", "serve.shadow_queue"}
        await keys(pilot, "enter", "e", "1", "enter")
        assert load_config(home).serve.shadow_share == 1.0
        await keys(pilot, "escape")
        assert {row.name for row in screen._rows} == {"general.prefix", "general.author"}


async def test_a_broken_file_is_told_with_its_line_and_opened_in_the_editor(
    app: FinetuneApp, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.config.write_text("[ab]\n\nmin_tests = 'x'\n")
    asked: list[tuple[Path, int]] = []

    def edit(app: object, path: Path, line: int) -> None:
        asked.append((path, line))
        path.write_text("[ab]\nmin_tests = 9\n")

    monkeypatch.setattr("tui.screens.settings.edit", edit)
    async with app.run_test(size=SIZE) as pilot:
        app.open("settings", section="ab")
        await settle(pilot)
        said = str(app.screen.query_one("#problem", Static).visual)
        assert "line 3" in said and "min_tests" in said and "whole number" in said
        await keys(pilot, "e")
        assert asked == [(home.config, 3)] and not app.screen.has_class("-problem")


async def test_no_screen_dies_of_a_broken_file(app: FinetuneApp, home: Home, store: Store) -> None:
    home.config.write_text("[ab\n")
    async with app.run_test(size=SIZE) as pilot:
        for number in "123456789":
            await keys(pilot, number)
            assert app.is_running and app.front is not None
        for _ in range(14):
            await keys(pilot, "j")


async def test_a_theme_is_shown_at_once_and_kept_by_enter_alone(app: FinetuneApp) -> None:
    async with app.run_test(size=SIZE) as pilot:
        before = app.theme
        screen = await opened(pilot, "themes")
        assert app.theme == before
        await keys(pilot, "j")
        shown = app.theme
        assert shown != before
        await keys(pilot, "escape")
        assert app.theme == before
        await keys(pilot, "l", "enter")
        assert app.theme == shown
        await keys(pilot, "escape", "1")
        assert app.theme == shown and screen is not app.screen


async def test_the_doctor_looks_fixes_and_copies(
    app: FinetuneApp, home: Home, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    mended: list[Home] = []

    def remove(home: Home, *, note: Callable[[str], object]) -> list[str]:
        mended.append(home)
        return ["Removed."]

    monkeypatch.setitem(FIXES, "trials", remove)
    async with app.run_test(size=SIZE) as pilot:
        screen = await opened(pilot, "doctor")
        assert [row.name for row in screen._rows] == ["python", "trials"]
        assert footer(app) == ["Run again", "Back up", "Find"]
        await keys(pilot, "j")
        assert "Fix" in footer(app)
        await keys(pilot, "f", "y")
        assert mended == [home] and len(screen._rows) == 2
        await keys(pilot, "b")
        target = screen.query_one("#editor Input", Input).value
        await keys(pilot, "enter")
        with open_store(Path(target), create=False):
            pass


async def test_it_is_found_as_it_was_left(new_app: Callable[[], FinetuneApp], store: Store) -> None:
    first = new_app()
    async with first.run_test(size=SIZE) as pilot:
        screen = await opened(pilot, "ab")
        await to_setting(pilot, screen, "ab.evidence")
        await first.action_quit()
    again = new_app()
    async with again.run_test(size=SIZE) as pilot:
        await settle(pilot)
        again_screen = again.screen
        assert isinstance(again_screen, SettingsScreen)
        assert again_screen.row is not None and again_screen.row.name == "ab.evidence"


async def test_what_is_copied_is_a_line_for_the_file(app: FinetuneApp, home: Home) -> None:
    home.config.write_text('[serve]\ntoken = "hunter2"\n')
    async with app.run_test(size=SIZE) as pilot:
        screen = await opened(pilot, "ab")
        assert screen.copyable() == "ab.min_tests = 100"
        await opened(pilot, "serve")
        await to_setting(pilot, screen, "serve.token")
        assert "hunter2" not in screen.copyable()
        await keys(pilot, "e")
        assert screen.query_one("#editor Input", Input).value == ""


def test_the_editor_is_the_users_own_at_the_line_where_it_can(monkeypatch: pytest.MonkeyPatch) -> None:
    path = Path("config.toml")
    monkeypatch.setenv("EDITOR", "code --wait")
    assert editor_command(path, 3) == ["code", "--wait", "config.toml"]
    monkeypatch.setenv("VISUAL", "/usr/bin/vim")
    assert editor_command(path, 3) == ["/usr/bin/vim", "+3", "config.toml"]
