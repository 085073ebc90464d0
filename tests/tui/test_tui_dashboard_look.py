"""How the dashboard looks: nothing yet, full, broken, and the guide on its way; and how the import asks."""

from __future__ import annotations

import pytest
from test_tui_snapshots import SIZES, Snapshot, going_to, seed, still

from core.first_steps import begin
from core.paths import Home
from storage.db import Store
from storage.errors import StoreError
from tui.app import FinetuneApp

__all__ = ["still"]


@pytest.mark.parametrize("size", SIZES)
def test_dashboard_empty(size: str, home: Home, snap_compare: Snapshot) -> None:
    assert snap_compare(FinetuneApp(home), terminal_size=SIZES[size], run_before=going_to())


@pytest.mark.parametrize("size", SIZES)
def test_dashboard_full_and_led(size: str, home: Home, store: Store, snap_compare: Snapshot) -> None:
    begin(store, now=0.0)  # a newcomer's store, filled since
    seed(store, home)
    assert snap_compare(FinetuneApp(home), terminal_size=SIZES[size], run_before=going_to())


@pytest.mark.parametrize("size", SIZES)
def test_dashboard_error(size: str, home: Home, snap_compare: Snapshot, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise StoreError("The disk is gone.", hint="Plug it in again.")

    monkeypatch.setattr("tui.overview.read_overview", broken)
    assert snap_compare(FinetuneApp(home), terminal_size=SIZES[size], run_before=going_to())


@pytest.mark.parametrize("size", SIZES)
def test_import_asks(size: str, home: Home, snap_compare: Snapshot) -> None:
    assert snap_compare(FinetuneApp(home), terminal_size=SIZES[size], run_before=going_to("i"))


def test_dashboard_without_colour(
    home: Home, store: Store, snap_compare: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    begin(store, now=0.0)
    seed(store, home)
    assert snap_compare(FinetuneApp(home), terminal_size=SIZES["narrow"], run_before=going_to())
