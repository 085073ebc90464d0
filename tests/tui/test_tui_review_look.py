"""How Review looks with chips, marks, a search with a fault, nothing found, and its dialogs."""

from __future__ import annotations

import pytest
from test_tui_snapshots import NOW, SIZES, Snapshot, going_to, seed, still

from core.paths import Home
from storage import events, judgments
from storage.db import Store
from tui.app import FinetuneApp

__all__ = ["still"]

SHOWN = {
    "marked": ("2", "m", "m", "j"),
    "ask": ("2", "M", "b"),
    "fault": ("2", "slash", *"tier:golden", "enter"),
    "found": ("2", "slash", *"score:<60 shop"),
    "nothing": ("2", "slash", *"zebra", "enter"),
    "chooser": ("2", "C", *"de"),
    "guidelines": ("2", "i"),
    "reading": ("2", "enter"),
    "correcting": ("2", "c", "V", "I", "P"),
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("screen", SHOWN)
def test_review(screen: str, size: str, home: Home, store: Store, snap_compare: Snapshot) -> None:
    seed(store, home)
    assert snap_compare(FinetuneApp(home), terminal_size=SIZES[size], run_before=going_to(*SHOWN[screen]))


@pytest.mark.parametrize("size", SIZES)
def test_review_empty(size: str, home: Home, snap_compare: Snapshot) -> None:
    assert snap_compare(FinetuneApp(home), terminal_size=SIZES[size], run_before=going_to("2"))


def test_review_error(home: Home, store: Store, snap_compare: Snapshot, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("the disk is gone")

    seed(store, home)
    monkeypatch.setattr("tui.review.queue_loader.read_queue", fail)
    assert snap_compare(FinetuneApp(home), terminal_size=SIZES["narrow"], run_before=going_to("2"))


def test_review_figures_without_colour(
    home: Home, store: Store, snap_compare: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    seed(store, home)
    for event in events.iter_events(store, events.EventFilter(verdict="pending")):
        if event.id < 9:
            judgments.judge(store, event.id, "good", seconds=6.0, now=NOW - 50 + event.id)
    assert snap_compare(FinetuneApp(home), terminal_size=SIZES["narrow"], run_before=going_to("2", "m", "b", "enter"))
