"""Much at once: thousands of messages, keys and rows, and somebody who never stops writing. Counted, not timed."""

from __future__ import annotations

import threading
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import pytest
from pilot_kit import settle, until
from textual.app import App, ComposeResult
from textual.content import Content
from textual.message import Message
from textual.pilot import Pilot

from core.paths import Home
from storage import events, search
from storage.db import Store, open_store
from storage.errors import StoreError
from storage.rows import NewEvent
from tui.app import FinetuneApp
from tui.messages import StoreChanged
from tui.overview import Trends
from tui.review import queue as review_queue
from tui.review.queue import Rest, read_news, read_rest
from tui.screens import dashboard
from tui.screens.base import BaseScreen
from tui.screens.review import ReviewScreen
from tui.stale import reading
from tui.widgets.search_line import SearchLine
from tui.widgets.virtual_table import VirtualTable

SIZE = (100, 30)
MANY = 100_000


async def review_on(pilot: Pilot[None], query: str) -> ReviewScreen:
    """The review with all that a query finds."""
    app = pilot.app
    assert isinstance(app, FinetuneApp)
    app.open("review", query=query)
    await until(pilot, lambda: isinstance(app.screen, ReviewScreen) and app.screen.is_mounted)
    screen = app.screen
    assert isinstance(screen, ReviewScreen)
    await until(pilot, lambda: hasattr(screen, "queue") and screen.queue.complete)
    return screen


async def test_two_thousand_changes_are_a_few_readings(
    app: FinetuneApp, monkeypatch: pytest.MonkeyPatch, five: list[int]
) -> None:
    handled: Counter[type[Message]] = Counter()
    read = []
    original = dashboard._read

    def counted(home: Home, trends: Trends | None) -> object:
        read.append(1)
        return original(home, trends)

    monkeypatch.setattr(dashboard, "_read", counted)
    async with app.run_test(size=SIZE, message_hook=lambda message: handled.update([type(message)])) as pilot:
        await until(pilot, lambda: bool(read))
        await app.workers.wait_for_complete()
        read.clear()
        handled.clear()
        for _ in range(2_000):
            app.post_message(StoreChanged())
        await until(pilot, lambda: bool(read))
        await settle(pilot)
        await app.workers.wait_for_complete()
        await pilot.press("j")
        assert handled[StoreChanged] < 100, "those that wait become one"
        assert len(read) <= 10
        assert app.is_running


async def test_a_slow_reading_is_not_begun_anew_at_every_change(
    app: FinetuneApp, monkeypatch: pytest.MonkeyPatch, five: list[int]
) -> None:
    begun, gate, original = [], threading.Event(), dashboard._read

    def slow(home: Home, trends: Trends | None) -> object:
        begun.append(1)
        gate.wait(60.0)
        return original(home, trends)

    async with app.run_test(size=SIZE) as pilot:
        await app.workers.wait_for_complete()
        monkeypatch.setattr(dashboard, "_read", slow)
        for _ in range(30):
            app.post_message(StoreChanged())
            await pilot.pause(0.005)
        await until(pilot, lambda: bool(begun))
        for _ in range(30):
            app.post_message(StoreChanged())
            await pilot.pause(0.005)
        assert len(begun) == 1, "one at a time"
        gate.set()
        await pilot.pause(0.1)
        assert len(begun) == 1, "and then it rests: it took long"


@contextmanager
def writing(home: Home, an_event: Callable[..., NewEvent]) -> Iterator[list[int]]:
    """Somebody else commits events, one after the other, until the block ends; their ids."""
    stop, added = threading.Event(), list[int]()

    def write() -> None:
        with open_store(home.store) as store:
            number = 1_000
            while not stop.wait(0.002):
                number += 1
                added.append(events.add(store, an_event(number)))

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield added
    finally:
        stop.set()
        thread.join()


async def test_a_queue_grows_while_somebody_writes_and_nothing_moves_under_the_eyes(
    app: FinetuneApp, home: Home, an_event: Callable[..., NewEvent], five: list[int]
) -> None:
    async with app.run_test(size=SIZE) as pilot:
        screen = await review_on(pilot, "is:pending sort:newest")
        with writing(home, an_event) as added:
            await until(pilot, lambda: len(screen.table.ids) > 5)
            assert screen.table.current == five[0] and list(screen.table.ids[:5]) == five
            await pilot.press("j", "j")
            assert screen.table.current == five[2]
            await until(pilot, lambda: len(added) > 60)
        await until(pilot, lambda: len(screen.table.ids) == 5 + len(added))
        assert list(screen.table.ids) == [*five, *added], "each once, in the order in which they came"


