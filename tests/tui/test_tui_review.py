from __future__ import annotations

import threading
from array import array
from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import blake2b

import pytest
from pilot_kit import settle, until
from textual.message import Message
from textual.pilot import Pilot
from textual.widgets import Static, TextArea

from core.errors import StoreError
from core.paths import Home
from storage import events, judgments, pairs
from storage.db import Store
from storage.rows import NewEvent
from tui.app import FinetuneApp
from tui.messages import Written
from tui.review import queue_loader, standing_loader
from tui.review.queue import Choice, read_order
from tui.screens.edit import EditScreen
from tui.widgets.event_pane import EventPane
from tui.widgets.query_chips import QueryChips
from tui.widgets.search_line import SearchLine
from tui.widgets.virtual_table import VirtualTable

SIZE = (120, 40)


async def open_review(pilot: Pilot[None], order: str = "newest") -> None:
    await pilot.press("2")
    await settle(pilot)
    for _ in range(3):
        if chips(pilot).endswith(order) or f"sort:{order}" in chips(pilot):
            break
        await pilot.press("o")
        await settle(pilot)
    await pilot.press("home")
    await settle(pilot)


def text_of(pilot: Pilot[None], selector: str) -> str:
    return str(pilot.app.screen.query_one(selector, Static).visual)


def chips(pilot: Pilot[None]) -> str:
    return pilot.app.screen.query_one(QueryChips).text


def queue_of(pilot: Pilot[None]) -> VirtualTable[object]:
    return pilot.app.screen.query_one(VirtualTable)


def shown(pilot: Pilot[None]) -> str:
    return str(pilot.app.screen.query_one(EventPane).query_one(Static).visual)


async def test_one_key_judges_and_the_next_event_is_there(app: FinetuneApp, store: Store, five: list[int]) -> None:
    seen: list[type[Message]] = []
    async with app.run_test(size=SIZE, message_hook=lambda message: seen.append(type(message))) as pilot:
        await open_review(pilot)
        seen.clear()
        await pilot.press("g")
        assert queue_of(pilot).current == five[1]
        assert "diagram number 3" in shown(pilot)
        await settle(pilot)
        assert VirtualTable.Moved in seen and Written in seen
        await pilot.press("b", "x", "s")
        await settle(pilot)
        assert "4 done" in text_of(pilot, "#status")
    assert [events.get(store, one).verdict for one in five] == ["good", "bad", "reject", "skip", None]
    assert all((judgments.current(store, one) or pytest.fail()).seconds is not None for one in five[:4])


async def test_undo_goes_to_what_it_undoes_and_redo_restores_it(
    app: FinetuneApp, store: Store, five: list[int]
) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await open_review(pilot)
        await pilot.press("g", "b", "u")
        await settle(pilot)
        assert queue_of(pilot).current == five[1]
        assert f"undone: ✗ bad on #{five[1]}" in text_of(pilot, "#status")
        await pilot.press("u", "u")
        await settle(pilot)
        assert [events.get(store, one).verdict for one in five[:2]] == [None, None]
        assert "nothing left to be undone" in text_of(pilot, "#status")
        await pilot.press("U", "U")
        await settle(pilot)
        assert [events.get(store, one).verdict for one in five[:2]] == ["good", "bad"]
        assert queue_of(pilot).current == five[1]


async def test_undo_goes_on_after_a_restart(new_app: Callable[[], FinetuneApp], store: Store, five: list[int]) -> None:
    async with new_app().run_test(size=SIZE) as pilot:
        await open_review(pilot)
        await pilot.press("g", "b")
    async with new_app().run_test(size=SIZE) as pilot:
        await open_review(pilot)
        assert len(queue_of(pilot).ids) == 3
        await pilot.press("u")
        await settle(pilot)
        assert queue_of(pilot).current == five[1]
    assert [events.get(store, one).verdict for one in five[:2]] == ["good", None]


