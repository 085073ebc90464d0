"""The worker decides from the store alone what is due; no run of these tests ever really trains."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal

import pytest

from assets.demo import corpus
from core import dispatch, worker
from core.errors import ConflictError, RunError
from core.loop import LearningLoop
from core.paths import Home
from core.release.registry import version_name
from core.select.split import bucket, is_held_out, is_validation, prompt_hash
from core.train.launch import process_started
from core.training import adapter_of
from core.worker import LOCK, Report, Worker, only_worker
from storage import ab_tests, datasets, events, runs, versions
from storage.rows import VersionRow

PLAIN = '[select]\nembeddings = "none"\n'
TWO = f'{PLAIN}[categories.other]\nlike = "erd"\n'

Part = Literal["train", "validation", "test"]


@cache
def requests_of(part: Part) -> list[corpus.Request]:
    """Requests that stand on one side of the split wherever they are recorded."""
    sides: dict[Part, list[corpus.Request]] = {"train": [], "validation": [], "test": []}
    for request in corpus.requests(0, 600, split="feedback"):
        at = bucket(prompt_hash(request.prompt))
        sides["test" if is_held_out(at) else "validation" if is_validation(at) else "train"].append(request)
    return sides[part]


def feed(loop: LearningLoop, count: int, *, first: int = 0, part: Part = "train", category: str = "erd") -> list[int]:
    """Records `count` outputs that pass the gate, from the `first` of their part on."""
    chosen = requests_of(part)[first : first + count]
    assert len(chosen) == count
    return [
        loop.record_feedback(each.prompt, corpus.ideal(each), category, "demo", verdict="good").event_id
        for each in chosen
    ]


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The runs whose process was started, in order; this process stands for each of them."""
    started: list[int] = []

    def launch(home: Home, run_id: int) -> int:
        started.append(run_id)
        return os.getpid()

    monkeypatch.setattr(dispatch, "launch", launch)
    return started


@pytest.fixture
def opened(home: Home, launched: list[int]) -> Iterator[Callable[[str], LearningLoop]]:
    """Opens the loop of the home with what its config.toml says."""
    loops: list[LearningLoop] = []

    def open_with(config: str = PLAIN) -> LearningLoop:
        home.config.write_text(config, encoding="utf-8")
        loops.append(LearningLoop(home))
        return loops[-1]

    yield open_with
    for loop in loops:
        loop.close()


Open = Callable[..., LearningLoop]


def begin(loop: LearningLoop, run_id: int) -> None:
    """What the process of a run does first."""
    started = process_started(os.getpid())
    assert started is not None
    assert runs.claim(loop.store, run_id, pid=os.getpid(), pid_started=started, now=time.time())


def fail(loop: LearningLoop, run_id: int, *, at: float, version_id: int | None = None) -> None:
    begin(loop, run_id)
    runs.finish(loop.store, run_id, "failed", now=at, error="No memory.", version_id=version_id)


def lose(loop: LearningLoop, run_id: int, *, at: float) -> None:
    """The process of a run is gone; its last sign of life was `at`."""
    assert runs.claim(loop.store, run_id, pid=1 << 22, pid_started=-1.0, now=at)
    assert runs.mark_lost(loop.store, run_id, heartbeat_before=at + 1)


def version_of(loop: LearningLoop, run_id: int | None, *, proved: bool = True) -> VersionRow:
    """A registered version with its adapter's file; without a run the untouched base."""
    run = loop.run(run_id) if run_id is not None else None
    category = run.category if run else "erd"
    number = versions.next_number(loop.store, category, "demo") if run else 0
    made = versions.add(
        loop.store,
        created_at=1.0,
        name=version_name("ft", "demo", category, number),
        category=category,
        base_model="demo",
        number=number,
        run_id=run_id,
        parent_id=None,
        dataset_id=run.dataset_id if run else None,
        folder=f"models/demo/{category}/v{number}",
        settings=run.settings if run else {},
        code_version="1",
    )
    versions.update(loop.store, made, proved=proved)
    version = versions.get(loop.store, made)
    adapter_of(loop.home, version).parent.mkdir(parents=True)
    adapter_of(loop.home, version).write_bytes(b"adapter")
    return version


