"""Review beyond one key for one verdict: chips, many at once, categories, own editor, guidelines, blind repeats."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest
from pilot_kit import settle, until
from textual.pilot import Pilot
from textual.widgets import Input, Markdown, Static, TextArea

from core.paths import Home
from storage import events, judgments
from storage.db import Store
from storage.rows import NewEvent
from tui.app import FinetuneApp
from tui.review import queue as review_queue
from tui.review import queue_loader
from tui.review import reader as review_reader
from tui.review.folding import folded
from tui.screens.choose_category import ChooseCategoryScreen
from tui.screens.confirm import ConfirmScreen
from tui.screens.edit import EditScreen
from tui.screens.guidelines import GuidelinesScreen
from tui.screens.review import ReviewScreen
from tui.widgets.event_pane import EventPane
from tui.widgets.query_chips import QueryChips
from tui.widgets.search_line import SearchLine
from tui.widgets.virtual_table import VirtualTable

SIZE = (120, 40)


async def open_review(app: FinetuneApp, pilot: Pilot[None], query: str = "is:pending sort:newest") -> ReviewScreen:
    app.open("review", query=query)
    await settle(pilot)
    screen = app.screen
    assert isinstance(screen, ReviewScreen)
    return screen


def status(app: FinetuneApp) -> str:
    return str(app.screen.query_one("#status", Static).visual)


def queue(app: FinetuneApp) -> VirtualTable[object]:
    return app.screen.query_one(VirtualTable)


def shown(app: FinetuneApp) -> str:
    return str(app.screen.query_one(EventPane).query_one(Static).visual)


def verdicts(store: Store) -> list[str | None]:
    return [row.verdict for row in events.iter_events(store, events.EventFilter())]


# Chips and the query.


async def test_chips_say_what_is_shown_and_are_taken_out_by_key_and_mouse(app: FinetuneApp, five: list[int]) -> None:
    async with app.run_test(size=SIZE) as pilot:
        screen = await open_review(app, pilot, "is:pending sort:newest score:<3 number")
        chips = screen.query_one(QueryChips)
        assert chips.text == "f is:pending ×  a all categories  o sort:newest ×  score:<3 ×  number ×"
        assert list(queue(app).ids) == five[2:]
        await pilot.press("shift+tab")
        assert chips.has_focus
        await pilot.press("right", "right", "delete")
        await settle(pilot)
        assert "score" not in chips.text and list(queue(app).ids) == five
        await pilot.click(QueryChips, offset=(chips.text.index("number ×") + 8, 0))
        await settle(pilot)
        assert chips.text == "f is:pending ×  a all categories  o sort:newest ×"
        await pilot.click(QueryChips, offset=(3, 0))
        await settle(pilot)
        assert chips.text.startswith("f all  ")


async def test_a_fault_in_the_query_is_told_and_hides_nothing(app: FinetuneApp, five: list[int]) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await open_review(app, pilot, "is:pending scor:<3 sort:newest")
        assert list(queue(app).ids) == five
        assert "⚠ There is no field `scor:`. Did you mean score" in status(app)
        assert "⚠ scor:<3 ×" in app.screen.query_one(QueryChips).text
        await pilot.press("escape")
        await settle(pilot)
        assert "scor" not in app.screen.query_one(QueryChips).text


async def test_escape_leaves_the_search_as_if_nothing_had_been_typed(app: FinetuneApp, five: list[int]) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await open_review(app, pilot)
        await pilot.press("j", "j", "slash", *"score:<2")
        assert app.screen.query_one(SearchLine).value == "is:pending sort:newest score:<2"
        await settle(pilot)
        assert list(queue(app).ids) == five[3:]
        await pilot.press("escape")
        await settle(pilot)
        assert list(queue(app).ids) == five and queue(app).current == five[2]
        assert queue(app).has_focus


async def test_a_word_of_two_letters_waits_for_the_third(app: FinetuneApp, five: list[int]) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await open_review(app, pilot)
        await pilot.press("slash", *"di")
        await settle(pilot)
        assert list(queue(app).ids) == five
        await pilot.press("enter")
        await settle(pilot)
        assert list(queue(app).ids) == [], "when it is meant so, it is a whole word"


async def test_a_long_result_comes_in_two_steps(
    app: FinetuneApp, five: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(review_queue, "FIRST", 2)
    monkeypatch.setattr(queue_loader, "FIRST", 2)
    monkeypatch.setattr(queue_loader, "SECONDS_UNTIL_REST", 60.0)
    async with app.run_test(size=SIZE) as pilot:
        screen = await open_review(app, pilot, "is:pending diagram")
        assert list(queue(app).ids) == five[:2] and "1 of 2+" in status(app)
        screen.queue._read_rest()
        await settle(pilot)
        assert list(queue(app).ids) == five and "1 of 5 " in status(app) + " "


async def test_in_a_large_store_the_newest_stand_there_until_the_order_is_known(
    app: FinetuneApp, five: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue_loader, "NEAR", 2)
    monkeypatch.setattr(queue_loader, "STAY_BELOW", 0)
    monkeypatch.setattr(queue_loader, "read_queue", lambda *_: array("q", reversed(five)))
    async with app.run_test(size=SIZE) as pilot:
        await open_review(app, pilot, "is:pending")
        await settle(pilot)
        assert list(queue(app).ids) == [five[0], *reversed(five[1:])], "what is read stays, the order follows below"


async def test_what_other_screens_ask_for(app: FinetuneApp, five: list[int], store: Store) -> None:
    judgments.judge(store, five[0], "good", now=1.0)
    async with app.run_test(size=SIZE) as pilot:
        screen = await open_review(app, pilot)
        app.open("review", event=five[3])
        await settle(pilot)
        assert queue(app).current == five[3] and len(queue(app).ids) == 4
        app.open("review", event=five[0])
        await settle(pilot)
        assert list(queue(app).ids) == [five[0]], "an event that the queue does not hold stands alone"
        app.open("review", category="erd")
        await settle(pilot)
        assert screen.query_one(QueryChips).text.startswith("f is:pending ×  a category:erd ×")


async def test_the_query_and_the_event_are_found_again_but_not_its_words(
    new_app: Callable[[], FinetuneApp], five: list[int]
) -> None:
    first = new_app()
    async with first.run_test(size=SIZE) as pilot:
        await open_review(first, pilot, "is:pending sort:newest score:<4 diagram")
        await pilot.press("j", "1")
        await settle(pilot)
    again = new_app()
    async with again.run_test(size=SIZE) as pilot:
        await pilot.press("2")
        await settle(pilot)
        assert again.screen.query_one(QueryChips).text.endswith("o sort:newest ×  score:<4 ×")
        assert queue(again).current == five[2]


async def test_a_state_of_another_version_is_passed_over(app: FinetuneApp, five: list[int], store: Store) -> None:
    from storage import ui_state

    ui_state.save(store, "screen.review", {"query": 7, "current": "x", "more": []})
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("2")
        await settle(pilot)
        assert len(queue(app).ids) == 5


# Many at once.


async def test_marked_outputs_are_judged_at_once_and_one_undo_takes_it_back(
    app: FinetuneApp, store: Store, five: list[int]
) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await open_review(app, pilot)
        await pilot.press("m", "m", "j", "m")
        assert "▪ 3 marked" in status(app)
        await pilot.press("b")
        assert isinstance(app.screen, ConfirmScreen)
        await pilot.press("escape")
        assert verdicts(store) == [None] * 5, "nothing without a yes"
        await pilot.press("b", "enter")
        await settle(pilot)
        assert "✗ bad on 3 outputs; u takes it back" in status(app) and "marked" not in status(app)
        assert [events.get(store, one).verdict for one in five] == ["bad", "bad", None, "bad", None]
        assert queue(app).current == five[4], "where it is, as that is open"
        await pilot.press("u")
        await settle(pilot)
        assert verdicts(store) == [None] * 5
        assert "undone: ✗ bad on 3 outputs" in status(app)
        await pilot.press("U")
        await settle(pilot)
        assert sum(verdict == "bad" for verdict in verdicts(store)) == 3


async def test_all_that_the_query_shows_can_be_marked(app: FinetuneApp, store: Store, five: list[int]) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await open_review(app, pilot, "is:pending score:<3")
        await pilot.press("M")
        assert "▪ 3 marked" in status(app)
        await pilot.press("M")
        assert "marked" not in status(app)
        await pilot.press("M", "escape")
        assert "marked" not in status(app)
        await pilot.press("M", "x", "y")
        await settle(pilot)
        assert verdicts(store) == ["reject"] * 3 + [None] * 2


async def test_judging_many_can_be_stopped_and_leaves_nothing(
    app: FinetuneApp, store: Store, five: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with app.run_test(size=SIZE) as pilot:
        screen = await open_review(app, pilot)
        monkeypatch.setattr(screen._bulk._stop, "clear", screen._bulk._stop.set)  # stopped before the first portion
        await pilot.press("M", "b", "enter")
        await settle(pilot)
        assert "stopped: no verdict was given" in status(app)
        assert verdicts(store) == [None] * 5
        assert "▪ 5 marked" in status(app)


# Category, guidelines, rank.


async def test_another_category_is_chosen_by_a_part_of_its_name(
    app: FinetuneApp, store: Store, five: list[int]
) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await open_review(app, pilot)
        await pilot.press("C")
        assert isinstance(app.screen, ChooseCategoryScreen)
        await pilot.press(*"scam", "enter")
        await settle(pilot)
        assert events.get(store, five[0]).category == "scam_detection"
        assert f"#{five[0]} moved to scam_detection" in status(app)
        await pilot.press("u")
        await settle(pilot)
        assert events.get(store, five[0]).category == "erd"
        assert queue(app).current == five[0]
        await pilot.press("C", *"no such", "enter", "escape")
        assert isinstance(app.screen, ReviewScreen)


async def test_guidelines_stand_beside_the_event(home: Home, app: FinetuneApp, five: list[int]) -> None:
    home.config.write_text('[categories.erd]\nguidelines = "* Good [/] is **valid** \\u001b[31m"\n')
    async with app.run_test(size=SIZE) as pilot:
        await open_review(app, pilot)
        await pilot.press("i")
        assert isinstance(app.screen, GuidelinesScreen)
        assert "\x1b" not in app.screen.query_one(Markdown)._markdown
        await pilot.press("escape")
        home.config.write_text('[categories.erd]\nguidelines = ""\n')
        await pilot.press("i")
        source = app.screen.query_one(Markdown)._markdown
        assert "no guidelines for `erd` yet" in source and "[categories.erd]" in source


async def test_r_ranks_where_a_prompt_has_several_answers(
    app: FinetuneApp, store: Store, an_event: Callable[..., NewEvent], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(review_reader, "SETTLE_SECONDS", 0.05)
    ids = events.add_many(store, [an_event(1, prompt="the same", response="one"), an_event(2, prompt="the same"),
                                  an_event(3)])  # fmt: skip
    opened: list[tuple[str, object]] = []
    async with app.run_test(size=SIZE) as pilot:
        await open_review(app, pilot)
        monkeypatch.setattr(app, "open", lambda mode, **asked: opened.append((mode, asked)))
        await settle(pilot)
        assert "ranks" not in status(app)
        await pilot.press("r", "j")
        await until(pilot, lambda: "r ranks 2 answers" in status(app))
        await pilot.press("r")
    assert opened == [("rank", {"category": "erd", "prompt_event": ids[1]})]


# The own editor.


async def test_the_text_of_the_own_editor_is_seen_before_it_is_saved(
    home: Home, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, an_event: Callable[..., NewEvent]
) -> None:
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\ngrep -q "‹U+202E›" "$1" && printf "new \\033[31m" >> "$1"\n')
    editor.chmod(0o700)
    monkeypatch.setenv("VISUAL", str(editor))
    added = events.add(store, an_event(1, response="left\u202eright"))
    app = FinetuneApp(home)
    monkeypatch.setattr(app, "suspend", nullcontext)
    async with app.run_test(size=SIZE) as pilot:
        await open_review(app, pilot)
        await pilot.press("e")
        assert isinstance(app.screen, EditScreen)
        assert app.screen.query_one(TextArea).text == "left‹U+202E›rightnew ␛[31m"
        await settle(pilot)
        assert events.get(store, added).verdict is None
        await pilot.press("f4")
        assert app.screen.query_one(TextArea).text.count("new") == 2
        await pilot.press("ctrl+s")
        await settle(pilot)
    assert events.get(store, added).correction == "left\u202erightnew ␛[31mnew ␛[31m"


@pytest.mark.parametrize(("editor", "said"), [("false", "ended with code 1"), ("true", "came back as it was"),
                                              ("no-such-editor", "is not there")])  # fmt: skip
async def test_an_editor_that_gives_nothing_is_told(
    app: FinetuneApp, five: list[int], monkeypatch: pytest.MonkeyPatch, editor: str, said: str
) -> None:
    monkeypatch.setenv("EDITOR", editor)
    monkeypatch.setattr(app, "suspend", nullcontext)
    async with app.run_test(size=SIZE) as pilot:
        await open_review(app, pilot)
        await pilot.press("e")
        await settle(pilot)
        assert isinstance(app.screen, ReviewScreen)
        assert any(said in toast.message for toast in app._notifications)


async def test_a_terminal_that_cannot_be_lent_is_told(
    app: FinetuneApp, five: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDITOR", "true")
    async with app.run_test(size=SIZE) as pilot:
        await open_review(app, pilot)
        await pilot.press("e")
        assert any("cannot be lent" in toast.message for toast in app._notifications)


# Blind repeats and reading.


async def test_an_event_comes_back_blind_and_the_status_says_whether_it_was_the_same(
    home: Home, app: FinetuneApp, store: Store, five: list[int], an_event: Callable[..., NewEvent]
) -> None:
    home.config.write_text("[review]\nrepeat_every = 5\n")
    before = events.add_many(store, [an_event(number, prompt=f"Old question {number}") for number in range(50, 60)])
    for number, event_id in enumerate(before):
        judgments.judge(store, event_id, "good", seconds=1.0, now=1_000.0 + number)
    async with app.run_test(size=SIZE) as pilot:
        await open_review(app, pilot)
        await pilot.press("b")
        await settle(pilot)
        again = queue(app).ids[queue(app).cursor + 1]
        assert again in before
        await pilot.press("b")
        await settle(pilot)
        assert queue(app).current == again
        assert "pending" in str(app.screen.query_one(EventPane).border_title)
        assert "Old question" in shown(app) and "good" not in shown(app)
        await pilot.press("g")
        await settle(pilot)
        assert f"#{again} again: good, as before" in status(app)
    last = judgments.history(store, again)[-1]
    assert last.repeats is not None


async def test_a_long_prompt_is_cut_until_p_and_reading_has_all_the_room(
    app: FinetuneApp, store: Store, an_event: Callable[..., NewEvent]
) -> None:
    events.add(store, an_event(1, prompt="\n".join(f"line {number}" for number in range(40))))
    async with app.run_test(size=(80, 24)) as pilot:
        await open_review(app, pilot)
        assert "Prompt (p for 37 more lines)" in shown(app)
        assert "line 1\n" in shown(app) and "line 20" not in shown(app) and "line 39" in shown(app)
        before = app.screen.query_one(EventPane).size.height
        await pilot.press("p")
        assert "line 20" in shown(app)
        await pilot.press("enter")
        await pilot.pause()
        assert app.screen.query_one(EventPane).size.height == before + 4
        await pilot.press("escape")
        await pilot.pause()
        assert app.screen.query_one(EventPane).size.height == before


async def test_what_is_copied_is_the_answer_in_front(app: FinetuneApp, store: Store, five: list[int]) -> None:
    judgments.judge(store, five[1], "correct", correction="better", now=1.0)
    async with app.run_test(size=SIZE) as pilot:
        screen = await open_review(app, pilot, "sort:newest")
        assert screen.copyable() == events.get(store, five[0]).response
        await pilot.press("n")
        await settle(pilot)
        assert screen.copyable() == "better"
        await pilot.press("N", "slash")
        assert isinstance(app.focused, Input)


def test_folding() -> None:
    assert folded("a\nb\nc\nd\ne\n", 10, 4) == ("a\nb\nc\nd\ne", 0), "one line is not worth a note"
    assert folded("a\nb\nc\nd\ne\nf", 10, 4) == ("a\nb\n⋯\nf", 3)
    assert folded("x" * 100, 20, 3) == ("x" * 20 + "\n⋯\n" + "x" * 20, 3)
