"""Writes of the app while another process keeps the store."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import pytest
from pilot_kit import until

from core.errors import BusyError, StoreError
from core.paths import Home
from storage import ui_state
from storage.db import Store
from tui.app import FinetuneApp
from tui.screens.review import ReviewScreen
from tui.tabs import key_of


@pytest.fixture
def lock(home: Home, store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[sqlite3.Connection]:
    """Another process's connection, and an app that waits for a twentieth of a second at a time."""
    monkeypatch.setattr("storage.db.BUSY_SECONDS", 0.05)
    other = sqlite3.connect(home.store, isolation_level=None)
    yield other
    other.close()


def titles(app: FinetuneApp) -> list[str]:
    return [note.title for note in app._notifications]


async def test_what_is_said_while_the_store_is_busy_waits_and_is_kept_in_order(
    lock: sqlite3.Connection, store: Store, five: list[int], app: FinetuneApp
) -> None:
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.press(key_of("review"))
        await until(pilot, lambda: isinstance(app.screen, ReviewScreen) and not app.screen._tasks and not app.writing)
        lock.execute("BEGIN IMMEDIATE")
        await pilot.press("g", "b", "u")
        await until(pilot, lambda: "The store is busy" in titles(app))
        assert len(app.writing) == 3
        lock.execute("ROLLBACK")
        await until(pilot, lambda: not app.writing)
        verdicts = [row[0] for row in store.rows("SELECT verdict FROM events WHERE verdict IS NOT NULL")]
        assert verdicts == ["good"]
        kinds = [row[0] for row in store.rows("SELECT kind FROM judgments ORDER BY id")]
        assert kinds[:2] == ["good", "bad"]
        await until(pilot, lambda: any("is saved" in note.message for note in app._notifications))


async def test_what_was_changed_in_part_is_not_done_twice(
    lock: sqlite3.Connection, store: Store, app: FinetuneApp
) -> None:
    tries: list[int] = []

    def work(own: Store) -> None:
        tries.append(1)
        ui_state.save(own, "counted", len(tries))
        raise BusyError("too long")

    async with app.run_test() as pilot:
        app.write(work, doing="counting")
        await until(pilot, lambda: "The store is busy" in titles(app))
        await until(pilot, lambda: not app.writing)
    assert tries == [1] and ui_state.load(store, "counted") == 1


async def test_what_cannot_be_kept_until_the_app_is_left_is_named(
    lock: sqlite3.Connection, store: Store, app: FinetuneApp
) -> None:
    async with app.run_test() as pilot:
        await until(pilot, lambda: not app.writing)
        lock.execute("BEGIN IMMEDIATE")
        app.write(lambda own: ui_state.save(own, "one", 1), doing="keeping one")
        app.write(lambda own: ui_state.save(own, "two", 2), doing="keeping two")
        await until(pilot, lambda: "The store is busy" in titles(app))
    assert app._writer.lost[:2] == ["keeping one", "keeping two"]
    lock.execute("ROLLBACK")
    assert ui_state.load(store, "one") is None


async def test_a_verdict_that_could_not_be_kept_is_asked_for_again(
    store: Store, five: list[int], app: FinetuneApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise StoreError("The disk is full.")

    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.press(key_of("review"))
        await until(pilot, lambda: isinstance(app.screen, ReviewScreen) and not app.screen._tasks)
        screen = app.screen
        assert isinstance(screen, ReviewScreen)
        monkeypatch.setattr("tui.review.session._judge", full)
        await pilot.press("g")
        await until(pilot, lambda: app._notifications)
        assert not screen._session.judged
