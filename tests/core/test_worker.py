"""The worker decides from the store alone what is due; no run of these tests ever really trains."""

from __future__ import annotations

import os
import time

import pytest
from worker_kit import TWO, Open, batch, begin, did, feed, finish, look, requests_of, said

from assets.demo import corpus
from core.errors import ConflictError
from core.only_one import lock_of, only_one
from core.paths import Home
from core.worker import Worker
from storage import events, runs


def test_a_second_worker_is_refused_while_the_first_lives(home: Home) -> None:
    with only_one(home, "worker"):
        with pytest.raises(ConflictError, match=rf"process {os.getpid()}\b") as refused, only_one(home, "worker"):
            raise AssertionError("two workers")
        assert refused.value.hint
    with only_one(home, "worker"):
        assert lock_of(home, "worker").read_text(encoding="utf-8") == f"{os.getpid()}\n"


def test_what_a_dead_worker_left_in_its_lock_keeps_nobody_out(home: Home) -> None:
    lock_of(home, "worker").write_text("123456789\n", encoding="utf-8")
    with only_one(home, "worker"):
        assert lock_of(home, "worker").read_text(encoding="utf-8") == f"{os.getpid()}\n"


def test_an_empty_store_is_nothing_to_do(opened: Open) -> None:
    report = look(Worker(opened()))
    assert (report.did, report.waiting) == ([], [])


def test_twenty_fresh_examples_are_a_batch_and_nineteen_are_not(opened: Open, launched: list[int]) -> None:
    loop = opened()
    ids = feed(loop, 19)
    at_work = Worker(loop)
    report = look(at_work)
    assert report.did == []
    assert said(report) == "erd: 19 of 19 eligible; 19 of 20 fresh examples"
    assert report.waiting[0].stage == "collecting"

    ids += feed(loop, 1, first=19)
    report = look(at_work, thorough=False)
    assert did(report) == [("started", "erd")]
    assert report.did[0].text == "erd: 20 of 20 eligible; run 1 with 20 fresh examples; a batch of 20"
    run = loop.run(1)
    assert (run.origin, run.base_model, run.start_version, run.status) == ("adaptive", "demo", None, "queued")
    assert batch(loop, 1) == set(ids)
    assert launched == [1]


def test_every_event_that_is_held_back_has_its_reason(opened: Open) -> None:
    loop = opened()
    ids = feed(loop, 5)
    feed(loop, 3, part="test")
    request = requests_of("train")[0]
    loop.record_feedback(f"{request.prompt} Please.", corpus.ideal(request), "erd", "demo", verdict="good")
    loop.record_feedback("Draw a shop with seats.", "no diagram", "erd", "demo")
    assert len(ids) == 5
    assert said(look(Worker(loop))) == (
        "erd: 5 of 10 eligible; 3 kept for testing, 1 for a low score, 1 as near-duplicates; 5 of 20 fresh examples"
    )


def test_a_quick_look_counts_only_and_says_nothing_twice(opened: Open) -> None:
    loop = opened()
    feed(loop, 3)
    at_work = Worker(loop)
    assert said(look(at_work, thorough=False)) == "erd: at most 3 of 20 fresh examples"
    assert look(at_work, thorough=False).waiting == []
    feed(loop, 1, first=3)
    assert said(look(at_work, thorough=False)) == "erd: at most 4 of 20 fresh examples"


def test_validation_and_held_out_events_are_never_fresh(opened: Open) -> None:
    loop = opened()
    feed(loop, 19)
    validation = feed(loop, 5, part="validation")
    test = feed(loop, 10, part="test")
    at_work = Worker(loop)
    assert said(look(at_work)).endswith("; 19 of 20 fresh examples")
    feed(loop, 1, first=19)
    assert did(look(at_work)) == [("started", "erd")]
    assert not batch(loop, 1) & {*validation, *test}
    finish(loop, 1)
    assert said(look(at_work)).endswith("; 0 of 20 fresh examples")


def test_nothing_is_started_while_a_run_of_the_category_is_open(opened: Open, launched: list[int]) -> None:
    loop = opened()
    feed(loop, 60)
    at_work = Worker(loop)
    assert did(look(at_work)) == [("started", "erd")]
    for status in ("queued", "running"):
        if status == "running":
            begin(loop, 1)
        report = look(at_work)
        assert report.did == []
        assert said(report) == f"erd: run 1 is {status}"
        assert report.waiting[0].stage == "training"
    assert launched == [1]
    assert len(loop.runs()) == 1


def test_a_run_that_somebody_started_counts_as_well(opened: Open) -> None:
    loop = opened()
    feed(loop, 25)
    loop.start_run("erd")
    at_work = Worker(loop)
    assert said(look(at_work)) == "erd: run 1 is queued"
    finish(loop, 1)
    assert said(look(at_work)).endswith("; 0 of 20 fresh examples")


