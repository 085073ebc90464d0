"""The screen of the hard negatives: what its keys do, and that the store says so afterwards."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from hard_kit import BROKEN, GOOD, Answering, failure, seed
from pilot_kit import until
from textual.content import Content
from textual.pilot import Pilot
from textual.widgets import Static

from core.paths import Home
from core.prove.retest import events_tested_by
from storage import events, hard_tests, pins
from storage.db import Store
from tui.app import FinetuneApp
from tui.screens.edit import EditScreen
from tui.screens.hard_negatives import HardNegativesScreen
from tui.widgets.empty import Empty
from tui.widgets.pattern_tree import PatternTree


def screen_of(pilot: Pilot[None]) -> HardNegativesScreen:
    screen = pilot.app.screen_stack[0]
    assert isinstance(screen, HardNegativesScreen)
    return screen


def tree_of(pilot: Pilot[None]) -> PatternTree:
    return screen_of(pilot).query_one(PatternTree)


def shown(pilot: Pilot[None], selector: str) -> str:
    content = screen_of(pilot).query_one(selector, Static).visual
    assert isinstance(content, Content)
    return content.plain


async def opened(pilot: Pilot[None]) -> PatternTree:
    """The screen with its patterns, and the worst event of all in full."""
    await pilot.press("4")
    await until(pilot, lambda: isinstance(pilot.app.screen_stack[0], HardNegativesScreen))
    await until(pilot, lambda: screen_of(pilot).query(PatternTree) and tree_of(pilot).shown.patterns is not None)
    await until(pilot, lambda: "Why it is hard" in shown(pilot, "#detail Static"))
    return tree_of(pilot)


@pytest.fixture
def ids(store: Store, home: Home) -> list[int]:
    return seed(store, home)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Answering:
    found = Answering()
    monkeypatch.setattr("tui.hard.jobs.open_backend", lambda home, config: found)
    return found


async def test_patterns_stand_in_a_tree_and_the_worst_is_shown_in_full(app: FinetuneApp, ids: list[int]) -> None:
    async with app.run_test(size=(140, 40)) as pilot:
        tree = await opened(pilot)
        branches = tree.shown.branches
        assert [branch.pattern.kind for branch in branches.values()] == ["missing_pk", "naming"]
        assert [len(branch.members) for branch in branches.values()] == [5, 3]
        assert tree.current == ids[1], "called bad and low: the hardest"
        text = shown(pilot, "#detail Static")
        for part in ("a person called it bad", "difficulty 0.", "0.15 × called bad 1.00", "No version was tested",
                     "has no primary key", "Correction", "int id PK"):  # fmt: skip
            assert part in text
        await pilot.press("g", "enter", "j")
        assert tree.shown.order == (-1, -2) and tree.current == -2
        await until(pilot, lambda: "Where they stand" in shown(pilot, "#detail Static"))
        await pilot.press("l", "j", "h")
        assert tree.current == -2 and len(tree.shown.order) == 5


async def test_correcting_opens_the_editor_and_undo_takes_it_back(
    app: FinetuneApp, ids: list[int], store: Store
) -> None:
    async with app.run_test(size=(100, 30)) as pilot:
        tree = await opened(pilot)
        tree.go_to(ids[0])
        await until(pilot, lambda: f"#{ids[0]}" in str(screen_of(pilot).query_one("#detail").border_title))
        await pilot.press("f")  # to correct
        await until(pilot, lambda: tree.current == ids[0] and screen_of(pilot)._item is not None)
        await pilot.press("c")
        await until(pilot, lambda: isinstance(app.screen, EditScreen))
        await pilot.press("n", "o", "t", "e", "ctrl+s")
        await until(pilot, lambda: f"#{ids[0]} is corrected" in shown(pilot, "#status"))
        assert events.get(store, ids[0]).correction == f"note{BROKEN}"
        await until(pilot, lambda: tree.shown.leaves[ids[0]].corrected)
        assert tree.current == ids[0], "what was done stays under the eyes, though the filter would hide it"
        await pilot.press("u")
        await until(pilot, lambda: not tree.shown.leaves[ids[0]].corrected)
        assert events.get(store, ids[0]).correction is None


async def test_a_test_solves_it_and_a_pattern_can_be_tested_as_a_whole(
    app: FinetuneApp, ids: list[int], store: Store, server: Answering
) -> None:
    async with app.run_test(size=(140, 40)) as pilot:
        tree = await opened(pilot)
        await pilot.press("t")
        await until(pilot, lambda: "1 solved" in shown(pilot, "#status"))
        assert events_tested_by(store, "erd", 1) == {ids[1]}
        await until(pilot, lambda: tree.shown.leaves[ids[1]].state == "solved")
        await until(pilot, lambda: "✓ passed" in shown(pilot, "#detail Static"))
        assert tree.current == ids[1]
        await pilot.press("T")
        await until(pilot, lambda: len(server.asked) == 5 and "5 hard negatives tested" in shown(pilot, "#status"))
        assert events_tested_by(store, "erd", 1) == set(ids[:5])
        await pilot.press("t")
        await until(pilot, lambda: "1 hard negative tested: 1 solved" in shown(pilot, "#status"))
        assert len(server.asked) == 5, "nothing is asked twice"


async def test_x_stops_a_test_and_keeps_what_was_answered(
    app: FinetuneApp, ids: list[int], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = threading.Event()
    server = Answering(gate=gate)
    monkeypatch.setattr("tui.hard.jobs.open_backend", lambda home, config: server)
    async with app.run_test(size=(140, 40)) as pilot:
        await opened(pilot)
        assert screen_of(pilot).check_action("stop", ()) is False
        await pilot.press("T")
        await until(pilot, lambda: server.asked and "x stops" in shown(pilot, "#status"))
        assert screen_of(pilot).check_action("test", (False,)) is False
        await pilot.press("x")
        await until(pilot, lambda: "stopped after 0 answers" in shown(pilot, "#status"))
        assert hard_tests.tests(store, "erd") == []
        assert screen_of(pilot).check_action("test", (False,)) is True


async def test_asked_again_the_answer_is_shown_and_recorded(
    app: FinetuneApp, ids: list[int], store: Store, server: Answering
) -> None:
    async with app.run_test(size=(140, 40)) as pilot:
        await opened(pilot)
        await pilot.press("n")
        await until(pilot, lambda: "recorded as event" in shown(pilot, "#detail Static"))
        assert "Answered again by ft-demo-erd-v1" in shown(pilot, "#detail Static")
        stored = events.get(store, max(ids) + 1)
        assert (stored.response, stored.model) == (GOOD, "ft-demo-erd-v1")
        assert stored.metadata["candidate_of"] == ids[1]
        assert screen_of(pilot).copyable() == GOOD


async def test_without_a_version_the_reason_and_the_next_step_are_told(app: FinetuneApp, store: Store) -> None:
    events.add_many(store, [failure(number) for number in range(3)])
    async with app.run_test(size=(140, 40)) as pilot:
        await opened(pilot)
        await pilot.press("t")
        await until(pilot, lambda: [one for one in app._notifications if "can answer yet" in one.message])
        assert screen_of(pilot).check_action("test", (False,)) is True


async def test_plus_asks_for_the_next_batch_and_minus_takes_it_back(
    app: FinetuneApp, ids: list[int], store: Store
) -> None:
    async with app.run_test(size=(140, 40)) as pilot:
        await opened(pilot)
        await pilot.press("plus")
        await until(pilot, lambda: "you asked for it" in shown(pilot, "#detail Static"))
        assert set(pins.open_pins(store, "erd")) == {ids[1]}
        assert screen_of(pilot).check_action("pin", (True,)) is False
        await pilot.press("minus")
        await until(pilot, lambda: "you asked for it" not in shown(pilot, "#detail Static"))
        assert pins.open_pins(store, "erd") == {}


async def test_search_filter_and_category(app: FinetuneApp, ids: list[int], store: Store) -> None:
    events.add_many(store, [failure(number, category="workflows") for number in range(2)])
    async with app.run_test(size=(140, 40)) as pilot:
        tree = await opened(pilot)
        await pilot.press("slash", *"shop", "space", "7", "-")
        await until(pilot, lambda: set(tree.shown.leaves) == {ids[7]} and tree.shown.text)
        assert tree.shown.order == (-1, ids[7]), "what a search finds is opened"
        await pilot.press("escape")
        await until(pilot, lambda: len(tree.shown.leaves) == 8)
        assert app.focused is tree
        await pilot.press("f", "f", "f", "f")
        assert "solved" in shown(pilot, "#status") and screen_of(pilot).has_class("-empty")
        await pilot.press("f", "a")
        await until(pilot, lambda: tree.shown.found.category == "workflows" and tree.shown.patterns is not None)
        assert len(tree.shown.leaves) == 2


async def test_another_screen_asks_for_a_category(app: FinetuneApp, ids: list[int], store: Store) -> None:
    events.add_many(store, [failure(number, category="workflows") for number in range(2)])
    async with app.run_test(size=(140, 40)) as pilot:
        await opened(pilot)
        app.open("dashboard")
        app.open("hard", category="workflows")
        await until(pilot, lambda: tree_of(pilot).shown.found.category == "workflows")


async def test_enter_opens_it_in_review(app: FinetuneApp, ids: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, dict[str, object]]] = []
    async with app.run_test(size=(140, 40)) as pilot:
        await opened(pilot)
        monkeypatch.setattr(app, "open", lambda mode, **more: asked.append((mode, more)))
        await pilot.press("enter")
        await pilot.pause()
    assert asked == [("review", {"event": ids[1], "category": "erd"})]


async def test_a_restart_finds_the_place_the_filter_and_what_was_open(
    new_app: Callable[[], FinetuneApp], ids: list[int]
) -> None:
    app = new_app()
    async with app.run_test(size=(140, 40)) as pilot:
        tree = await opened(pilot)
        await pilot.press("f", "f", "f", "f", "f", "G", "l", "j")
        await until(pilot, lambda: tree.shown.filter == "all" and tree.current in (ids[5], ids[6], ids[7]))
        at, keys = tree.current, tree.shown.opened
        await pilot.press("1")
    again = new_app()
    async with again.run_test(size=(140, 40)) as pilot:
        tree = await opened(pilot)
        await until(pilot, lambda: tree.current == at)
        assert (tree.shown.filter, tree.shown.opened) == ("all", keys)


async def test_nothing_is_known_says_what_brings_some(app: FinetuneApp) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("4")
        await until(pilot, lambda: pilot.app.screen_stack[0].has_class("-empty"))
        text = shown(pilot, "#nothing")
        assert "No hard negative is known" in text and "opens Review" in text and "Scoreboard" in text


async def test_a_list_that_cannot_be_read_says_so_in_its_place(
    app: FinetuneApp, ids: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise OSError("the disk is gone")

    monkeypatch.setattr("tui.hard.loader.read_list", broken)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("4")
        await until(pilot, lambda: pilot.app.screen_stack[0].has_class("-empty"))
        assert "the disk is gone" in shown(pilot, "#nothing")
        assert screen_of(pilot).query_one(Empty).display


async def test_hostile_texts_reach_the_screen_inert(app: FinetuneApp, store: Store, hostile: list[str]) -> None:
    bad = {"kind": "[/]\x1b[31m", "message": "\n".join(hostile), "line": 1, "severity": "error"}
    events.add_many(store, [failure(number, finding=bad) for number in range(3)])
    async with app.run_test(size=(140, 40)) as pilot:
        await opened(pilot)
        await pilot.press("g")
        await until(pilot, lambda: "Where they stand" in shown(pilot, "#detail Static"))
        assert "\x1b" not in shown(pilot, "#detail Static")
