"""What the details of a version say of forgetting."""

from __future__ import annotations

from dataclasses import replace

import pytest
from versions_kit import add_version

from core.paths import Home
from storage.db import Store
from storage.deployments import DeploymentRow
from storage.rows import AbTestRow
from tui.versions.views import ModelsView
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
    shown = details(version, ModelsView([version], [], {}, {}, {}, {}, [], 0), now=version.created_at).plain
    assert told in shown
    assert ("\nForgetting\n" in shown) == bool(losses)


def test_a_version_that_gave_up_its_files_says_so(store: Store, home: Home) -> None:
    version = replace(add_version(store, home), gguf={}, retired_at=1_700_000_000.0)
    shown = details(version, ModelsView([version], [], {}, {}, {}, {}, [], 0), now=version.created_at).plain
    assert "files removed: it cannot be promoted" in shown
    assert "to save space: it cannot serve or be compared. Its adapter is kept; a training can go on from it." in shown
    assert "No GGUF file" not in shown
    (row,) = [row for row in lineage([version]) if row.version is not None]
    assert "◌ v1  files removed" in row_text(row, (), lambda _: "").plain


def test_what_ollama_holds_is_told_with_its_checks_and_votes_count_in_the_verdict(store: Store, home: Home) -> None:
    version = add_version(store, home)
    checks = [
        {"name": "file", "passed": True, "detail": "0a"},
        {"name": "answers", "passed": True, "detail": "4 of 4"},
        {"name": "sent", "passed": True, "detail": "0b"},
        {"name": "alias", "passed": True, "detail": "ft-erd"},
    ]
    held = DeploymentRow(1, version.id, "http://o:1", "ft-v1", "0c", "0a", "native", "0.34.1", checks, 1_700_000_000.0)
    test = AbTestRow(7, 1.0, "erd", 1, version.id, 0, {}, {"verdict": "promote", "n": 9, "win_rate": 0.9}, 2.0)
    weighed = {7: {"verdict": "keep", "n": 9, "win_rate": 0.4}}
    view = ModelsView([version], [], {}, {}, {version.id: test}, weighed, [held], 0)
    shown = details(version, view, now=version.created_at).plain
    assert "ft-v1 and ft-erd at http://o:1, Ollama 0.34.1\n✓ agree  file, answers · given" in shown
    assert ": keep · win rate 40.0 %" in shown
    other = replace(held, checks=[checks[0], {**checks[1], "passed": False}])
    shown = details(version, replace(view, deployed=[other]), now=version.created_at).plain
    assert "✗ differ  answers · given" in shown