def test_an_older_run_that_goes_on_is_waited_for(opened: Open) -> None:
    loop = opened()
    feed(loop, 20)
    loop.start_run("erd")
    begin(loop, 1)
    runs.finish(loop.store, 1, "stopped", now=time.time())
    loop.start_run("erd")
    finish(loop, 2)
    begin(loop, 1)
    feed(loop, 20, first=20)
    report = look(Worker(loop))
    assert report.did == []
    assert said(report) == "erd: run 1 is running"


def test_what_is_left_over_starts_the_next_run_only_when_it_is_enough(opened: Open, launched: list[int]) -> None:
    loop = opened()
    feed(loop, 39)
    at_work = Worker(loop)
    look(at_work)
    first = batch(loop, 1)
    assert len(first) == 20
    finish(loop, 1)
    assert said(look(at_work)).endswith("; 19 of 20 fresh examples")
    feed(loop, 1, first=39)
    assert did(look(at_work, thorough=False)) == [("started", "erd")]
    assert len(batch(loop, 2)) == 20
    assert not batch(loop, 2) & first
    assert launched == [1, 2]


def test_examples_of_a_stopped_run_are_not_taken_again_at_once(opened: Open) -> None:
    loop = opened()
    stopped = set(feed(loop, 20))
    at_work = Worker(loop)
    look(at_work)
    begin(loop, 1)
    runs.finish(loop.store, 1, "stopped", now=time.time())
    report = look(at_work)
    assert report.did == []
    assert said(report).endswith("; 0 of 20 fresh examples")
    fresh = set(feed(loop, 20, first=20))
    assert did(look(at_work, thorough=False)) == [("started", "erd")]
    # Nothing has learned what the stopped run was to teach, so that the next one takes it along.
    assert batch(loop, 2) == fresh | stopped


def test_rejected_examples_of_an_earlier_batch_do_not_hide_fresh_ones(opened: Open) -> None:
    loop = opened()
    first = feed(loop, 20)
    at_work = Worker(loop)
    look(at_work)
    finish(loop, 1)
    look(at_work, thorough=False)
    for event_id in first[:15]:
        events.set_assessment(loop.store, event_id, quality=0.1, tier="rejected", parts={})
    feed(loop, 20, first=20)
    assert did(look(at_work, thorough=False)) == [("started", "erd")]


def test_two_categories_queue_one_behind_the_other(opened: Open, launched: list[int]) -> None:
    loop = opened(TWO)
    feed(loop, 20)
    feed(loop, 20, category="other")
    at_work = Worker(loop)
    assert did(look(at_work)) == [("started", "erd"), ("started", "other")]
    assert launched == [1]
    begin(loop, 1)
    assert [each.text for each in look(at_work).waiting] == ["erd: run 1 is running", "other: run 2 is queued"]
    runs.finish(loop.store, 1, "stopped", now=time.time())
    look(at_work)
    assert launched == [1, 2]


@pytest.mark.parametrize(
    ("config", "trained"),
    [
        (f"{TWO}[loop]\nauto_train = false\n", []),
        (f"{TWO}[categories.erd.loop]\nauto_train = false\n", ["other"]),
        (f"{TWO}[loop]\nauto_train = false\n[categories.erd.loop]\nauto_train = true\n", ["erd"]),
    ],
)
def test_auto_train_is_switched_off_for_all_or_for_one(opened: Open, config: str, trained: list[str]) -> None:
    loop = opened(config)
    feed(loop, 20)
    feed(loop, 20, category="other")
    report = look(Worker(loop))
    assert did(report) == [("started", name) for name in trained]
    off = sorted({"erd", "other"} - set(trained))
    assert [each.text for each in report.waiting] == [f"{name}: auto_train is off" for name in off]


def test_a_category_has_its_own_policy(opened: Open) -> None:
    loop = opened(f'{TWO}[categories.erd.loop]\npolicy = "fixed"\n')
    feed(loop, 49)
    feed(loop, 49, category="other")
    at_work = Worker(loop)
    report = look(at_work)
    assert did(report) == [("started", "other")]
    assert said(report).endswith("; 49 of 50 fresh examples")
    feed(loop, 1, first=49)
    assert did(look(at_work)) == [("started", "erd")]
    assert len(batch(loop, 2)) == 50


def test_a_report_is_json(opened: Open) -> None:
    loop = opened(TWO)
    feed(loop, 20)
    feed(loop, 5, category="other")
    told = look(Worker(loop), 1e9).to_json()
    assert told.keys() == {"at", "did", "waiting"}
    assert told["did"][0].keys() == {"what", "text", "category", "run"}
    assert told["waiting"][0].keys() == {"category", "stage", "text"}
