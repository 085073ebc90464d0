"""The demonstration: the whole loop on the shipped model and the shipped feedback, told step by step.

Nothing here is special to the demonstration except where its data comes from: every stage is the one that a user's own
feedback goes through.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from assets import ASSETS
from core.capture.record import Recorder
from core.categories import load_categories
from core.config import load_config
from core.errors import FinetuneError
from core.loop import LearningLoop
from core.paths import Home
from storage import datasets, pairs
from storage.db import open_store
from storage.rows import RunRow, VersionRow

CATEGORY = "erd"
BASE = "demo"
SEED_FEEDBACK = ASSETS / "demo" / "seed_feedback.jsonl"
_BATCH = 60


class Narrator(Protocol):
    """Whoever tells the user what happens."""

    def stage(self, title: str) -> None:
        """A new stage begins."""

    def say(self, text: str) -> None:
        """A fact worth keeping on the screen."""

    def progress(self, text: str) -> None:
        """Where a long stage stands; each call replaces the one before."""

    def run(self, loop: LearningLoop, run: RunRow) -> None:
        """Where the training run stands; called some times a second."""


@dataclass(frozen=True, slots=True)
class DemoResult:
    """What the demonstration measured. `before` and `after` hold mean_score (0-100), success_rate (0-1) and n."""

    before: Mapping[str, float]
    after: Mapping[str, float]
    ab: Mapping[str, Any]
    proof: Sequence[Mapping[str, Any]]
    promoted: str
    rolled_back_to: str
    seconds: float
    home: Path


def load_seed(home: Home, progress: Callable[[int, int], None] | None = None) -> int:
    """Record the shipped feedback into a home; what is already there is not stored twice.

    `progress(done, total)` is called after each batch. Returns the number of events read.
    """
    try:
        rows = [json.loads(line) for line in SEED_FEEDBACK.read_text(encoding="utf-8").splitlines()]
    except OSError as error:
        raise FinetuneError(
            f"{SEED_FEEDBACK} cannot be read: {error.strerror}.",
            title="The demonstration's feedback is missing",
            hint="Install finetune-tui again, or make it anew with `make seed` in a source checkout.",
        ) from error
    now = time.time()
    events = [row for row in rows if "ranking" not in row]
    home.ensure()
    with open_store(home.store) as store:
        recorder = Recorder(store, home, load_config(home), load_categories(home))
        for start in range(0, len(events), _BATCH):
            recorder.record_many([_event(row, now) for row in events[start : start + _BATCH]])
            if progress is not None:
                progress(min(start + _BATCH, len(events)), len(events))
        known = {(pair.prompt, pair.chosen, pair.rejected) for pair in pairs.list_pairs(store, CATEGORY)}
        with store.transaction(durable=True):
            for row in rows:
                choice = row.get("ranking")
                if choice and (choice["prompt"], choice["chosen"], choice["rejected"]) not in known:
                    pairs.add(store, created_at=now - row["age_s"], category=CATEGORY, source="ranking", **choice)
    return len(events)


def _event(row: Mapping[str, Any], now: float) -> dict[str, Any]:
    return {
        "prompt": row["prompt"],
        "response": row["response"],
        "category": CATEGORY,
        "model": BASE,
        "created_at": now - row["age_s"],
        "verdict": row["verdict"] if row.get("verdict") in ("good", "bad") else None,
        "correction": row.get("correction"),
        "seconds": row.get("seconds"),
        "latency_ms": row["latency_ms"],
        "source": "demo",
        "metadata": {"expected": row["expected"]},
    }


def run_demo(home: Home, narrator: Narrator, *, seed: int = 0) -> DemoResult:
    """Feedback → selection → training → proof → A/B → promote → rollback → promote again, on the shipped model.

    Raises FinetuneError when a stage fails; what was done until then stays in the home and can be looked at.
    """
    started = time.monotonic()
    narrator.stage("Capture: the feedback that ships with the demonstration")
    count = load_seed(home, lambda done, total: narrator.progress(f"recording {done} of {total}"))
    with LearningLoop(home) as loop:
        narrator.say(_captured(loop, count))
        narrator.stage("Select and train: LoRA on corrections and good answers, in a process of its own")
        run_id = loop.start_run(CATEGORY, base=BASE, seed=seed)
        narrator.say(_selected(loop, run_id))
        run = loop.wait(run_id, lambda row: narrator.run(loop, row))
        if run.status != "finished" or run.version_id is None:
            raise FinetuneError(
                run.error or f"The run ended as {run.status}.",
                title=f"Run {run.id} did not finish",
                hint=run.hint or f"Look at {home.resolve(run.folder) / 'log.txt'}.",
            )
        version = loop.version(run.version_id)
        narrator.say(_trained(version))
        narrator.stage("Prove: the exported file against the trained model")
        for line in _proved(version):
            narrator.say(line)
        narrator.stage("Compare: untouched base against tuned model on prompts that neither was trained on")
        test = loop.latest_test(version.id)
        if test is None:
            raise FinetuneError(
                "The comparison was not made.", title="No A/B test", hint="Run the demonstration again."
            )
        for reason in test["reasons"]:
            narrator.say(reason)
        if test["verdict"] != "promote":
            raise FinetuneError(
                f"The verdict is {test['verdict']}, so nothing was promoted.",
                title="The tuned model is not better",
                hint=f"Look at the reasons with: finetune-tui --home {home.root} ab",
            )
        narrator.stage("Promote, roll back, and take the rollback back")
        loop.promote(version.id, why="demonstration: the A/B test says promote")
        narrator.say(f"✓ {version.name} serves now")
        back = loop.version(loop.rollback(CATEGORY, why="demonstration: show that it can be undone").to_version)
        narrator.say(f"✓ rolled back to {back.name}")
        loop.undo(CATEGORY)
        narrator.say(f"✓ rollback undone: {version.name} serves")
        return DemoResult(
            before={"mean_score": test["score_a"], "success_rate": test["success_a"], "n": test["n"]},
            after={"mean_score": test["score_b"], "success_rate": test["success_b"], "n": test["n"]},
            ab=test,
            proof=version.proof,
            promoted=version.name,
            rolled_back_to=back.name,
            seconds=round(time.monotonic() - started, 1),
            home=home.root,
        )


def _captured(loop: LearningLoop, count: int) -> str:
    figures = next(one for one in loop.stats()["categories"] if one["category"] == CATEGORY)
    return (
        f"{count} outputs of the base model, mean score {figures['mean_score']:.1f}; {figures['judged']} judged, "
        f"{figures['corrected']} of them corrected; gold {figures['gold']}, silver {figures['silver']}, "
        f"bronze {figures['bronze']}, rejected {figures['rejected']}"
    )


def _selected(loop: LearningLoop, run_id: int) -> str:
    run = loop.run(run_id)
    items = datasets.items(loop.store, run.dataset_id)
    sizes = {split: sum(item.split == split for item in items) for split in ("train", "validation", "test")}
    return (
        f"{sizes['train']} examples to train on, {sizes['validation']} to validate, {sizes['test']} prompts held out; "
        f"{run.total_steps} steps"
    )


def _trained(version: VersionRow) -> str:
    figures = version.metrics
    return (
        f"validation loss {figures['base_eval_loss']:.3f} → {figures['eval_loss']:.3f} in "
        f"{figures['train_seconds']:.0f} s; exported as {', '.join(version.gguf)}"
    )


def _proved(version: VersionRow) -> Iterator[str]:
    """One line a check: whether it held, its figure with the bound where it is measured, and what was looked at."""
    for check in version.proof:
        measured = check["figure"] != check["bound"]
        direction = "≤" if check["figure"] <= check["bound"] else "≥"
        figure = f"{check['figure']:.2g} ({direction} {check['bound']:g}) " if measured else ""
        yield f"{'✓' if check['passed'] else '✗'} {check['name']}: {figure}{check['detail']}"