def finish(loop: LearningLoop, run_id: int, *, verdict: str | None = None) -> VersionRow:
    """A run to its end, with a proved version; `verdict` is what its A/B test against the base says."""
    begin(loop, run_id)
    version = version_of(loop, run_id)
    if verdict is not None:
        known = [each for each in versions.list_versions(loop.store) if each.number == 0]
        base = known[0] if known else version_of(loop, None)
        test = ab_tests.start(
            loop.store, created_at=1.0, category="erd", version_a=base.id, version_b=version.id, seed=0, settings={}
        )
        ab_tests.finish(loop.store, test, {"verdict": verdict, "summary": ""}, now=2.0)
    runs.finish(loop.store, run_id, "finished", now=time.time(), version_id=version.id)
    return version


def batch(loop: LearningLoop, run_id: int, origin: str = "event") -> set[int]:
    """The events that a run learns, as new ones or as `replay`."""
    items = datasets.items(loop.store, loop.run(run_id).dataset_id, "train")
    return {item.event_id for item in items if item.origin == origin}


def look(at_work: Worker, now: float | None = None, *, thorough: bool = True) -> Report:
    return at_work.look(now=time.time() if now is None else now, thorough=thorough)


def did(report: Report) -> list[tuple[str, str]]:
    return [(step.what, step.category) for step in report.did]


def said(report: Report) -> str:
    """What was said of the one category."""
    (waiting,) = report.waiting
    return waiting.text


# -- one worker


def test_a_second_worker_is_refused_while_the_first_lives(home: Home) -> None:
    with only_worker(home):
        with pytest.raises(ConflictError, match=rf"process {os.getpid()}\b") as refused, only_worker(home):
            raise AssertionError("two workers")
        assert refused.value.hint
    with only_worker(home):
        assert (home.root / LOCK).read_text(encoding="utf-8") == f"{os.getpid()}\n"


def test_what_a_dead_worker_left_in_its_lock_keeps_nobody_out(home: Home) -> None:
    (home.root / LOCK).write_text("123456789\n", encoding="utf-8")
    with only_worker(home):
        assert (home.root / LOCK).read_text(encoding="utf-8") == f"{os.getpid()}\n"


# -- when it trains, and what it says when not


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


WRONG = [
    ('[categories.erd]\nbase_model = "no-such-model"\n', "no-such-model"),
    ('[categories.erd.select]\naugmentation = true\naugment_methods = "guessing"\n', "guessing"),
]


@pytest.mark.parametrize(("wrong", "named"), WRONG)
def test_what_one_category_lacks_keeps_no_other_from_training(opened: Open, wrong: str, named: str) -> None:
    loop = opened(f"{TWO}{wrong}")
    feed(loop, 20)
    feed(loop, 20, category="other")
    at_work = Worker(loop)
    report = look(at_work, 1e9)
    assert did(report) == [("refused", "erd"), ("started", "other")]
    assert named in report.did[0].text
    for later in (0.5, 5.0, 299.0):
        report = look(at_work, 1e9 + later)
        assert report.did == []
        assert "tried again later" in report.waiting[0].text
    assert did(look(at_work, 1e9 + 301.0)) == [("refused", "erd")]


# -- what fails


def test_a_failed_run_is_taken_up_again_with_growing_pauses(opened: Open, launched: list[int]) -> None:
    loop = opened(f"{PLAIN}[loop]\nbackoff_seconds = 100\nmax_attempts = 3\n")
    feed(loop, 20)
    at_work = Worker(loop)
    now = time.time()
    look(at_work, now)
    for attempt, pause in ((1, 100.0), (2, 200.0)):
        fail(loop, 1, at=now)
        report = look(at_work, now + pause - 1.0)
        assert report.did == []
        assert said(report) == f"erd: run 1 failed, attempt {attempt}; again in 1 s"
        assert report.waiting[0].stage == "failed"
        now += pause
        report = look(at_work, now)
        assert did(report) == [("resumed", "erd")]
        assert report.did[0].run == 1
        assert report.did[0].text == f"erd: run 1 failed and is taken up again, attempt {attempt + 1}"
        assert launched == [1] * (attempt + 1)
    fail(loop, 1, at=now)
    report = look(at_work, now + 1e6)
    assert report.did == []
    assert said(report).endswith("; 0 of 20 fresh examples")
    assert launched == [1, 1, 1]
    assert loop.run(1).attempts == 3


def test_a_run_that_takes_its_time_to_begin_is_taken_up_once(opened: Open, launched: list[int]) -> None:
    loop = opened(f"{PLAIN}[loop]\nbackoff_seconds = 1\n")
    feed(loop, 20)
    at_work = Worker(loop)
    now = time.time()
    look(at_work, now)
    fail(loop, 1, at=now)
    assert did(look(at_work, now + 2.0)) == [("resumed", "erd")]
    assert said(look(at_work, now + 8.0)) == "erd: run 1 is about to go on"
    assert launched == [1, 1]
    fail(loop, 1, at=now + 10.0)
    assert did(look(at_work, now + 12.0)) == [("resumed", "erd")]  # it had begun, and failed again


