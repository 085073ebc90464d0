"""How the playground looks: empty, with two answers, with one that failed, blind, and without colour."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from pilot_kit import settle, until
from play_kit import PROMPT, FakeModels, found
from test_tui_snapshots import NOW, SIZES, Snapshot, still
from textual.pilot import Pilot
from textual.widgets import TextArea

from core.errors import BackendError
from core.paths import Home
from core.playground.take import Figures, Take
from tui.app import FinetuneApp
from tui.screens.play_asking import DRAWN_EVERY
from tui.screens.playground import PlaygroundScreen
from tui.tabs import key_of
from tui.widgets.guide_line import GuideLine

__all__ = ["still"]
FIRST = "erDiagram\n    shop ||--o{ sale : makes\n    shop {\n        int id PK\n        string name\n    }\n"
SECOND = "erDiagram\n    shop {\n        int id PK\n    }\n"

COUNTED = {"left_square_bracket": "●○●", "right_square_bracket": "●○●", "g": "(1 of 3)"}
"""What the line that leads a newcomer says when it has heard of what such a key has written."""


def script(model: str, seed: int) -> Iterator[str]:
    if model.endswith("broken"):
        raise BackendError(
            "llama.cpp was ended by signal 9 during the answer.",
            title="The model server failed",
            hint="Check free memory, then ask again.",
        )
    yield SECOND if model.endswith("other") else FIRST


@pytest.fixture(autouse=True)
def models(monkeypatch: pytest.MonkeyPatch) -> FakeModels:
    fake = FakeModels(script)
    monkeypatch.setattr("tui.screens.play_asking.Desk", fake.desk)
    monkeypatch.setattr("core.playground.choices.find", lambda home, name: found(name))
    monkeypatch.setattr(Take, "figures", property(lambda take: Figures(0.12, 1.0, 40, 84.0)))
    monkeypatch.setattr(TextArea, "cursor_blink", False)
    assert NOW
    return fake


def shows(*keys: str, answer: bool = True, **settings: Any) -> Callable[[Pilot[None]], Awaitable[None]]:
    """Open the playground, ask with these settings, then press keys."""

    async def go(pilot: Pilot[None]) -> None:
        app = pilot.app
        assert isinstance(app, FinetuneApp)
        await pilot.press(key_of("playground"))
        await until(pilot, lambda: isinstance(app.front, PlaygroundScreen) and app.front._offer is not None)
        screen = app.front
        assert isinstance(screen, PlaygroundScreen)
        screen._own.settings = replace(screen._own.settings, **settings)
        if answer:
            screen.box.put(PROMPT)
            await pilot.press("ctrl+s")
            takes = screen.session.takes
            await until(
                pilot,
                lambda: takes and all(one.validation or one.state == "failed" for one in takes.values()),
            )
        for key in keys:
            await pilot.press(key)
            await settle(pilot)
            await pilot.pause(3 * DRAWN_EVERY)
        for key in keys:
            await until(pilot, lambda key=key: COUNTED.get(key, "") in str(screen.query_one(GuideLine).render()))

    return go


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("state", ["empty", "one", "two", "failed", "blind", "voted"])
def test_snapshot_of_the_playground(state: str, size: str, home: Home, snap_compare: Snapshot) -> None:
    asked = {
        "empty": shows(answer=False),
        "one": shows(),
        "two": shows(b="ollama:other", system="Be brief."),
        "failed": shows(b="ollama:broken"),
        "blind": shows(b="demo", blind=True),
        "voted": shows("left_square_bracket", "g", b="ollama:other"),
    }
    assert snap_compare(FinetuneApp(home), terminal_size=SIZES[size], run_before=asked[state])


@pytest.mark.parametrize("size", SIZES)
def test_snapshot_of_the_options(size: str, home: Home, snap_compare: Snapshot) -> None:
    assert snap_compare(FinetuneApp(home), terminal_size=SIZES[size], run_before=shows("o", answer=False))


def test_snapshot_of_the_models(home: Home, snap_compare: Snapshot) -> None:
    assert snap_compare(FinetuneApp(home), terminal_size=SIZES["narrow"], run_before=shows("M", answer=False))


def test_snapshot_of_the_playground_without_colour(
    home: Home, snap_compare: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    run = shows("right_square_bracket", b="ollama:other")
    assert snap_compare(FinetuneApp(home), terminal_size=SIZES["narrow"], run_before=run)
