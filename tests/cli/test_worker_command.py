"""`worker --once`: what it does, why it does not do the rest, and whom it leaves alone. No run really trains."""

from __future__ import annotations

import json
import os
import time
from typing import Any

import pytest
from cli_kit import Run

from core import dispatch
from core.demo import SEED_FEEDBACK
from core.only_one import only_one
from core.paths import Home
from core.train.launch import process_started
from storage import runs
from storage.db import open_store

PLAIN = '[select]\nembeddings = "none"\n'


def claim_and_end(home: Home, run_id: int) -> None:
    started = process_started(os.getpid())
    assert started is not None
    with open_store(home.store) as store:
        assert runs.claim(store, run_id, pid=os.getpid(), pid_started=started, now=time.time())
        runs.finish(store, run_id, "failed", now=time.time(), error="No memory.")


@pytest.fixture(autouse=True)
def launched(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The runs that were started; each fails at once."""
    started: list[int] = []

    def launch(home: Home, run_id: int) -> int:
        started.append(run_id)
        claim_and_end(home, run_id)
        return os.getpid()

    monkeypatch.setattr(dispatch, "launch", launch)
    return started


def record(run: Run, count: int, category: str = "erd") -> None:
    rows = [json.loads(line) for line in SEED_FEEDBACK.read_text(encoding="utf-8").splitlines()]
    chosen = [
        {
            "prompt": row["prompt"],
            "response": row["response"],
            "correction": row["correction"],
            "metadata": {"expected": row["expected"]},
        }
        for row in rows
        if row.get("correction")
    ][:count]
    told = run(
        "record", "--category", category, "--model", "m", "--json", stdin="\n".join(json.dumps(row) for row in chosen)
    )
    assert told.code == 0


def once(run: Run, *more: str) -> dict[str, Any]:
    told = run("worker", "--once", "--json", *more)
    assert told.code == 0, told.out
    report: dict[str, Any] = told.json
    assert report.keys() == {"at", "did", "waiting"}
    return report


def test_on_a_fresh_machine_there_is_nothing_to_do(run: Run) -> None:
    told = run("worker", "--once")
    assert (told.code, told.out, told.err) == (0, "Nothing is recorded yet.\n", "")
    assert once(run)["did"] == once(run)["waiting"] == []


def test_what_waits_has_its_reason(run: Run, home: Home, launched: list[int]) -> None:
    home.config.write_text(PLAIN, encoding="utf-8")
    record(run, 10)
    (waiting,) = once(run)["waiting"]
    assert (waiting["category"], waiting["stage"]) == ("erd", "collecting")
    head, _, reason = waiting["text"].rpartition("; ")
    assert head.startswith("erd: ") and " of 10 eligible" in head and "kept for testing" in head
    assert reason.endswith(" of 20 fresh examples")
    told = run("worker", "--once")
    assert f"· {waiting['text']}" in told.out
    assert launched == []


def test_what_is_due_is_started(run: Run, home: Home, launched: list[int]) -> None:
    home.config.write_text(f'{PLAIN}[categories.other]\nlike = "erd"\n', encoding="utf-8")
    record(run, 40)
    record(run, 5, "other")
    report = once(run, "--wait")
    (step,) = report["did"]
    assert (step["what"], step["category"], step["run"]) == ("started", "erd", 1)
    assert "run 1 with" in step["text"] and "a batch of" in step["text"]
    assert [each["category"] for each in report["waiting"]] == ["other"]
    assert launched == [1]
    again = once(run)
    assert again["did"] == []
    assert "run 1 failed, attempt 1; again in" in again["waiting"][0]["text"]
    assert again["waiting"][0]["stage"] == "failed"


def test_what_was_done_is_marked_for_people(run: Run, home: Home) -> None:
    home.config.write_text(PLAIN, encoding="utf-8")
    record(run, 40)
    told = run("worker", "--once")
    assert told.code == 0
    assert " ▶ erd: " in told.out


def test_a_second_worker_is_told_of_the_first(run: Run, home: Home) -> None:
    with only_one(home, "worker"):
        told = run("worker", "--once", "--json")
        assert told.code == 1
        assert f"process {os.getpid()}" in told.error["message"]
        assert told.error["title"] == "One worker at a time"
        assert told.error["hint"]
        plain = run("worker")
        assert plain.code == 1
        assert "One worker at a time" in plain.err
    assert once(run)["did"] == []


def test_a_wrong_base_model_is_refused_in_its_category_alone(run: Run, home: Home, launched: list[int]) -> None:
    home.config.write_text(
        f'{PLAIN}[categories.other]\nlike = "erd"\n[categories.erd]\nbase_model = "nowhere"\n', encoding="utf-8"
    )
    record(run, 40)
    record(run, 40, "other")
    report = once(run)
    assert [(step["what"], step["category"]) for step in report["did"]] == [("refused", "erd"), ("started", "other")]
    assert "nowhere" in report["did"][0]["text"]
    assert launched == [1]


def test_hooks_are_told_and_a_fault_in_them_is_said(run: Run, home: Home) -> None:
    home.config.write_text(f'{PLAIN}[hooks.ear]\non = "*"\ncommand = ["true"]\n', encoding="utf-8")
    record(run, 40)
    did = once(run)["did"]
    assert [step["what"] for step in did] == ["started", "delivered"]
    assert did[1]["text"] == "fine_tuning.failed to ear: delivered, `true` took it"
    home.config.write_text(f'{PLAIN}[hooks.ear]\non = "no_such_event"\ncommand = ["true"]\n', encoding="utf-8")
    (step,) = once(run)["did"]
    assert step["what"] == "refused"
    assert step["text"].startswith("hooks: ")


def test_a_wrong_setting_is_a_plain_message(run: Run, home: Home) -> None:
    home.config.write_text('[loop]\npolicy = "now"\n', encoding="utf-8")
    told = run("worker", "--once", "--json")
    assert told.code == 1
    assert "policy" in told.error["message"]


def test_wait_belongs_to_once(run: Run) -> None:
    assert run("worker", "--wait").code == 2
