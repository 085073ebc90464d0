"""Searches begun, stopped and taken over from the app; the command itself is a small program that tells what it got."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pilot_kit import until
from textual.widgets import Static

from core.errors import ConflictError, NotFoundError, RunError
from core.paths import Home
from core.search.study import Trial
from tui.app import FinetuneApp
from tui.runs import search_work
from tui.runs.search import Axis, SearchView
from tui.runs.search_work import SearchWish
from tui.screens.row_choice import RowChoice
from tui.screens.search_start import SearchStartScreen
from tui.screens.search_trials import SearchTrialsScreen
from tui.tabs import key_of
from tui.widgets.parallel import ParallelChart

SETTINGS = {"learning_rate": 1e-4, "epochs": 3, "warmup_ratio": 0.05, "rank": 8, "alpha": 16, "batch_size": 2,
            "accumulation": 4}  # fmt: skip
PATIENCE = 20.0


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    """Makes the command a program; `sys.argv` there begins after `-P -m tui`."""
    python = sys.executable

    def program(body: str) -> None:
        file = tmp_path / "command.py"
        lines = [f"#!{python}", "import signal, sys, time, json", "arguments = sys.argv[4:]", body]
        file.write_text("\n".join(lines), encoding="utf-8")
        file.chmod(0o755)
        monkeypatch.setattr("tui.runs.search_work.sys.executable", str(file))

    return program


SEARCHES = """
def end(*_):
    print("What is done is kept", flush=True)
    sys.exit(143)
signal.signal(signal.SIGTERM, end)
print("trial 0:", *arguments, flush=True)
time.sleep(60)
"""


def wait(reached: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not reached():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)


def view(category: str = "erd", base: str = "demo", done: int = 2, **more: Any) -> SearchView:
    trials = tuple(Trial(n, "complete", 60.0 + n, SETTINGS, None, None, None, 30.0, "") for n in range(done))
    return SearchView(category, base, trials, done - 1, {}, more.get("applied", {}))


def text(app: FinetuneApp, selector: str) -> str:
    return str(app.screen.query_one(selector, Static).visual)


def test_a_search_is_begun_seen_and_stopped(home: Home, command: Callable[[str], None]) -> None:
    command(SEARCHES)
    assert search_work.at_work(home) is None and search_work.last_words(home) == ""
    search_work.begin(home, SearchWish("erd", "demo", 20, limit=100, fresh=True))
    work = search_work.at_work(home)
    assert work is not None and (work.category, work.base, work.trials) == ("erd", "demo", 20)
    wait(lambda: search_work.last_words(home))
    wanted = f"trial 0: --home {home.root} search erd --trials 20 --base demo --limit 100 --fresh"
    assert search_work.last_words(home) == wanted
    with pytest.raises(ConflictError, match="A search of erd is at work"):
        search_work.begin(home, SearchWish("other", "", 5))
    search_work.stop(home)
    wait(lambda: search_work.at_work(home) is None)
    assert search_work.last_words(home) == "What is done is kept"
    search_work.stop(home)  # nothing is left to stop
    search_work.begin(home, SearchWish("other", "", 5))
    wait(lambda: search_work.last_words(home).endswith("search other --trials 5"))
    search_work.stop(home)


def test_why_a_search_ended_is_told_in_one_line(home: Home, command: Callable[[str], None]) -> None:
    command("""
