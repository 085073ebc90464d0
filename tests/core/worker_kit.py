"""Feedback that is eligible, runs driven by hand, and what a worker did and said; nothing ever really trains."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import cache
from typing import Literal

from assets.demo import corpus
from core.loop import LearningLoop
from core.release.registry import version_name
from core.select.split import bucket, is_held_out, is_validation, prompt_hash
from core.train.launch import process_started
from core.training import adapter_of
from core.worker import Worker
from core.worker_report import Report
from storage import ab_tests, datasets, runs, versions
from storage.rows import VersionRow

PLAIN = '[select]\nembeddings = "none"\n'
TWO = f'{PLAIN}[categories.other]\nlike = "erd"\n'

Open = Callable[..., LearningLoop]
"""Opens the loop of the test's home with what its config.toml says."""

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
