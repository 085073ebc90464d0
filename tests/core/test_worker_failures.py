"""What fails is refused, waited for or taken up again, and never ends the worker."""

from __future__ import annotations

import time

import pytest
from worker_kit import PLAIN, TWO, Open, begin, did, fail, feed, look, lose, said, version_of

from core import dispatch
from core.errors import RunError
from core.paths import Home
from core.worker import Worker
from storage import runs

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
