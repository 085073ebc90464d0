"""A home in which every text that may come from outside is hostile, and what must never be seen of it on a terminal."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import psutil

from core.config import Ab
from core.paths import Home
from core.prove.ab import result_of
from core.select.split import bucket, content_hash, prompt_hash
from storage import (
    ab_tests,
    ab_votes,
    aliases,
    comparisons,
    datasets,
    deployments,
    events,
    hard_tests,
    imports,
    judgments,
    metrics,
    outbox,
    pairs,
    runs,
    ui_state,
    versions,
)
from storage.db import Store
from storage.rows import AbPairRow, DatasetItem, Metric, NewEvent

NOW: Final = time.time()
MARKUP: Final = "[/] [bold]x[/bold] list[int] and [/path] [type=x, v={'a[0]'}] [@click=app.quit]q[/]"
OBEYED: Final = (
    "\x1b]52;c;aGFybQ==\x07", "\x1b]0;EVILTITLE\x07", "\x1b]8;;http://evil.example\x1b\\", "\x1b[31;7;53mEVIL\x1b[0m",
    "\x1b[6n", "\x1b[2J\x1b[H", "\x1b[?1049l", "\x1bPevil\x1b\\", "\x1b_evil\x1b\\", "\x1bc",
    "\x9b31mEVIL\x9d52;c;x\x9c", "\x07\x08\x0b\x0c\x0e\x7f\r",
)  # fmt: skip
UNSEEN: Final = "left\u202eright\u2066iso\u200bzero\ufeffwidth\u2028line\U000e0041tag\u200d"
WIDE: Final = "日本語 👩‍👩‍👧 ❤️ e\u0301\u0323 שלום العربية ﷽ \tnach\tTabs ﬃ Ａ"
NASTY: Final = f"{MARKUP} {''.join(OBEYED)} {UNSEEN} {WIDE}"
"""All of it in one text that a store keeps as it is; `in_json` adds what only JSON can carry."""
RESPONSE: Final = "erDiagram\n    customer ||--o{ order : places\n    customer {\n        string name\n    }\n"


def nasty(mark: str) -> str:
    """Hostile text that begins with a word to be found by."""
    return f"{mark} {NASTY}"


def in_json(mark: str) -> str:
    """The same with a NUL and half a surrogate pair."""
    return f"{mark} \x00\ud800 {NASTY}"


@dataclass(frozen=True, slots=True)
class Hostile:
    """The ids of what was made: events in the order of their making, and the test, run and versions to look at."""

    events: tuple[int, ...]
    run: int
    failed: int
    test: int
    versions: tuple[int, ...]


def event(number: int, *, prompt: str = "", response: str = "", **over: Any) -> NewEvent:
    """Event `number` of the category `erd`, hostile in every text."""
    asked = prompt or nasty(f"PROMPT{number}")
    answer = response or f"RESPONSE{number} {RESPONSE}{NASTY}"
    key = prompt_hash(asked)
    findings = [
        {"kind": in_json("kind"), "message": in_json("FINDING"), "line": 2, "severity": "error"},
        {"kind": "naming", "message": nasty("naming"), "line": 3, "severity": in_json("severity")},
    ]
    made = NewEvent(
        created_at=NOW - 600 * (number + 1), category="erd", model=nasty("MODEL"), prompt=asked, response=answer,
        content_hash=content_hash(asked, answer), prompt_hash=key, bucket=bucket(key), feedback_type="neutral",
        score=20.0 + number, valid=False, quality=0.5, tier="rejected", system=nasty("SYSTEM"),
        context=nasty("CONTEXT"), source=nasty("source"), group_key=nasty("group"), findings=findings,
        quality_parts={in_json("part"): 0.5}, sanitized={in_json("email"): 2},
        metadata={in_json("key"): in_json("value"), "deep": {in_json("k"): [in_json("v")]}},
        history=[{"role": in_json("role"), "content": in_json("TURN")}, {"role": "user", "content": nasty("user")}],
    )  # fmt: skip
    return replace(made, **over)


def seed(store: Store, home: Home, *, huge: int = 10_000_000) -> Hostile:
    """Fills the store and the files of the home. `huge` is the length of the longest text, in characters."""
    lines = "\n".join(f"short {number}" for number in range(huge // 100))
    made = [event(number) for number in range(6)]
    made += [event(number, prompt=nasty("SIBLING")) for number in range(6, 9)]
    made += [event(9, prompt="x" * huge, response="LONGLINE " + "y" * huge), event(10, response=f"LINES\n{lines}")]
    made += [event(11, category=nasty("category")), event(12, score=None, tier="gold", valid=True)]
    ids = tuple(events.add_many(store, made))
    judgments.judge(store, ids[0], "correct", correction=nasty("CORRECTION") + "\nmore", note=nasty("note"), now=NOW)
    judgments.judge(store, ids[1], "bad", now=NOW)
    one, two, three = ids[6:9]
    comparisons.add(store, at=NOW, category="erd", first_event=one, second_event=two, choice="first", swapped=False)
    pairs.add(store, created_at=NOW, category="erd", prompt=nasty("pair"), chosen=nasty("chosen"),
              rejected=nasty("rejected"), margin=0.5, source=nasty("by"), chosen_event=one,
              rejected_event=three)  # fmt: skip
    dataset = _dataset(store, ids)
    finished, failed = _run(store, home, dataset, fault=""), _run(store, home, dataset, fault=nasty("ERROR"))
    numbers = _versions(store, home, dataset, finished)
    test = _test(store, *numbers[:2])
    for event_id in ids[:3]:
        hard_tests.add(store, event_id, numbers[1], at=NOW, response=nasty("again"), score=30.0, passed=False)
    imports.begin(store, key="k", path=nasty("/tmp/import"), now=NOW)
    outbox.publish(store, "fine_tuning.failed", "erd", {in_json("k"): in_json("v")}, now=NOW)
    _states(store)
    _files(home)
    return Hostile(ids, finished, failed, test, numbers)


def _dataset(store: Store, ids: tuple[int, ...]) -> int:
    item = DatasetItem(0, ids[0], "train", nasty("item"), nasty("TARGET"), nasty("sys"), 1.0, 0.5, "hard",
                       [{"role": in_json("r"), "content": in_json("c")}], nasty("origin"), nasty("rej"))  # fmt: skip
    counts = {"train": 1, "held_back": {in_json("why"): 3}, "reasons": {in_json("why"): [in_json("because")]},
              "faults": [in_json("fault")], "stages": {in_json("stage"): 1}, "tiers": {in_json("tier"): 1},
              "compared_by": in_json("compared")}  # fmt: skip
    settings = {in_json("setting"): in_json("value"), "reward": in_json("reward")}
    return datasets.add(store, created_at=NOW, category="erd", hash=nasty("hash"), seed=0, settings=settings,
                        counts=counts, items=[item])  # fmt: skip


def _run(store: Store, home: Home, dataset: int, *, fault: str) -> int:
    run = runs.enqueue(
        store, created_at=NOW - 900, category="erd", base_model=nasty("BASE"), method="sft", dataset_id=dataset,
        settings={"epochs": 3, "precision": in_json("precision"), in_json("setting"): in_json("value")},
        parent_version=None, total_steps=40,
    )  # fmt: skip
    me = psutil.Process()
    assert runs.claim(store, run, pid=me.pid, pid_started=me.create_time(), now=NOW - 890)
    runs.set_stage(store, run, "training")
    told = [Metric(step, "loss", 3.0 - step / 20, NOW - 890 + step) for step in range(1, 41)]
    told += [Metric(step, nasty("metric"), float(step), NOW) for step in (1, 2)]
    told += [Metric(40, name, 1e300, NOW) for name in ("eval_loss", "eval_score", "tokens_per_second", "eta_seconds")]
    metrics.add_metrics(store, run, told)
    runs.progress(store, run, step=40, total_steps=40)
    if fault:
        runs.finish(store, run, "failed", now=NOW - 700, error=f"{fault}\nsecond line", hint=nasty("HINT"))
    else:
        runs.finish(store, run, "finished", now=NOW - 700)
    folder = home.root / f"runs/{run}"
    folder.mkdir(parents=True, exist_ok=True)
    log = "".join(f"{nasty(f'LOG{number}')}\n" for number in range(50)) + "z" * 100_000 + "\nno end"
    (folder / "log.txt").write_bytes(log.encode("utf-8", "surrogatepass") + b"\xff\xfe\x00\x9b")
    return run


def _versions(store: Store, home: Home, dataset: int, run: int) -> tuple[int, ...]:
    made: list[int] = []
    for number in range(3):
        folder = f"models/demo/erd/v{number}"
        (home.root / folder).mkdir(parents=True, exist_ok=True)
        (home.root / folder / "f16.gguf").write_bytes(b"GGUF")
        added = versions.add(
            store, created_at=NOW - 600 + number, name=nasty(f"VERSION{number}"), category="erd",
            base_model=nasty("BASE") if number == 2 else "demo", number=number, run_id=run if number else None,
            parent_id=made[-1] if made else None, dataset_id=dataset, folder=folder,
            settings={in_json("rank"): in_json("8"), "fingerprint": in_json("b2")}, code_version=nasty("code"),
        )  # fmt: skip
        check = {"name": in_json("CHECK"), "kind": in_json("f16"), "passed": False, "figure": in_json("figure"),
                 "bound": None, "detail": in_json("detail")}  # fmt: skip
        file = {"path": f"{folder}/f16.gguf", "sha256": in_json("sha"), "bytes": 4}
        figures = {"mean_score": 60.0 + number, "success_rate": 0.5, "n": 10, in_json("figure"): in_json("text")}
        versions.update(store, added, gguf={"f16": file}, metrics=figures, proof=[check], proved=number < 2)
        made.append(added)
    aliases.point(store, name=nasty("ALIAS"), category="erd", to_version=made[0], action="promote", who=nasty("WHO"),
                  why=nasty("WHY"), evidence=_evidence(), now=NOW - 500)  # fmt: skip
    aliases.point(store, name=nasty("ALIAS"), category="erd", to_version=made[1], action="reconcile", who=nasty("WHO"),
                  why=nasty("WHY"), evidence=_evidence(), now=NOW - 400)  # fmt: skip
    deployments.put(store, version_id=made[1], server=nasty("http://server"), name=nasty("deployed"),
                    digest=nasty("digest"), file_sha256="00", mode="native", server_version=nasty("0.34"), now=NOW,
                    checks=[{"name": in_json("served"), "passed": False, "detail": in_json("said")}])  # fmt: skip
    return tuple(made)


def _evidence() -> Mapping[str, Any]:
    return {"summary": in_json("EVIDENCE"), "verdict": in_json("verdict"), "test_id": 1, in_json("k"): in_json("v")}


def _test(store: Store, a: int, b: int) -> int:
    test = ab_tests.start(store, created_at=NOW - 300, category="erd", version_a=a, version_b=b, seed=0,
                          settings={"kind": in_json("q8"), "sampling": {in_json("t"): in_json("1")}})  # fmt: skip
    told = [
        AbPairRow(test, at, None, nasty(f"ASKED{at}"), nasty(f"FIRST{at}"), nasty(f"SECOND{at}"), 50.0,
                  90.0 if at else 10.0, 0.1, 0.1, 5, 5, "b" if at else "a")
        for at in range(12)
    ]  # fmt: skip
    ab_tests.add_pairs(store, told)
    found = {**result_of(told, 70.0, Ab(), seed=0), "summary": in_json("SUMMARY"), "reasons": [in_json("REASON")]}
    ab_tests.finish(store, test, found, NOW - 250)
    ab_votes.add(store, at=NOW, test_id=test, position=1, choice="b", swapped=False)
    return test


def _states(store: Store) -> None:
    """What an earlier or another program may have left as the state of the screens."""
    ui_state.save(store, "review.drafts", {"2": in_json("DRAFT")})
    ui_state.save(store, "screen.review", {"category": in_json("c"), "query": in_json("QUERY"), "order": in_json("o")})
    ui_state.save(store, "screen.playground", {"prompts": [in_json("EARLIER")], "draft": in_json("TYPED")})
    ui_state.save(store, "screen.settings", {"section": in_json("s"), "line": in_json("l")})
    ui_state.save(store, "app.theme", in_json("THEME"))


def _files(home: Home) -> None:
    told = _toml
    (home.root / "config.toml").write_text(
        f"[general]\nauthor = {told(nasty('AUTHOR'))}\n"
        f"[publish]\nstop = [{told(nasty('STOP'))}]\n"
        f"[categories.erd]\ntitle = {told(nasty('TITLE'))}\nsystem_prompt = {told(nasty('ASKS'))}\n"
        f"guidelines = {told(nasty('GUIDE') + chr(10) + '# [/] head')}\nmodels = [{told(nasty('llama'))}]\n"
        f"[categories.other]\ntitle = {told(nasty('OTHER'))}\nvalidator = {told(nasty('VALIDATOR'))}\n"
        f"[hooks.evil]\non = '*'\ncommand = [{told(nasty('/bin/COMMAND'))}]\n",
        encoding="utf-8",
    )
    (home.root / "keymap.toml").write_text(f"{told(nasty('review.good'))} = {told(nasty('KEY'))}\n", encoding="utf-8")
    themes = home.root / "themes"
    themes.mkdir(exist_ok=True)
    (themes / "bad.toml").write_text(f"primary = {told(nasty('colour'))}\n", encoding="utf-8")
    (themes / "evil.toml").write_text('primary = "#6CA9E0"\nname = "LOOK [/] [bold]x[/bold]"\n', encoding="utf-8")
    with (home.logs / "app.log").open("wb") as log:
        log.write(f"2020-01-01 10:00:00,000 ERROR {nasty('OLDERROR')}: {nasty('SAID')}\n".encode())
        log.write(b"Traceback\n\xff\x9b\x1b]52;c;aGFybQ==\x07\n")


def _toml(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def hostile_name(folder: Path, mark: str) -> Path:
    """A path whose last part is as hostile as the file system lets a name be."""
    name = f"{mark} [bold]b [@click=app.quit]q \x1b]52;c;aGFybQ==\x07 \x1b[31;7;53mEVIL \u202e\u200b\x7f \x9b31m"
    return Path(os.fsdecode(os.fsencode(folder / name) + b"\xff"))