async def test_a_correction_is_written_with_its_score_and_becomes_a_pair(
    app: FinetuneApp, store: Store, five: list[int]
) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await open_review(pilot)
        await pilot.press("c")
        assert isinstance(app.screen, EditScreen)
        await pilot.press("ctrl+s")
        assert isinstance(app.screen, EditScreen), "an unchanged response is no correction"
        app.screen.query_one(TextArea).move_cursor((1, 4))
        await pilot.press("V", "I", "P")
        await settle(pilot)
        assert "+     VIPCUSTOMER" in text_of(pilot, "#diff")
        assert "score 4 → " in text_of(pilot, "#score")
        await pilot.press("ctrl+s")
        await settle(pilot)
        assert queue_of(pilot).current == five[1]
    row = events.get(store, five[0])
    assert (row.verdict, "VIPCUSTOMER" in (row.correction or "")) == ("correct", True)
    assert pairs.list_pairs(store, "erd")[0].chosen == row.correction


async def test_escape_keeps_the_draft_and_c_goes_on_with_it(app: FinetuneApp, store: Store, five: list[int]) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await open_review(pilot)
        await pilot.press("c", "H", "i", "escape")
        await settle(pilot)
        assert queue_of(pilot).current == five[0]
        assert "a correction was begun" in shown(pilot)
        await pilot.press("c")
        assert app.screen.query_one(TextArea).text.startswith("HierDiagram")
    assert events.get(store, five[0]).verdict is None


async def test_search_narrows_the_queue_as_one_types(app: FinetuneApp, five: list[int]) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await open_review(pilot)
        await pilot.press("slash", *"number 3")
        await settle(pilot)
        assert list(queue_of(pilot).ids) == [five[1]]
        await pilot.press("enter", "g")
        await settle(pilot)
        await pilot.press("escape")
        await settle(pilot)
        assert app.screen.query_one(SearchLine).value == ""
        assert list(queue_of(pilot).ids) == [five[0], *five[2:]]


async def test_a_search_without_a_hit_says_how_to_leave_it(app: FinetuneApp, five: list[int]) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await open_review(pilot)
        await pilot.press("slash", *"zebra")
        await settle(pilot)
        assert "Nothing matches: is:pending sort:newest zebra" in text_of(pilot, "#nothing")
        await pilot.press("escape")
        await settle(pilot)
        assert list(queue_of(pilot).ids) == five


async def test_filters_and_orders_cycle_and_are_remembered(
    new_app: Callable[[], FinetuneApp], store: Store, five: list[int]
) -> None:
    judgments.judge(store, five[2], "bad", now=1.0)
    async with new_app().run_test(size=SIZE) as pilot:
        await open_review(pilot, order="score")
        assert list(queue_of(pilot).ids) == [five[4], five[3], five[1], five[0]]
        await pilot.press("f", "f", "f")
        await settle(pilot)
        assert list(queue_of(pilot).ids) == [five[2]]
        await pilot.press("1")
        await settle(pilot)
    async with new_app().run_test(size=SIZE) as pilot:
        await pilot.press("2")
        await settle(pilot)
        assert "f is:bad ×" in chips(pilot) and "o sort:score ×" in chips(pilot)
        assert list(queue_of(pilot).ids) == [five[2]]


async def test_new_events_join_the_queue_and_the_cursor_stays(
    app: FinetuneApp, store: Store, five: list[int], an_event: Callable[..., NewEvent]
) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await open_review(pilot)
        await pilot.press("j")
        added = events.add(store, an_event(77))
        await until(pilot, lambda: list(queue_of(pilot).ids) == [*five, added])
        assert queue_of(pilot).current == five[1]


async def test_an_empty_store_says_where_to_begin_and_offers_no_judging(app: FinetuneApp) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("2")
        await settle(pilot)
        assert "Nothing to review yet." in text_of(pilot, "#nothing")
        keys = {key for key, active in app.screen.active_bindings.items() if active.binding.show and active.enabled}
        assert "g" not in keys and "c" not in keys
        await pilot.press("g", "c", "u")
        await settle(pilot)


