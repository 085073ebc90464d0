"""How ranking looks: a question, an order, the dialogue, and the states without anything to ask."""

from __future__ import annotations

import pytest
from test_tui_rank import add
from test_tui_snapshots import DIAGRAM, OTHER, SIZES, Snapshot, going_to, still

from core.paths import Home
from storage.db import Store
from tui.app import FinetuneApp
from tui.tabs import key_of

__all__ = ["still"]

RANK = key_of("rank")


def seed(store: Store, an_event: object) -> None:
    third = DIAGRAM.replace("string name", "string full_name").replace("places", "makes")
    for number, texts in enumerate(((DIAGRAM, OTHER), (DIAGRAM, OTHER, third), (OTHER, third))):
        add(store, an_event, f"Draw the data model of shop {number}: customers place orders.", *texts)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    "keys", [(), ("z", "tab"), ("a",), ("n",), ("p",)], ids=["asks", "single", "reveals", "more", "list"]
)
def test_snapshot_rank(
    keys: tuple[str, ...], size: str, home: Home, store: Store, an_event: object, snap_compare: Snapshot
) -> None:
    seed(store, an_event)
    assert snap_compare(FinetuneApp(home), terminal_size=SIZES[size], run_before=going_to(RANK, *keys))


@pytest.mark.parametrize("size", SIZES)
def test_snapshot_rank_empty(size: str, home: Home, store: Store, an_event: object, snap_compare: Snapshot) -> None:
    add(store, an_event, "Draw a shop", "one")  # type: ignore[arg-type]
    assert snap_compare(FinetuneApp(home), terminal_size=SIZES[size], run_before=going_to(RANK))


@pytest.mark.parametrize("size", SIZES)
def test_snapshot_rank_order(size: str, home: Home, store: Store, an_event: object, snap_compare: Snapshot) -> None:
    add(store, an_event, "Draw a shop", DIAGRAM, OTHER)  # type: ignore[arg-type]
    add(store, an_event, "Draw a farm", "x", "y")  # type: ignore[arg-type]
    assert snap_compare(FinetuneApp(home), terminal_size=SIZES[size], run_before=going_to(RANK, "b", "o"))


def test_snapshot_rank_error(
    home: Home, store: Store, an_event: object, snap_compare: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(store, an_event, "Draw a shop", "one", "two")  # type: ignore[arg-type]

    def broken(*_: object) -> None:
        raise OSError("the disk is gone")

    monkeypatch.setattr("tui.rank.reading.read_book", broken)
    assert snap_compare(FinetuneApp(home), terminal_size=SIZES["narrow"], run_before=going_to(RANK))


def test_snapshot_rank_without_colour(
    home: Home, store: Store, an_event: object, snap_compare: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    seed(store, an_event)
    assert snap_compare(FinetuneApp(home), terminal_size=SIZES["narrow"], run_before=going_to(RANK))