def test_another_run_at_work_is_waited_for(opened: Open, launched: list[int]) -> None:
    loop = opened(f"{TWO}[loop]\nbackoff_seconds = 1\n")
    feed(loop, 20)
    at_work = Worker(loop)
    now = time.time()
    look(at_work, now)
    fail(loop, 1, at=now)
    feed(loop, 20, category="other")
    loop.start_run("other")
    begin(loop, 2)
    report = look(at_work, now + 10.0)
    assert report.did == []
    assert [each.text for each in report.waiting] == ["erd: run 1 waits for run 2", "other: run 2 is running"]
    assert launched == [1, 2]


def test_a_version_without_its_proof_is_not_tried_again(opened: Open, launched: list[int]) -> None:
    loop = opened()
    feed(loop, 20)
    at_work = Worker(loop)
    now = time.time()
    look(at_work, now)
    fail(loop, 1, at=now, version_id=version_of(loop, 1, proved=False).id)
    report = look(at_work, now + 1e6)
    assert report.did == []
    assert said(report).endswith("; 0 of 20 fresh examples")
    assert launched == [1]


@pytest.mark.parametrize("auto_train", [True, False])
@pytest.mark.parametrize("origin", ["manual", "adaptive"])
@pytest.mark.parametrize("end", ["failed", "lost", "stopped"])
def test_what_is_taken_up_again(opened: Open, launched: list[int], auto_train: bool, origin: str, end: str) -> None:
    """A stop was somebody's wish, and a failure of somebody's own run is theirs; a kill was nobody's."""
    off = "" if auto_train else "[loop]\nauto_train = false\n"
    loop = opened(f"{PLAIN}{off}")
    feed(loop, 20)
    now = time.time()
    if origin == "manual":
        loop.start_run("erd")
    else:
        look(Worker(opened(PLAIN)), now)
    if end == "lost":
        lose(loop, 1, at=now)
    elif end == "failed":
        fail(loop, 1, at=now)
    else:
        begin(loop, 1)
        runs.finish(loop.store, 1, "stopped", now=now)
    report = look(Worker(loop), now + 301.0)
    again = auto_train and (end == "lost" or (end == "failed" and origin == "adaptive"))
    assert did(report) == ([("resumed", "erd")] if again else [])
    assert launched == [1] * (2 if again else 1)


def test_a_run_whose_process_is_gone_is_said_and_taken_up_again(opened: Open, launched: list[int]) -> None:
    loop = opened()
    feed(loop, 20)
    at_work = Worker(loop)
    now = time.time()
    look(at_work, now)
    assert runs.claim(loop.store, 1, pid=1 << 22, pid_started=-1.0, now=now - 60.0)
    report = look(at_work, now)
    assert did(report) == [("lost", "erd")]
    assert (report.did[0].run, loop.run(1).status) == (1, "lost")
    assert "again in 240 s" in said(report)
    assert did(look(at_work, now + 241.0)) == [("resumed", "erd")]


