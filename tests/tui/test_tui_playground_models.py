"""The playground with the shipped model in real processes: answers, votes, a crash, and nothing left behind."""

from __future__ import annotations

import os
import signal
from dataclasses import replace

import psutil
import pytest
from pilot_kit import until
from textual.pilot import Pilot

from storage import events, pairs
from storage.db import Store
from storage.rows import EventFilter
from tui.app import FinetuneApp
from tui.screens.playground import PlaygroundScreen
from tui.tabs import key_of
from tui.widgets.answer_pane import AnswerPane

pytestmark = pytest.mark.process
PROMPT = "Create an ER diagram of customers, orders and products."


BEFORE: set[int] = set()
"""Children that tests of other files hold."""


@pytest.fixture(autouse=True)
def _remember_the_others() -> None:
    BEFORE.clear()
    BEFORE.update(child.pid for child in psutil.Process().children())


def served() -> list[psutil.Process]:
    """Children that hold models since the test began; dead ones that nobody reaped are among them."""
    return [
        child
        for child in psutil.Process().children()
        if child.pid not in BEFORE
        and (child.status() == psutil.STATUS_ZOMBIE or any("llamacpp_child" in word for word in child.cmdline()))
    ]


def screen(app: FinetuneApp) -> PlaygroundScreen:
    front = app.front
    assert isinstance(front, PlaygroundScreen)
    return front


async def begin(pilot: Pilot[None], app: FinetuneApp) -> None:
    """Open the playground with the shipped model on both sides."""
    await pilot.press(key_of("playground"))
    await until(pilot, lambda: isinstance(app.front, PlaygroundScreen) and screen(app)._model == "demo")
    screen(app)._own.settings = replace(screen(app)._own.settings, b="demo", temperature=1.0, seed=3)
    await pilot.press("enter")
    screen(app).box.put(PROMPT)
    await pilot.press("ctrl+s")
    await until(pilot, lambda: over(app))


def over(app: FinetuneApp) -> bool:
    return all(not take.running for take in screen(app).session.takes.values())


async def test_an_empty_home_answers_and_learns(app: FinetuneApp, store: Store) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await begin(pilot, app)
        takes = screen(app).session.takes
        assert {arm: take.state for arm, take in takes.items()} == {"a": "done", "b": "done"}
        assert takes["a"].text == takes["b"].text  # one model, one seed
        assert takes["a"].text.startswith("erDiagram")
        assert len(served()) == 2
        await pilot.press("r")  # the one on the left, with another seed
        await until(pilot, lambda: over(app) and screen(app).session.takes["a"].usable)
        assert len(served()) == 2
        await pilot.press("left_square_bracket")
        await until(pilot, lambda: pairs.count(store, "erd"))
        left, right = (screen(app).session.takes[arm] for arm in ("a", "b"))
        (pair,) = pairs.list_pairs(store, "erd")
        assert (pair.chosen, pair.rejected) == (left.text, right.text)
        found = list(events.iter_events(store, EventFilter()))
        assert {event.source for event in found} == {"playground"}
        assert {left.event_id, right.event_id} <= {event.id for event in found}
    assert served() == []


async def test_a_child_that_is_killed_in_the_middle_is_replaced(app: FinetuneApp) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await begin(pilot, app)
        victim = next(pid for pid in screen(app).desk.pids())
        os.kill(victim, signal.SIGSTOP)  # so that it is in the middle when it is killed
        await pilot.press("ctrl+s")
        await until(pilot, lambda: sum(take.running for take in screen(app).session.takes.values()) == 1)
        os.kill(victim, signal.SIGKILL)
        await until(pilot, lambda: over(app))
        states = {take.state: arm for arm, take in screen(app).session.takes.items()}
        assert set(states) == {"failed", "done"}
        place = 0 if screen(app).session.arm_at(0) == states["failed"] else 1
        pane = list(screen(app).query(AnswerPane))[place]
        app.set_focus(pane)
        await pilot.pause(0.1)
        await pilot.press("r")
        await until(pilot, lambda: over(app))
        assert all(take.state == "done" for take in screen(app).session.takes.values())
        assert victim not in screen(app).desk.pids()
        assert len(served()) == 2
    assert served() == []


async def test_leaving_in_the_middle_of_an_answer_leaves_no_process(app: FinetuneApp) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await begin(pilot, app)
        for pid in screen(app).desk.pids():
            os.kill(pid, signal.SIGSTOP)
        await pilot.press("ctrl+s")
        await pilot.pause(0.2)
        assert not over(app)
    assert served() == []
