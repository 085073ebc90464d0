"""What the details of a version say of forgetting."""

from __future__ import annotations

from dataclasses import replace

import pytest
from versions_kit import add_version

from core.paths import Home
from storage.db import Store
from tui.views import ModelsView
from tui.widgets.lineage import lineage, row_text
from tui.widgets.version_details import details


@pytest.mark.parametrize(
    ("losses", "told"),
    [
        ((1.0, 1.5), "⚠ The model forgets: its loss on the general set grew by 50% (1.00 → 1.50)"),
        ((1.0, 0.9), "✓ Nothing is forgotten on the general set: loss 1.00 → 0.90 (-10%)."),
        ((9.0, 9.9), "· On the general set nothing can be said of forgetting"),
        (None, ""),
    ],
)
def test_forgetting_is_told_where_it_was_measured(
    store: Store, home: Home, losses: tuple[float, float] | None, told: str
) -> None:
    metrics = {"general_loss_before": losses[0], "general_loss_after": losses[1]} if losses else {}
    version = replace(add_version(store, home), metrics=metrics)
    shown = details(version, ModelsView([version], [], {}, {}, {}), now=version.created_at).plain
    assert told in shown
    assert ("\nForgetting\n" in shown) == bool(losses)


def test_a_version_that_gave_up_its_files_says_so(store: Store, home: Home) -> None:
    version = replace(add_version(store, home), gguf={}, retired_at=1_700_000_000.0)
    shown = details(version, ModelsView([version], [], {}, {}, {}), now=version.created_at).plain
    assert "files removed: it cannot be promoted" in shown
    assert "to save space: it cannot serve or be compared. Its adapter is kept; a training can go on from it." in shown
    assert "No GGUF file" not in shown
    (row,) = [row for row in lineage([version]) if row.version is not None]
    assert "◌ v1  files removed" in row_text(row, (), lambda _: "").plain