async def test_a_queue_that_cannot_be_read_says_why_and_another_can_be_opened(
    app: FinetuneApp, five: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(home: Home, choice: Choice, labelled: Sequence[int] = ()) -> None:
        raise StoreError("The disk [/] is gone.", hint="Plug it in.")

    async with app.run_test(size=SIZE) as pilot:
        with monkeypatch.context() as broken:
            broken.setattr(queue_loader, "read_queue", fail)
            await pilot.press("2")
            await settle(pilot)
            assert "The disk [/] is gone. Plug it in." in text_of(pilot, "#nothing")
        await pilot.press("f")
        await settle(pilot)
        assert len(queue_of(pilot).ids) == 5
        assert not app.screen.has_class("-empty")


@pytest.mark.parametrize("size", [(80, 24), (140, 40)])
async def test_queue_and_event_are_stacked_when_it_is_narrow(
    app: FinetuneApp, five: list[int], size: tuple[int, int]
) -> None:
    async with app.run_test(size=size) as pilot:
        await open_review(pilot)
        queue, event = queue_of(pilot).region, app.screen.query_one(EventPane).region
        if size[0] < 100:
            assert event.y >= queue.bottom and event.width == queue.width == size[0]
        else:
            assert event.x >= queue.right and event.y == queue.y
        assert app.screen.region.contains_region(event)


async def test_hostile_text_is_shown_inert(
    home: Home, store: Store, hostile: list[str], an_event: Callable[..., NewEvent]
) -> None:
    storable = [text for text in hostile if not text.startswith("\ud800")]
    for number, text in enumerate(storable):
        events.add(store, an_event(number, prompt=text, response=text))
    app = FinetuneApp(home)
    async with app.run_test(size=SIZE) as pilot:
        await open_review(pilot)
        for _ in storable:
            await pilot.press("c")
            await settle(pilot)
            await pilot.press("escape", "b")
            await settle(pilot)
    assert all(row.verdict == "bad" for row in events.iter_events(store, events.EventFilter()))


async def test_an_answer_from_a_chat_shows_the_turns_before_it(
    home: Home, store: Store, an_event: Callable[..., NewEvent]
) -> None:
    turns = [{"role": "user", "content": "Draw [bold]a shop"}, {"role": "assistant", "content": "erDiagram \x1b[31m"}]
    events.add(store, replace(an_event(1, prompt="Add orders"), history=turns))
    app = FinetuneApp(home)
    async with app.run_test(size=SIZE) as pilot:
        await open_review(pilot)
        text = shown(pilot)
    assert text.index("Earlier in this chat (2 turns)") < text.index("user: Draw [bold]a shop") < text.index("Prompt\n")
    assert "\x1b" not in text


def unlike(number: int) -> str:
    """A prompt that no other one is like."""
    return f"Asked is {blake2b(bytes([number])).hexdigest()}"


@pytest.fixture
def thirty(store: Store, an_event: Callable[..., NewEvent]) -> list[int]:
    """Pairs of events that are much alike: the odd ones repeat the even ones before them, and score a little higher."""
    topics = [unlike(number) for number in range(15)]
    return events.add_many(
        store,
        [
            an_event(2 * number + twin, prompt=topic + "x" * twin, response=topic, score=10.0 + number + 0.4 * twin)
            for number, topic in enumerate(topics)
            for twin in (0, 1)
        ],
    )


async def test_labels_reorder_what_was_not_reached_and_nothing_else(
    app: FinetuneApp, home: Home, thirty: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue_loader, "LABELS_UNTIL_ORDERED", 3)
    async with app.run_test(size=SIZE) as pilot:
        await open_review(pilot, order="informative")
        table = queue_of(pilot)
        before = list(table.ids)
        table.show(array("q", thirty))  # an order in which twins follow each other
        await pilot.press("g", "b", "s", "x")
        await settle(pilot)
        assert sorted(before) == thirty
        after = list(table.ids)
        assert after[:8] == thirty[:8], "up to the third one below the cursor nothing moves"
        assert table.current == thirty[4]
        labelled = [thirty[0], thirty[1], thirty[3]]
        assert after[8:] == list(read_order(home, thirty[8:], [*labelled, *thirty[4:8]]))
        assert after[8:] != thirty[8:]
        assert sorted(after) == thirty, "none is lost, none is there twice"
        await pilot.press("u")
        await settle(pilot)
        assert table.current == thirty[3]
        assert list(table.ids)[:8] == thirty[:8]


async def test_the_order_follows_a_single_label_after_a_while(
    app: FinetuneApp, thirty: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue_loader, "SECONDS_UNTIL_ORDERED", 0.05)
    async with app.run_test(size=SIZE) as pilot:
        await open_review(pilot, order="informative")
        table = queue_of(pilot)
        table.show(array("q", thirty))
        await pilot.press("g")
        await settle(pilot)
        assert list(table.ids)[:5] == thirty[:5]
        assert list(table.ids) != thirty
        assert sorted(table.ids) == thirty
        table.show(array("q", thirty))
        await pilot.press("s")
        await settle(pilot)
        assert list(table.ids) == thirty, "a skip says nothing about what teaches"


async def test_an_order_that_comes_late_moves_only_what_is_still_below(
    app: FinetuneApp, thirty: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue_loader, "LABELS_UNTIL_ORDERED", 1)
    go_on = threading.Event()

    def late(home: Home, ids: Sequence[int], labelled: Sequence[int]) -> array[int]:
        go_on.wait(60.0)
        return array("q", reversed(ids))

    monkeypatch.setattr(queue_loader, "read_order", late)
    async with app.run_test(size=SIZE) as pilot:
        await open_review(pilot, order="informative")
        table = queue_of(pilot)
        table.show(array("q", thirty))
        await pilot.press("g", *"jjjjjjjj")
        go_on.set()
        await settle(pilot)
        assert table.current == thirty[9]
        assert list(table.ids)[:13] == thirty[:13]
        assert list(table.ids)[13:] == list(reversed(thirty[13:]))
        await pilot.press("o")
        await settle(pilot)
        newest = list(table.ids)
        await pilot.press("home", "g")
        await settle(pilot)
        assert list(table.ids) == newest, "only the informative order follows what is labelled"


async def test_why_shows_the_next_batch_once_it_is_known(
    app: FinetuneApp, store: Store, an_event: Callable[..., NewEvent], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standing_loader, "SETTLE_SECONDS", 60.0)
    ids = events.add_many(
        store,
        [
            replace(
                an_event(number, prompt=unlike(number), response=unlike(number + 50), score=99.0),
                feedback_type="success",
                bucket=60,
            )
            for number in range(4)
        ],
    )
    async with app.run_test(size=SIZE) as pilot:
        await open_review(pilot)
        assert "next batch …" in shown(pilot)
        assert "Why (w for all of it)" in shown(pilot)
        monkeypatch.setattr(standing_loader, "SETTLE_SECONDS", 0.05)
        judgments.judge(store, ids[0], "good", now=1.0)
        await until(pilot, lambda: "\nin the next batch: place " in shown(pilot))
        await pilot.press("w")
        text = shown(pilot)
        assert text.index("Why\n") < text.index("Prompt\n")
        for title in ("training", "gate", "split", "reward", "quality", "difficulty", "uncertainty"):
            assert f"\n{title}  " in text
        await pilot.press("j")
        await settle(pilot)
        assert "Why\n" in shown(pilot), "it stays so for the next event"
        assert "…" not in shown(pilot).split("Prompt\n")[0]
        monkeypatch.setattr(standing_loader, "SETTLE_SECONDS", 60.0)
        judgments.judge(store, ids[1], "good", now=2.0)
        await until(pilot, lambda: " …" in shown(pilot).split("gate")[0])  # out of date, and it says so
        assert "balance" in shown(pilot)


async def test_moving_the_cursor_reads_no_whole_category(
    app: FinetuneApp, five: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def count(home: Home, category: str) -> None:
        asked.append(category)

    monkeypatch.setattr(standing_loader, "read_standings", count)
    monkeypatch.setattr(standing_loader, "SETTLE_SECONDS", 0.05)
    async with app.run_test(size=SIZE) as pilot:
        await open_review(pilot)
        await settle(pilot)
        read = list(asked)
        assert set(read) == {"erd"}
        await pilot.press(*"jjkjk")
        await settle(pilot)
        assert asked == read
