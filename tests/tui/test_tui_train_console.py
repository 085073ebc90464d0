"""What one does with runs: pause, resume, queue, log, comparison, samples and searches, by the keys one presses."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from threading import Event
from typing import Any

import psutil
import pytest
from pilot_kit import settle, until
from textual.pilot import Pilot
from textual.widgets import ContentSwitcher, Input, Log, Static

from core.errors import NotFoundError, StoreError
from core.paths import Home
from core.search.study import Trial
from core.train.masked import MaskedRow
from core.train.samples import Sample, Samples
from storage import datasets, judgments, metrics, runs
from storage.db import Store
from storage.rows import DatasetItem, Metric
from tui.app import FinetuneApp
from tui.runs.compare import read_comparison
from tui.runs.feed import RunsView, read_runs
from tui.runs.mix import read_mix
from tui.runs.samples import ShownSample
from tui.runs.search import SearchView
from tui.screens.compare_runs import CompareRunsScreen, comparison_text
from tui.screens.run_log import RunLogScreen
from tui.screens.samples import SamplesScreen, sample_text
from tui.screens.search_trials import SearchTrialsScreen
from tui.screens.train import TrainScreen
from tui.tabs import key_of
from tui.widgets.chart import LineChart
from tui.widgets.empty import Empty
from tui.widgets.run_form import RunForm
from tui.widgets.run_list import RunList
from tui.widgets.virtual_table import VirtualTable

HOSTILE = "[/x] [bold]y[/bold] \x1b[31m\x07"
SETTINGS = {"epochs": 3, "learning_rate": 2e-4, "rank": 8}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tui.runs.form_outlook.SETTLE_SECONDS", 0.02)


def an_item(position: int, event: int, prompt: str = "Draw it") -> DatasetItem:
    return DatasetItem(position, event, "train", f"{prompt} {position}", "erDiagram", "", 1.0, 0.0, "easy")


def a_dataset(store: Store, name: str, event_ids: Sequence[int] = ()) -> int:
    items = [an_item(place, event) for place, event in enumerate(event_ids)]
    return datasets.add(
        store, created_at=1.0, category="erd", hash=f"b2:{name}", seed=0, settings={}, counts={"train": len(items)},
        items=items,
    )  # fmt: skip


def waiting(store: Store, data: int, settings: dict[str, Any] | None = None) -> int:
    return runs.enqueue(
        store, created_at=1.0, category="erd", base_model="demo", method="sft", settings=settings or SETTINGS,
        dataset_id=data, parent_version=None, total_steps=100,
    )  # fmt: skip


def begun(store: Store, run: int, losses: Sequence[float] = ()) -> int:
    """A run of this very process, so that nobody takes it for lost."""
    assert runs.claim(store, run, pid=os.getpid(), pid_started=psutil.Process().create_time(), now=time.time())
    runs.set_stage(store, run, "training")
    metrics.add_metrics(store, run, [Metric(step, "loss", loss, float(step)) for step, loss in enumerate(losses, 1)])
    return run


def ended(store: Store, run: int, losses: Sequence[float] = ()) -> int:
    begun(store, run, losses)
    runs.finish(store, run, "stopped", now=time.time())
    return run


def shown(app: FinetuneApp, selector: str) -> str:
    return str(app.screen.query_one(selector, Static).visual)


def lines(app: FinetuneApp) -> list[str]:
    return [str(option.prompt) for option in app.screen.query_one(RunList).options]


def footer(app: FinetuneApp) -> list[str]:
    found = (active.binding for active in app.screen.active_bindings.values() if active.binding.show)
    return list(dict.fromkeys(binding.description for binding in found))


async def opened(pilot: Pilot[None]) -> None:
    await pilot.press(key_of("train"))
    await until(pilot, lambda: pilot.app.screen.MODE == "train" and not pilot.app.screen._tasks)  # type: ignore[attr-defined]


async def test_the_form_asked_for_before_the_runs_were_read_stays(
    app: FinetuneApp, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun(store, waiting(store, a_dataset(store, "0")))
    free = Event()

    def late(*arguments: Any) -> RunsView:
        free.wait(60.0)
        return read_runs(*arguments)

    monkeypatch.setattr("tui.runs.watch.read_runs", late)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press(key_of("train"))
        await until(pilot, lambda: app.screen.query_one(RunForm).is_mounted)
        await pilot.press("n")
        free.set()
        await until(pilot, lambda: lines(app) and not app.screen._tasks)  # type: ignore[attr-defined]
        assert app.screen.query_one(ContentSwitcher).current == "train-form"
        await pilot.press("escape")
        await until(pilot, lambda: app.screen.query_one(ContentSwitcher).current == "train-run")


async def test_the_form_asked_for_as_soon_as_a_run_is_shown_stays(app: FinetuneApp, store: Store) -> None:
    data = a_dataset(store, "d")
    first, second = (ended(store, waiting(store, data)) for _ in range(2))
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press(key_of("train"))
        front = await settle(pilot)
        assert isinstance(front, TrainScreen)
        assert front.query_one(RunList).selected_id == second
        front._open(first)
        front.action_new_run()  # before any message that the cursor has moved
        await settle(pilot)
        assert front.query_one(RunList).selected_id == first
        assert front.query_one(ContentSwitcher).current == "train-form"


async def test_waiting_runs_stand_in_their_order_and_one_is_cancelled(app: FinetuneApp, store: Store) -> None:
    data = a_dataset(store, "0")
    begun(store, waiting(store, data))
    second, third = waiting(store, data), waiting(store, data)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await until(pilot, lambda: "◌ queued 2nd" in lines(app)[0] and "◌ queued next" in lines(app)[1])
        app.screen.query_one(RunList).select(second)
        await until(pilot, lambda: "waits, next in the queue" in shown(app, "#run-progress"))
        assert "Cancel" in footer(app) and "Pause" not in footer(app) and len(footer(app)) <= 6
        await pilot.press("d")
        await until(pilot, lambda: "taken out of the queue" in shown(app, "#run-fault"))
        assert runs.get(store, second).status == "stopped" and runs.next_queued(store) == third
        await until(pilot, lambda: "◌ queued next" in lines(app)[0])
        assert "Resume" in footer(app)


async def test_pausing_says_that_nothing_is_lost(app: FinetuneApp, store: Store) -> None:
    run = begun(store, waiting(store, a_dataset(store, "0")), [2.0, 1.0])
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot)
        await pilot.press("x")
        await until(pilot, lambda: "it saves, and R goes on from there" in shown(app, "#run-progress"))
        await until(pilot, lambda: "pausing" in lines(app)[0])
        runs.finish(store, run, "stopped", now=time.time())
        await until(pilot, lambda: "R goes on where it was" in shown(app, "#run-fault"))
        assert "Resume" in footer(app)


async def test_the_log_is_one_key_away_and_follows(app: FinetuneApp, store: Store, home: Home) -> None:
    run = begun(store, waiting(store, a_dataset(store, "0")))
    folder = home.runs / str(run)
    folder.mkdir(parents=True)
    (folder / "log.txt").write_text(f"first {HOSTILE}\n", encoding="utf-8")
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await pilot.press("l")
        await until(pilot, lambda: isinstance(app.screen, RunLogScreen) and app.screen.query_one(Log).line_count)
        assert "[/x] [bold]y[/bold] ␛[31m␇" in app.screen.query_one(Log).lines[0]
        with (folder / "log.txt").open("a", encoding="utf-8") as file:
            file.writelines(f"line {number}\n" for number in range(60))
        await until(pilot, lambda: "line 59" in app.screen.query_one(Log).lines)
        assert "following" in str(app.screen.query_one(Log).border_subtitle)
        await pilot.press("g")
        await until(pilot, lambda: app.screen.query_one(Log).scroll_offset.y == 0)
        assert app.screen.copyable().startswith("first")  # type: ignore[attr-defined]
        await pilot.press("escape")
        await until(pilot, lambda: app.screen.MODE == "train")  # type: ignore[attr-defined]


async def test_two_runs_are_compared(app: FinetuneApp, store: Store, five: list[int]) -> None:
    one = ended(store, waiting(store, a_dataset(store, "0", five[:3])), [2.0, 1.5])
    two = ended(store, waiting(store, a_dataset(store, "1", five[2:]), {**SETTINGS, "rank": 16}), [2.0, 1.0])
    async with app.run_test(size=(140, 40)) as pilot:
        await opened(pilot)
        app.screen.query_one(RunList).select(one)
        await until(pilot, lambda: "Mark" in footer(app))
        await pilot.press("m")
        await until(pilot, lambda: "◆ marked" in lines(app)[1])
        app.screen.query_one(RunList).select(two)
        await until(pilot, lambda: "Compare" in footer(app) and "Mark" not in footer(app))
        await pilot.press("=")
        await until(pilot, lambda: isinstance(app.screen, CompareRunsScreen) and "rank" in shown(app, "#compare-text"))
        text = shown(app, "#compare-text").splitlines()
        assert [line.split() for line in text if line.startswith("rank")] == [["rank", "8", "16"]]
        assert not any(line.startswith("epochs") for line in text)
        assert [line.split() for line in text if line.startswith("loss")] == [["loss", "1.500", "✓", "1.000"]]
        assert [line.split()[-2:] for line in text if line.startswith("events in it alone")] == [["2", "2"]]
        names = [series.name for series in app.screen.query_one(LineChart).series]
        assert names == [f"run {one}", f"run {two}"]
        await pilot.press("s")
        assert [series.name for series in app.screen.query_one(LineChart).series] == names[::-1]
        await pilot.press("escape")
        await until(pilot, lambda: app.screen.MODE == "train")  # type: ignore[attr-defined]


def test_the_same_data_and_settings_are_said_to_be_so(store: Store, home: Home, five: list[int]) -> None:
    data = a_dataset(store, "0", five)
    one, two = ended(store, waiting(store, data), [2.0]), ended(store, waiting(store, data), [2.0])
    found = read_comparison(home, one, two)
    assert found.settings == [] and found.data[0].values == ("5", "the same dataset")
    assert "None: the settings are the same." in comparison_text(found).plain
    assert [row.better for row in found.figures if row.label == "loss"] == [None]


async def test_a_comparison_that_cannot_be_read_says_why(app: FinetuneApp, store: Store) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await app.push_screen(CompareRunsScreen(1, 2))
        await until(pilot, lambda: "There is no run 1" in shown(app, "#compare-text"))


async def test_run_mark_and_category_are_found_again(new_app: Callable[[], FinetuneApp], store: Store) -> None:
    data = a_dataset(store, "0")
    one = ended(store, waiting(store, data), [2.0])
    ended(store, waiting(store, data), [1.0])
    app = new_app()
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot)
        await pilot.press("j", "m")
        await until(pilot, lambda: "◆ marked" in lines(app)[1])
        await pilot.press(key_of("models"))
    again = new_app()
    async with again.run_test(size=(100, 30)) as pilot:
        await opened(pilot)
        await until(pilot, lambda: again.screen.query_one(RunList).selected_id == one)
        assert "◆ marked" in lines(again)[1]
        assert "finetune-tui" in again.screen.copyable()  # type: ignore[attr-defined]
        assert "--learning-rate 2e-4 --rank 8" in again.screen.copyable()  # type: ignore[attr-defined]


async def test_another_screen_opens_a_run(app: FinetuneApp, store: Store) -> None:
    data = a_dataset(store, "0")
    one = ended(store, waiting(store, data), [2.0])
    ended(store, waiting(store, data), [1.0])
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.pause()
        app.open("train", run=one)
        await until(pilot, lambda: app.screen.query_one(RunList).selected_id == one)
        await until(pilot, lambda: len(app.screen.query_one(LineChart).series[0]) == 1)


async def test_runs_that_cannot_be_read_say_so_in_their_place(
    app: FinetuneApp, monkeypatch: pytest.MonkeyPatch, store: Store
) -> None:
    def broken(*_: object) -> None:
        raise StoreError("The disk is gone [/].", hint="Mount it again.")

    monkeypatch.setattr("tui.runs.watch.read_runs", broken)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press(key_of("train"))
        await until(pilot, lambda: app.screen.query_one(ContentSwitcher).current == "train-fault")
        text = str(app.screen.query_one("#train-fault", Empty).visual)
        assert "The disk is gone [/]." in text and "Mount it again." in text
        monkeypatch.undo()
        app.screen.refresh_data()  # type: ignore[attr-defined]
        await until(pilot, lambda: app.screen.query_one(ContentSwitcher).current == "train-form")


def test_examples_are_parted_by_how_they_came_to_be(store: Store, five: list[int]) -> None:
    judgments.judge(store, five[0], "good", now=3.0)
    judgments.judge(store, five[1], "correct", correction="better", now=3.0)
    judgments.judge(store, five[2], "correct", correction="best", now=3.0)
    items = [an_item(place, event) for place, event in enumerate(five)]
    items += [replace(an_item(5, five[0]), origin="replay"), replace(an_item(6, five[0]), origin="renaming")]
    assert read_mix(store, "sft", items, {"hard": 1}) == {
        "corrected": 1, "hard negative": 1, "liked": 1, "passed its checks": 2, "replay": 1, "augmented": 1,
    }  # fmt: skip
    thumbs = [an_item(0, 1), replace(an_item(1, 2), desirable=False)]
    assert read_mix(store, "kto", thumbs, {}) == {"liked": 1, "disliked": 1}
    assert read_mix(store, "dpo", [], {"pairs": {"ranking": 4}}) == {"preference (ranking)": 4}


ROWS = (
    Sample((MaskedRow("<user>Draw it 0<assistant>", f"erDiagram {HOSTILE}", 12, 3),)),
    Sample((), "empty answer"),
    Sample((MaskedRow("ask", "yes", 1, 1, "chosen"), MaskedRow("ask", "no", 1, 1, "rejected"))),
)


async def test_samples_are_shown_as_the_trainer_reads_them(
    app: FinetuneApp, five: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = ["event 3", "gold", "weight 1.00"]
    found = [ShownSample(row, 3 if place == 0 else 0, "liked", "a person liked it", facts)
             for place, row in enumerate(ROWS)]  # fmt: skip
    figures = Samples(ROWS, 3, 17, 5, 15, {})
    monkeypatch.setattr("tui.screens.samples.read_samples", lambda *_: (figures, found))
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot)
        form = app.screen.query_one(RunForm)
        await until(pilot, lambda: app.screen._outlook.data is not None)  # type: ignore[attr-defined]
        counts = {"train": 1, "considered": 5}
        data = replace(app.screen._outlook.data, items=[an_item(0, 3)], counts=counts)  # type: ignore[attr-defined]
        app.screen._outlook.data = data  # type: ignore[attr-defined]
        form.query_one("#form-epochs", Input).focus()  # a letter that is no part of a number stays a key
        await pilot.press("v")
        await until(pilot, lambda: isinstance(app.screen, SamplesScreen) and "1 of 3" in shown(app, "#samples-head"))
        assert "liked: a person liked it" in shown(app, "#samples-head") and "event 3" in shown(app, "#samples-head")
        assert "⟦learned" in shown(app, "#samples-head")
        assert "⟦erDiagram [/x] [bold]y[/bold] ␛[31m␇⟧" in shown(app, "#samples-text")
        assert "Open event" in footer(app)
        await pilot.press("n")
        await until(pilot, lambda: "! empty answer" in shown(app, "#samples-text"))
        assert "Open event" not in footer(app)
        await pilot.press("G")
        await until(
            pilot, lambda: "rejected: 1 tokens read, 1 learned, as what to avoid" in shown(app, "#samples-text")
        )
        await pilot.press("escape")
        await until(pilot, lambda: "17 an epoch, 5 of them learned" in str(form.query_one("#form-data", Static).visual))
        assert form.query_one("#form-epochs", Input).value == "3"


async def test_samples_without_a_base_model_say_what_is_missing(
    app: FinetuneApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*_: object) -> None:
        raise NotFoundError("The model is not on this machine.", hint="Start once.")

    monkeypatch.setattr("tui.screens.samples.read_samples", missing)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        request = app.screen.query_one(RunForm).request
        await app.push_screen(SamplesScreen(request, [an_item(0, 3)], lambda _: None))
        await until(pilot, lambda: "not on this machine" in shown(app, "#samples-text"))
        assert "Start once." in shown(app, "#samples-text")


def test_what_is_learned_is_marked_without_colour() -> None:
    text = sample_text(ShownSample(ROWS[0], 3, "liked", "", []))
    learned = [str(span.style) for span in text.spans if "erDiagram" in text.plain[span.start : span.end]]
    assert any("bold" in style and "underline" in style for style in learned)
    assert any("dim" in str(span.style) for span in text.spans)


TRIED = {"learning_rate": 5e-4, "epochs": 7, "rank": 32, "alpha": 64, "batch_size": 4, "accumulation": 3,
         "warmup_ratio": 0.1}  # fmt: skip


async def test_a_trial_goes_into_the_form(app: FinetuneApp, five: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    trials = (
        Trial(0, "complete", 60.0, {**TRIED, "rank": 4}, None, None, None, 3.0, ""),
        Trial(1, "complete", 80.0, TRIED, None, None, None, 3.0, HOSTILE),
        Trial(2, "running", None, {}, None, None, None, 0.0, ""),
    )
    asked: list[tuple[str, str]] = []

    def read(home: Home, category: str, base: str, check: object) -> SearchView:
        asked.append((category, base))
        return SearchView(category, base, trials, 1, {"rank": 1.0}, {})

    monkeypatch.setattr("tui.screens.search_trials.read_search", read)
    async with app.run_test(size=(140, 40)) as pilot:
        await opened(pilot)
        await until(pilot, lambda: app.screen.query_one(RunForm).request.base == "demo")
        await pilot.press("h")
        await until(
            pilot, lambda: isinstance(app.screen, SearchTrialsScreen) and "2 of 3" in shown(app, "#search-head")
        )
        assert asked[0] == ("erd", "demo")
        assert "rank" in shown(app, "#search-bars")
        table = app.screen.query_one(VirtualTable)
        await pilot.press("s")
        assert list(table.ids) == [1, 0, 2]
        await pilot.press("G", "b")
        await until(pilot, lambda: table.current == 1)
        await pilot.press("enter")
        await until(pilot, lambda: app.screen.query_one("#form-rank", Input).value == "32")
        await until(pilot, lambda: app.screen.query_one(RunForm).more == {"warmup_ratio": 0.1})
        await until(pilot, lambda: not app.screen._tasks)  # type: ignore[attr-defined]
        request = app.screen.query_one(RunForm).request
        assert {key: request.edited[key] for key in ("rank", "epochs", "warmup_ratio")} == {
            "rank": 32, "epochs": 7, "warmup_ratio": 0.1,
        }  # fmt: skip


async def test_without_a_search_one_is_told_how_to_begin(
    app: FinetuneApp, five: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(home: Home, category: str, *_: object) -> SearchView:
        if category == "erd":
            raise NotFoundError("There is no search yet.", hint="Begin one: finetune-tui search erd")
        raise StoreError("It is damaged [/].")

    monkeypatch.setattr("tui.screens.search_trials.read_search", read)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await until(pilot, lambda: app.screen.query_one(RunForm).request.category == "erd")
        await pilot.press("h")
        await until(pilot, lambda: "No search of erd yet" in str(app.screen.query_one(Empty).visual))
        assert "begins one" in str(app.screen.query_one(Empty).visual)
        await pilot.press("c")
        await until(pilot, lambda: "✗ The search cannot be shown" in str(app.screen.query_one(Empty).visual))
        await pilot.press("escape")
        await until(pilot, lambda: app.screen.MODE == "train")  # type: ignore[attr-defined]
