"""The line that leads a newcomer: it fits, names keys that work where they are named, and ends by itself."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pilot_kit import settle
from textual.widgets import Static
from versions_kit import add_version

from core.first_steps import FirstSteps, Step, StepName, begin
from core.paths import Home
from storage import aliases, events
from storage.db import Store
from storage.rows import NewEvent
from tui.app import FinetuneApp
from tui.tabs import TABS, key_of
from tui.widgets.guide_line import PLACES, guide_text

WANTED = {"load": 1, "label": 3, "rank": 1, "train": 1, "promote": 1}
MODES = [tab.mode for tab in TABS]


def steps(done: int, *, under_way: bool = False, in_vain: bool = False) -> FirstSteps:
    """So many steps are complete; the next one is under way or in vain."""
    made = []
    for place, (name, wanted) in enumerate(WANTED.items()):
        now = place == done
        made.append(Step(name, wanted if place < done else 0, wanted, now and under_way, now and in_vain))  # type: ignore[arg-type]
    return FirstSteps(tuple(made))


FOUND = {
    **{f"{number} done": steps(number) for number in range(6)},
    "trains": steps(3, under_way=True),
    "compares": steps(4, under_way=True),
    "lost": steps(4, in_vain=True),
}


@pytest.mark.parametrize("found", FOUND.values(), ids=FOUND)
@pytest.mark.parametrize("mode", MODES)
def test_it_fits_into_eighty_columns_and_sends_nobody_where_they_are(found: FirstSteps, mode: str) -> None:
    line = guide_text(found, mode)
    padding, cross = 2, 3
    assert line.cell_length + padding + cross <= 80
    assert f"press {key_of(mode)}" not in line.plain
    assert f"{key_of(mode)} shows it" not in line.plain


@pytest.mark.parametrize(
    ("step", "keys"), [("load", "d i"), ("label", "g b c"), ("rank", "n a b"), ("train", "n ctrl+s"), ("promote", "p")]
)
def test_every_key_that_it_names_belongs_to_the_screen(step: StepName, keys: str) -> None:
    screen = next(tab for tab in TABS if tab.mode == PLACES[step]).open()
    assert set(keys.split()) <= set(screen._bindings.key_to_bindings)
    named = guide_text(steps(list(WANTED).index(step)), PLACES[step]).plain
    assert all(f" {key} " in f" {named.replace('(', ' ').replace(')', ' ')} " for key in keys.split())


def test_a_version_that_did_not_win_is_not_praised() -> None:
    line = guide_text(FOUND["lost"], "dashboard").plain
    assert f"No version won yet: label more ({key_of('review')})" in line
    assert "better" not in line


async def test_it_ends_where_its_last_word_was_read(
    app: FinetuneApp, store: Store, home: Home, an_event: Callable[..., NewEvent]
) -> None:
    begin(store, now=0.0)
    events.add(store, an_event(1))
    version = add_version(store, home)
    aliases.point(
        store, name="ft-erd", category="erd", to_version=version.id, action="promote", who="ada", why="x", evidence={},
        now=1.0,
    )  # fmt: skip
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        assert "once round" in str(app.screen.query_one("#guide", Static).visual)
        await pilot.press(key_of("review"))
        await settle(pilot)
        await pilot.press(key_of("dashboard"))
        await settle(pilot)
        assert not app.screen.query_one("#guide").display
