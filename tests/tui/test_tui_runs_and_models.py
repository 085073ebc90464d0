"""Train, Scoreboard, Models, help and palette, used by the keys that a person presses."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from types import SimpleNamespace

import psutil
import pytest
from pilot_kit import until
from textual.pilot import Pilot
from textual.widgets import ContentSwitcher, Input, Static

from core.config import Ab
from core.paths import Home
from core.prove.ab import result_of
from storage import ab_tests, aliases, datasets, events, metrics, runs, versions
from storage.db import Store
from storage.rows import AbPairRow, Metric, NewEvent
from tui.app import FinetuneApp
from tui.palette import command_name
from tui.screens.help import HelpScreen
from tui.screens.pair import PairScreen
from tui.widgets.ab_tables import ComparisonTable, ExampleTable
from tui.widgets.chart import LineChart
from tui.widgets.empty import Empty
from tui.widgets.half import Half
from tui.widgets.run_form import RunForm
from tui.widgets.run_list import RunList
from tui.widgets.verdict import VerdictPanel

HOSTILE = "[/x] [bold]y[/bold] \x1b[31m\x07 [type=x, v={'a[0]'}]"


def a_dataset(store: Store) -> int:
    return datasets.add(
        store, created_at=1.0, category="erd", hash="b2:00", seed=0, settings={}, counts={"train": 1}, items=[]
    )


def a_run(store: Store, *, steps: int = 0, error: str = "") -> int:
    """A run of this very process, so that nobody takes it for lost; with an `error` it has failed."""
    run = runs.enqueue(
        store, created_at=1.0, category="erd", base_model="demo", method="sft", settings={"epochs": 3},
        dataset_id=a_dataset(store), parent_version=None, total_steps=100,
    )  # fmt: skip
    me = psutil.Process()
    assert runs.claim(store, run, pid=os.getpid(), pid_started=me.create_time(), now=time.time())
    runs.set_stage(store, run, "training")
    losses = [Metric(step, "loss", 3.0 - step / 100, float(step)) for step in range(1, steps + 1)]
    metrics.add_metrics(store, run, losses)
    runs.progress(store, run, step=steps, total_steps=100)
    if error:
        runs.finish(store, run, "failed", now=time.time(), error=error, hint="Lower the learning rate.")
    return run


def a_version(store: Store, home: Home, number: int, parent: int | None, *, proved: bool = True) -> int:
    data = b"GGUF" + bytes([number])
    folder = f"models/demo/erd/v{number}"
    (home.root / folder).mkdir(parents=True)
    (home.root / folder / "f16.gguf").write_bytes(data)
    added = versions.add(
        store, created_at=float(number), name=f"ft-demo-erd-v{number}", category="erd", base_model="demo",
        number=number, run_id=None, parent_id=parent, dataset_id=None, folder=folder, settings={}, code_version="0",
    )  # fmt: skip
    file = {"path": f"{folder}/f16.gguf", "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    check = {"name": "tokens", "passed": proved, "figure": 0, "bound": 0, "detail": HOSTILE}
    versions.update(store, added, gguf={"f16": file}, metrics={"mean_score": 70.0, "success_rate": 0.6},
                    proof=[check], proved=proved)  # fmt: skip
    return added


def a_test(store: Store, a: int, b: int, *, wins: int, losses: int) -> int:
    test = ab_tests.start(store, created_at=1.0, category="erd", version_a=a, version_b=b, seed=0, settings={})
    pairs = [
        AbPairRow(test, place, None, f"Prompt {place} {HOSTILE}", f"one {HOSTILE}", "two", 50.0,
                  90.0 if place < wins else 10.0, 0.1, 0.1, 5, 5, "b" if place < wins else "a")
        for place in range(wins + losses)
    ]  # fmt: skip
    ab_tests.add_pairs(store, pairs)
    ab_tests.finish(store, test, {**result_of(pairs, 70.0, Ab(), seed=0), "summary": "s"}, 2.0)
    return test


@pytest.fixture
def registry(store: Store, home: Home) -> SimpleNamespace:
    """v0 → v1 → (v2, v3): v1 serves, v3 is not proved, v2 was compared with v1."""
    v0 = a_version(store, home, 0, None)
    v1 = a_version(store, home, 1, v0)
    v2, v3 = a_version(store, home, 2, v1), a_version(store, home, 3, v1, proved=False)
    aliases.point(store, name="ft-erd", category="erd", to_version=v1, action="promote", who="ada", why=HOSTILE,
                  evidence={}, now=1.0)  # fmt: skip
    test = a_test(store, v1, v2, wins=110, losses=10)
    return SimpleNamespace(v0=v0, v1=v1, v2=v2, v3=v3, test=test)


async def opened(pilot: Pilot[None], key: str, mode: str) -> None:
    await pilot.press(key)
    await until(pilot, lambda: mode == pilot.app.screen.MODE and not pilot.app.screen._tasks)  # type: ignore[attr-defined]


def shown(app: FinetuneApp, selector: str) -> str:
    return str(app.screen.query_one(selector, Static).visual)


def footer(app: FinetuneApp) -> list[str]:
    shown_keys = (active.binding for active in app.screen.active_bindings.values() if active.binding.show)
    return list(dict.fromkeys(binding.description for binding in shown_keys))


async def test_without_a_run_the_form_stands_ready(app: FinetuneApp) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot, "5", "train")
        await until(pilot, lambda: app.screen.query_one("#form-epochs", Input).value == "3")
        assert app.screen.query_one(ContentSwitcher).current == "train-form"
        await until(pilot, lambda: "fit" in shown(app, "#form-memory"))
        await until(pilot, lambda: "0 examples to train on" in shown(app, "#form-data"))
        assert "d loads examples" in shown(app, "#form-data")
        assert footer(app) == ["Start", "Searches"]


async def test_a_field_that_holds_no_number_is_named_and_nothing_starts(app: FinetuneApp, store: Store) -> None:
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot, "5", "train")
        await until(pilot, lambda: app.screen.query_one("#form-epochs", Input).value == "3")
        app.screen.query_one("#form-epochs", Input).value = ""
        await until(pilot, lambda: "Epochs is empty." in shown(app, "#form-memory"))
        await pilot.press("ctrl+s")
        await pilot.pause()
        assert runs.list_runs(store) == []


async def test_a_running_run_is_followed_and_stopped(app: FinetuneApp, store: Store) -> None:
    run = a_run(store, steps=20)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot, "5", "train")
        chart = app.screen.query_one(LineChart)
        await until(pilot, lambda: len(chart.series[0]) == 20)
        assert "● training" in shown(app, "#run-stages")
        metrics.add_metrics(store, run, [Metric(21, "loss", 0.5, 21.0)])
        await until(pilot, lambda: len(chart.series[0]) == 21)
        assert footer(app) == ["New run", "Pause", "Curve", "Log", "Mark", "Searches"]
        await pilot.press("x")
        await until(pilot, lambda: runs.stop_requested(store, run))
        await until(pilot, lambda: "pausing" in shown(app, "#run-progress"))
        assert "Pause" not in footer(app)


async def test_a_new_app_shows_the_whole_curve(new_app: Callable[[], FinetuneApp], store: Store) -> None:
    a_run(store, steps=50)
    for _ in range(2):
        app = new_app()
        async with app.run_test(size=(100, 30)) as pilot:
            await opened(pilot, "5", "train")
            await until(pilot, lambda app=app: len(app.screen.query_one(LineChart).series[0]) == 50)


async def test_a_failed_run_says_why_and_offers_to_resume(app: FinetuneApp, store: Store) -> None:
    a_run(store, steps=5, error=f"Not a number {HOSTILE}")
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot, "5", "train")
        await until(pilot, lambda: "Lower the learning rate" in shown(app, "#run-fault"))
        assert "[/x] [bold]y[/bold] ␛[31m␇" in shown(app, "#run-fault")
        assert "Resume" in footer(app) and "Pause" not in footer(app)
        await pilot.press("n")
        await until(pilot, lambda: app.screen.query_one(ContentSwitcher).current == "train-form")
        await pilot.press("escape")
        await until(pilot, lambda: app.screen.query_one(ContentSwitcher).current == "train-run")


async def test_moving_along_the_runs_shows_each(app: FinetuneApp, store: Store) -> None:
    a_run(store, steps=5, error="first")
    a_run(store, steps=7, error="second")
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot, "5", "train")
        await until(pilot, lambda: "second" in shown(app, "#run-fault"))
        await pilot.press("j")
        await until(pilot, lambda: "first" in shown(app, "#run-fault"))
        assert len(app.screen.query_one(LineChart).series[0]) == 5
        assert app.screen.query_one(RunList).selected_id == 1


async def test_settings_that_fit_are_taken_over_with_one_key(app: FinetuneApp) -> None:
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot, "5", "train")
        await until(pilot, lambda: app.screen.query_one("#form-epochs", Input).value == "3")
        app.screen.query_one("#form-batch_size", Input).value = "400"
        app.screen.query_one("#form-max_length", Input).value = "100000"
        await until(pilot, lambda: "F2 makes it fit" in shown(app, "#form-memory"))
        await pilot.press("f2")
        await until(pilot, lambda: "✓ fits" in shown(app, "#form-memory"))
        request = app.screen.query_one(RunForm).request
        assert request.settings["batch_size"] < 400
        assert not request.faults


async def test_the_scoreboard_tells_the_verdict(app: FinetuneApp, registry: SimpleNamespace) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot, "6", "scoreboard")
        await until(pilot, lambda: "Promote" in shown(app, "#verdict-line"))
        assert "110 won, 10 lost, 0 tied of 120" in shown(app, "#verdict-figures")
        assert app.screen.query_one(VerdictPanel).has_class("-judged")
        await until(pilot, lambda: len(app.screen.query_one(ExampleTable).ids) == 120)
        assert footer(app) == ["Promote", "Roll back", "Undo", "Vote", "A/B test"]


async def test_examples_open_side_by_side_or_stacked(app: FinetuneApp, registry: SimpleNamespace) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot, "6", "scoreboard")
        await until(pilot, lambda: len(app.screen.query_one(ExampleTable).ids) == 120)
        await pilot.press("f", "enter")
        await until(pilot, lambda: app.screen.query_one(ExampleTable).has_focus)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, PairScreen))
        assert "lost" in shown(app, "#pair-head")
        assert "one [/x] [bold]y[/bold] ␛[31m␇" in app.screen.query_one("#answers-left", Half).text()
        left, right = app.screen.query_one("#answers-left").region, app.screen.query_one("#answers-right").region
        assert left.x == right.x and left.y < right.y
        await pilot.resize_terminal(140, 40)
        await pilot.pause()
        left, right = app.screen.query_one("#answers-left").region, app.screen.query_one("#answers-right").region
        assert left.y == right.y and left.x < right.x
        await pilot.press("n", "escape")
        await until(pilot, lambda: not isinstance(app.screen, PairScreen))
        assert app.screen.query_one(ExampleTable).cursor == 1


async def test_promote_and_undo_from_the_scoreboard(app: FinetuneApp, store: Store, registry: SimpleNamespace) -> None:
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot, "6", "scoreboard")
        await until(pilot, lambda: app.screen.query_one(ComparisonTable).selected is not None)
        await pilot.press("p")
        await until(pilot, lambda: aliases.list_aliases(store)[0].version_id == registry.v2)
        await pilot.press("u")
        await until(pilot, lambda: aliases.list_aliases(store)[0].version_id == registry.v1)


async def test_an_ab_test_runs_in_the_background(
    app: FinetuneApp, store: Store, registry: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def compare(self: object, version_id: int, *, progress: Callable[[int, int], None]) -> None:
        asked.append(version_id)
        progress(1, 2)

    monkeypatch.setattr("core.loop.LearningLoop.ab", compare)
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot, "6", "scoreboard")
        await until(pilot, lambda: app.screen.query_one(ComparisonTable).selected is not None)
        await pilot.press("a")
        await until(pilot, lambda: asked == [registry.v3])  # the newest that was never compared
        await until(pilot, lambda: "A/B test" in footer(app))


async def test_the_models_screen_promotes_refuses_and_rolls_back(
    app: FinetuneApp, store: Store, registry: SimpleNamespace
) -> None:
    async with app.run_test(size=(140, 40)) as pilot:
        await opened(pilot, "7", "models")
        await until(pilot, lambda: "★ in production as ft-erd" in shown(app, "#models-text"))
        assert "▲ promoted the base model → ft-demo-erd-v1" in shown(app, "#models-text")
        assert "because: [/x]" in shown(app, "#models-text")
        await pilot.press("G")
        await until(pilot, lambda: "not proved: it cannot be promoted" in shown(app, "#models-text"))
        await pilot.press("p")
        await until(pilot, lambda: [note.title for note in app._notifications] == ["ft-demo-erd-v3 may not serve"])
        assert aliases.list_aliases(store)[0].version_id == registry.v1
        await pilot.press("k", "p")
        await until(pilot, lambda: aliases.list_aliases(store)[0].version_id == registry.v2)
        await until(pilot, lambda: "★ in production" in shown(app, "#models-text"))
        await pilot.press("r")
        await until(pilot, lambda: aliases.list_aliases(store)[0].version_id == registry.v1)


@pytest.mark.parametrize(("key", "mode", "advice"), [("6", "scoreboard", "open Train"), ("7", "models", "open Train")])
async def test_an_empty_screen_says_which_key_to_press(app: FinetuneApp, key: str, mode: str, advice: str) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot, key, mode)
        await until(pilot, lambda: app.screen.has_class("-empty"))
        assert advice in str(app.screen.query_one(Empty).visual)
        assert footer(app) == []


@pytest.mark.parametrize(("key", "mode"), [("5", "train"), ("6", "scoreboard"), ("7", "models")])
async def test_help_shows_every_key_of_the_footer(
    app: FinetuneApp, registry: SimpleNamespace, store: Store, key: str, mode: str
) -> None:
    a_run(store, steps=3)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot, key, mode)
        await until(pilot, lambda: len(footer(app)) > 1)
        expected = footer(app)
        assert len(expected) <= 6
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen) and app.screen.query("Markdown"))
        text = "\n".join(str(widget.visual) for widget in app.screen.query(Static))
        assert all(verb in text for verb in expected)
        await pilot.press("escape")
        await until(pilot, lambda: mode == app.screen.MODE)  # type: ignore[attr-defined]


async def test_the_palette_offers_only_what_works_now(app: FinetuneApp, registry: SimpleNamespace) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot, "7", "models")
        await until(pilot, lambda: "Promote" in footer(app))
        names = {command_name(active) for active in app.screen.active_bindings.values()}
        assert {"production: promote", "production: roll back", "models: compare", "go to: Train"} <= names
        await opened(pilot, "5", "train")
        names = {command_name(active) for active in app.screen.active_bindings.values()}
        assert "train: start" in names
        assert not {"train: pause", "train: resume", "production: promote"} & names


async def test_the_dashboard_leads_to_the_form_of_its_category(app: FinetuneApp, store: Store, five: list[int]) -> None:
    a_run(store, steps=3, error="x")
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "Train" in footer(app))
        await pilot.press("t")
        await until(pilot, lambda: app.screen.query_one(RunForm).request.category == "erd")
        await until(pilot, lambda: len(app.screen.query_one(RunList).options) == 1)
        assert app.screen.query_one(ContentSwitcher).current == "train-form"


async def test_feedback_that_came_meanwhile_is_offered_for_training(
    app: FinetuneApp, store: Store, an_event: Callable[..., NewEvent]
) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot, "5", "train")
        await until(pilot, lambda: app.screen.query_one(RunForm).request.category not in ("", "erd"))
        events.add_many(store, [an_event(number) for number in range(3)])
        await until(pilot, lambda: app.screen.query_one(RunForm).request.category == "erd")


async def test_resuming_asks_the_loop_for_the_run_that_is_watched(
    app: FinetuneApp, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = a_run(store, steps=5)
    runs.request_stop(store, run)
    runs.finish(store, run, "stopped", now=time.time())
    asked: list[int] = []
    monkeypatch.setattr("core.loop.LearningLoop.resume", lambda loop, run_id: asked.append(run_id))
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot, "5", "train")
        await until(pilot, lambda: "Resume" in footer(app))
        await pilot.press("R")
        await until(pilot, lambda: asked == [run])
