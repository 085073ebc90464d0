from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from textual.pilot import Pilot
from textual.widgets import OptionList, Static

from core import demo
from core.errors import FinetuneError
from core.paths import Home
from storage import events, judgments, runs
from storage.db import Store, open_store
from storage.rows import NewEvent
from tui.app import FinetuneApp
from tui.overview import read_overview
from tui.widgets.category_card import category_card, sparkline
from tui.widgets.progress_line import bar, run_line

SIZE = (80, 24)


async def settle(pilot: Pilot[None]) -> None:
    for _ in range(3):
        await pilot.app.workers.wait_for_complete()
        await pilot.pause(0.05)


def text_of(pilot: Pilot[None], selector: str) -> str:
    return str(pilot.app.screen.query_one(selector, Static).visual)


def cards(pilot: Pilot[None]) -> str:
    table = pilot.app.screen.query_one("#categories", OptionList)
    return "\n".join(str(table.get_option_at_index(index).prompt) for index in range(table.option_count))


def footer_keys(app: FinetuneApp) -> list[str]:
    return [active.binding.description for active in app.screen.active_bindings.values() if active.binding.show]


async def test_an_empty_home_says_which_key_loads_the_demonstration(app: FinetuneApp) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        assert "Nothing has been recorded here yet." in text_of(pilot, "#nothing")
        assert footer_keys(app) == ["Demonstration"]


async def test_d_loads_the_demonstration_with_its_progress(
    app: FinetuneApp, monkeypatch: pytest.MonkeyPatch, an_event: Callable[..., NewEvent]
) -> None:
    shown: list[str] = []

    def load(home: Home, progress: Callable[[int, int], None]) -> int:
        with open_store(home.store) as own:
            events.add_many(own, [an_event(number) for number in range(4)])
        progress(2, 4)
        time.sleep(0.2)
        shown.append(text_of(pilot, "#loading_seed"))
        progress(4, 4)
        return 4

    monkeypatch.setattr(demo, "load_seed", load)
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        await pilot.press("d")
        await settle(pilot)
        assert "2 of 4" in shown[0]
        assert "erd" in cards(pilot)
        assert footer_keys(app) == ["Review", "Train"]


async def test_a_demonstration_that_fails_says_why_and_can_be_tried_again(
    app: FinetuneApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(home: Home, progress: Callable[[int, int], None]) -> int:
        raise FinetuneError("The file [/] is gone.", title="No feedback", hint="Install again.")

    monkeypatch.setattr(demo, "load_seed", load)
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        await pilot.press("d")
        await settle(pilot)
        toast = next(iter(app._notifications))
        assert (toast.title, toast.message) == ("No feedback", "The file [/] is gone.\nInstall again.")
        assert footer_keys(app) == ["Demonstration"]


async def test_what_others_write_shows_up(
    app: FinetuneApp, store: Store, five: list[int], an_event: Callable[..., NewEvent]
) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        assert "5 to review" in cards(pilot)
        events.add(store, an_event(50))
        judgments.judge(store, five[0], "good", now=1.0)
        judgments.judge(store, five[1], "bad", now=2.0)
        await pilot.pause(0.7)
        await settle(pilot)
        assert "4 to review" in cards(pilot)


async def test_r_opens_the_review_of_the_category_under_the_cursor(app: FinetuneApp, five: list[int]) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        await pilot.press("r")
        await settle(pilot)
        assert app.current_mode == "review"
        assert "a erd" in text_of(pilot, "#status")


def test_the_card_shows_counts_trend_production_and_what_is_next(home: Home, five: list[int]) -> None:
    overview = read_overview(home)
    shown = category_card(overview.categories[0], now=overview.read_at, width=76).plain
    assert "▽ rejected 5" in shown and "5 to review" in shown
    assert "serves base model" in shown and "stage collecting" in shown
    assert "→ Label the 5 that wait" in shown


def test_a_run_is_told_by_glyph_word_and_share(store: Store) -> None:
    run_id = runs.enqueue(
        store,
        created_at=100.0,
        category="erd",
        base_model="demo",
        method="sft",
        settings={},
        dataset_id=_dataset(store),
        parent_version=None,
        total_steps=40,
    )
    assert run_line(runs.get(store, run_id), now=160.0).plain == "◌ queued run 1 erd · 1 min ago"
    runs.claim(store, run_id, pid=1, pid_started=1.0, now=100.0)
    runs.set_stage(store, run_id, "training")
    runs.progress(store, run_id, step=10, total_steps=40)
    assert run_line(runs.get(store, run_id), now=160.0).plain == (
        "● running run 1 erd · training ███░░░░░░░░░ 10/40 · 3 min left"
    )


def _dataset(store: Store) -> int:
    from storage import datasets

    return datasets.add(store, created_at=1.0, category="erd", hash="b2:1", seed=0, settings={}, counts={}, items=[])


def test_bars_and_sparklines_keep_their_width() -> None:
    assert [len(bar(share, 10)) for share in (-1.0, 0.0, 0.333, 1.0, 7.0)] == [10] * 5
    assert bar(0.5, 4) == "██░░"
    assert sparkline([0.0, 50.0, 100.0, 150.0]) == "▁▅██"
