"""How the scoreboard looks: a test with votes, a pair of it, history, nothing, a fault, and without colours."""

from __future__ import annotations

import pytest
from test_tui_snapshots import NOW, SIZES, Snapshot, going_to, seed, still

from core.paths import Home
from storage import ab_votes
from storage.db import Store
from tui.app import FinetuneApp

__all__ = ["still"]

SHOWN = {
    "votes": ("6", "enter", "f", "f"),
    "pair": ("6", "enter", "f", "f", "enter"),
    "history": ("6", "h"),
}


def voted(store: Store, home: Home) -> None:
    """What was seeded, with three votes on it that contradict the scores, agree with them, and see no difference."""
    seed(store, home)
    choices: tuple[ab_votes.VoteChoice, ...] = ("a", "b", "both_good")
    for position, choice in zip((3, 5, 8), choices, strict=True):
        ab_votes.add(store, at=NOW - 90, test_id=1, position=position, choice=choice, swapped=position == 5)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("screen", SHOWN)
def test_scoreboard(screen: str, size: str, home: Home, store: Store, snap_compare: Snapshot) -> None:
    voted(store, home)
    assert snap_compare(FinetuneApp(home), terminal_size=SIZES[size], run_before=going_to(*SHOWN[screen]))


@pytest.mark.parametrize("size", SIZES)
def test_scoreboard_empty(size: str, home: Home, snap_compare: Snapshot) -> None:
    assert snap_compare(FinetuneApp(home), terminal_size=SIZES[size], run_before=going_to("6"))


def test_scoreboard_fault(home: Home, store: Store, snap_compare: Snapshot, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise OSError("the disk is gone")

    voted(store, home)
    monkeypatch.setattr("tui.screens.scoreboard.read_scoreboard", broken)
    assert snap_compare(FinetuneApp(home), terminal_size=SIZES["narrow"], run_before=going_to("6"))


def test_scoreboard_without_colour(
    home: Home, store: Store, snap_compare: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    voted(store, home)
    assert snap_compare(FinetuneApp(home), terminal_size=SIZES["narrow"], run_before=going_to("6", "enter"))
