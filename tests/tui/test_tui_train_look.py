"""How training looks: its queue, its dialogues, and what it says when something is missing."""

from __future__ import annotations

from collections.abc import Callable

import psutil
import pytest
from test_tui_snapshots import DIAGRAM, NOW, SIZES, going_to, seed, still  # noqa: F401  a fixture among them
from textual.pilot import Pilot

from core.errors import NotFoundError, StoreError
from core.paths import Home
from core.search.study import Trial
from core.train.masked import MaskedRow
from core.train.samples import Sample, Samples
from storage import datasets, metrics, runs
from storage.db import Store
from storage.rows import DatasetItem, Metric
from tui.app import FinetuneApp
from tui.runs.samples import ShownSample
from tui.runs.search import SearchView
from tui.screens.samples import SamplesScreen
from tui.tabs import key_of
from tui.widgets.run_form import RunForm

Snapshot = Callable[..., bool]
TRAIN = key_of("train")
BOTH = pytest.mark.parametrize("size", SIZES)


def settings(place: int) -> dict[str, float]:
    return {"learning_rate": 1e-5 * 3**place, "epochs": 2 + place, "warmup_ratio": 0.03 * place, "rank": 4 * 2**place,
            "alpha": 8 * 2**place, "batch_size": 2, "accumulation": 4 + place}  # fmt: skip


TRIALS = tuple(
    Trial(place, "pruned" if place == 3 else "running" if place == 5 else "complete",
          None if place in {3, 5} else 60.0 + 7 * place - place**2, settings(place % 5), None, None, None, 20.0,
          "worse than the median" if place == 3 else "")
    for place in range(6)
)  # fmt: skip


def queue(store: Store) -> None:
    """A paused run, one at work, two that wait."""
    me = psutil.Process()
    data = datasets.add(
        store, created_at=NOW - 900, category="erd", hash="b2:01", seed=0, settings={}, counts={"train": 8}, items=[]
    )
    for place in range(4):
        run = runs.enqueue(
            store, created_at=NOW - 800 + place, category="erd", base_model="demo", method="sft",
            settings={"epochs": 3, "rank": 8 + 8 * place}, dataset_id=data, parent_version=None, total_steps=60,
        )  # fmt: skip
        if place > 1:
            continue
        assert runs.claim(store, run, pid=me.pid, pid_started=me.create_time(), now=NOW - 790)
        runs.set_stage(store, run, "training")
        losses = [Metric(step, "loss", (2 + place) / (1 + step / 10), NOW - 780 + step) for step in range(1, 31)]
        metrics.add_metrics(store, run, losses)
        runs.progress(store, run, step=30, total_steps=60)
        if not place:
            runs.request_stop(store, run)
            runs.finish(store, run, "stopped", now=NOW - 500)
        else:
            assert runs.heartbeat(store, run, NOW)


@BOTH
@pytest.mark.parametrize("keys", [(), ("j",), ("j", "m", "k", "="), ("l",)], ids=["queue", "paused", "compare", "log"])
def test_snapshot_train(size: str, keys: tuple[str, ...], home: Home, store: Store, snap_compare: Snapshot) -> None:
    queue(store)
    (home.runs / "2").mkdir(parents=True)
    lines = (f"2023-11-14 22:{minute:02d}:00  Step {minute} of 60." for minute in range(30))
    (home.runs / "2" / "log.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert snap_compare(FinetuneApp(home), terminal_size=SIZES[size], run_before=going_to(TRAIN, *keys))


@BOTH
@pytest.mark.parametrize("outcome", ["found", "none", "damaged"])
def test_snapshot_searches(
    size: str, outcome: str, home: Home, store: Store, snap_compare: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    seed(store, home)

    def read(*_: object) -> SearchView:
        if outcome == "found":
            return SearchView("erd", "demo", TRIALS, 4, {"learning_rate": 0.6, "rank": 0.3, "epochs": 0.1}, {})
        if outcome == "none":
            raise NotFoundError("There is no search for erd yet.", hint="Begin one: finetune-tui search erd")
        raise StoreError("search.db cannot be read: it is no database.", hint="Move it away, or restore a backup.")

    monkeypatch.setattr("tui.screens.search_trials.read_search", read)
    assert snap_compare(FinetuneApp(home), terminal_size=SIZES[size], run_before=going_to(TRAIN, "h"))


def samples(home: Home) -> Callable[[Pilot[None]], object]:
    """Open them over the form, with rows that stand still."""
    row = MaskedRow("<user>Draw the data model of a shop.<assistant>", DIAGRAM, 12, 40)
    found = Sample((row,))
    one = ShownSample(found, 3, "corrected", "a person wrote this answer", ["event 3", "gold", "hard", "weight 1.20"])

    async def go(pilot: Pilot[None]) -> None:
        await going_to(TRAIN, "n")(pilot)
        request = pilot.app.screen.query_one(RunForm).request
        item = DatasetItem(0, 3, "train", "Draw", DIAGRAM, "", 1.2, 0.9, "hard")
        screen = SamplesScreen(request, [item], lambda _: None)
        await pilot.app.push_screen(screen)
        screen._take((Samples((found,), 1, 52, 40, 52, {}), [one]))
        await going_to()(pilot)

    return go


@BOTH
def test_snapshot_samples(
    size: str, home: Home, store: Store, snap_compare: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    seed(store, home)
    monkeypatch.setattr(SamplesScreen, "in_background", lambda *_, **__: None)
    assert snap_compare(FinetuneApp(home), terminal_size=SIZES[size], run_before=samples(home))


@BOTH
def test_snapshot_train_that_cannot_be_read(
    size: str, home: Home, snap_compare: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise StoreError("The store cannot be read: the disk is gone.", hint="Mount it again.")

    monkeypatch.setattr("tui.runs.watch.read_runs", broken)
    monkeypatch.setattr("tui.tail.StoreTail.start", lambda _: None)  # each reading would be one more error
    assert snap_compare(FinetuneApp(home), terminal_size=SIZES[size], run_before=going_to(TRAIN))


@BOTH
def test_snapshot_train_empty(size: str, home: Home, snap_compare: Snapshot) -> None:
    assert snap_compare(FinetuneApp(home), terminal_size=SIZES[size], run_before=going_to(TRAIN))


def test_snapshot_compare_without_colour(
    home: Home, store: Store, snap_compare: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    queue(store)
    keys = (TRAIN, "j", "m", "k", "=")
    assert snap_compare(FinetuneApp(home), terminal_size=SIZES["narrow"], run_before=going_to(*keys))
