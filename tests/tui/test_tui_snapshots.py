"""How the screens look: few pictures of a fixed store, at a frozen time, without folder or version on them."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from pilot_kit import settle
from textual.pilot import Pilot
from textual.widgets import Input, TextArea

from core.config import Ab
from core.paths import Home
from core.prove.ab import result_of
from storage import ab_tests, aliases, datasets, events, judgments, metrics, runs, versions
from storage.db import Store
from storage.rows import AbPairRow, Metric, NewEvent
from tui.app import FinetuneApp
from tui.runs.plan import MemoryVerdict, read_defaults
from tui.widgets.top_bar import TopBar

NOW = 1_700_000_000.0
SETTINGS = {
    "epochs": 3, "learning_rate": 2e-4, "batch_size": 1, "accumulation": 8, "rank": 8, "alpha": 16, "max_length": 512,
    "seed": 0, "quantize_base": "auto",
}  # fmt: skip
SIZES = {"narrow": (80, 24), "wide": (140, 40)}
DIAGRAM = "erDiagram\n    customer ||--o{ order : places\n    customer {\n        string name\n    }\n"
OTHER = DIAGRAM.replace("{\n", "{\n        int id PK\n")
FINDINGS = [
    {"kind": "missing_pk", "message": "entity `customer` has no primary key", "line": 3, "severity": "error"},
    {"kind": "naming", "message": "attribute `orderDate` is not in snake_case", "line": 6, "severity": "warning"},
]

Snapshot = Callable[..., bool]


def seed(store: Store, home: Home) -> None:
    """Twelve outputs, three of them judged; a finished run with its curve; two versions, compared; the newer serves."""
    tiers = ("gold", "silver", "bronze", "rejected")
    ids = events.add_many(store, [_event(number, tiers[number % 4]) for number in range(12)])
    for place, kind in ((0, "good"), (1, "bad"), (2, "skip")):
        judgments.judge(store, ids[place], kind, now=NOW - 60)  # type: ignore[arg-type]
    data = datasets.add(
        store, created_at=NOW - 900, category="erd", hash="b2:00", seed=0, settings={}, counts={"train": 8}, items=[]
    )
    run = _finished_run(store, data)
    base, trained = (_version(store, number, run if number else None, data) for number in (0, 1))
    pairs = [
        AbPairRow(1, place, None, f"Draw the data model of shop {place}.", DIAGRAM, OTHER, 60.0,
                  60.0 if place % 9 == 0 else 20.0 if place % 7 == 0 else 90.0, 0.2, 0.2, 40, 44,
                  "tie" if place % 9 == 0 else "a" if place % 7 == 0 else "b")
        for place in range(120)
    ]  # fmt: skip
    ab_tests.start(store, created_at=NOW - 300, category="erd", version_a=base, version_b=trained, seed=0, settings={})
    ab_tests.add_pairs(store, pairs)
    ab_tests.finish(store, 1, {**result_of(pairs, 70.0, Ab(), seed=0), "summary": ""}, NOW - 240)
    aliases.point(store, name="ft-erd", category="erd", to_version=trained, action="promote", who="ada", why="better",
                  evidence={}, now=NOW - 200)  # fmt: skip


def _event(number: int, tier: str) -> NewEvent:
    return NewEvent(
        created_at=NOW - 3_600 * (number + 1), category="erd", model="demo",
        prompt=f"Draw the data model of shop {number}: customers place orders.", response=DIAGRAM,
        content_hash=f"c{number}", prompt_hash=f"p{number}", bucket=50, feedback_type="neutral",
        score=40.0 + 5 * number, valid=True, quality=0.5, tier=tier, findings=FINDINGS,  # type: ignore[arg-type]
    )  # fmt: skip


def _finished_run(store: Store, data: int) -> int:
    run = runs.enqueue(
        store, created_at=NOW - 900, category="erd", base_model="demo", method="sft", settings={"epochs": 3},
        dataset_id=data, parent_version=None, total_steps=60,
    )  # fmt: skip
    assert runs.claim(store, run, pid=psutil.Process().pid, pid_started=psutil.Process().create_time(), now=NOW - 890)
    metrics.add_metrics(store, run, [*_learned(60), Metric(60, "score", 88.0, NOW)])
    runs.progress(store, run, step=60, total_steps=60)
    runs.set_stage(store, run, "done")
    runs.finish(store, run, "finished", now=NOW - 600)
    return run


def _learned(steps: int) -> list[Metric]:
    """What a run tells while it learns, evaluated before it and after every tenth step."""
    told: list[Metric] = []
    for step in range(steps + 1):
        figures = {
            "loss": 2.0 / (1 + step / 10) + 0.1 * (step % 3), "learning_rate": 2e-4 * (1 - step / 60),
            "gradient_norm": 0.8, "tokens_per_second": 1_234.0, "memory_mb": 5_054.0,
        } if step else {}  # fmt: skip
        if step % 10 == 0:
            figures |= {"eval_loss": 2.1 / (1 + step / 12), "eval_score": 30.0 + step}
        told += [Metric(step, name, value, NOW - 890 + step) for name, value in figures.items()]
    return told


def _live_run(store: Store) -> None:
    """A run that learns from pairs right now, on a warm card."""
    data = datasets.add(
        store, created_at=NOW - 900, category="erd", hash="b2:00", seed=0, settings={}, counts={"train": 8}, items=[]
    )
    run = runs.enqueue(
        store, created_at=NOW - 900, category="erd", base_model="demo", method="dpo", settings={"epochs": 3},
        dataset_id=data, parent_version=None, total_steps=60,
    )  # fmt: skip
    assert runs.claim(store, run, pid=psutil.Process().pid, pid_started=psutil.Process().create_time(), now=NOW - 890)
    runs.set_stage(store, run, "training")
    rewards = [
        Metric(step, name, value, NOW - 890 + step)
        for step in range(1, 43)
        for name, value in (
            ("reward_margin", step / 60), ("reward_chosen", step / 120), ("reward_rejected", -step / 90),
            ("accuracy", 0.5 + step / 100), ("gpu_percent", 97.0), ("temperature", 71.0), ("eta_seconds", 735.0),
        )
    ]  # fmt: skip
    metrics.add_metrics(store, run, [*_learned(42), *rewards])
    runs.progress(store, run, step=42, total_steps=60)
    assert runs.heartbeat(store, run, NOW)


def _version(store: Store, number: int, run: int | None, data: int) -> int:
    added = versions.add(
        store, created_at=NOW - 700 + number, name=f"ft-demo-erd-v{number}", category="erd", base_model="demo",
        number=number, run_id=run, parent_id=1 if number else None, dataset_id=data,
        folder=f"models/demo/erd/v{number}", settings={"rank": 8}, code_version="0",
    )  # fmt: skip
    versions.update(
        store, added, metrics={"mean_score": 60.0 + 25 * number, "success_rate": 0.3 + 0.5 * number},
        proof=[{"name": "tokens", "passed": True, "figure": 0, "bound": 0, "detail": "the same"}], proved=True,
        gguf={"f16": {"path": f"models/demo/erd/v{number}/f16.gguf", "sha256": "00", "bytes": 6_400_000}},
    )  # fmt: skip
    return added


@pytest.fixture(autouse=True)
def still(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time stands, cursors do not blink, no memory of this machine and no folder is shown."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    monkeypatch.setattr(time, "time", lambda: NOW)
    monkeypatch.setattr(Input, "cursor_blink", False)
    monkeypatch.setattr(TextArea, "cursor_blink", False)
    fits = MemoryVerdict("fits", "fits: needs 0.6 of 16.0 GB free on the computer", {}, "")
    monkeypatch.setattr("tui.runs.form_outlook.read_memory", lambda home, request, look: fits)
    monkeypatch.setattr(
        "tui.runs.form_outlook.read_defaults", lambda *chosen: replace(read_defaults(*chosen), settings=SETTINGS)
    )
    monkeypatch.setattr("tui.runs.form_outlook.SETTLE_SECONDS", 0.05)
    monkeypatch.setattr("tui.review.standing_loader.SETTLE_SECONDS", 0.05)
    construct = TopBar.__init__
    monkeypatch.setattr(TopBar, "__init__", lambda self, current, home: construct(self, current, Path("data")))


def going_to(*keys: str) -> Callable[[Pilot[None]], Awaitable[None]]:
    """Press keys, each when what the one before has begun is done."""

    async def go(pilot: Pilot[None]) -> None:
        await settle(pilot)
        for key in keys:
            await pilot.press(key)
            await settle(pilot)

    return go


SHOWN = {
    "dashboard": (),
    "review": ("2",),
    "review_why": ("2", "w"),
    "train_form": ("5", "n"),
    "train_run": ("5",),
    "scoreboard": ("6",),
    "models": ("7",),
    "help": ("6", "question_mark"),
    "vote": ("6", "v", "2"),
    "details": ("6", "d"),
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("screen", SHOWN)
def test_snapshot(screen: str, size: str, home: Home, store: Store, snap_compare: Snapshot) -> None:
    seed(store, home)
    assert snap_compare(FinetuneApp(home), terminal_size=SIZES[size], run_before=going_to(*SHOWN[screen]))


@pytest.mark.parametrize("keys", [("1",), ("5",), ("5", "c", "c")], ids=["dashboard", "loss", "rewards"])
@pytest.mark.parametrize("size", SIZES)
def test_snapshot_live(size: str, keys: tuple[str, ...], home: Home, store: Store, snap_compare: Snapshot) -> None:
    events.add_many(store, [_event(number, "bronze") for number in range(3)])
    _live_run(store)
    assert snap_compare(FinetuneApp(home), terminal_size=SIZES[size], run_before=going_to(*keys))


@pytest.mark.parametrize("size", SIZES)
def test_snapshot_empty(size: str, home: Home, snap_compare: Snapshot) -> None:
    assert snap_compare(FinetuneApp(home), terminal_size=SIZES[size], run_before=going_to())


def test_snapshot_without_colour(
    home: Home, store: Store, snap_compare: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    seed(store, home)
    assert snap_compare(FinetuneApp(home), terminal_size=SIZES["narrow"], run_before=going_to("2"))
