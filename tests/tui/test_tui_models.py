"""The models screen by the keys that a person presses: marks, comparing, examples, report, what is kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from pilot_kit import until
from test_tui_runs_and_models import HOSTILE, a_version, footer, opened, registry, shown

from core.paths import Home
from storage import datasets, events, versions
from storage.db import Store
from storage.rows import DatasetItem, NewEvent, VersionRow
from tui.app import FinetuneApp
from tui.more_commands import MoreCommands
from tui.screens.lessons import LessonsScreen, LessonTable
from tui.screens.reading import ReadingScreen
from tui.widgets.lineage import LineageTree
from tui.widgets.text_pane import TextPane

__all__ = ["registry"]


def subject(app: FinetuneApp) -> VersionRow:
    found: VersionRow = app.screen.subject  # type: ignore[attr-defined]
    return found


def foot(app: FinetuneApp) -> str:
    return str(app.screen.query_one(LineageTree).border_subtitle)


@pytest.fixture
def trained(store: Store, home: Home, an_event: Callable[..., NewEvent]) -> SimpleNamespace:
    """v1, trained on two events (the second has no event any more) with one to watch; its base, trained on nothing."""
    known = events.add_many(store, [an_event(number, prompt=f"Draw {number} {HOSTILE}") for number in range(2)])
    items = [
        DatasetItem(0, known[0], "train", f"Draw 0 {HOSTILE}", f"answer {HOSTILE}", "", 1.0, 0.5, "easy"),
        DatasetItem(1, 0, "train", "Draw nothing", "the better", "", 1.5, 0.5, "hard", rejected="the worse"),
        DatasetItem(2, known[1], "validation", "Draw 1", "watched", "", 1.0, 0.5, "easy"),
    ]
    data = datasets.add(store, created_at=1.0, category="erd", hash="b2:01", seed=0, settings={},
                        counts={"train": 2, "validation": 1, "tiers": {"gold": 2}}, items=items)  # fmt: skip
    base = a_version(store, home, 0, None)
    added = versions.add(
        store, created_at=2.0, name="ft-demo-erd-v1", category="erd", base_model="demo", number=1, run_id=None,
        parent_id=base, dataset_id=data, folder="models/demo/erd/v1", settings={"epochs": 3}, code_version="0",
    )  # fmt: skip
    return SimpleNamespace(base=base, version=added, events=known)


async def test_a_version_beside_its_parent_or_beside_the_marked_one(
    app: FinetuneApp, registry: SimpleNamespace
) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot, "7", "models")
        await until(pilot, lambda: "Compare" in footer(app))
        assert "on the disk" in foot(app)
        await pilot.press("equals_sign")
        await until(pilot, lambda: isinstance(app.screen, ReadingScreen))
        told = app.screen.copyable()  # type: ignore[attr-defined]
        assert "ft-demo-erd-v0" in told and "ft-demo-erd-v1" in told and "Settings that differ\nnothing differs" in told
        await pilot.press("equals_sign")
        await until(pilot, lambda: not app.screen.is_modal)
        await pilot.press("m", "G")
        await until(pilot, lambda: subject(app).id == registry.v3)
        assert foot(app) == "marked ft-demo-erd-v1 · = compares"
        await pilot.press("k", "equals_sign")
        await until(pilot, lambda: isinstance(app.screen, ReadingScreen))
        told = app.screen.copyable()  # type: ignore[attr-defined]
        assert told.split()[:2] == ["ft-demo-erd-v1", "ft-demo-erd-v2"]
        await pilot.press("escape", "k", "m")
        await until(pilot, lambda: "on the disk" in foot(app))


async def test_the_base_has_nothing_to_be_compared_with_and_no_examples(
    app: FinetuneApp, registry: SimpleNamespace
) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot, "7", "models")
        await pilot.press("g")
        await until(pilot, lambda: subject(app).id == registry.v0)
        assert not {"Compare", "Examples"} & set(footer(app))


async def test_version_and_mark_are_found_again(new_app: Callable[[], FinetuneApp], registry: SimpleNamespace) -> None:
    app = new_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot, "7", "models")
        await pilot.press("G", "m", "k")
        await until(pilot, lambda: subject(app).id == registry.v2)
        await pilot.press("1")
        await pilot.pause()
    app = new_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot, "7", "models")
        await until(pilot, lambda: subject(app).id == registry.v2)
        assert foot(app) == "marked ft-demo-erd-v3 · = compares"


@pytest.mark.parametrize("saved", [{"version": "x", "marked": "y"}, {"version": 99, "marked": 98}, {}])
async def test_a_state_of_another_version_does_no_harm(
    app: FinetuneApp, registry: SimpleNamespace, saved: dict[str, object]
) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot, "7", "models")
        app.screen.restore(saved)  # type: ignore[attr-defined]
        app.screen.refresh_data()  # type: ignore[attr-defined]
        await until(pilot, lambda: subject(app).id == registry.v1 and "on the disk" in foot(app))


async def test_another_screen_asks_for_a_version_and_y_copies_it(app: FinetuneApp, registry: SimpleNamespace) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        app.open("models", version=registry.v3)
        await until(pilot, lambda: subject(app).id == registry.v3)
        told = app.screen.copyable()  # type: ignore[attr-defined]
        assert told.startswith("ft-demo-erd-v3\nnot in production · ✗ not proved")
        assert "\x1b" not in told and "[/x]" in told


async def test_enter_goes_into_the_details_and_escape_back(app: FinetuneApp, registry: SimpleNamespace) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot, "7", "models")
        await until(pilot, lambda: "Compare" in footer(app))
        tree = app.screen.query_one(LineageTree)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.focused, TextPane) and not tree.display)
        await pilot.press("j", "G", "g", "space")
        await until(pilot, lambda: app.focused is not None and app.focused.scroll_offset.y > 0)
        await pilot.press("escape")
        await until(pilot, lambda: app.focused is tree and tree.display)


async def test_the_examples_of_a_version_lead_to_review(app: FinetuneApp, trained: SimpleNamespace) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        app.open("models", version=trained.version)
        await until(pilot, lambda: subject(app).id == trained.version)
        assert "e shows every example" in shown(app, "#models-text")
        await pilot.press("e")
        await until(pilot, lambda: isinstance(app.screen, LessonsScreen))
        assert "2 trained on · 1 watched while training" in shown(app, "#lessons-head")
        table = app.screen.query_one(LessonTable)
        assert len(table.ids) == 3
        await until(pilot, lambda: "[/x] [bold]y[/bold] ␛[31m␇" in shown(app, "#lessons-text"))
        await pilot.press("j")
        await until(pilot, lambda: "Rejected answer\nthe worse" in shown(app, "#lessons-text"))
        assert "its event is gone" in str(app.screen.query_one("#lessons-box").border_title)
        await pilot.press("enter", "o")
        assert isinstance(app.screen, LessonsScreen) and app.screen.copyable() == "the better"
        await pilot.press("k", "tab", "shift+tab", "enter")
        await until(pilot, lambda: app.screen.MODE == "review")  # type: ignore[attr-defined]
        await until(pilot, lambda: app.screen.table.current == trained.events[0])  # type: ignore[attr-defined]


async def test_the_report_is_written_where_it_says(
    app: FinetuneApp, store: Store, home: Home, registry: SimpleNamespace, an_event: Callable[..., NewEvent]
) -> None:
    events.add_many(store, [an_event(1)])
    async with app.run_test(size=(80, 24)) as pilot:
        app.open("models", version=registry.v2)
        await until(pilot, lambda: subject(app).id == registry.v2)
        await pilot.press("o")
        await until(pilot, lambda: app._notifications)
        (note,) = app._notifications
        written = Path(str(note.message).splitlines()[0])
        assert written.parent == home.exports and "ft-demo-erd-v2" in written.read_text(encoding="utf-8")


async def test_the_palette_offers_what_the_footer_has_no_room_for(app: FinetuneApp, registry: SimpleNamespace) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot, "7", "models")
        await until(pilot, lambda: "Compare" in footer(app))
        offered = {command.name for command in MoreCommands(app.screen)._commands()}
        assert offered == {"models: mark", "models: A/B tests", "models: try", "models: report", "production: history"}


async def test_where_room_goes_and_what_a_clean_up_would_free(app: FinetuneApp, store: Store, home: Home) -> None:
    home.config.write_text("[publish]\nkeep_versions = 1\n", encoding="utf-8")
    parent: int | None = None
    for number in range(4):
        parent = a_version(store, home, number, parent)
        folder = home.root / f"models/demo/erd/v{number}"
        (folder / f"ft-demo-erd-v{number}.q8_0.gguf").write_bytes(b"x" * 995)
    async with app.run_test(size=(80, 24)) as pilot:
        app.open("models", version=parent)
        await until(pilot, lambda: subject(app).id == parent)
        assert "4.0 KB on the disk, 2.0 KB to free" in foot(app)
        kept = "1.0 KB on the disk in all; a clean-up leaves it: one of the newest"
        await until(pilot, lambda: kept in shown(app, "#models-text"))
        await pilot.press("k")
        freed = "`finetune-tui models --clean-up` would free 995 B of it"
        await until(pilot, lambda: freed in shown(app, "#models-text"))


async def test_a_registry_that_cannot_be_read_says_so_and_what_to_do(
    app: FinetuneApp, registry: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(home: Home) -> None:
        raise OSError(f"the disk is gone {HOSTILE}")

    monkeypatch.setattr("tui.screens.models.read_models", broken)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot, "7", "models")
        await until(pilot, lambda: "the disk is gone [/x]" in shown(app, "#models-empty"))
        assert "open Settings" in shown(app, "#models-empty") and footer(app) == []
