"""How the log looks, at a frozen time, without folder or version on them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from textual.pilot import Pilot

from core.errors import FinetuneError
from core.paths import Home
from tui.app import FinetuneApp
from tui.session_log import Entry
from tui.widgets.top_bar import TopBar

Snapshot = Callable[..., bool]
AT = "2020-01-02 03:04:05"


@pytest.fixture
def told(home: Home, monkeypatch: pytest.MonkeyPatch) -> FinetuneApp:
    """An app that has said three things."""
    monkeypatch.setattr("tui.session_log.time.strftime", lambda *_: AT)
    monkeypatch.setattr(TopBar, "on_mount", lambda bar: setattr(bar, "_home", Path("/data")), raising=False)
    app = FinetuneApp(home)
    app.session.path = Path("/data/logs/app.log")
    app.session.earlier = lambda: [  # type: ignore[method-assign]
        Entry("2020-01-01 10:00:00", "error", "", "The disk is full.", doing="saving")
    ]
    app.session.add("information", "", "Recorded 3 outputs.")
    app.session.add("warning", "A fault in keymap.toml", "review.goood: no key has this id; near it: review.good")
    return app


async def _log(pilot: Pilot[None]) -> None:
    error = FinetuneError("Ollama does not answer.", title="The model server failed", hint="Start it: ollama serve")
    app = pilot.app
    assert isinstance(app, FinetuneApp)
    app.report(error, "listing the models", toast=False)
    await pilot.press("ctrl+l")
    await app.workers.wait_for_complete()
    await pilot.pause()


async def _empty_log(pilot: Pilot[None]) -> None:
    await _log(pilot)
    pilot.app.session.entries.clear()  # type: ignore[attr-defined]
    pilot.app.session.earlier = lambda: []  # type: ignore[attr-defined]
    await pilot.press("escape", "ctrl+l", "e")


@pytest.mark.parametrize("size", [(80, 24), (140, 40)], ids=["narrow", "wide"])
@pytest.mark.parametrize("reach", [_log, _empty_log], ids=["full", "empty"])
def test_the_log(told: FinetuneApp, snap_compare: Snapshot, size: tuple[int, int], reach: object) -> None:
    assert snap_compare(told, terminal_size=size, run_before=reach)


def test_the_log_without_colour(told: FinetuneApp, snap_compare: Snapshot, monkeypatch: pytest.MonkeyPatch) -> None:
    from textual.filter import Monochrome

    told._filters.append(Monochrome())
    assert snap_compare(told, terminal_size=(80, 24), run_before=_log)


def test_the_log_in_the_light(told: FinetuneApp, snap_compare: Snapshot) -> None:
    told.theme = "dawn"
    assert snap_compare(told, terminal_size=(80, 24), run_before=_log)