def test_a_process_that_does_not_start_does_not_end_the_worker(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    loop = opened(f"{TWO}[categories.other.loop]\nauto_train = false\n")
    feed(loop, 20)
    feed(loop, 5, category="other")
    tries: list[int] = []

    def broken(home: Home, run_id: int) -> int:
        tries.append(run_id)
        raise RunError("The training process cannot be started.", hint="Free some memory.")

    monkeypatch.setattr(dispatch, "launch", broken)
    at_work = Worker(loop)
    assert did(look(at_work, 1e9)) == [("refused", "erd")]
    assert loop.run(1).status == "queued"
    report = look(at_work, 1e9 + 1.0)
    assert did(report) == [("refused", "")]
    assert "cannot be started" in report.did[0].text
    assert [each.category for each in report.waiting] == ["erd", "other"]
    for later in (2.0, 100.0):
        assert look(at_work, 1e9 + later).did == []
    assert tries == [1, 1]
    assert did(look(at_work, 1e9 + 302.0)) == [("refused", "")]


def test_a_run_that_cannot_be_taken_up_is_tried_again_later(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    loop = opened()
    feed(loop, 20)
    at_work = Worker(loop)
    now = time.time()
    look(at_work, now)
    fail(loop, 1, at=now)

    def broken(home: Home, run_id: int) -> int:
        raise RunError("The training process cannot be started.", hint="Free some memory.")

    monkeypatch.setattr(dispatch, "launch", broken)
    assert did(look(at_work, now + 301.0)) == [("refused", "erd")]
    for later in (302.0, 600.0):
        assert said(look(at_work, now + later)) == "erd: the last attempt was refused; tried again later"
    assert did(look(at_work, now + 602.0)) == [("refused", "erd")]
    assert loop.run(1).attempts == 1


# -- from one version to the next


def test_the_second_training_goes_on_from_the_first_and_replays_gold(opened: Open) -> None:
    loop = opened()
    feed(loop, 20)
    at_work = Worker(loop)
    look(at_work)
    first, v1 = batch(loop, 1), finish(loop, 1, verdict="need more data")
    fresh = feed(loop, 20, first=20)
    report = look(at_work)
    assert report.did[0].text.endswith(f"a batch of 20, going on from {v1.name}")
    run = loop.run(2)
    assert run.start_version == v1.id
    assert batch(loop, 2) == set(fresh)
    replayed = batch(loop, 2, "replay")
    assert replayed <= first
    assert len(replayed) == 7  # a quarter of all: 20 × 0.25 / 0.75


def test_the_shape_of_the_adapter_is_that_of_the_version_it_goes_on_from(opened: Open) -> None:
    loop = opened(f"{PLAIN}[train]\nrank = 4\nepochs = 1\n")
    feed(loop, 20)
    look(Worker(loop))
    finish(loop, 1)
    loop = opened(f"{PLAIN}[train]\nrank = 16\nepochs = 2\n")
    feed(loop, 20, first=20)
    look(Worker(loop))
    settings = [(loop.run(run).settings["rank"], loop.run(run).settings["epochs"]) for run in (1, 2)]
    assert settings == [(4, 1), (4, 2)]


def test_after_a_lost_test_the_next_goes_on_from_the_version_before(opened: Open) -> None:
    loop = opened()
    feed(loop, 20)
    at_work = Worker(loop)
    look(at_work)
    first, v1 = batch(loop, 1), finish(loop, 1, verdict="promote")
    second = set(feed(loop, 20, first=20))
    look(at_work)
    v2 = finish(loop, 2, verdict="keep")
    third = set(feed(loop, 20, first=40))
    assert did(look(at_work)) == [("started", "erd")]
    assert loop.run(2).start_version == v1.id
    assert loop.run(3).start_version == v1.id != v2.id
    assert batch(loop, 3) == second | third  # v1 has not learned what v2 had
    assert batch(loop, 3, "replay") <= first


def test_a_version_whose_adapter_is_gone_is_passed_over(opened: Open) -> None:
    loop = opened()
    feed(loop, 20)
    at_work = Worker(loop)
    look(at_work)
    v1 = finish(loop, 1)
    adapter_of(loop.home, v1).unlink()
    feed(loop, 20, first=20)
    assert did(look(at_work)) == [("started", "erd")]
    assert loop.run(2).start_version is None


def test_without_incremental_each_version_begins_afresh(opened: Open) -> None:
    loop = opened(f"{PLAIN}[loop]\nincremental = false\n")
    first = set(feed(loop, 20))
    at_work = Worker(loop)
    look(at_work)
    finish(loop, 1, verdict="promote")
    second = set(feed(loop, 20, first=20))
    report = look(at_work)
    assert "going on" not in report.did[0].text
    assert loop.run(2).start_version is None
    assert batch(loop, 2) == first | second


@pytest.mark.parametrize("config", [PLAIN, f"{PLAIN}[loop]\nincremental = false\n"])
def test_versions_that_lose_do_not_train_the_same_again_and_again(opened: Open, config: str) -> None:
    """Whatever a new version goes on from, its batch takes what is fresh: without new feedback it comes to rest."""
    loop = opened(config)
    at_work = Worker(loop)
    fed: set[int] = set()
    for round_ in range(6):  # from the sixth on there are more than a batch can take
        fed |= set(feed(loop, 20, first=20 * round_))
        report = look(at_work)
        assert did(report) == [("started", "erd")]
        newest = loop.runs("erd")[0].id
        finish(loop, newest, verdict="keep")
        assert look(at_work).did == []
        assert datasets.taken_event_ids(loop.store, "erd", "demo") == fed
        learned = batch(loop, newest)
        assert 20 <= len(learned) <= 100
        assert len(batch(loop, newest, "replay")) <= 33


# -- the watch


class Watched:
    """The worker's own loop on a clock that goes half a second a round; `at` has what happens meanwhile."""

    def __init__(self, loop: LearningLoop, at: Mapping[float, Callable[[], object]], until: float) -> None:
        self.heard: list[Report] = []
        self._clock = 0.0
        self._at = dict(at)
        self._until = until
        self.worker = Worker(loop)
        self.worker.run(self.heard.append, now=self._now)

    def _now(self) -> float:
        self._clock += 0.5
        for moment in [moment for moment in self._at if moment <= self._clock]:
            self._at.pop(moment)()
        if self._clock >= self._until:
            self.worker.stop.set()
        return self._clock

    def started(self) -> list[float]:
        return [report.at for report in self.heard for step in report.did if step.what == "started"]


@pytest.fixture
def without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "POLL_SECONDS", 0.0)


@pytest.mark.usefixtures("without_waiting")
def test_a_burst_of_events_starts_one_training_when_it_has_settled(opened: Open) -> None:
    loop, other = opened(), opened()
    burst = {10.0 + 0.5 * index: partial(feed, other, 2, first=2 * index) for index in range(30)}
    watched = Watched(loop, burst, until=60.0)
    assert watched.started() == [30.0]  # the last events came at 24.5, were seen at 25, and settled for 5 seconds
    assert len(loop.runs()) == 1
    assert sum(len(batch(loop, run.id)) for run in loop.runs()) == 21  # of 60: 50 × 0.7 × 0.6


@pytest.mark.usefixtures("without_waiting")
def test_feedback_that_never_settles_is_not_waited_for_for_ever(opened: Open) -> None:
    loop, other = opened(), opened()
    stream = {1.0 + index: partial(feed, other, 1, first=index) for index in range(120)}
    watched = Watched(loop, stream, until=120.0)
    assert watched.started() == [76.0]  # a quarter of the backoff after the first look


@pytest.mark.usefixtures("without_waiting")
def test_everything_is_gone_through_each_hour(opened: Open) -> None:
    loop = opened(f"{PLAIN}[loop]\ncheck_seconds = 100\n")
    feed(loop, 3)
    watched = Watched(loop, {}, until=350.0)
    full = [report.at for report in watched.heard for each in report.waiting if "3 of 3 eligible" in each.text]
    assert full == [1.0, 101.0, 201.0, 301.0]


@pytest.mark.usefixtures("without_waiting")
def test_a_fault_of_the_store_does_not_end_the_watch(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    loop = opened()
    feed(loop, 20)
    look_really = Worker.look
    faults = iter([ConflictError("The store is busy.", hint="Try again.")])

    def look_once_in_vain(self: Worker, **given: Any) -> Report:
        for fault in faults:
            raise fault
        return look_really(self, **given)

    monkeypatch.setattr(Worker, "look", look_once_in_vain)
    watched = Watched(loop, {}, until=200.0)
    assert [step.what for report in watched.heard for step in report.did] == ["refused", "started"]
    assert "The store is busy." in watched.heard[0].did[0].text


@pytest.mark.usefixtures("without_waiting")
def test_a_stop_ends_the_watch_before_anything_else_is_begun(opened: Open) -> None:
    loop = opened(TWO)
    feed(loop, 20)
    feed(loop, 20, category="other")
    at_work = Worker(loop)
    heard: list[Report] = []

    def stop_meanwhile() -> list[int]:
        at_work.stop.set()
        return []

    loop.dispatcher.tend = stop_meanwhile  # type: ignore[method-assign]
    at_work.run(heard.append)
    assert [did(report) for report in heard] == [[]]
    assert loop.runs() == []


@pytest.mark.usefixtures("without_waiting")
def test_callbacks_hear_of_what_another_process_did(opened: Open) -> None:
    loop, other = opened(), opened()
    feed(loop, 20)
    heard: list[str] = []
    loop.on("*", lambda told: heard.append(told["event"]))
    watched = Watched(loop, {20.0: lambda: fail(other, 1, at=20.0)}, until=40.0)
    assert heard == ["fine_tuning.failed"]
    assert [step.text for report in watched.heard for step in report.did if step.what == "delivered"]


def test_a_report_is_json(opened: Open, tmp_path: Path) -> None:
    loop = opened(TWO)
    feed(loop, 20)
    feed(loop, 5, category="other")
    told = look(Worker(loop), 1e9).to_json()
    assert told.keys() == {"at", "did", "waiting"}
    assert told["did"][0].keys() == {"what", "text", "category", "run"}
    assert told["waiting"][0].keys() == {"category", "stage", "text"}
