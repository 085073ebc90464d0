"""How the registry looks: a lineage, two versions, what one learned from, nothing, a fault, and without colours."""

from __future__ import annotations

from dataclasses import replace

import pytest
from test_tui_snapshots import DIAGRAM, NOW, SIZES, Snapshot, going_to, seed, still

from core.paths import Home
from storage import datasets, versions
from storage.db import Store
from storage.rows import DatasetItem
from tui.app import FinetuneApp

__all__ = ["still"]

SHOWN = {
    "details": ("7", "enter"),
    "lineage": ("7", "m", "G"),
    "two": ("7", "G", "equals_sign"),
    "examples": ("7", "G", "e"),
}


def grown(store: Store, home: Home) -> None:
    """What was seeded, with two children of the version that serves: one trained on six examples, one not proved."""
    seed(store, home)
    items = [
        DatasetItem(place, place + 1, "train", f"Draw the data model of shop {place}.", DIAGRAM, "", 1.0, 0.5,
                    ("easy", "medium", "hard")[place % 3])
        for place in range(6)
    ]  # fmt: skip
    items += [replace(items[0], position=6, event_id=7, split="validation")]
    data = datasets.add(
        store, created_at=NOW - 100, category="erd", hash="b2:01", seed=1, settings={}, items=items,
        counts={"considered": 12, "eligible": 7, "train": 6, "validation": 1, "tiers": {"gold": 4, "silver": 2}},
    )  # fmt: skip
    for number, parent in ((2, 2), (3, 2)):
        added = versions.add(
            store, created_at=NOW - 100 + number, name=f"ft-demo-erd-v{number}", category="erd", base_model="demo",
            number=number, run_id=None, parent_id=parent, dataset_id=data, folder=f"models/demo/erd/v{number}",
            settings={"rank": 8 * number, "epochs": 3}, code_version="0",
        )  # fmt: skip
        versions.update(
            store, added, metrics={"mean_score": 88.0 - number, "success_rate": 0.9}, proved=number == 2,
            proof=[{"name": "tokens", "passed": number == 2, "figure": 3 * (number - 2), "bound": 0, "detail": ""}],
            gguf={"f16": {"path": f"models/demo/erd/v{number}/f16.gguf", "sha256": "00", "bytes": 6_400_000}},
        )  # fmt: skip


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("screen", SHOWN)
def test_models(screen: str, size: str, home: Home, store: Store, snap_compare: Snapshot) -> None:
    grown(store, home)
    assert snap_compare(FinetuneApp(home), terminal_size=SIZES[size], run_before=going_to(*SHOWN[screen]))


@pytest.mark.parametrize("size", SIZES)
def test_models_empty(size: str, home: Home, snap_compare: Snapshot) -> None:
    assert snap_compare(FinetuneApp(home), terminal_size=SIZES[size], run_before=going_to("7"))


def test_models_fault(home: Home, store: Store, snap_compare: Snapshot, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise OSError("the disk is gone")

    grown(store, home)
    monkeypatch.setattr("tui.screens.models.read_models", broken)
    assert snap_compare(FinetuneApp(home), terminal_size=SIZES["narrow"], run_before=going_to("7"))


def test_models_without_colour(
    home: Home, store: Store, snap_compare: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    grown(store, home)
    assert snap_compare(FinetuneApp(home), terminal_size=SIZES["narrow"], run_before=going_to("7"))
