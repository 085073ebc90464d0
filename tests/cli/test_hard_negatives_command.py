"""`hard-negatives` on the command line."""

from __future__ import annotations

import json
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from core.errors import FinetuneError
from core.paths import Home
from storage import events, judgments, pins
from storage.db import Store
from storage.rows import NewEvent
from tui.cli.hard_negatives import hard_negatives_command

GOOD = "erDiagram\n    customer {\n        int id PK\n    }"


@click.group()
@click.pass_context
def cli(ctx: click.Context) -> None:
    ctx.obj = None


cli.add_command(hard_negatives_command)


def call(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["hard-negatives", *arguments], catch_exceptions=False)


def event(number: int, **changes: Any) -> NewEvent:
    values: dict[str, Any] = {
        "created_at": 1_700_000_000.0 + number,
        "category": "erd",
        "model": "m",
        "prompt": f"Draw invoice and payment {number}",
        "response": "no diagram",
        "content_hash": f"b2:{number:032x}",
        "prompt_hash": f"b2:{number:032x}",
        "bucket": 50,
        "feedback_type": "validation_failure",
        "score": 40.0 - number,
        "valid": False,
        "quality": 0.2,
        "tier": "rejected",
        "findings": [{"kind": "missing_entity", "message": "m", "line": None, "severity": "error"}],
    }
    return NewEvent(**(values | changes))


@pytest.fixture
def filled(store: Store) -> Store:
    """Failures 1-4 of `erd`, of which 2 is corrected and 3 kept for testing; 5 is good; 6 is another category's."""
    events.add_many(store, [event(1), event(2), event(3, bucket=0), event(4), event(5, score=90.0)])
    events.add(store, event(6, category="workflows"))
    judgments.judge(store, 2, "correct", correction=GOOD, now=1.0)
    return store


def test_patterns(filled: Store) -> None:
    out = call("erd").output
    assert "erd: 4 open, 0 reopened, 0 solved" in out
    assert "missing entity" in out
    assert "2 wait for a correction." in out
    assert "workflows" not in out
    assert "workflows: 1 open" in call().output
    [found] = json.loads(call("erd", "--json").output)["categories"]
    assert found["counts"] == {"open": 4, "reopened": 0, "solved": 0}
    assert (found["total"], found["waiting"], found["patterns"][0]["count"]) == (1, 2, 4)
    assert sorted(found["patterns"][0]["members"]) == [1, 2, 3, 4]


def test_list(filled: Store) -> None:
    out = call("erd", "--list").output
    lines = {line.split()[0]: line for line in out.splitlines() if ": missing" in line}
    assert lines["1"].endswith("low score: missing entity  a correction")
    assert lines["2"].endswith("ready to train on")
    assert lines["3"].endswith("kept for testing")
    [found] = json.loads(call("erd", "--list", "--limit", "2", "--json").output)["categories"]
    assert (found["total"], len(found["events"])) == (4, 2)
    assert "… and 2 more" in call("erd", "--list", "--limit", "2").output


def test_states(filled: Store) -> None:
    assert "Nothing on this list." in call("erd", "--state", "solved").output
    assert "missing entity" in call("erd", "--state", "all").output
    assert call("erd", "--state", "odd").exit_code == 2


def test_nothing_and_nobody(store: Store, home: Home) -> None:
    assert "There are no hard negatives." in call().output
    assert json.loads(call("--json").output) == {"categories": []}
    with pytest.raises(FinetuneError):
        call("nothing")


def test_hostile_text_stays_text(store: Store) -> None:
    finding = {"kind": "x\x1b[2J\ny", "message": "m", "line": None, "severity": "error"}
    events.add_many(store, [event(number, findings=[finding], prompt="\x1b]0;t\x07 \u202eshop") for number in (1, 2)])
    judgments.judge(store, 2, "bad", note="\x1b[31mred\nline", now=1.0)
    for arguments in (["erd"], ["erd", "--list"]):
        out = call(*arguments).output
        assert not set(out) & {"\x1b", "\x07", "\u202e"}
        assert "\ny" not in out


def test_an_event_is_asked_for_in_the_next_batch_and_no_more(filled: Store) -> None:
    found = json.loads(call("erd", "--list", "--next", "2", "--json").stdout)["categories"][0]
    assert [each["event_id"] for each in found["events"] if each["pinned"]] == [2]
    assert set(pins.open_pins(filled, "erd")) == {2}
    assert "first in the next batch" in call("erd", "--list").stdout
    call("erd", "--not-next", "2")
    assert pins.open_pins(filled, "erd") == {}


def test_asking_for_an_event_that_is_not_there_keeps_no_wish(filled: Store) -> None:
    with pytest.raises(FinetuneError, match="no event 99"):
        call("erd", "--next", "2", "--next", "99")
    assert pins.open_pins(filled) == {}
