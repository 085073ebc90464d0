"""What the loop tells and refuses, without any training."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from versions_kit import add_version

from core import next_step
from core.config import Ab
from core.errors import CategoryError, ConflictError, ModelError, NotFoundError, RunError
from core.loop import LearningLoop
from core.paths import Home
from core.prove.ab import result_of, summary
from core.train.launch import process_started
from storage import ab_tests, datasets, events, runs
from storage.rows import AbPairRow, EventRow, VersionRow

DIAGRAM = "erDiagram\n    customer {\n        int id PK\n        string name\n    }"


@pytest.fixture
def loop(home: Home) -> Iterator[LearningLoop]:
    with LearningLoop(home) as made:
        yield made


def record(loop: LearningLoop, count: int, **more: Any) -> list[EventRow]:
    rows = [
        {
            "prompt": f"Draw shop number {i} with customers.",
            "response": f"{DIAGRAM}\n    shop_{i} {{\n        int id PK\n    }}",
        }
        | {"category": "erd", "model": "m", **more}
        for i in range(count)
    ]
    return events.get_many(loop.store, [one.event_id for one in loop.record_many(rows)])


def compared(loop: LearningLoop, a: VersionRow, b: VersionRow, wins: int, losses: int) -> int:
    test_id = ab_tests.start(
        loop.store, created_at=1.0, category="erd", version_a=a.id, version_b=b.id, seed=0, settings={}
    )
    blank = AbPairRow(test_id, 0, None, "p", "x", "x", 50.0, 90.0, 1.0, 1.0, 1, 1, "b")
    pairs = [replace(blank, position=i) for i in range(wins)]
    pairs += [replace(blank, position=wins + i, score_a=90.0, score_b=50.0, winner="a") for i in range(losses)]
    ab_tests.add_pairs(loop.store, pairs)
    result = result_of(pairs, 70.0, Ab(), seed=0)
    names = {"name_a": a.name, "name_b": b.name, "summary": summary(result, a.name, b.name)}
    ab_tests.finish(loop.store, test_id, {**result, **names}, 2.0)
    return test_id


def enqueue(loop: LearningLoop, **counts: int) -> int:
    dataset = datasets.add(
        loop.store, created_at=1.0, category="erd", hash=f"b2:{counts}", seed=0, settings={}, counts=counts, items=[]
    )
    return runs.enqueue(
        loop.store,
        created_at=1.0,
        category="erd",
        base_model="demo",
        method="sft",
        settings={},
        dataset_id=dataset,
        parent_version=None,
        total_steps=8,
    )


def test_one_event_is_recorded_like_many(loop: LearningLoop) -> None:
    one = loop.record_feedback("Draw a shop with customers.", DIAGRAM, "erd", "m", confidence=0.9)
    assert one.score is not None and one.valid and not one.duplicate
    assert loop.record_many(
        [{"prompt": "Draw a shop with customers.", "response": DIAGRAM, "category": "erd", "model": "m"}]
    )[0].duplicate


def test_the_next_step_follows_the_state(loop: LearningLoop) -> None:
    assert loop.next_step("erd") == "Record or import some outputs first."
    record(loop, 12, score=95.0)
    assert loop.next_step("erd").startswith("Label the 12 that wait and record 26 more: 12 of 50")
    record(loop, 60, score=95.0)
    assert loop.next_step("erd") == "Train: 60 usable outputs are ready (t)."

    run = enqueue(loop, eligible=48, test=12)
    assert loop.next_step("erd") == f"Run {run} waits for its turn."
    runs.claim(loop.store, run, pid=1, pid_started=0.0, now=time.time())
    runs.set_stage(loop.store, run, "training")
    runs.progress(loop.store, run, step=3, total_steps=8)
    assert loop.next_step("erd") == f"Run {run} is training, step 3 of 8."
    runs.finish(loop.store, run, "failed", now=3.0, error="The disk is full. Nothing fits.", hint="x")
    assert loop.next_step("erd") == f"Run {run} failed (The disk is full): see what to do (t)."
    runs.claim(loop.store, run, pid=1, pid_started=0.0, now=time.time())

    base, version = add_version(loop.store, loop.home, 0), add_version(loop.store, loop.home, 1, run_id=run)
    runs.finish(loop.store, run, "finished", now=4.0, version_id=version.id)
    assert loop.next_step("erd") == "v1 is trained: compare it with what serves (a)."
    compared(loop, base, version, 60, 40)
    assert "v1 wins 60 % ±" in loop.next_step("erd") and "not decided yet" in loop.next_step("erd")
    compared(loop, base, version, 85, 15)
    assert loop.next_step("erd") == "v1 beats production 85 % ± 12: promote it (p)."
    loop.promote(version.id)
    assert loop.next_step("erd").startswith("Train: 60 usable outputs")
    loop.rollback("erd")  # what was taken out of production for a reason is not offered again
    assert loop.next_step("erd").startswith("v1 was rolled back. Train: 60 usable outputs")
    loop.undo("erd")
    assert loop.next_step("erd").startswith("Train: 60 usable outputs")


def test_an_unproved_version_is_not_offered(loop: LearningLoop) -> None:
    record(loop, 2)
    add_version(loop.store, loop.home, 1, passed=False)
    assert "did not pass its proof" in loop.next_step("erd")


def test_what_a_version_has_learned_that_failed_its_proof_is_still_to_be_trained_on(loop: LearningLoop) -> None:
    record(loop, 60, score=95.0)
    add_version(loop.store, loop.home, 0)
    for passed, usable in ((False, 60), (True, 0), (False, 0)):
        run = enqueue(loop, eligible=48, test=12)
        data = runs.get(loop.store, run).dataset_id
        runs.claim(loop.store, run, pid=1, pid_started=0.0, now=time.time())
        version = add_version(loop.store, loop.home, passed=passed, run_id=run, dataset_id=data)
        runs.finish(loop.store, run, "finished", now=time.time(), version_id=version.id)
        (counts,) = events.category_counts(loop.store, now=time.time())
        assert next_step.until_training(loop.store, "erd", counts) == (usable, next_step.ENOUGH_TO_TRAIN)


def test_versions_are_found_and_the_newest_is_the_default(loop: LearningLoop) -> None:
    with pytest.raises(NotFoundError, match="no trained version"):
        loop.find_version()
    base, version = add_version(loop.store, loop.home, 0), add_version(loop.store, loop.home, 1)
    assert loop.find_version() == version
    assert loop.find_version(base.name) == base
    assert [one.number for one in loop.versions("erd")] == [0, 1]
    assert loop.latest_test(version.id) is None
    test_id = compared(loop, base, version, 9, 1)
    told = loop.latest_test(version.id)
    assert told is not None
    assert (told["test_id"], told["version_a"], told["version_b"], told["wins"]) == (test_id, base.id, version.id, 9)
    assert loop.latest_test(version.id, against=version.id) is None


def test_promoting_keeps_the_evidence(loop: LearningLoop) -> None:
    base, version = add_version(loop.store, loop.home, 0), add_version(loop.store, loop.home, 1)
    test_id = compared(loop, base, version, 85, 15)
    change = loop.promote(version.id, why="better", who="me")
    assert (change.who, change.why, change.evidence["test_id"]) == ("me", "better", test_id)
    assert change.evidence["verdict"] == "promote"
    assert loop.rollback("erd").to_version == base.id
    undone = loop.undo("erd")
    assert undone is not None and undone.to_version == version.id
    assert [alias.version_id for alias in loop.aliases()] == [version.id]


def test_unknown_names_are_explained(loop: LearningLoop) -> None:
    for call in (lambda: loop.start_run("erdd"), lambda: loop.rollback("erdd"), lambda: loop.undo("erdd")):
        with pytest.raises(CategoryError, match="erdd"):
            call()
    with pytest.raises(ModelError):
        loop.start_run("erd", base="no-such-model")
    with pytest.raises(NotFoundError):
        loop.resume(9)


def test_nothing_to_train_on_queues_nothing(loop: LearningLoop) -> None:
    with pytest.raises(RunError):
        loop.start_run("erd", base="demo")
    assert loop.runs() == []


def test_only_an_ended_run_is_stopped_or_resumed_otherwise(loop: LearningLoop) -> None:
    run = enqueue(loop)
    started = process_started(os.getpid())
    assert started is not None
    runs.claim(loop.store, run, pid=os.getpid(), pid_started=started, now=time.time())
    with pytest.raises(RunError, match="is running"):
        loop.resume(run)
    runs.finish(loop.store, run, "stopped", now=1.0)
    with pytest.raises(ConflictError):
        loop.stop(run)


def test_statistics_are_plain_values(loop: LearningLoop) -> None:
    empty = loop.stats()
    assert (empty["total"], empty["categories"], empty["mean_win_rate"]) == (0, [], None)
    record(loop, 3, score=95.0, context="a chunk")
    record(loop, 3, correction=DIAGRAM, source="review", created_at=time.time() - 60)
    base, version = add_version(loop.store, loop.home, 0), add_version(loop.store, loop.home, 1)
    compared(loop, base, version, 8, 2)
    loop.promote(version.id)
    found = loop.stats()
    assert found["sources"].keys() <= {"api", "review"}
    assert found["rag_enhanced"] == 3
    assert found["versions"] == 1
    assert found["mean_win_rate"] == pytest.approx(0.8)
    assert found["deployed"] == [{"alias": "ft-erd", "category": "erd", "version": version.name}]
    (erd,) = found["categories"]
    assert erd["serving"] == version.name
    assert -1.0 <= erd["mean_reward"] <= 1.0
    assert erd["next_step"] == loop.next_step("erd")


def test_the_loop_reconciles_when_it_opens_a_home_first(home: Home) -> None:
    unfinished = home.models / "demo" / "erd" / "v3"
    unfinished.mkdir(parents=True)
    with LearningLoop(home):
        assert not unfinished.exists()


def test_the_stage_follows_the_loop(loop: LearningLoop) -> None:
    def stage() -> str:
        (counts,) = events.category_counts(loop.store, now=time.time())
        return next_step.stage(loop.store, loop.config, loop.categories["erd"], counts)

    record(loop, 3, score=95.0)
    assert stage() == "collecting"
    run = enqueue(loop)
    assert stage() == "training"
    started = process_started(os.getpid())
    assert started is not None
    runs.claim(loop.store, run, pid=os.getpid(), pid_started=started, now=time.time())
    runs.set_stage(loop.store, run, "testing")
    assert stage() == "testing"
    runs.finish(loop.store, run, "failed", now=1.0, error="x")
    assert stage() == "failed"


def test_feedback_comes_in_by_file_and_goes_out_as_a_dataset(loop: LearningLoop, tmp_path: Path) -> None:
    record(loop, 12, verdict="good")
    report = loop.export_dataset(tmp_path / "out.jsonl", "record", categories=("erd",))
    assert report.rows == 12
    heard: list[str] = []
    again = loop.import_file(tmp_path / "out.jsonl", progress=lambda _, source: heard.append(source), keep_pii=True)
    assert (again.counts.read, again.counts.merged) == (12, 12)
    assert heard == ["out.jsonl"]
