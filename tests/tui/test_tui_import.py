"""Importing a file in the app: what is seen before, what is stored after, what is said of bad files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pilot_kit import settle
from textual.pilot import Pilot
from textual.widgets import Input, Static

from core.categories import load_categories
from core.paths import Home
from storage import events
from storage.db import Store
from storage.rows import EventFilter
from tui.app import FinetuneApp
from tui.file_import import completed, path_from
from tui.screens.import_file import ImportScreen

SIZE = (80, 24)


def text_of(pilot: Pilot[None], selector: str) -> str:
    return str(pilot.app.screen.query_one(selector, Static).visual)


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "mine.jsonl"
    lines = [{"prompt": f"Draw shop {n}", "response": f"erDiagram\n    shop{n}", "rating": 1} for n in range(5)]
    path.write_text("\n".join([*map(json.dumps, lines), "no json"]))
    return path


async def opened(pilot: Pilot[None], path: str) -> None:
    await settle(pilot)
    await pilot.press("i")
    await pilot.pause()
    pilot.app.screen.query_one("#import-path", Input).value = path
    await settle(pilot)


async def test_a_file_is_shown_before_it_is_stored(app: FinetuneApp, store: Store, rows: Path) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, str(rows))
        assert "Name the category above" in text_of(pilot, "#import-found")
        assert "ctrl+s" not in text_of(pilot, "#import-found")
        await pilot.press("ctrl+s")  # nothing of it could be taken
        await settle(pilot)
        pilot.app.screen.query_one("#import-category", Input).value = "erd"
        await settle(pilot)
        assert "Draw shop 0" in text_of(pilot, "#import-found")
        assert events.count(store, EventFilter()) == 0
        await pilot.press("ctrl+s")
        await settle(pilot)
        assert "6 rows = 5 new + 0 known already + 1 refused" in text_of(pilot, "#import-found")
        await pilot.press("escape")
        await settle(pilot)
        assert not isinstance(app.screen, ImportScreen)
    assert events.count(store, EventFilter(category="erd")) == 5


@pytest.mark.parametrize(
    ("path", "said"), [("/nowhere/at/all.jsonl", "is not there"), ("/dev/null", "✗"), ("''", "No file is named")]
)
async def test_what_cannot_be_imported_says_why(app: FinetuneApp, path: str, said: str) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, path)
        assert said in text_of(pilot, "#import-found")
        assert isinstance(app.screen, ImportScreen)


def test_a_path_that_was_dropped_into_the_terminal_is_understood(tmp_path: Path) -> None:
    path = tmp_path / "my file.jsonl"
    path.touch()
    for text in (f"'{path}'", f'"{path}"', str(path).replace(" ", "\\ "), f"file://{path}", f"  {path}\n"):
        assert path_from(text) == path


def test_a_path_is_completed_from_its_folder(tmp_path: Path) -> None:
    (tmp_path / "feedback.jsonl").touch()
    (tmp_path / "folder").mkdir()
    assert completed(f"{tmp_path}/fee") == f"{tmp_path}/feedback.jsonl"
    assert completed(f"{tmp_path}/fo") == f"{tmp_path}/folder/"
    assert completed(f"{tmp_path}/x") is None
    assert completed("/nowhere/at/all") is None


async def test_the_guide_leads_from_empty_to_labelling_and_can_be_sent_away(
    app: FinetuneApp, home: Home, store: Store, rows: Path
) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        assert "Get some outputs in" in text_of(pilot, "#guide")
        await opened(pilot, str(rows))
        pilot.app.screen.query_one("#import-category", Input).value = "erd"
        await settle(pilot)
        await pilot.press("ctrl+s")
        await settle(pilot)
        await pilot.press("escape")
        await settle(pilot)
        assert "Label three outputs (0 of 3): press 2" in text_of(pilot, "#guide")
        await pilot.click("#guide", offset=(5, 0))
        await settle(pilot)
        assert app.current_mode == "review"
        assert "g good, b bad" in text_of(pilot, "#guide")
        await pilot.press("1", "G")
        await settle(pilot)
        assert not app.screen.query_one("#guide").display


async def test_a_category_that_is_not_there_is_made_on_the_way(
    app: FinetuneApp, home: Home, store: Store, rows: Path
) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, str(rows))
        await pilot.press("enter")
        assert app.focused is not None and app.focused.id == "import-category"
        await pilot.press(*"my_task")
        await settle(pilot)
        assert "There is no category `my_task` yet" in text_of(pilot, "#import-found")
        assert "demo, a tiny one" in text_of(pilot, "#import-found")
        await pilot.press("ctrl+n")
        await settle(pilot)
        assert "my_task" in load_categories(home)
        assert "Draw shop 0" in text_of(pilot, "#import-found")
        assert "ctrl+s takes all of it in" in text_of(pilot, "#import-state")
        await pilot.press("enter")
        await settle(pilot)
        assert events.count(store, EventFilter(category="my_task")) == 5
        await pilot.press("enter")
        await settle(pilot)
        assert not isinstance(app.screen, ImportScreen)


async def test_a_name_that_no_category_may_have_is_not_made(app: FinetuneApp, home: Home, rows: Path) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, str(rows))
        pilot.app.screen.query_one("#import-category", Input).value = "My task!"
        await settle(pilot)
        assert "It cannot be made" in text_of(pilot, "#import-found")
        await pilot.press("ctrl+n")
        assert not home.config.exists()


async def test_a_path_that_is_begun_is_completed_not_complained_of(app: FinetuneApp, rows: Path) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, str(rows)[:-4])
        assert text_of(pilot, "#import-found").startswith("→ completes it")


async def test_rows_that_nobody_judged_say_what_makes_them_lessons(app: FinetuneApp, tmp_path: Path) -> None:
    path = tmp_path / "plain.jsonl"
    path.write_text("\n".join(json.dumps({"prompt": f"Say {n}", "completion": f"It is {n}."}) for n in range(3)))
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, str(path))
        pilot.app.screen.query_one("#import-category", Input).value = "rag_enhancement"
        await settle(pilot)
        assert "Review asks you which are good" in text_of(pilot, "#import-found")