time.sleep(0.5)
print("trial 0: begins")
print("✗ Nothing to compare on\\n  erd has none.\\n  → Judge more outputs.", flush=True)
sys.exit(1)
""")
    search_work.begin(home, SearchWish("erd", "", 5))
    wait(lambda: search_work.at_work(home) is None)
    words = search_work.last_words(home)
    assert words == "✗ Nothing to compare on: erd has none. → Judge more outputs." and search_work.failed(words)
    command("print('No module'); sys.exit(3)")
    with pytest.raises(RunError, match="status 3: No module"):
        search_work.begin(home, SearchWish("erd", "", 5))


@pytest.mark.parametrize(
    "note", ["", "[]", "3", '{"pid": 1}', '{"category":1,"base":2,"trials":3,"pid":4,"started":5}']
)
def test_a_note_of_any_shape_is_no_search(home: Home, note: str) -> None:
    (home.root / "search.json").write_text(note, encoding="utf-8")
    assert search_work.at_work(home) is None


def test_defaults_are_set_and_taken_back_by_the_command(
    home: Home, command: Callable[[str], None], tmp_path: Path
) -> None:
    heard = tmp_path / "heard"
    command(f"open({str(heard)!r}, 'a').write(' '.join(arguments[2:]) + chr(10)); print('{{}}')")
    search_work.set_defaults(home, "erd", "demo", forget=False)
    search_work.set_defaults(home, "erd", "", forget=True)
    assert heard.read_text().splitlines() == [
        "search erd --base demo --status --apply --json", "search erd --forget --json",
    ]  # fmt: skip
    command(
        "error = {'title': 'Not found', 'message': 'Nothing is complete.', 'hint': ''}\n"
        "print(json.dumps({'error': error})); sys.exit(1)"
    )
    with pytest.raises(ConflictError, match="stay as they are: Nothing is complete"):
        search_work.set_defaults(home, "erd", "demo", forget=False)


async def test_the_dialogue_asks_for_what_can_still_be_chosen(app: FinetuneApp) -> None:
    chosen: list[SearchWish | None] = []
    async with app.run_test(size=(80, 24)) as pilot:
        app.push_screen(SearchStartScreen("erd", "demo", None), chosen.append)
        await pilot.pause()
        assert "20 trials in all" in text(app, "#choices") and "all examples" in text(app, "#choices")
        await pilot.press("l", "j", "l", "l", "enter")
        assert chosen == [SearchWish("erd", "demo", 30, limit=200)]
        app.push_screen(SearchStartScreen("erd", "demo", view(done=20)), chosen.append)
        await pilot.pause()
        assert isinstance(app.screen, RowChoice)
        said = text(app, "#choices")
        assert "go on with the one there is" in said and "30 trials" in said and "all examples" not in said
        assert "about 5 min" in said and "at 30 s a trial" in said
        await pilot.press("l")
        assert "anew, on today's feedback" in text(app, "#choices") and "all examples" in text(app, "#choices")
        await pilot.press("enter")
        assert chosen[1] == SearchWish("erd", "demo", 30, fresh=True)
        app.push_screen(SearchStartScreen("erd", "", None), chosen.append)
        await pilot.pause()
        await pilot.press("escape")
        assert chosen[2] is None


async def test_a_search_is_begun_stopped_and_taken_over_by_keys(
    app: FinetuneApp, home: Home, five: list[int], command: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    command(SEARCHES)
    found: list[SearchView] = []

    def read(home: Home, category: str, base: str, check: object) -> SearchView:
        if not found:
            raise NotFoundError("There is no search yet.")
        return found[-1]

    defaults: list[tuple[str, str, bool]] = []

    def set_defaults(home: Home, category: str, base: str, *, forget: bool) -> None:
        defaults.append((category, base, forget))
        found.append(view(applied={} if forget else SETTINGS))

    monkeypatch.setattr("tui.screens.search_trials.read_search", read)
    monkeypatch.setattr("tui.screens.search_trials._LOOK_SECONDS", 0.05)
    monkeypatch.setattr(search_work, "set_defaults", set_defaults)
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.press(key_of("train"))
        await until(pilot, lambda: not app.screen._tasks)  # type: ignore[attr-defined]
        await pilot.press("h")
        await until(pilot, lambda: isinstance(app.screen, SearchTrialsScreen) and app.screen.has_class("-nothing"))
        screen = app.screen
        assert isinstance(screen, SearchTrialsScreen)
        assert not screen.check_action("stop", ()) and not screen.check_action("defaults", ())
        await pilot.press("n", "enter")
        await until(pilot, lambda: "● searching" in text(app, "#search-work"))
        await until(pilot, lambda: "search erd --trials 20" in text(app, "#search-work"))
        assert not screen.check_action("begin", ())
        found.append(view())
        (home.root / "search.db").write_bytes(b"changed")
        await until(pilot, lambda: "2 of 2 trials" in text(app, "#search-head"))
        await pilot.press("a")
        await until(pilot, lambda: defaults == [("erd", "demo", False)])
        await until(pilot, lambda: "its settings are the defaults" in text(app, "#search-head"))
        await pilot.press("a")
        await until(pilot, lambda: defaults[1:] == [("erd", "demo", True)])
        await pilot.press("x")
        await until(pilot, lambda: search_work.at_work(home) is None)
        await until(pilot, lambda: screen.check_action("begin", ()) and not screen.query_one("#search-work").display)
        await pilot.press("l")
        await until(pilot, lambda: app.screen is not screen)
        await pilot.press("escape", "escape")
        await until(pilot, lambda: app.screen.MODE == "train")  # type: ignore[attr-defined]


async def test_the_dashboard_tells_of_a_search_as_long_as_it_works(
    app: FinetuneApp, home: Home, five: list[int], command: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    command(SEARCHES)
    monkeypatch.setattr("tui.widgets.search_at_work._LOOK_SECONDS", 0.05)
    search_work.begin(home, SearchWish("erd", "demo", 20))
    async with app.run_test(size=(100, 30)) as pilot:
        line = app.screen.query_one("#searching", Static)
        await until(pilot, lambda: line.display and "erd, 20 trials in all · trial 0" in str(line.visual))
        search_work.stop(home)
        await until(pilot, lambda: not line.display)


def test_the_chosen_path_is_forgotten_with_its_axes() -> None:
    three, two = (
        [Axis(name, 0.0, 1.0, False) for name in names] for names in (("rank", "alpha", "objective"), ("rank", "alpha"))
    )
    chart = ParallelChart()
    chart.show(two, [], None)
    chart.choose([0.5, 0.5])
    chart.show(three, [[0.0, 1.0, 0.5]], None)
    assert len(chart.lines(60, 20)) == 20