async def test_what_came_in_while_the_queue_was_read_is_there_once(
    app: FinetuneApp, home: Home, store: Store, monkeypatch: pytest.MonkeyPatch,
    an_event: Callable[..., NewEvent], five: list[int],
) -> None:  # fmt: skip
    """The last id is looked up before the list is read: what is added between the two is in both."""
    original, added = search.newest, list[int]()

    def late(*arguments: object, **named: object) -> object:
        if not added:
            with open_store(home.store) as other:
                added.extend(events.add_many(other, [an_event(number) for number in (50, 51)]))
        return original(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(review_queue, "newest", late)
    async with app.run_test(size=SIZE) as pilot:
        screen = await review_on(pilot, "sort:newest")
        more = events.add(store, an_event(60))
        await until(pilot, lambda: more in screen.table.ids)
        assert list(screen.table.ids) == [*reversed(added), *five, more]


class ListApp(App[None]):
    """A list of very many rows; `fetched` counts those that were read."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched = 0
        self.drawn: list[int] = []
        self.table: VirtualTable[int] = VirtualTable(self._fetch, self._draw)

    def _fetch(self, ids: Sequence[int]) -> Mapping[int, int]:
        self.fetched += len(ids)
        return {item_id: item_id for item_id in ids}

    def _draw(self, row: int, width: int) -> Content:
        self.drawn.append(row)
        return Content(f"row {row}")

    def compose(self) -> ComposeResult:
        yield self.table

    def on_mount(self) -> None:
        self.table.show(array("q", range(MANY)))
        self.table.focus()


async def test_five_thousand_keys_at_once_move_by_five_thousand_lines() -> None:
    app = ListApp()
    async with app.run_test(size=(60, 20)) as pilot:
        await pilot.pause()
        for _ in range(5_000):
            app.simulate_key("j")
        await until(pilot, lambda: app.table.cursor == 5_000)
        for key in ("k",) * 2_000 + ("G", "home", "pagedown"):
            app.simulate_key(key)
        await until(pilot, lambda: app.table.cursor == app.table.size.height - 1)
        assert app.fetched < 20_000, "what was passed over is not read"


async def test_a_list_of_very_many_rows_reads_what_it_shows() -> None:
    app = ListApp()
    async with app.run_test(size=(60, 20)) as pilot:
        await pilot.pause()
        await pilot.press("end")
        assert app.table.current == MANY - 1
        assert app.table.go_to(77_777) and app.table.current == 77_777
        app.table.replace_tail(77_780, array("q", range(200_000, 300_000)))
        assert len(app.table.ids) == 177_780 and app.table.current == 77_777
        app.table.replace_tail(77_780, array("q", [5, 6]), 77_782)
        assert list(app.table.ids[77_778:77_784]) == [77_778, 77_779, 5, 6, 200_002, 200_003]
        app.table.show(app.table.ids, current=200_002)
        await pilot.pause()
        assert app.table.cursor == 77_782 and app.fetched < 1_000


async def test_a_key_draws_two_lines_and_a_changed_row_its_own() -> None:
    app = ListApp()
    async with app.run_test(size=(60, 20)) as pilot:
        await until(pilot, lambda: set(app.drawn) >= set(range(19)))
        await pilot.pause(0.1)
        app.drawn.clear()
        await pilot.press("j")
        await until(pilot, lambda: app.drawn)
        await pilot.pause(0.1)
        assert set(app.drawn) == {0, 1} and len(app.drawn) <= 4
        app.drawn.clear()
        app.table.reread([7, 50_000])
        await until(pilot, lambda: app.drawn)
        await pilot.pause(0.1)
        assert set(app.drawn) == {7}
        app.table.reread()
        await until(pilot, lambda: set(app.drawn) >= set(range(19)))


class LineApp(App[None]):
    def __init__(self) -> None:
        super().__init__()
        self.typed: list[str] = []

    def compose(self) -> ComposeResult:
        yield SearchLine(placeholder="")

    def on_search_line_typed(self, event: SearchLine.Typed) -> None:
        self.typed.append(event.text)


async def test_a_search_follows_every_key_and_of_many_at_once_the_last() -> None:
    app = LineApp()
    async with app.run_test() as pilot:
        await pilot.press("a")
        await pilot.press("b")
        assert app.typed == ["a", "ab"]
        for letter in "cdefghijkl" * 40:
            app.simulate_key(letter)
        await until(pilot, lambda: bool(app.typed) and app.typed[-1] == "ab" + "cdefghijkl" * 40)
        assert len(app.typed) < 200
        app.query_one(SearchLine).load("put there")
        await pilot.pause(0.05)
        assert app.typed[-1] != "put there"


async def test_a_query_ends_when_a_newer_one_takes_its_place(app: FinetuneApp, home: Home, five: list[int]) -> None:
    begun, ended = threading.Event(), list[str]()
    endless = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"

    def old() -> None:
        try:
            with reading(home.store) as store:
                begun.set()
                store.value(endless)
        except StoreError as error:
            ended.append(error.message)

    async with app.run_test(size=SIZE) as pilot:
        screen = app.screen
        assert isinstance(screen, BaseScreen)
        screen.in_background(old, group="search", description="old")
        await until(pilot, begun.is_set)
        screen.in_background(lambda: ended.append("new"), group="search", description="new")
        await until(pilot, lambda: len(ended) == 2)
        assert "new" in ended and any("interrupt" in one for one in ended)


def test_the_rest_of_a_queue_goes_below_what_is_shown(home: Home, store: Store, five: list[int]) -> None:
    choice = review_queue.choose("sort:newest")
    rest = read_rest(home, choice, (), five[:2])
    assert list(rest.after(five[:2])) == five[2:]
    assert list(rest.after([*five[:2], five[4], 999])) == [five[2], five[3]]
    assert list(Rest(array("q", [1, 2, 3]), frozenset(), {}).after([])) == [1, 2, 3]
    assert list(read_news(home, choice, five[3])) == [five[2], five[1], five[0]]
    assert list(read_news(home, choice, five[3], [five[1], five[4]])) == [five[2], five[0]]
