"""The whole demonstration, as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from process_kit import cli

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "home"


@pytest.fixture(scope="module")
def told(place: Path) -> dict[str, Any]:
    done = cli(place, "demo", "--json", seconds=900.0)
    assert done.returncode == 0, done.stdout + done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def test_the_tuned_model_is_clearly_better(told: dict[str, Any]) -> None:
    before, after, test = told["before"], told["after"], told["ab"]
    for figures in (before, after):
        assert set(figures) == {"mean_score", "success_rate", "n"}
        assert 0 <= figures["mean_score"] <= 100 and 0 <= figures["success_rate"] <= 1
    assert before["n"] == after["n"] == test["n"] == test["wins"] + test["losses"] + test["ties"] >= 100
    assert after["mean_score"] - before["mean_score"] >= 15.0
    assert after["success_rate"] > before["success_rate"]
    low, high = test["difference_interval"]
    assert 0 < low <= test["difference"] <= high
    assert test["difference"] == pytest.approx(after["mean_score"] - before["mean_score"])
    low, high = test["interval"]
    assert 0.5 < low <= test["win_rate"] <= high <= 1.0
    assert test["verdict"] == "promote" and test["reasons"] and test["evidence"] >= 20


def test_every_check_of_the_proof_passed(told: dict[str, Any]) -> None:
    names = {check["name"].partition(": ")[2] for check in told["proof"]}
    assert {"token parity", "chat template", "logits: mean KL", "greedy answers", "stops"} <= names
    for check in told["proof"]:
        assert check["passed"] is True and check["detail"], check
        assert isinstance(check["figure"], float) and isinstance(check["bound"], float)


def test_it_was_promoted_and_the_rollback_shown(told: dict[str, Any], place: Path) -> None:
    assert (told["promoted"], told["rolled_back_to"]) == ("ft-demo-erd-v1", "ft-demo-erd-v0")
    assert told["home"] == str(place) and 0 < told["seconds"] < 900
    rows = {row["name"]: row["serving"] for row in json.loads(cli(place, "models", "--json").stdout)}
    assert rows == {"ft-demo-erd-v0": False, "ft-demo-erd-v1": True}


def test_its_home_is_sound_and_can_be_looked_at(told: dict[str, Any], place: Path) -> None:
    doctor = cli(place, "doctor", "--json")
    checks = {check["name"]: check for check in json.loads(doctor.stdout)["checks"]}
    assert doctor.returncode == 0
    assert {name: check for name, check in checks.items() if check["state"] == "problem"} == {}
    assert checks["store"]["state"] == checks["ft-erd"]["state"] == "ok" and "runs" not in checks
    stored = json.loads(cli(place, "ab", "--json").stdout)
    assert {name: stored[name] for name in told["ab"]} == told["ab"]
    (run,) = json.loads(cli(place, "runs", "--json").stdout)
    assert (run["status"], run["stage"], run["error"]) == ("finished", "done", "")
    (category,) = json.loads(cli(place, "stats", "--json").stdout)["categories"]
    assert category["serving"] == told["promoted"] and category["corrected"] > 0
    shown = cli(place, "models", told["promoted"]).stdout
    assert "✗" not in shown and shown.count("✓") == len(told["proof"])
