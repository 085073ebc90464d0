"""How the settings look: sections, a value being edited, categories, the doctor, a broken file."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator

import pytest
from pilot_kit import until
from test_tui_snapshots import SIZES, Snapshot, going_to, seed, still
from textual.pilot import Pilot

from core.checks import Check
from core.paths import Home
from storage.db import Store
from tui.app import FinetuneApp
from tui.screens.settings import SettingsScreen
from tui.tabs import key_of

__all__ = ["still"]

TEXT = "[ab]\nmin_tests = 50 # quick\n\n[train]\nepochs = 2\n\n[categories.erd]\nmin_tier = 'silver'\n"
SECTIONS = {
    "settings_training": ("train", ("l", "j")),
    "settings_editing": ("ab", ("l", "e", "0")),
    "settings_choice": ("loop", ("l", "j", "j", "j", "e")),
    "settings_categories": ("categories", ("l",)),
    "settings_category": ("categories", ("l", "enter", "j", "j", "j", "j", "j", "j", "j")),
    "settings_find": ("general", ("slash", *"share", "enter")),
    "settings_doctor": ("doctor", ("l", "j", "j")),
}


@pytest.fixture(autouse=True)
def known_doctor(monkeypatch: pytest.MonkeyPatch) -> None:
    def examining(home: Home) -> Iterator[Check]:
        yield Check("python", "ok", "3.11 on Linux")
        yield Check("disk", "warning", "3.1 GB free", "Free some space.")
        yield Check("ft-erd", "problem", "its file is not the one that was proved", "Roll back.", "version 2")
        yield Check("ollama", "info", "does not answer; the embedded llama.cpp serves")

    monkeypatch.setattr("tui.settings.doctor.examining", examining)


def opening(section: str, *keys: str) -> Callable[[Pilot[None]], Awaitable[None]]:
    """Open a section, then press keys."""

    async def go(pilot: Pilot[None]) -> None:
        await going_to()(pilot)
        app = pilot.app
        assert isinstance(app, FinetuneApp)
        app.open("settings", section=section)
        await until(pilot, lambda: isinstance(app.screen, SettingsScreen) and app.screen._rows and not app.screen.work)
        await going_to(*keys)(pilot)

    return go


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", SECTIONS)
def test_snapshot_settings(name: str, size: str, home: Home, store: Store, snap_compare: Snapshot) -> None:
    seed(store, home)
    home.config.write_text(TEXT)
    section, keys = SECTIONS[name]
    assert snap_compare(FinetuneApp(home), terminal_size=SIZES[size], run_before=opening(section, *keys))


@pytest.mark.parametrize("size", SIZES)
def test_snapshot_settings_empty(size: str, home: Home, snap_compare: Snapshot) -> None:
    assert snap_compare(FinetuneApp(home), terminal_size=SIZES[size], run_before=going_to(key_of("settings")))


@pytest.mark.parametrize("size", SIZES)
def test_snapshot_settings_broken(
    size: str, home: Home, snap_compare: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.config.write_text("[ab]\nmin_tests = 'x'\n[tain]\nx = 1\n")
    monkeypatch.setattr("tui.settings.changes.shown_path", lambda path: path.name)
    assert snap_compare(FinetuneApp(home), terminal_size=SIZES[size], run_before=going_to(key_of("settings")))


def test_snapshot_settings_without_colour(
    home: Home, store: Store, snap_compare: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    home.config.write_text(TEXT)
    assert snap_compare(FinetuneApp(home), terminal_size=SIZES["narrow"], run_before=opening("ab", "l"))
