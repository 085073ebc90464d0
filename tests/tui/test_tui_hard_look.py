"""How the screen of the hard negatives looks: an event, a pattern, nothing, a fault, and without colours."""

from __future__ import annotations

import pytest
from hard_kit import BROKEN, NOW, seed
from test_tui_snapshots import SIZES, Snapshot, going_to, still

from core.paths import Home
from storage import hard_tests, pins
from storage.db import Store
from tui.app import FinetuneApp

__all__ = ["still"]

SHOWN = {"event": ("4",), "pattern": ("4", "g"), "help": ("4", "question_mark")}


def told(store: Store, home: Home) -> None:
    """What was seeded, with a version that failed on the worst one, and that one wished for."""
    home.config.write_text('[select]\nembeddings = "none"\n', encoding="utf-8")
    worst = seed(store, home)[1]
    hard_tests.add(store, worst, 1, at=NOW - 100, response=BROKEN, score=35.0, passed=False)
    pins.pin(store, worst, now=NOW - 50)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("screen", SHOWN)
def test_hard(screen: str, size: str, home: Home, store: Store, snap_compare: Snapshot) -> None:
    told(store, home)
    assert snap_compare(FinetuneApp(home), terminal_size=SIZES[size], run_before=going_to(*SHOWN[screen]))


@pytest.mark.parametrize("size", SIZES)
def test_hard_empty(size: str, home: Home, snap_compare: Snapshot) -> None:
    assert snap_compare(FinetuneApp(home), terminal_size=SIZES[size], run_before=going_to("4"))


def test_hard_fault(home: Home, store: Store, snap_compare: Snapshot, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise OSError("the disk is gone")

    told(store, home)
    monkeypatch.setattr("tui.hard.loader.read_list", broken)
    assert snap_compare(FinetuneApp(home), terminal_size=SIZES["narrow"], run_before=going_to("4"))


def test_hard_without_colour(home: Home, store: Store, snap_compare: Snapshot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    told(store, home)
    assert snap_compare(FinetuneApp(home), terminal_size=SIZES["narrow"], run_before=going_to("4"))
