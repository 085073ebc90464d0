"""What is published is written with the change itself, and each hook is owed exactly what concerns it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from core.errors import ConflictError
from storage import ab_tests, outbox, runs, versions
from storage.db import Store, integrity_problems
from storage.outbox import OutboxRow, Wanted
from storage.rows import AbPairRow

NewRun = Callable[[], int]
NewVersion = Callable[[int], int]
EVERYTHING = Wanted(outbox.EVENTS)


def published(store: Store) -> list[OutboxRow]:
    return outbox.since(store, 0)


def running(store: Store, new_run: NewRun) -> int:
    run = new_run()
    assert runs.claim(store, run, pid=7, pid_started=1.5, now=10.0)
    return run


def tell(
    store: Store, name: outbox.EventName = "fine_tuning.completed", category: str = "erd", now: float = 1.0
) -> int:
    return outbox.publish(store, name, category, {"run_id": 1}, now=now)


def due(store: Store, hook: str) -> list[int]:
    """The numbers of what waits for a hook; each is settled."""
    found = []
    while (first := outbox.head(store, hook)) is not None:
        found.append(first[0].id)
        outbox.settle(store, first[0].id, hook, "delivered", "")
    return found


def test_the_end_of_a_run_is_published_with_its_version(
    filled: Store, new_run: NewRun, new_version: NewVersion
) -> None:
    version = new_version(1)
    versions.update(
        filled, version, metrics={"mean_score": 81.5, "n": 4, "prompts": "b2:…", "bad": float("nan"), "flag": True}
    )
    run = running(filled, new_run)
    runs.finish(filled, run, "finished", now=20.0, version_id=version)
    (event,) = published(filled)
    assert (event.name, event.category, event.at) == ("fine_tuning.completed", "erd", 20.0)
    assert event.payload["data"] == {
        "run_id": run,
        "version": "ft-demo-erd-v1",
        "version_id": version,
        "base_model": "demo",
        "metrics": {"mean_score": 81.5, "n": 4},
        "origin": "manual",
        "method": "sft",
        "attempts": 1,
        "status": "finished",
    }


def test_a_failure_tells_error_and_hint_and_a_stop_nothing(filled: Store, new_run: NewRun) -> None:
    run = running(filled, new_run)
    runs.finish(filled, run, "stopped", now=20.0)
    assert published(filled) == []
    assert runs.claim(filled, run, pid=7, pid_started=1.5, now=30.0)
    runs.finish(filled, run, "failed", now=40.0, error="The disk is full.", hint="Free some.")
    (event,) = published(filled)
    told = event.payload["data"]
    assert event.name == "fine_tuning.failed"
    assert (told["error"], told["hint"], told["attempts"], told["status"]) == (
        "The disk is full.",
        "Free some.",
        2,
        "failed",
    )


def test_a_lost_run_is_published_once(filled: Store, new_run: NewRun) -> None:
    run = running(filled, new_run)
    assert not runs.mark_lost(filled, run, heartbeat_before=10.0)
    assert published(filled) == []
    assert runs.mark_lost(filled, run, heartbeat_before=11.0)
    assert not runs.mark_lost(filled, run, heartbeat_before=11.0)
    (event,) = published(filled)
    assert (event.name, event.payload["data"]["status"]) == ("fine_tuning.failed", "lost")


def test_what_is_taken_back_is_not_published(filled: Store, new_run: NewRun) -> None:
    run = running(filled, new_run)

    def taken_back() -> None:
        with filled.transaction():
            runs.finish(filled, run, "finished", now=20.0)
            assert len(published(filled)) == 1
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        taken_back()
    assert runs.get(filled, run).status == "running"
    assert published(filled) == []
    runs.finish(filled, run, "finished", now=21.0)
    with pytest.raises(ConflictError):
        runs.finish(filled, run, "failed", now=22.0)
    assert [event.at for event in published(filled)] == [21.0]


def test_a_test_is_published_without_what_was_asked_or_answered(filled: Store, new_version: NewVersion) -> None:
    one, two = new_version(1), new_version(2)
    test = ab_tests.start(filled, created_at=1.0, category="erd", version_a=one, version_b=two, seed=5, settings={})
    pair = AbPairRow(test, 0, 1, "PROMPT", "ANSWER A", "ANSWER B", 60.0, 90.0, 0.1, 0.2, 10, 20, "b")
    ab_tests.add_pairs(filled, [pair])
    ab_tests.finish(filled, test, {"wins": 1, "verdict": "keep", "summary": "s", "interval": [0, 1]}, 9.0)
    with pytest.raises(ConflictError):
        ab_tests.finish(filled, test, {}, 10.0)
    (event,) = published(filled)
    told = event.payload["data"]
    assert event.name == "ab_test.completed"
    assert (told["test_id"], told["version"], told["against"]) == (test, "ft-demo-erd-v2", "ft-demo-erd-v1")
    assert (told["verdict"], told["summary"], told["metrics"]) == ("keep", "s", {"wins": 1})
    assert "PROMPT" not in str(event.payload) and "ANSWER" not in str(event.payload)


def test_a_new_hook_gets_what_happened_since_it_was_written(filled: Store) -> None:
    tell(filled, now=1.0)
    second = tell(filled, now=5.0)
    outbox.arrange(filled, {"a": EVERYTHING}, configured_at=5.0)
    third = tell(filled, now=2.0)  # a clock that was set back; the number counts from now on
    outbox.arrange(filled, {"a": EVERYTHING}, configured_at=9.0)
    assert due(filled, "a") == [second, third]
    outbox.arrange(filled, {"a": EVERYTHING}, configured_at=9.0)
    assert due(filled, "a") == []


def test_a_hook_is_owed_what_it_wants_and_nothing_else(filled: Store) -> None:
    hooks = {
        "failures": Wanted(("fine_tuning.failed",)),
        "own": Wanted(outbox.EVENTS, ("erd",)),
        "both": Wanted(("fine_tuning.failed", "ab_test.completed"), ("erd", "code")),
    }
    outbox.arrange(filled, hooks, configured_at=0.0)
    tell(filled)
    failed = tell(filled, "fine_tuning.failed", "code")
    tell(filled, "ab_test.completed", "other")
    tested = tell(filled, "ab_test.completed", "erd")
    outbox.arrange(filled, hooks, configured_at=0.0)
    assert due(filled, "failures") == [failed]
    assert due(filled, "own") == [1, tested]
    assert due(filled, "both") == [failed, tested]


def test_a_removed_hook_leaves_nothing_and_begins_anew(filled: Store) -> None:
    outbox.arrange(filled, {"a": EVERYTHING, "b": EVERYTHING}, configured_at=0.0)
    tell(filled)
    outbox.arrange(filled, {"a": EVERYTHING, "b": EVERYTHING}, configured_at=0.0)
    outbox.arrange(filled, {"b": EVERYTHING}, configured_at=0.0)
    assert set(outbox.counts(filled)) == {"b"}
    outbox.arrange(filled, {"a": EVERYTHING, "b": EVERYTHING}, configured_at=50.0)
    assert outbox.head(filled, "a") is None
    assert outbox.counts(filled)["b"] == outbox.HookCounts(due=1)
    assert integrity_problems(filled) == []


def test_nothing_is_written_where_nothing_has_changed(filled: Store) -> None:
    tell(filled)
    outbox.arrange(filled, {"a": EVERYTHING}, configured_at=0.0)
    before = filled.connection.total_changes
    outbox.arrange(filled, {"a": EVERYTHING}, configured_at=0.0)
    assert filled.connection.total_changes == before
    outbox.arrange(filled, {}, configured_at=0.0)
    before = filled.connection.total_changes
    outbox.arrange(filled, {}, configured_at=0.0)
    assert filled.connection.total_changes == before


def test_texts_are_cut_and_can_be_stored(filled: Store) -> None:
    outbox.publish(filled, "fine_tuning.failed", "erd", {"error": "\ud800\0" + "x" * 5_000, "n": None}, now=1.0)
    (event,) = published(filled)
    told = event.payload["data"]
    assert told["n"] is None
    assert told["error"] == "\ufffd\ufffd" + "x" * 1_998


def test_every_event_has_an_id_of_its_own(filled: Store) -> None:
    for _ in range(50):
        tell(filled)
    assert len({event.payload["id"] for event in published(filled)}) == 50


def test_given_up_can_be_made_due_again(filled: Store) -> None:
    outbox.arrange(filled, {"a": EVERYTHING}, configured_at=0.0)
    number = tell(filled)
    outbox.arrange(filled, {"a": EVERYTHING}, configured_at=0.0)
    assert outbox.log(filled, limit=5) == []
    outbox.begin(filled, number, "a", said="…", now=3.0)
    outbox.settle(filled, number, "a", "given up", "no")
    ((_, told),) = outbox.log(filled, limit=5)
    assert (told.state, told.attempts, told.last_at, told.said) == ("given up", 1, 3.0, "no")
    assert outbox.log(filled, limit=5, hook="b") == []
    assert outbox.counts(filled) == {"a": outbox.HookCounts(given_up=1)}
    assert outbox.head(filled, "a") is None
    assert (outbox.renew(filled, "b"), outbox.renew(filled, "a")) == (0, 1)
    found = outbox.head(filled, "a")
    assert found is not None and found[1].attempts == 0
