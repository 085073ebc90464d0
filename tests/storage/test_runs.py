from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from core.errors import ConflictError, NotFoundError
from storage import datasets, metrics, runs
from storage.db import Store, open_store
from storage.rows import Metric

NewRun = Callable[[], int]


def claim(store: Store, run: int, now: float = 10.0) -> bool:
    return runs.claim(store, run, pid=7, pid_started=1.5, now=now)


def test_the_life_of_a_run(filled: Store, new_run: NewRun) -> None:
    run = new_run()
    row = runs.get(filled, run)
    assert (row.status, row.stage, row.folder, row.settings) == ("queued", "queued", f"runs/{run}", {"epochs": 3})
    assert (row.total_steps, row.stop_requested, row.started_at) == (40, False, None)
    assert claim(filled, run)
    runs.set_stage(filled, run, "training")
    runs.progress(filled, run, step=3, total_steps=41)
    assert runs.heartbeat(filled, run, 12.0) is True
    row = runs.get(filled, run)
    assert (row.status, row.stage, row.step, row.total_steps, row.heartbeat) == ("running", "training", 3, 41, 12.0)
    assert (row.pid, row.pid_started, row.started_at) == (7, 1.5, 10.0)
    runs.finish(filled, run, "finished", now=20.0)
    row = runs.get(filled, run)
    assert (row.status, row.stage, row.finished_at) == ("finished", "done", 20.0)


def test_a_run_is_claimed_once_and_one_runs_at_a_time(filled: Store, new_run: NewRun) -> None:
    first, second = new_run(), new_run()
    other = open_store(filled.path)
    assert [claim(store, first) for store in (filled, other)] == [True, False]
    assert not claim(other, second)
    assert not claim(other, 99)
    active = runs.active(other)
    assert active is not None
    assert active.id == first
    assert runs.next_queued(other) == second
    runs.finish(filled, first, "failed", now=11.0, error="out of memory", hint="shorter texts")
    assert runs.active(other) is None
    assert runs.get(other, first).error == "out of memory"
    assert claim(other, second)
    assert runs.next_queued(other) is None


@pytest.mark.parametrize("ending", ["stopped", "failed", "lost"])
def test_what_ended_early_can_be_resumed(filled: Store, new_run: NewRun, ending: str) -> None:
    run = new_run()
    claim(filled, run)
    runs.request_stop(filled, run)
    assert runs.stop_requested(filled, run)
    if ending == "lost":
        assert runs.mark_lost(filled, run, heartbeat_before=10.1)
    else:
        runs.finish(filled, run, "stopped" if ending == "stopped" else "failed", now=11.0, error="why", hint="how")
    assert runs.get(filled, run).status == ending
    assert runs.heartbeat(filled, run, 12.0) is False
    with pytest.raises(ConflictError):
        runs.progress(filled, run, step=1, total_steps=2)
    assert claim(filled, run, now=30.0)
    row = runs.get(filled, run)
    assert (row.status, row.stop_requested, row.error, row.hint) == ("running", False, "", "")
    assert (row.started_at, row.finished_at) == (10.0, None)


def test_a_finished_run_never_changes(filled: Store, new_run: NewRun) -> None:
    run = new_run()
    claim(filled, run)
    runs.finish(filled, run, "finished", now=11.0)
    before = runs.get(filled, run)
    changes: list[Callable[[], object]] = [
        lambda: runs.finish(filled, run, "failed", now=12.0),
        lambda: runs.set_stage(filled, run, "training"),
        lambda: runs.progress(filled, run, step=1, total_steps=2),
        lambda: runs.request_stop(filled, run),
        lambda: runs.add_metrics(filled, run, [Metric(1, "loss", 1.0, 1.0)]),
        lambda: filled.write("UPDATE runs SET error = 'x' WHERE id = ?", (run,)),
    ]
    for change in changes:
        with pytest.raises(ConflictError):
            change()
    assert not claim(filled, run)
    assert not runs.mark_lost(filled, run, heartbeat_before=1e9)
    assert not runs.heartbeat(filled, run, 99.0)
    assert runs.get(filled, run) == before


