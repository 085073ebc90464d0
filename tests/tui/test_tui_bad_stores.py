"""Stores that no version of this program writes: odd rows, and odd things to remember. Nothing ends the app."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import bad_data_kit
import pytest
from pilot_kit import settle

from storage import events, ui_state
from storage.db import Store
from storage.rows import NewEvent
from tui.app import FinetuneApp
from tui.tabs import TABS, key_of

Make = Callable[..., NewEvent]
WRONG: tuple[Any, ...] = (
    None, True, -1, 0, 2**70, -1e308, "", "x" * 3_000, "erd\x1b[31m", "\ud800", [], [None], [2**70], [[1]], {},
    {"a": [1]},
)  # fmt: skip
"""Values of every kind that JSON has, some larger than what SQLite holds."""
REMEMBERED = ("app.mode", "app.theme", "app.theme_of_each_side", "guide.since", "review.drafts")
KEYS = "j k end home enter escape a s f slash x escape d m j m equals_sign escape h escape v escape"
"""Keys that list, open, filter and compare on most screens; none of them needs a model."""


def write(store: Store, key: str, value: object) -> None:
    """Keep what the program itself would not."""
    ui_state.save(store, key, None)
    with store.transaction():
        store.write("UPDATE ui_state SET value = ? WHERE key = ?", (json.dumps(value), key))


def spoiled(state: dict[str, Any]) -> list[Any]:
    """The state with values that it never has: each everywhere, and in one place at a time."""
    places = list(state)
    one = [state | {places[at % len(places)]: value} for at, value in enumerate(WRONG * 2)] if places else []
    return one + [dict.fromkeys(state, value) for value in WRONG]


@pytest.mark.parametrize("mode", [tab.mode for tab in TABS])
async def test_a_screen_takes_up_any_state(mode: str, store: Store, five: list[int], app: FinetuneApp) -> None:
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.press(key_of(mode))
        front = await settle(pilot)
        assert mode == front.MODE
        for state in spoiled(dict(front.state())):
            write(store, f"screen.{mode}", state)
            front.take_up()
            front.refresh_data()
            await settle(pilot)
        await pilot.press(*KEYS.split())
        await settle(pilot)
        front.keep_state()
        await pilot.press("1")
        await pilot.press(key_of(mode))
        assert mode == (await settle(pilot)).MODE


@pytest.mark.parametrize(
    "value", [None, True, 2**70, "\ud800", [None], {"1": 2}], ids=lambda value: json.dumps(value)[:9]
)
async def test_the_app_starts_whatever_it_remembers(
    value: object, store: Store, five: list[int], new_app: Callable[[], FinetuneApp]
) -> None:
    remembered = [*REMEMBERED, *(f"screen.{tab.mode}" for tab in TABS)]
    remembered += [row[0] for row in store.rows("SELECT key FROM ui_state")]
    for key in remembered:
        write(store, key, value)
    app = new_app()
    async with app.run_test(size=(80, 24)) as pilot:
        for tab in TABS:
            await pilot.press(key_of(tab.mode))
            assert tab.mode == (await settle(pilot)).MODE


async def test_the_app_starts_on_what_is_no_json(
    store: Store, five: list[int], new_app: Callable[[], FinetuneApp]
) -> None:
    for key in [*REMEMBERED, *(f"screen.{tab.mode}" for tab in TABS)]:
        ui_state.save(store, key, 1)
    with store.transaction():
        store.write("UPDATE ui_state SET value = ?", ('{"half',))
    app = new_app()
    async with app.run_test(size=(80, 24)) as pilot:
        for tab in TABS:
            await pilot.press(key_of(tab.mode))
            assert tab.mode == (await settle(pilot)).MODE
        assert not [entry for entry in app.session.entries if entry.severity == "error"]


def odd(store: Store) -> None:
    """Rows that can be read, but make no sense."""
    bad_data_kit.odd_figures(store)
    bad_data_kit.odd_shapes(store)


@pytest.mark.parametrize("rows", [odd, bad_data_kit.no_json])
@pytest.mark.parametrize("mode", [tab.mode for tab in TABS])
async def test_rows_of_any_shape_are_shown_or_told(
    mode: str, rows: Callable[[Store], None], store: Store, an_event: Make, new_app: Callable[[], FinetuneApp]
) -> None:
    events.add_many(store, [an_event(number) for number in range(3)])
    rows(store)
    app = new_app()
    async with app.run_test(size=(140, 40)) as pilot:
        await pilot.press(key_of(mode))
        await settle(pilot)
        for _ in range(20):
            await pilot.press("j")
            await settle(pilot)
        for key in KEYS.split():
            await pilot.press(key)
            await settle(pilot)
        assert app.is_running
