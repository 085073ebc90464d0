"""`record`: from flags and from stdin, all or nothing, with a fault that can be found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cli_kit import Run

from core.paths import Home
from storage import events, judgments
from storage.db import open_store
from storage.rows import EventFilter, EventRow

DIAGRAM = "\n".join(
    (
        "erDiagram",
        "    CUSTOMER ||--o{ ORDER : places",
        "    CUSTOMER {",
        "        int id PK",
        "    }",
        "    ORDER {",
        "        int id PK",
        "    }",
    )
)
FLAGS = ("--category", "erd", "--model", "mine", "--prompt", "Customers and orders", "--response", DIAGRAM)
ROW = {"prompt": "Customers and orders", "response": DIAGRAM, "category": "erd", "model": "mine"}


def row(**more: Any) -> dict[str, Any]:
    return {**ROW, **more}


def stored(home: Home) -> list[EventRow]:
    with open_store(home.store) as store:
        return list(events.iter_events(store, EventFilter()))


def test_flags_record_one_output(run: Run, home: Home) -> None:
    outcome = run("record", *FLAGS, "--bad", "--score", "12.5", "--context", "the schema")
    assert outcome.code == 0
    assert outcome.out.startswith("event 1: score 12, ")
    (event,) = stored(home)
    assert (event.prompt, event.response, event.model) == (ROW["prompt"], DIAGRAM, "mine")
    assert (event.score, event.verdict, event.context) == (12.5, "bad", "the schema")


def test_json_tells_what_became_of_it(run: Run) -> None:
    outcome = run("record", *FLAGS, "--json")
    assert outcome.code == 0
    (one,) = outcome.json["recorded"]
    assert one["event_id"] == 1 and one["valid"] and 0 < one["score"] <= 100 and not one["duplicate"]
    assert run("record", *FLAGS, "--json").json["duplicates"] == 1
    assert "was there already" in run("record", *FLAGS).out


def test_a_correction_comes_from_a_file(run: Run, home: Home, tmp_path: Path) -> None:
    file = tmp_path / "better.mmd"
    file.write_text(DIAGRAM + "\n%% Größe", encoding="utf-8")
    assert run("record", *FLAGS[:-1], "no diagram", "--correction", f"@{file}").code == 0
    (event,) = stored(home)
    assert event.verdict == "correct" and event.correction is not None and "Größe" in event.correction
    with open_store(home.store) as store:
        assert [one.kind for one in judgments.history(store, 1)] == ["correct"]


@pytest.mark.parametrize(("content", "why"), [(None, "No such file"), (b"\xff\xfe", "not UTF-8 text")])
def test_a_correction_that_cannot_be_read_is_said(run: Run, tmp_path: Path, content: bytes | None, why: str) -> None:
    file = tmp_path / "better.mmd"
    if content is not None:
        file.write_bytes(content)
    said = run("record", *FLAGS, "--correction", f"@{file}", "--json")
    assert said.code == 1
    assert str(file) in said.error["message"] and why in said.error["message"] and said.error["hint"]
    assert run("stats", "--json").json["total"] == 0


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(row()),
        "\ufeff" + json.dumps(row()),
        json.dumps([row()]),
        json.dumps(row()) + "\n",
        json.dumps(row(), indent=2),
    ],
    ids=["object", "byte order mark", "array", "line", "indented"],
)
def test_json_on_stdin(run: Run, home: Home, text: str) -> None:
    assert run("record", stdin=text).code == 0
    (event,) = stored(home)
    assert event.prompt == ROW["prompt"]


def test_json_lines_with_every_key(run: Run, home: Home) -> None:
    lines = [
        row(score=55, verdict="bad", system="Be short.", confidence=0.25, latency_ms=12.0, created_at=1000.0),
        row(prompt="Other\u2028prompt", correction=DIAGRAM, metadata={"expected": {"entities": ["A"]}}, source="log"),
    ]
    text = "\r\n\n".join(json.dumps(line, ensure_ascii=False) for line in lines)
    outcome = run("record", "--json", stdin=text + "\n\n")
    assert outcome.code == 0, outcome
    first, second = stored(home)
    assert (first.score, first.verdict, first.system, first.confidence) == (55.0, "bad", "Be short.", 0.25)
    assert (first.latency_ms, first.created_at) == (12.0, 1000.0)
    assert second.prompt == "Other\u2028prompt" and second.source == "log"
    assert second.metadata["expected"] == {"entities": ["A"]}


def test_flags_stand_in_for_keys_that_a_row_lacks(run: Run, home: Home) -> None:
    rows = [{"prompt": "a", "response": "x"}, {"prompt": "b", "response": "y", "model": "other"}]
    assert run("record", "--category", "erd", "--model", "mine", "--bad", stdin=json.dumps(rows)).code == 0
    assert [(one.model, one.verdict) for one in stored(home)] == [("mine", "bad"), ("other", "bad")]


GOOD = json.dumps(ROW)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{GOOD}\n\n{{oops}}\n{GOOD}", "Line 3 of stdin is not JSON"),
        (f"{GOOD}\n" + "[" * 100_000, "Line 2 of stdin cannot be read"),
        (f"{GOOD}\n" + '{"score": ' + "9" * 5000 + "}", "Line 2 of stdin cannot be read"),
        ('{"a": 1', "Line 1 of stdin is not JSON"),
        ("5", "Row 1 is int, not an object"),
        (json.dumps([ROW, "text"]), "Row 2 is str, not an object"),
        (json.dumps([ROW, row(colour="red")]), "Row 2 has the unknown key 'colour'"),
        (json.dumps([ROW, row(sanitize=False)]), "Row 2 has the unknown key 'sanitize'"),
        (json.dumps([ROW, {**ROW, "model": ""}]), "Row 2 has no 'model'"),
        (json.dumps([ROW, row(category="erdd")]), "Row 2: There is no category `erdd`"),
        (json.dumps([ROW, row(category=["erd"])]), "Row 2 has a category that is not text"),
        (json.dumps([ROW, row(prompt=5)]), "Row 2: The prompt is int"),
        (json.dumps([ROW, row(prompt=" ")]), "Row 2: The prompt is empty"),
        (json.dumps([ROW, row(score=101)]), "Row 2: score is 101"),
        (json.dumps([ROW, row(score=10**400)]), "Row 2 has a number in 'score'"),
        (json.dumps([ROW, row(score=float("nan"))]), "Row 2: score is nan"),
        (json.dumps([ROW, row(verdict="maybe")]), "Row 2: `maybe` is no verdict"),
        (json.dumps([ROW, row(metadata=[1])]), "Row 2: The metadata is no mapping"),
        (json.dumps([ROW, row(created_at="now")]), "Row 2: created_at is 'now'"),
    ],
)
def test_a_fault_names_its_place_and_nothing_is_stored(run: Run, text: str, message: str) -> None:
    outcome = run("record", "--json", stdin=text)
    assert outcome.code == 1
    assert outcome.error["message"].startswith(message)
    assert outcome.error["hint"]
    assert run("stats", "--json").json["total"] == 0
    plain = run("record", stdin=text)
    assert plain.code == 1 and plain.out == "" and message in plain.err and "→" in plain.err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ((), "Neither --prompt and --response nor JSON on stdin"),
        (("--category", "erd", "--model", "mine", "--good"), "Neither --prompt and --response nor JSON on stdin"),
        (FLAGS[:6], "has no 'response'"),
        (FLAGS[4:], "has no 'category'"),
        (("--category", "nope", *FLAGS[2:]), "There is no category `nope`"),
    ],
)
def test_what_flags_lack_is_said(run: Run, flags: tuple[str, ...], message: str) -> None:
    outcome = run("record", *flags, "--json")
    assert outcome.code == 1 and message in outcome.error["message"] and outcome.error["hint"]


def test_personal_data_is_replaced_and_counted_unless_it_is_wanted(run: Run, home: Home) -> None:
    asked = ("--category", "erd", "--model", "mine", "--response", DIAGRAM, "--prompt")
    outcome = run("record", *asked, "Table for ann@example.org and bob@example.org")
    assert outcome.out.rstrip().endswith(", 2 email replaced")
    assert run("record", *asked, "Table for ann@example.org", "--json").json["recorded"][0]["sanitized"] == {"email": 1}
    kept = run("record", *asked, "Keep cid@example.org", "--keep-pii")
    assert "replaced" not in kept.out
    assert [("@example.org" in one.prompt) for one in stored(home)] == [False, False, True]


def test_what_no_terminal_could_show_is_stored_and_shown_safely(run: Run) -> None:
    text = json.dumps(row(prompt="a\ud800\u0000b\u001b[31m", metadata={"\ud800": "\u0000"}))
    assert run("record", "--json", stdin=text).code == 0
    shown = run("record", "--category", "e\x1b[31mrd", *FLAGS[2:])
    assert shown.code == 1 and "\x1b" not in shown.err
