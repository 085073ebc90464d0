"""Jump mode: a letter over every part that takes the focus."""

from __future__ import annotations

import pytest
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Button, Input

from tui.app import FinetuneApp
from tui.jump import LETTERS, labels, targets
from tui.screens.jump import JumpScreen


class Form(ModalScreen[None]):
    """Two parts to be seen, one hidden, one scrolled out of sight."""

    def compose(self) -> ComposeResult:
        yield Input(id="name")
        yield Button("Go", id="go")
        yield Button("Hidden", id="hidden", classes="hidden")
        with VerticalScroll(can_focus=False) as box:
            box.styles.height = 3
            yield Button("Seen", id="seen")
            yield Button("Below", id="below")


@pytest.mark.parametrize("count", [0, 1, 26, 27, 700])
def test_labels_are_different_and_none_begins_another(count: int) -> None:
    made = labels(count)
    assert len(set(made)) == len(made) == count
    assert len({len(label) for label in made}) <= 1
    assert set("".join(made)) <= set(LETTERS)


async def test_a_letter_goes_to_a_part_of_a_dialogue(app: FinetuneApp) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await app.push_screen(Form())
        await pilot.pause()
        assert [part.id for part, _ in targets(app.screen)] == ["name", "go", "seen"]
        assert app.focused is not None and app.focused.id == "name"
        await pilot.press("ctrl+o")
        assert isinstance(app.screen, JumpScreen)
        await pilot.press("s")
        await pilot.pause()
        assert isinstance(app.screen, Form)
        assert app.focused is not None and app.focused.id == "go"


@pytest.mark.parametrize("key", ["escape", "ctrl+o", "Z", "tab"])
async def test_any_other_key_leaves_the_focus_where_it_was(app: FinetuneApp, key: str) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await app.push_screen(Form())
        await pilot.press("tab", "ctrl+o", key)
        await pilot.pause()
        assert isinstance(app.screen, Form)
        assert app.focused is not None and app.focused.id == "go"


async def test_the_mouse_picks_a_letter_too(app: FinetuneApp) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await app.push_screen(Form())
        await pilot.pause()
        at = app.screen.query_one("#go").region
        await pilot.press("ctrl+o")
        await pilot.pause()
        await pilot.click(offset=(at.x + 1, at.y))
        await pilot.pause()
        assert app.focused is not None and app.focused.id == "go"