def test_only_a_silent_running_run_gets_lost(filled: Store, new_run: NewRun) -> None:
    run = new_run()
    assert not runs.mark_lost(filled, run, heartbeat_before=1e9)
    claim(filled, run)
    runs.heartbeat(filled, run, 50.0)
    assert not runs.mark_lost(filled, run, heartbeat_before=50.0)
    assert runs.mark_lost(filled, run, heartbeat_before=50.5)
    row = runs.get(filled, run)
    assert (row.status, row.finished_at) == ("lost", 50.0)
    assert row.error
    assert row.hint


def test_stopping_what_waits(filled: Store, new_run: NewRun) -> None:
    first, second = new_run(), new_run()
    runs.request_stop(filled, first)
    assert runs.get(filled, first).status == "queued"
    assert claim(filled, first)
    assert runs.stop_requested(filled, first)
    runs.request_stop(filled, second)
    assert runs.get(filled, second).status == "stopped"
    assert runs.next_queued(filled) is None
    with pytest.raises(ConflictError):
        runs.request_stop(filled, second)
    with pytest.raises(NotFoundError):
        runs.request_stop(filled, 99)


def test_lists_are_newest_first(filled: Store, new_run: NewRun) -> None:
    made = [new_run() for _ in range(3)]
    assert [row.id for row in runs.list_runs(filled, category="erd", limit=2)] == made[:0:-1]
    assert runs.list_runs(filled, category="other") == []
    with pytest.raises(NotFoundError):
        runs.get(filled, 99)


def test_a_replaced_figure_is_seen_by_whoever_follows(filled: Store, new_run: NewRun) -> None:
    run, other = new_run(), new_run()
    runs.add_metrics(filled, run, [Metric(1, "loss", 2.0, 1.0), Metric(2, "loss", 1.5, 2.0)])
    runs.add_metrics(filled, other, [Metric(1, "loss", 9.0, 1.0)])
    seen, figures = runs.metrics_after(filled, run, 0)
    assert [figure.value for figure in figures] == [2.0, 1.5]
    assert runs.metrics_after(filled, run, seen) == (seen, [])
    runs.add_metrics(filled, run, [Metric(2, "loss", 1.4, 3.0), Metric(2, "score", 70.0, 3.0)])
    _, figures = runs.metrics_after(filled, run, seen)
    assert figures == [Metric(2, "loss", 1.4, 3.0), Metric(2, "score", 70.0, 3.0)]
    assert [figure.value for figure in runs.metrics(filled, run)] == [2.0, 1.4, 70.0]
    assert [figure.value for figure in runs.metrics(filled, run, names=["loss"], after_step=1)] == [1.4]
    assert runs.metrics(filled, run, names=[]) == []


def test_figures_that_are_no_numbers(filled: Store, new_run: NewRun) -> None:
    run = new_run()
    runs.add_metrics(filled, run, [Metric(1, "loss", math.nan, 1.0), Metric(2, "loss", math.inf, 1.0)])
    first, second = runs.metrics(filled, run)
    assert math.isnan(first.value)
    assert second.value == math.inf


def test_trained_on_is_the_train_split_of_started_runs(filled: Store, new_run: NewRun) -> None:
    run = new_run()
    assert datasets.trained_event_ids(filled, "erd") == set()
    claim(filled, run)
    assert datasets.trained_event_ids(filled, "erd") == {1}
    assert datasets.trained_event_ids(filled, "other") == set()


def test_the_latest_figures_are_those_of_the_whole_history(filled: Store, new_run: NewRun) -> None:
    run = new_run()
    runs.add_metrics(filled, run, [Metric(step, "loss", 1.0 / (step + 1), 0.0) for step in range(50)])
    runs.add_metrics(filled, run, [Metric(10, "eval_loss", 0.5, 0.0), Metric(20, "eval_loss", math.nan, 0.0)])
    runs.add_metrics(filled, run, [Metric(49, "score", 80.0, 0.0)])
    found = metrics.latest(filled, run)
    history = {figure.name: figure.value for figure in runs.metrics(filled, run)}
    assert list(found) == list(history) == ["loss", "eval_loss", "score"]
    assert (found["loss"], found["score"]) == (history["loss"], history["score"]) == (0.02, 80.0)
    assert math.isnan(found["eval_loss"])
    assert metrics.latest(filled, run + 1) == {}
