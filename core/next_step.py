"""What to do next for a category, in one sentence."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from core.categories import Category
from core.config import Config
from core.prove.pooled import standing
from core.prove.verdict import half_width
from core.prove.watch import watch
from core.release.promote import alias_name, serving
from storage import aliases, datasets, runs, versions
from storage.db import Store
from storage.rows import AliasChange, CategoryCounts, RunRow, VersionRow

ENOUGH_TO_TRAIN = 50
Place = Literal["dashboard", "review", "train", "scoreboard", "models"]
LoopStage = Literal["collecting", "ready", "training", "testing", "evaluating", "promoting", "deployed", "failed"]
_LOOP_STAGES: Mapping[str, LoopStage] = {"testing": "testing", "evaluating": "evaluating", "done": "evaluating"}
_STAGE_WORDS: Mapping[str, str] = {
    "queued": "starting",
    "training": "training",
    "exporting": "exporting",
    "proving": "proving the exported file",
    "testing": "comparing it with what serves",
    "evaluating": "measuring",
    "done": "ending",
}


@dataclass(frozen=True, slots=True)
class Advice:
    """What to do next, in one sentence; a letter in brackets is the key. `place` is where it is done."""

    text: str
    place: Place


def next_step(store: Store, config: Config, own: Category, counts: CategoryCounts | None) -> Advice:
    """What brings a category on. `counts` is None without any event.

    Counts are read, and the answers of what serves where it was promoted, so that it costs little: how many examples
    really pass the gate is what the form shows.
    """
    category = own.name
    if counts is None or counts.total == 0:
        return Advice("Record or import some outputs first.", "dashboard")
    newest = runs.list_runs(store, category=category, limit=1)
    if newest and newest[0].status in ("queued", "running", "stopped", "failed", "lost"):
        return Advice(_of_run(newest[0]), "train")
    watched = watch(store, config, category, success_score=own.success_score, now=time.time())
    if watched.verdict == "worse" and watched.old is not None:
        return Advice(
            f"What serves does worse than {watched.old.version} did before: roll it back under Models (r).", "models"
        )
    candidate = _candidate(store, config, category)
    if candidate is not None:
        said = _of_candidate(store, config, own, candidate)
        if said is not None:
            return said
    examples = _of_examples(store, category, counts)
    return replace(examples, text=_taken_back(store, config, category) + examples.text)


def until_training(store: Store, category: str, counts: CategoryCounts) -> tuple[int, int]:
    """How many usable outputs there are that no version that could serve has seen, and how many make a training worth
    it."""
    return _fresh(store, category, counts), ENOUGH_TO_TRAIN


def stage(store: Store, config: Config, own: Category, counts: CategoryCounts) -> LoopStage:
    """Where the loop stands for a category; "promoting" waits for the person's word, "failed" for a resume."""
    category = own.name
    newest = runs.list_runs(store, category=category, limit=1)
    if newest and newest[0].status in ("queued", "running"):
        return _LOOP_STAGES.get(newest[0].stage, "training")
    if newest and newest[0].status in ("stopped", "failed", "lost"):
        return "failed"
    candidate = _candidate(store, config, category)
    result = standing(store, config, own, candidate) if candidate is not None and candidate.proved else None
    if result is not None and result["verdict"] == "promote":
        return "promoting"
    if _fresh(store, category, counts) >= ENOUGH_TO_TRAIN:
        return "ready"
    return "deployed" if serving(store, config, category) is not None else "collecting"


def _of_run(run: RunRow) -> str:
    if run.status == "queued":
        return f"Run {run.id} waits for its turn."
    if run.status == "running":
        steps = f", step {run.step} of {run.total_steps}" if run.stage == "training" and run.total_steps else ""
        doing = "preparing the base model" if run.preparing else _STAGE_WORDS[run.stage]
        return f"Run {run.id} is {doing}{steps}."
    if run.status == "stopped":
        return f"Run {run.id} was stopped: resume it."
    reason = "its process is gone" if run.status == "lost" else run.error.split(". ")[0].rstrip(".") or "see its log"
    return f"Run {run.id} {'was lost' if run.status == 'lost' else 'failed'} ({reason[:80]}): see what to do (t)."


def _candidate(store: Store, config: Config, category: str) -> VersionRow | None:
    """The newest trained version, unless it serves or an older one was chosen over it on purpose."""
    trained = [version for version in versions.list_versions(store, category) if version.number > 0]
    if not trained:
        return None
    now_serving = serving(store, config, category)
    newest = trained[-1]
    served = any(newest.id == change.from_version for change in _history(store, config, category))
    return None if served or (now_serving is not None and now_serving.id == newest.id) else newest


def _history(store: Store, config: Config, category: str) -> list[AliasChange]:
    return aliases.history(store, alias_name(config, category))


def _taken_back(store: Store, config: Config, category: str) -> str:
    """That the last change was a roll-back, which may have happened while nobody looked."""
    history = _history(store, config, category)
    if not history or history[0].action != "rollback" or history[0].from_version is None:
        return ""
    return f"v{versions.get(store, history[0].from_version).number} was rolled back. "


def _of_candidate(store: Store, config: Config, own: Category, version: VersionRow) -> Advice | None:
    if not version.proved:
        return Advice(
            f"v{version.number} did not pass its proof: look at it under Models, or train again (t).", "models"
        )
    result = standing(store, config, own, version)
    if result is None:
        return Advice(f"v{version.number} is trained: compare it with what serves (a).", "scoreboard")
    return _of_result(version, result)


def _of_result(version: VersionRow, result: Mapping[str, Any]) -> Advice | None:
    rate = f"{100 * result['win_rate']:.0f} % ± {100 * half_width(result['interval']):.0f}"
    if result["verdict"] == "promote":
        return Advice(f"v{version.number} beats production {rate}: promote it (p).", "scoreboard")
    if result["verdict"] == "need more data":
        more = f" about {result['more']:,} more tests" if result.get("more") else " many more tests"
        text = f"v{version.number} wins {rate}: not decided yet,{more} needed. Record more prompts."
        return Advice(text, "scoreboard")
    return None


def _fresh(store: Store, category: str, counts: CategoryCounts) -> int:
    """Examples of a tier that may be trained on and that the newest proved version has not seen."""
    return max(0, counts.gold + counts.silver + counts.bronze - _used(store, category))


def _of_examples(store: Store, category: str, counts: CategoryCounts) -> Advice:
    used = _used(store, category)
    fresh = _fresh(store, category, counts)
    if fresh >= ENOUGH_TO_TRAIN:
        return Advice(f"Train: {fresh:,} {'new ' if used else ''}usable outputs are ready (t).", "train")
    missing = ENOUGH_TO_TRAIN - fresh
    have = f"{fresh} of {ENOUGH_TO_TRAIN} needed to train{' again' if used else ''}"
    if counts.pending >= missing:
        return Advice(f"Label {missing} more outputs: {have}.", "review")
    if counts.pending:
        more = f"record {missing - counts.pending} more"
        return Advice(f"Label the {counts.pending} that wait and {more}: {have}.", "review")
    return Advice(f"Record {missing} more outputs: {have}.", "dashboard")


def _used(store: Store, category: str) -> int:
    """Examples that passed the gate when the newest proved version was made, its held-out ones included.

    What was learned by a version whose proof failed is not used: it cannot serve, and training again takes it anew.
    """
    for version in reversed(versions.list_versions(store, category)):
        if version.dataset_id is not None and version.proved:
            counts = datasets.get(store, version.dataset_id).counts
            return int(counts.get("eligible", 0)) + int(counts.get("test", 0))
    return 0
