"""The rank screen, used by the keys that a person presses."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from threading import Event

import pytest
from pilot_kit import until
from textual.pilot import Pilot
from textual.widgets import Static

from core.capture.candidates import Candidates
from core.capture.comparing import record_comparison
from core.capture.more_answers import MoreAnswers
from core.paths import Home
from storage import comparisons, events, pairs
from storage.db import Store
from storage.rows import NewEvent
from tui.app import FinetuneApp
from tui.screens.rank import RankScreen
from tui.screens.rank_answers import AnswersScreen
from tui.tabs import key_of
from tui.widgets.half import Half
from tui.widgets.two_answers import TwoAnswers

HOSTILE = "[/x] [bold]y[/bold] \x1b[31m\x07"
Make = Callable[..., NewEvent]


def add(store: Store, an_event: Make, prompt: str, *answers: str) -> list[int]:
    """Answers to one prompt, each of a model of its own; later ones score higher. Never held out."""
    from dataclasses import replace

    made = [
        replace(
            an_event(number, prompt=prompt, response=text, score=40.0 + 10 * number), model=f"model-{number}", bucket=50
        )
        for number, text in enumerate(answers)
    ]
    return events.add_many(store, made)


def shown(app: FinetuneApp, selector: str) -> str:
    return str(app.screen.query_one(selector, Static).visual)


def sides(app: FinetuneApp) -> tuple[str, str]:
    left, right = (app.screen.query_one(f"#answers-{side}", Half).text() for side in ("left", "right"))
    return left, right


async def ranking(app: FinetuneApp, pilot: Pilot[None]) -> RankScreen:
    await pilot.press(key_of("rank"))
    await until(pilot, lambda: isinstance(app.screen, RankScreen) and app.screen._book.ready)
    assert isinstance(app.screen, RankScreen)
    return app.screen


def said(store: Store) -> list[tuple[int, int, str]]:
    return [(row.first_event, row.second_event, row.choice) for row in comparisons.in_force(store, "erd")]


async def test_one_key_decides_and_the_names_come_afterwards(app: FinetuneApp, store: Store, an_event: Make) -> None:
    one, other = add(store, an_event, f"Draw a shop {HOSTILE}", f"low answer {HOSTILE}", "high answer")
    add(store, an_event, "Draw a farm", "first", "second")
    async with app.run_test(size=(140, 40)) as pilot:
        screen = await ranking(app, pilot)
        screen._book.open(one)
        await until(pilot, lambda: "Draw a shop" in shown(app, "#answers-question") and screen._book.ready)
        everything = "".join(str(part.visual) for part in app.screen.query(Static))
        assert "model-" not in everything and "40.0" not in everything and "50.0" not in everything
        assert "␛[31m␇" in shown(app, "#answers-question")
        left, _ = sides(app)
        key = "a" if left == "high answer" else "b"
        await pilot.press(key)
        await until(pilot, lambda: said(store))
        assert said(store) == [(one, other, "second")]
        [pair] = pairs.list_pairs(store, "erd")
        assert (pair.chosen_event, pair.rejected_event, pair.source) == (other, one, "ranking")
        told = shown(app, "#rank-reveal")
        assert "model-0 (score 40.0)" in told and "model-1 (score 50.0)" in told and "the scores agree" in told
        assert "Ranked: model-1 (score 50.0) ≻ model-0 (score 40.0)" in told
        [row] = comparisons.in_force(store, "erd")
        assert row.swapped == (left == "high answer") and row.seconds is not None
        assert ("sides swapped" in told) == row.swapped
        await until(pilot, lambda: "Draw a farm" in shown(app, "#answers-question"))
        await until(pilot, lambda: "1 pair from 1 comparison" in shown(app, "#rank-status"))
        assert "1 prompt to rank" in shown(app, "#rank-status")


async def test_undo_survives_a_restart_and_redo_says_it_again(
    new_app: Callable[[], FinetuneApp], store: Store, an_event: Make
) -> None:
    add(store, an_event, "Draw a shop", "one", "two", "three")
    app = new_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await ranking(app, pilot)
        assert "question 1 of about 3" in shown(app, "#rank-status")
        first = sides(app)
        await pilot.press("a")
        await until(pilot, lambda: "question 2 of about 3" in shown(app, "#rank-status"))
        assert "is told when the prompt is ranked" in shown(app, "#rank-reveal")
        assert "model-" not in shown(app, "#rank-reveal")
        await pilot.press("t")
        await until(pilot, lambda: len(said(store)) == 2)
    again = new_app()
    async with again.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: isinstance(again.screen, RankScreen) and again.screen._book.category)
        await pilot.press("u")
        await until(pilot, lambda: len(said(store)) == 1)
        await pilot.press("u")
        await until(pilot, lambda: not said(store) and pairs.count(store, "erd") == 0)
        await until(pilot, lambda: "question 1 of about 3" in shown(again, "#rank-status"))
        assert sides(again) == first and "taken back" in shown(again, "#rank-reveal")
        await pilot.press("u")
        await until(pilot, lambda: "Nothing is left" in shown(again, "#rank-reveal"))
        await pilot.press("U")
        await until(pilot, lambda: len(said(store)) == 1 and "restored" in shown(again, "#rank-reveal"))
        await until(pilot, lambda: "question 2 of about 3" in shown(again, "#rank-status"))
        assert len(comparisons.log(store, "erd")) == 5  # two said, two taken back, one said again


async def test_skips_ties_and_both_bad_are_recorded_as_such(app: FinetuneApp, store: Store, an_event: Make) -> None:
    for number in range(4):
        add(store, an_event, f"Draw shop {number}", "one", "two")
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await ranking(app, pilot)
        for at, key in enumerate("tgxs", 1):
            await until(pilot, lambda: screen._book.ready)
            await pilot.press(key)
            await until(pilot, lambda at=at: len(said(store)) == at)  # type: ignore[misc]
        assert [choice for *_, choice in said(store)] == ["tie", "both_good", "both_bad", "skip"]
        assert pairs.count(store, "erd") == 0
        await until(pilot, lambda: "All 4 prompts with several answers are ranked" in shown(app, "#rank-nothing"))
        await pilot.press("f", "p")
        await until(pilot, lambda: "The order" in str(app.screen.query_one("#rank-order").border_title))
        await until(pilot, lambda: len(screen._table.ids) == 4)


async def test_the_list_leads_to_a_prompt_and_keys_do_not_answer_from_it(
    app: FinetuneApp, store: Store, an_event: Make
) -> None:
    add(store, an_event, "Draw a shop", "one", "two")
    add(store, an_event, "Draw a farm", "three", "four")
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await ranking(app, pilot)
        first = shown(app, "#answers-question")
        await pilot.press("p")
        await until(pilot, lambda: app.focused is screen._table and not screen._view.display)
        await pilot.press("j", "a", "b")
        assert not said(store)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.focused, TwoAnswers) and screen._book.ready)
        assert shown(app, "#answers-question") != first
        await pilot.press("slash", *"farm")
        await until(pilot, lambda: len(screen._table.ids) == 1 and screen._book.ready)
        assert shown(app, "#answers-question") == "Draw a farm"
        await pilot.press("escape")
        await until(pilot, lambda: len(screen._table.ids) == 2)


async def test_without_answers_a_model_gives_some_and_is_stopped(
    app: FinetuneApp, store: Store, home: Home, an_event: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    [known] = add(store, an_event, "Draw a shop", "one")
    asked: list[dict[str, object]] = []

    def give(home: Home, category: str, **wanted: object) -> MoreAnswers:
        asked.append({"category": category, **wanted})
        wanted["progress"](1, 2)  # type: ignore[operator]
        while not wanted["stopped"]():  # type: ignore[operator]
            time.sleep(0.01)
        add(store_of(home), an_event, "Draw a shop", "one", "another")
        return MoreAnswers("ft-demo-erd-v1", Candidates(prompts=2), stopped=True)

    monkeypatch.setattr("tui.rank.job.more_answers", give)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press(key_of("rank"))
        await until(pilot, lambda: "No prompt of erd has two different answers" in shown(app, "#rank-nothing"))
        screen = app.screen
        assert isinstance(screen, RankScreen)
        await pilot.press("n")
        await until(pilot, lambda: "10 prompts" in shown(app, "#choices"))
        await pilot.press("left", "down", "right", "enter")
        await until(pilot, lambda: "1 of 2 prompts" in shown(app, "#rank-job"))
        assert (asked[0]["prompts"], asked[0]["n"], asked[0]["prompt_event"]) == (5, 4, None)
        await pilot.press("X")
        await until(pilot, lambda: screen._book.ready)
        assert sorted(sides(app)) == ["another", "one"] and "stopped" in shown(app, "#rank-status")
        assert screen._book.key == known


def store_of(home: Home) -> Store:
    from storage.db import open_store

    return open_store(home.store)


async def test_another_screen_asks_for_one_prompt(app: FinetuneApp, store: Store, an_event: Make) -> None:
    [alone] = add(store, an_event, "Draw a shop", "one")
    wanted, _ = add(store, an_event, "Draw a farm", "one", "two")
    add(store, an_event, "Draw a mill", "one", "two")
    async with app.run_test(size=(140, 40)) as pilot:
        app.open("rank", prompt_event=wanted)
        await until(pilot, lambda: shown(app, "#answers-question") == "Draw a farm")
        app.open("rank", prompt_event=alone)
        await until(pilot, lambda: "this prompt only" in shown(app, "#choices"))
        assert isinstance(app.screen, AnswersScreen) and "Draw a shop" in shown(app, "#choices")


async def test_the_prompt_that_was_asked_for_stays_when_the_list_is_read_before_it(
    app: FinetuneApp, store: Store, an_event: Make
) -> None:
    wanted, other = add(store, an_event, "Draw a farm", "one", "two")
    record_comparison(store, wanted, other, "first")  # ranked already: the list has not got it
    add(store, an_event, "Draw a mill", "one", "two")
    busy, free = Event(), Event()

    def occupied(_: Store) -> None:
        busy.set()
        free.wait(60.0)

    async with app.run_test(size=(140, 40)) as pilot:
        app.write(occupied, doing="something long")  # prompts are read in the thread that writes
        try:
            await until(pilot, busy.is_set)
            app.open("rank", prompt_event=wanted)
            await until(pilot, lambda: isinstance(app.screen, RankScreen) and app.screen._book.book is not None)
            assert isinstance(app.screen, RankScreen)
            book = app.screen._book
            await until(pilot, lambda: book.book is not None and book.book.whole)
        finally:
            free.set()
        await until(pilot, lambda: book.asked is not None and not book.busy)
        assert book.key == wanted and app.screen._view.tells


async def test_an_unreadable_store_is_told_in_the_pane(
    app: FinetuneApp, store: Store, an_event: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(store, an_event, "Draw a shop", "one", "two")

    def broken(*_: object) -> None:
        raise OSError("the disk is gone")

    monkeypatch.setattr("tui.rank.reading.read_book", broken)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press(key_of("rank"))
        await until(pilot, lambda: "the disk is gone" in shown(app, "#rank-nothing"))


def test_the_help_page_is_short(root: Path) -> None:
    lines = (root / "assets/help/rank.md").read_text().splitlines()
    assert lines[0] == "# Rank" and len(lines) <= 25
