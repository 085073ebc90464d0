"""Promoting from the app while Ollama takes its time: nothing waits, every step is told, keys keep their order."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest
from pilot_kit import until
from test_tui_runs_and_models import a_version, opened

from core.errors import ExportError
from core.loop import LearningLoop
from core.paths import Home
from storage import aliases
from storage.db import Store
from storage.rows import AliasChange
from tui.app import FinetuneApp
from tui.screens.changing import given
from tui.widgets.served_line import ServedLine


def toasts(app: FinetuneApp) -> list[str]:
    return [str(note.message) for note in app._notifications]


async def test_the_app_goes_on_while_ollama_is_given_the_file(
    app: FinetuneApp, store: Store, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = a_version(store, home, 1, None)
    two = a_version(store, home, 2, one)
    given, real = threading.Event(), LearningLoop.promote

    def promote(
        self: LearningLoop,
        version_id: int,
        *,
        note: Callable[[str], object],
        progress: Callable[[int, int], None],
        cancelled: Callable[[], bool],
    ) -> AliasChange:
        note(f"Giving version {version_id} to Ollama.")
        progress(600_000_000, 1_000_000_000)
        assert given.wait(60.0) and not cancelled()
        return real(self, version_id)

    monkeypatch.setattr(LearningLoop, "promote", promote)
    async with app.run_test(size=(140, 40)) as pilot:
        await opened(pilot, "7", "models")
        await pilot.press("G")
        await until(pilot, lambda: app.screen.subject is not None and app.screen.subject.id == two)  # type: ignore[attr-defined]
        await pilot.press("p")
        await until(pilot, lambda: f"Giving version {two} to Ollama." in toasts(app))
        await until(pilot, lambda: "50 % of the file are given to Ollama." in toasts(app))
        await pilot.press("k", "p")  # waits for the first
        await opened(pilot, "1", "dashboard")  # other screens work meanwhile
        assert aliases.list_aliases(store) == []
        given.set()
        await until(pilot, lambda: len(aliases.history(store, "ft-erd")) == 2)
        await until(pilot, lambda: any("now answers with ft-demo-erd-v1" in text for text in toasts(app)))
        assert [change.to_version for change in aliases.history(store, "ft-erd")] == [one, two]


async def test_a_refusal_is_told_and_the_next_key_works(
    app: FinetuneApp, store: Store, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_version(store, home, 1, None)
    asked: list[int] = []

    def promote(self: LearningLoop, version_id: int, **_: object) -> AliasChange:
        asked.append(version_id)
        raise ExportError("answers: other ones.", title="It does not hold in Ollama", hint="Update Ollama.")

    monkeypatch.setattr(LearningLoop, "promote", promote)
    async with app.run_test(size=(140, 40)) as pilot:
        await opened(pilot, "7", "models")
        await until(pilot, lambda: app.screen.subject is not None)  # type: ignore[attr-defined]
        for count in (1, 2):
            await pilot.press("p")
            await until(pilot, lambda count=count: len(asked) == count)  # type: ignore[misc]
        await until(pilot, lambda: "answers: other ones.\nUpdate Ollama." in toasts(app))


def test_a_small_file_is_not_told_by_quarters() -> None:
    told: list[str] = []
    shown: list[str] = []
    progress = given(told.append, shown.append)
    progress(5, 10)
    for done in range(0, 1_001, 10):
        progress(done * 1_000_000, 1_000_000_000)
    assert told == [f"{part} % of the file are given to Ollama." for part in (25, 50, 75, 100)]
    assert shown[0] == "50 % given to Ollama"


async def test_how_far_it_is_stays_to_be_seen_and_x_stops_it(
    app: FinetuneApp, store: Store, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_version(store, home, 1, None)
    asked: list[int] = []

    def promote(
        self: LearningLoop,
        version_id: int,
        *,
        note: Callable[[str], object],
        progress: Callable[[int, int], None],
        cancelled: Callable[[], bool],
    ) -> AliasChange:
        asked.append(version_id)
        progress(37, 100)
        end = time.monotonic() + 60.0
        while not cancelled():
            assert time.monotonic() < end
            time.sleep(0.01)
        raise ExportError("Giving a version to Ollama was stopped.", hint="Nothing was changed.")

    monkeypatch.setattr(LearningLoop, "promote", promote)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot, "7", "models")
        await until(pilot, lambda: app.screen.subject is not None)  # type: ignore[attr-defined]
        line = app.screen.query_one(ServedLine)
        assert "Nothing serves erd yet" in line.text.plain
        await pilot.press("x")  # nothing is under way
        await pilot.press("p")
        await until(pilot, lambda: line.text.plain == "● 37 % given to Ollama · x stops")
        await pilot.press("p")  # the same again is not put behind it
        await until(pilot, lambda: "ft-demo-erd-v1 is being promoted already." in toasts(app))
        await pilot.press("x")
        await until(pilot, lambda: "Giving a version to Ollama was stopped.\nNothing was changed." in toasts(app))
        await until(pilot, lambda: "Nothing serves erd yet" in line.text.plain)
        assert len(asked) == 1
        await pilot.press("p")
        await until(pilot, lambda: len(asked) == 2 and "37 %" in line.text.plain)
        await pilot.press("x")
        await until(pilot, lambda: "Nothing serves erd yet" in line.text.plain)


@pytest.mark.parametrize(("key", "verb"), [("r", "rollback"), ("u", "undo")])
async def test_what_ollama_is_given_after_a_roll_back_or_an_undo_can_be_stopped(
    app: FinetuneApp, store: Store, home: Home, monkeypatch: pytest.MonkeyPatch, key: str, verb: str
) -> None:
    base = a_version(store, home, 0, None)
    one = a_version(store, home, 1, base)
    aliases.point(store, name="ft-erd", category="erd", to_version=one, action="promote", who="ada", why="",
                  evidence={}, now=1.0)  # fmt: skip
    real = getattr(LearningLoop, verb)

    def slowly(
        self: LearningLoop,
        category: str,
        *,
        note: Callable[[str], object],
        progress: Callable[[int, int], None],
        cancelled: Callable[[], bool],
    ) -> AliasChange | None:
        done: AliasChange | None = real(self, category)  # what serves changes first, Ollama follows
        progress(12, 100)
        end = time.monotonic() + 60.0
        while not cancelled():
            assert time.monotonic() < end
            time.sleep(0.01)
        return done

    monkeypatch.setattr(LearningLoop, verb, slowly)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot, "7", "models")
        line = app.screen.query_one(ServedLine)
        await until(pilot, lambda: "r puts back v0 · u takes back the promotion of v1" in line.text.plain)
        await pilot.press(key)
        await until(pilot, lambda: line.text.plain == "● 12 % given to Ollama · x stops")
        await pilot.press("x")
        await until(pilot, lambda: any("answers with ft-demo-erd-v0 again" in text for text in toasts(app)))
        assert aliases.list_aliases(store)[0].version_id == base
        await until(pilot, lambda: "v0" in line.text.plain.partition("★ ")[2].split()[0])
