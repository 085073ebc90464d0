"""The worker of a run: however it ends the row says so, and a run that was killed goes on."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from core import pipeline
from core.demo import SEED_FEEDBACK
from core.errors import ModelError, RunError
from core.loop import LearningLoop
from core.paths import Home
from core.release.files import version_problem
from core.stages import Stages
from core.train import launch as launching
from core.train.reporter import Stopped
from storage import datasets, outbox, runs
from storage.db import Store
from storage.rows import RunRow

QUICK = {"epochs": 2, "accumulation": 4, "quantize": ["q8_0"], "ab_prompts": 5, "save_every": 1, "rank": 4}


@pytest.fixture
def handlers() -> Iterator[None]:
    """`perform` catches signals in the process that it is called in."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


@pytest.fixture
def queued(store: Store) -> Callable[[], int]:
    dataset = datasets.add(
        store, created_at=1.0, category="erd", hash="b2:1", seed=0, settings={}, counts={"train": 1}, items=[]
    )

    def enqueue() -> int:
        return runs.enqueue(
            store,
            created_at=1.0,
            category="erd",
            base_model="demo",
            method="sft",
            settings={},
            dataset_id=dataset,
            parent_version=None,
        )

    return enqueue


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize(
    ("fault", "status", "error", "hint", "code"),
    [
        (ModelError("The model is broken.", hint="Mend it."), "failed", "The model is broken.", "Mend it.", 1),
        (ZeroDivisionError("by zero"), "failed", "Unexpected ZeroDivisionError: by zero", "log.txt", 1),
        (Stopped(), "stopped", "", "", 0),
    ],
)
def test_the_row_tells_how_the_run_ended(
    store: Store,
    home: Home,
    queued: Callable[[], int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    fault: Exception,
    status: str,
    error: str,
    hint: str,
    code: int,
) -> None:
    first, second = queued(), queued()
    launched: list[int] = []
    monkeypatch.setattr(pipeline, "launch", lambda _, run: launched.append(run))

    def fail(self: Stages) -> None:
        raise fault

    monkeypatch.setattr(Stages, "work", fail)
    assert pipeline.perform(home, first) == code
    run = runs.get(store, first)
    assert (run.status, run.error) == (status, error)
    assert hint in run.hint
    assert run.pid == os.getpid()
    assert launching.is_alive(run)
    assert launched == [second]
    said = capsys.readouterr().out
    assert f"Run {first} is {status}." in said
    published = [(event.name, event.payload["data"]["error"]) for event in outbox.since(store, 0)]
    assert published == ([] if status == "stopped" else [("fine_tuning.failed", error)])
    if isinstance(fault, ZeroDivisionError):
        assert "Traceback" in said and "in fail" in said


def test_a_run_waits_while_another_is_at_work(store: Store, home: Home, queued: Callable[[], int]) -> None:
    first, second = queued(), queued()
    assert runs.claim(store, first, pid=1, pid_started=0.0, now=time.time())
    assert pipeline.perform(home, second) == 0
    assert runs.get(store, second).status == "queued"
    assert pipeline.perform(home, first) == 1
    assert runs.get(store, first).pid == 1


def test_a_missing_store_is_a_plain_message(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    assert pipeline.main(["--home", str(home.root / "elsewhere"), "--run", "1"]) == 1
    assert "No store yet" in capsys.readouterr().out


def feedback(count: int) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in SEED_FEEDBACK.read_text(encoding="utf-8").splitlines()]
    return [
        {
            "prompt": row["prompt"],
            "response": row["response"],
            "category": "erd",
            "model": "demo",
            "correction": row.get("correction"),
            "metadata": {"expected": row["expected"]},
        }
        for row in rows
        if row.get("correction")
    ][:count]


def until(loop: LearningLoop, run_id: int, reached: Callable[[RunRow], bool], seconds: float = 240.0) -> RunRow:
    """Waits for a state of a run. Fails when it ends without."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        run = loop.run(run_id)
        if reached(run):
            return run
        assert run.status in ("queued", "running"), (run.status, run.error, loop.log(run_id, 20))
        time.sleep(0.02)
    raise AssertionError((loop.run(run_id), loop.log(run_id, 20)))


@pytest.mark.process
def test_a_killed_run_goes_on_to_a_version_that_can_be_promoted(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launching, "LOST_AFTER", 0.0)
    with LearningLoop(home) as loop:
        loop.record_many(feedback(40))
        first = loop.start_run("erd", base="demo", settings=QUICK)
        second = loop.start_run("erd", base="demo", settings=QUICK, seed=1)
        running = until(loop, first, lambda run: run.step >= 2)
        assert loop.run(second).status == "queued"
        with pytest.raises(RunError, match="is running"):
            loop.resume(first)
        assert running.pid is not None
        os.kill(running.pid, signal.SIGKILL)
        until(loop, first, lambda run: not launching.is_alive(run))
        # Whoever looks next finds the run lost, and starts the one that waits.
        loop.dispatcher.tend()
        assert loop.run(first).status == "lost"
        running = until(loop, second, lambda run: run.step >= 1)
        assert running.pid is not None
        os.kill(running.pid, signal.SIGTERM)
        assert loop.wait(second).status == "stopped"
        assert "Stopped as asked" in "\n".join(loop.log(second, 5))

        loop.resume(first)
        done = loop.wait(first)
        assert done.status == "finished", (done.error, loop.log(first, 30))
        assert (done.stage, done.step) == ("done", done.total_steps)
        begun = re.findall(r"from step (\d+) on", "\n".join(loop.log(first, 500)))
        assert begun[0] == "0"
        assert int(begun[1]) >= 1
        assert done.version_id is not None
        version = loop.version(done.version_id)
        assert version.name == "ft-demo-erd-v1"
        assert version.proved, version.proof
        assert version_problem(home, version) is None
        gates = {"ties", "vocabulary", "end of turn", "task score"}
        assert {"merge: merged = adapter", *(f"q8_0: {gate}" for gate in gates)} <= {
            check["name"] for check in version.proof
        }
        folder = home.resolve(version.folder)
        assert {path.name for path in folder.iterdir()} == {
            "adapter",
            "Modelfile",
            "version.json",
            "ft-demo-erd-v1.q8_0.gguf",
        }
        assert not (home.resolve(done.folder) / "merged").exists()
        test = loop.latest_test(version.id)
        assert test is not None
        base = loop.version(test["version_a"])
        assert base.number == 0 and base.proved
        assert version.metrics["n"] == base.metrics["n"] == test["n"] > 0
        assert version.metrics["mean_score"] == pytest.approx(test["score_b"], abs=1e-3)
        assert loop.latest_metrics(first)["score"] == pytest.approx(test["score_b"], abs=1e-3)

        loop.promote(version.id)
        assert loop.rollback("erd").to_version == base.id
        assert loop.undo("erd") is not None
        assert loop.serving("erd") == loop.version(version.id)
        with pytest.raises(RunError, match="finished"):
            loop.resume(first)


@pytest.mark.process
def test_a_worker_that_cannot_begin_is_said(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    with LearningLoop(home) as loop:
        loop.record_many(feedback(30))
        with monkeypatch.context() as patch:
            patch.setattr(loop.dispatcher, "tend", lambda: [])
            run_id = loop.start_run("erd", base="demo", settings=QUICK)

        def broken(command: list[str], log: Path, *, cwd: Path) -> int:
            return start([*command[:-1], "999"], log, cwd=cwd)

        start = launching.start
        monkeypatch.setattr(launching, "start", broken)
        # On a quick machine the process is gone while its start is still watched, else before it claims the run.
        with pytest.raises(RunError, match=r"(?s)(ended at once|ended before it began).*no run 999"):
            loop.dispatcher.tend()
            loop.wait(run_id)
