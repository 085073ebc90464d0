"""Themes as files: ours can be read by everybody, the user's never stop the app."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from core.paths import Home
from storage import ui_state
from storage.db import Store
from tui.app import FinetuneApp
from tui.themes import DARK, LIGHT, contrast, doubts, of_user, other_side, read_theme, shipped


def written(home: Home, name: str, text: str) -> Path:
    folder = home.root / "themes"
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(("name", "dark"), [(DARK, True), (LIGHT, False)])
def test_ours_are_readable(name: str, dark: bool) -> None:
    theme = shipped(name)
    assert theme.dark is dark and doubts(theme) == []
    colors = theme.to_color_system().generate()
    for text in ("foreground", "text-primary", "text-success", "text-warning", "text-error", "text-accent"):
        assert contrast(colors[text], colors["primary-muted"]) >= 4.5  # under the cursor of a list


@pytest.mark.parametrize(
    ("one", "other", "ratio"), [("#000000", "#FFFFFF", 21.0), ("#777777", "#FFFFFF", 4.48), ("#123456", "#123456", 1.0)]
)
def test_contrast_is_that_of_wcag(one: str, other: str, ratio: float) -> None:
    assert contrast(one, other) == pytest.approx(ratio, abs=0.01) == contrast(other, one)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('name = "mine"\n', "the colour primary is missing"),
        ('primary = "#12"\n', 'primary = "#12" is no colour'),
        ("primary = 3\n", "is no colour"),
        ('primary = "red"\ndark = "yes"\n', "dark must be true or false"),
        ('primary = "red"\nprimery = "blue"\n', "primery is no colour of a theme"),
        ('primary = "red"\nname = " "\n', "name must not be empty"),
        ('primary = "red"\nvariables = 3\n', "variables must be a table"),
        ('primary = "red\n', "mine.toml"),
    ],
)
def test_a_fault_is_named_with_its_file(home: Home, text: str, said: str) -> None:
    file = read_theme(written(home, "mine", text))
    assert file.theme is None and len(file.problems) == 1
    assert said in file.problems[0] and "mine.toml" in file.problems[0]


def test_text_that_is_hard_to_read_is_a_warning_only(home: Home) -> None:
    path = written(home, "pale", 'primary = "#6CA9E0"\nforeground = "#555555"\nbackground = "#333333"\n')
    file = read_theme(path)
    assert file.theme is not None
    assert any("foreground on background has a contrast of 1.7:1" in problem for problem in file.problems)


def test_of_two_themes_with_one_name_the_later_is_left_out(home: Home) -> None:
    written(home, "a", 'name = "mine"\nprimary = "#6CA9E0"\n')
    written(home, "b", 'name = "mine"\nprimary = "#FF0000"\n')
    written(home, "c", f'name = "{DARK}"\nprimary = "#FF0000"\n')
    files = of_user(home.root / "themes", {DARK})
    assert [file.theme is not None for file in files] == [True, False, False]
    assert "there is a theme named 'mine' already" in files[1].problems[0]


def test_the_switch_goes_to_the_theme_used_last_on_the_other_side() -> None:
    themes = {name: shipped(name) for name in (DARK, LIGHT)}
    assert other_side(themes[DARK], {}, themes) == LIGHT
    assert other_side(themes[LIGHT], {True: "gone"}, themes) == DARK
    themes["mine"] = themes[LIGHT]
    assert other_side(themes[DARK], {False: "mine"}, themes) == "mine"


async def test_a_theme_of_the_user_is_there_and_the_choice_is_found_again(
    new_app: Callable[[], FinetuneApp], home: Home
) -> None:
    written(home, "mine", 'name = "mine"\nprimary = "#6CA9E0"\nbackground = "#101010"\n')
    async with new_app().run_test() as pilot:
        assert pilot.app.theme == DARK
        pilot.app.theme = "mine"
        await pilot.pause()
    async with new_app().run_test() as pilot:
        assert pilot.app.theme == "mine" and not pilot.app.session.entries
        assert pilot.app.screen.styles.background.hex == "#101010"
        pilot.app.action_switch_side()
        await pilot.pause()
        assert pilot.app.theme == LIGHT
        pilot.app.action_switch_side()
        assert pilot.app.theme == "mine"


async def test_a_faulty_theme_falls_back_with_the_reason(
    new_app: Callable[[], FinetuneApp], home: Home, store: Store
) -> None:
    written(home, "mine", 'primary = "#12"\n')
    ui_state.save(store, "app.theme", "mine")
    async with new_app().run_test() as pilot:
        await pilot.pause()
        assert pilot.app.theme == DARK
        said = [entry.message for entry in pilot.app.session.entries]
        assert "The theme 'mine' cannot be used or is gone" in said[0] and "is no colour" in said[1]
