from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest
from pilot_kit import PATIENCE, settle, until
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
from tui.tail import StoreTail
from tui.widgets.category_card import category_card, sparkline
from tui.widgets.progress_line import bar, run_line
from tui.widgets.query_chips import QueryChips

SIZE = (80, 24)


def text_of(pilot: Pilot[None], selector: str) -> str:
    return str(pilot.app.screen.query_one(selector, Static).visual)


def cards(pilot: Pilot[None]) -> str:
    table = pilot.app.screen.query_one("#categories", OptionList)
    return "\n".join(str(table.get_option_at_index(index).prompt) for index in range(table.option_count))


def footer_keys(app: FinetuneApp) -> list[str]:
    shown = [active.binding.description for active in app.screen.active_bindings.values() if active.binding.show]
    return list(dict.fromkeys(shown))


async def test_an_empty_home_says_which_key_loads_the_demonstration(app: FinetuneApp) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        assert "Nothing has been recorded here yet." in text_of(pilot, "#nothing")
        assert footer_keys(app) == ["Import", "Demonstration"]


async def test_d_loads_the_demonstration_with_its_progress(
    app: FinetuneApp, monkeypatch: pytest.MonkeyPatch, an_event: Callable[..., NewEvent]
) -> None:
    shown: list[str] = []

    def load(home: Home, progress: Callable[[int, int], None]) -> int:
        with open_store(home.store) as own:
            events.add_many(own, [an_event(number) for number in range(4)])
        progress(2, 4)
        end = time.monotonic() + PATIENCE
        while "2 of 4" not in text_of(pilot, "#loading_seed") and time.monotonic() < end:
            time.sleep(0.01)
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
        assert footer_keys(app) == ["Do next", "Review", "Train", "Import"]
        assert not app._notifications  # the counts and the guide say it


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
        assert footer_keys(app) == ["Import", "Demonstration"]


async def test_the_first_frame_leaves_no_text_without_a_colour(app: FinetuneApp, five: list[int]) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        drawn = app.screen.query_one("#runs").visual_style
        assert drawn.foreground is not None and drawn.background is not None
        assert drawn.foreground.a == 1 and drawn.background.get_contrast_text(1).brightness > 0.5
        assert drawn.foreground.brightness > 0.5


async def test_what_others_write_shows_up(
    app: FinetuneApp, store: Store, five: list[int], an_event: Callable[..., NewEvent]
) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        assert "5 to review" in cards(pilot)
        events.add(store, an_event(50))
        judgments.judge(store, five[0], "good", now=1.0)
        judgments.judge(store, five[1], "bad", now=2.0)
        await until(pilot, lambda: "4 to review" in cards(pilot))


async def test_what_is_written_before_the_store_is_watched_shows_up(
    new_app: Callable[[], FinetuneApp], store: Store, five: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    begin, watches = threading.Event(), StoreTail._watch

    def late(tail: StoreTail) -> None:
        begin.wait(PATIENCE)
        watches(tail)

    monkeypatch.setattr(StoreTail, "_watch", late)
    monkeypatch.setattr("tui.tail.POLL_SECONDS", 3600.0)
    async with new_app().run_test(size=SIZE) as pilot:
        await settle(pilot)
        assert "5 to review" in cards(pilot)
        judgments.judge(store, five[0], "good", now=1.0)
        begin.set()
        await until(pilot, lambda: "4 to review" in cards(pilot))


async def test_r_opens_the_review_of_the_category_under_the_cursor(app: FinetuneApp, five: list[int]) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        await pilot.press("r")
        await settle(pilot)
        assert app.current_mode == "review"
        assert "erd" in app.screen.query_one(QueryChips).text


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
