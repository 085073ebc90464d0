"""Work in threads: what is asked for in turn runs after what runs, the newest wish wins, and none cancels another."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial

from pilot_kit import PATIENCE, settle, until

from tui.app import FinetuneApp
from tui.screens.base import BaseScreen


async def test_a_wish_made_by_the_result_replaces_the_one_that_waits(app: FinetuneApp) -> None:
    async with app.run_test() as pilot:
        screen = app.screen
        assert isinstance(screen, BaseScreen)
        gate, begun, results = threading.Event(), [], []

        def work(name: str) -> str:
            begun.append(name)
            gate.wait(PATIENCE)
            return name

        def ask(name: str, then: Callable[[str], None] = results.append) -> None:
            screen.in_background(partial(work, name), group="g", description=name, then=then, in_turn=True)

        def first_came(name: str) -> None:
            results.append(name)
            ask("wished by the result")

        ask("first", first_came)
        ask("waits")
        await until(pilot, lambda: begun == ["first"])
        gate.set()
        await until(pilot, lambda: len(results) == 2)
        await settle(pilot)
        assert results == begun == ["first", "wished by the result"]


async def test_work_that_the_result_starts_at_once_voids_the_one_that_waits(app: FinetuneApp) -> None:
    async with app.run_test() as pilot:
        screen = app.screen
        assert isinstance(screen, BaseScreen)
        gate, results = threading.Event(), []

        def first_came(name: str) -> None:
            results.append(name)
            screen.in_background(lambda: time.sleep(0.05) or "at once", group="g", description="x", then=results.append)

        def first() -> str:
            gate.wait(PATIENCE)
            return "first"

        screen.in_background(first, group="g", description="first", then=first_came)
        screen.in_background(lambda: "waits", group="g", description="w", then=results.append, in_turn=True)
        gate.set()
        await until(pilot, lambda: len(results) == 2)
        await settle(pilot)
        assert results == ["first", "at once"]
