"""Leaving the app in a real terminal: by a signal, and in spite of work that does not end."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest
from test_tui_terminal import Terminal

from core.paths import Home
from storage import ui_state
from storage.db import open_store

NORMAL_SCREEN, CURSOR = b"\x1b[?1049l", b"\x1b[?25h"


def start(home: Home, root: Path, more: str = "pass") -> Terminal:
    """The app on `home`, when its first screen is there."""
    code = (
        "import time; from pathlib import Path; from core.paths import Home; from tui.app import FinetuneApp; "
        f"app = FinetuneApp(Home(Path({str(home.root)!r}))); {more}; app.run()"
    )
    terminal = Terminal([sys.executable, "-c", code], root)
    terminal.until("Categories")
    return terminal


@pytest.mark.process
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_leaves_the_terminal_clean_and_the_store_whole(home: Home, root: Path, number: int) -> None:
    terminal = start(home, root)
    terminal.press("5")
    terminal.until("New run")
    terminal.process.send_signal(number)
    assert terminal.end() == 128 + number
    assert NORMAL_SCREEN in terminal.written and CURSOR in terminal.written
    with open_store(home.store) as store:
        assert store.value("PRAGMA integrity_check") == "ok"
        assert ui_state.load(store, "app.mode") == "train"


@pytest.mark.process
@pytest.mark.parametrize("more", ["pass", "app.call_later(lambda: app.set_interval(0.02, app.refresh))"])
def test_a_terminal_that_is_gone_without_a_word_ends_the_app(home: Home, root: Path, more: str) -> None:
    terminal = start(home, root, more)  # at rest, or painting all the time
    os.close(terminal.fd)
    assert terminal.process.wait(timeout=60) == 128 + signal.SIGHUP


@pytest.mark.process
def test_work_that_does_not_end_holds_nobody_who_says_to_leave_anyway(home: Home, root: Path) -> None:
    work = (
        "app.call_later(lambda: app.run_worker(lambda: time.sleep(600), thread=True, group='w', "
        "description='generating answers'))"
    )
    terminal = start(home, root, work)
    terminal.press("q")
    terminal.until("generating answers")
    terminal.press("y")
    assert terminal.end() == 0
    assert NORMAL_SCREEN in terminal.written
