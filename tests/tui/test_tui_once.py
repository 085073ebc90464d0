"""A rest that is over before it has begun still ends in its call."""

from __future__ import annotations

from pilot_kit import until
from textual.app import App

from tui.once import LEAST_SECONDS, once


async def test_a_rest_of_any_length_ends_in_its_call() -> None:
    app, called = App[None](), list[float]()
    async with app.run_test() as pilot:
        for seconds in (-1.0, 0.0, 1e-9, 1e-3, LEAST_SECONDS):
            once(app, seconds, lambda seconds=seconds: called.append(seconds))  # type: ignore[misc]
        await until(pilot, lambda: len(called) == 5)
        stopped = once(app, 0.0, lambda: called.append(7.0))
        stopped.stop()
        await pilot.pause(2 * LEAST_SECONDS)
    assert sorted(called) == [-1.0, 0.0, 1e-9, 1e-3, LEAST_SECONDS]
