"""`review` on the command line."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from cli_kit import Run
from selection_kit import new_event

from core.capture.judging import Judge
from core.categories import load_categories
from core.config import Config
from core.paths import Home
from storage import events, judgments
from storage.db import Store
from storage.rows import EventFilter

GOOD = """erDiagram
    shop ||--o{ order : takes
    shop {
        int id PK
    }
    order {
        int id PK
        int shop_id FK
    }"""


@pytest.fixture
def filled(store: Store) -> Store:
    """Events 1-6 of `erd` with scores 10-60, and 7 of `workflows`, about a harbour."""
    events.add_many(store, [new_event(f"Draw shop {number}", score=10.0 * number) for number in range(1, 7)])
    events.add(store, new_event("How does a ship leave the harbour?", category="workflows", score=99.0))
    return store


def verdicts(store: Store) -> list[str | None]:
    return [event.verdict for event in events.iter_events(store, EventFilter())]


def test_it_lists_what_is_open(run: Run, filled: Store) -> None:
    judgments.judge(filled, 2, "good", now=1.0)
    listed = run("review", "--json")
    assert listed.code == 0
    assert sorted(one["id"] for one in listed.json["events"]) == [1, 3, 4, 5, 6, 7]
    assert (listed.json["total"], listed.json["order"], listed.json["warnings"]) == (6, "informative", [])
    assert set(listed.json["events"][0]) == {
        "id", "created_at", "category", "model", "prompt", "response", "score", "tier", "feedback_type", "verdict",
    }  # fmt: skip
    shown = run("review", "--limit", "2")
    assert len(shown.out.splitlines()) == 2 + 2 + 1
    assert "… and 4 more (--limit)" in shown.out


def test_a_category_and_a_query_narrow_it(run: Run, filled: Store) -> None:
    assert [one["id"] for one in run("review", "--category", "workflows", "--json").json["events"]] == [7]
    found = run("review", "--query", "score:<30 sort:score shop", "--json").json
    assert ([one["id"] for one in found["events"]], found["order"]) == ([1, 2], "score")
    assert run("review", "--query", "harbour", "--category", "erd").out == "Nothing matches `harbour category:erd`.\n"


def test_a_term_that_is_not_understood_is_told(run: Run, filled: Store) -> None:
    listed = run("review", "--query", "tier:wood")
    assert listed.code == 0
    assert listed.err.startswith("! ")
    assert "wood" in listed.err
    assert run("review", "--query", "tier:wood", "--json").json["warnings"]


def test_nothing_open_is_no_fault(run: Run, store: Store) -> None:
    assert run("review").out == "Nothing waits to be judged.\n"


@pytest.mark.parametrize("kind", ["good", "bad", "reject", "skip"])
def test_an_event_is_judged(run: Run, filled: Store, kind: str) -> None:
    done = run("review", "3", f"--{kind}", "--note", "seen", "--json")
    assert done.code == 0
    assert done.json == {"done": kind, "count": 1, "category": None, "correction_score": None, "events": [3]}
    row = judgments.current(filled, 3)
    assert row is not None
    assert (row.kind, row.note, row.seconds, row.batch) == (kind, "seen", None, None)


def test_several_events_are_judged_at_once(run: Run, filled: Store) -> None:
    assert run("review", "3", "5", "--bad").out == "✓ 2 outputs called bad\n"
    assert verdicts(filled) == [None, None, "bad", None, "bad", None, None]
    assert run("review", "--undo").out == "✓ Taken back: 2 outputs called bad\n"
    assert verdicts(filled) == [None] * 7
    assert run("review", "--redo", "--json").json == {
        "done": "redo", "kind": "bad", "event": 3, "count": 2, "from": [], "to": None,
    }  # fmt: skip


def test_a_correction_comes_from_a_file_or_from_standard_input(run: Run, filled: Store, tmp_path: Path) -> None:
    file = tmp_path / "answer.txt"
    file.write_text(GOOD + "\n", encoding="utf-8")
    done = run("review", "1", "--correct", str(file), "--json")
    assert done.json["correction_score"] == 100.0
    assert events.get(filled, 1).correction == GOOD
    assert run("review", "2", "--correct", "-", stdin=GOOD).out == "✓ 1 output corrected, the correction scores 100\n"
    assert events.get(filled, 2).correction == GOOD


@pytest.mark.parametrize(("text", "said"), [("  \n", "empty"), ("same", "changes nothing")])
def test_a_correction_that_is_none_is_refused(run: Run, filled: Store, text: str, said: str) -> None:
    text = events.get(filled, 1).response if text == "same" else text
    done = run("review", "1", "--correct", "-", "--json", stdin=text)
    assert done.code == 1
    assert said in done.error["message"]
    assert verdicts(filled) == [None] * 7


def test_a_correction_that_cannot_be_read_is_told(run: Run, filled: Store, tmp_path: Path) -> None:
    file = tmp_path / "latin.txt"
    file.write_bytes(b"caf\xe9")
    assert "UTF-8" in run("review", "1", "--correct", str(file), "--json").error["message"]
    assert "gone.txt" in run("review", "1", "--correct", "gone.txt").err


def test_an_event_is_moved(run: Run, filled: Store) -> None:
    assert run("review", "1", "2", "--category", "workflows").out == "✓ 2 outputs moved to workflows\n"
    assert run("review", "--undo", "--json").json == {
        "done": "undo", "kind": "move", "event": 1, "count": 2, "from": ["erd"], "to": "workflows",
    }  # fmt: skip
    done = run(
        "review", "--all", "--query", "category:erd", "--move-to", "workflows", "--limit", "3", "--yes", "--json"
    )
    assert done.json == {"done": "move", "count": 3, "category": "workflows", "correction_score": None, "events": []}
    assert run("review", "--undo").out == "✓ Taken back: 3 outputs moved from erd to workflows\n"
    assert "no category" in run("review", "1", "--category", "nowhere").err


def test_everything_that_a_query_finds_is_judged_after_a_question(
    run: Run, filled: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = run("review", "--all", "--query", "score:<45", "--bad")
    assert refused.code == 1
    assert "4 outputs would be called bad" in refused.err
    assert verdicts(filled) == [None] * 7
    assert run("review", "--all", "--query", "score:<45", "--bad", "--yes").out == "✓ 4 outputs called bad\n"
    assert verdicts(filled) == ["bad"] * 4 + [None] * 3
    done = run("review", "--all", "--category", "workflows", "--good", "--yes", "--json")
    assert (done.json["count"], done.json["events"]) == (1, [])


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 130)])
def test_a_person_is_asked(filled: Store, monkeypatch: pytest.MonkeyPatch, answer: str, code: int) -> None:
    from tui.__main__ import main

    terminal = io.StringIO(answer)
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdin", terminal)
    monkeypatch.setattr(sys, "argv", ["finetune-tui", "review", "--all", "--bad"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert (ended.value.code, verdicts(filled)) == (code, ["bad" if code == 0 else None] * 7)


def test_a_query_with_a_fault_judges_nothing(run: Run, filled: Store) -> None:
    done = run("review", "--all", "--query", "tier:wood", "--bad", "--yes", "--json")
    assert (done.code, done.error["title"]) == (1, "Nothing was judged")
    assert verdicts(filled) == [None] * 7
    assert "Nothing matches" in run("review", "--all", "--query", "score:>100", "--bad", "--yes").err


def test_an_event_that_is_gone_is_told_and_the_others_stay_as_they_are(run: Run, filled: Store) -> None:
    done = run("review", "1", "99", "--bad")
    assert (done.code, verdicts(filled)) == (1, [None] * 7)
    assert "no event 99" in done.err


@pytest.mark.parametrize("turn", ["undo", "redo"])
def test_nothing_to_turn_is_told(run: Run, filled: Store, turn: str) -> None:
    done = run("review", f"--{turn}", "--json")
    assert (done.code, done.error["title"]) == (1, f"Nothing to {turn}")


@pytest.mark.parametrize(
    "arguments",
    [
        ["1"],
        ["--bad"],
        ["--all"],
        ["1", "--bad", "--correct", "x"],
        ["1", "2", "--correct", "x"],
        ["--all", "--correct", "x"],
        ["1", "--bad", "--category", "workflows"],
        ["1", "--bad", "--all"],
        ["1", "--bad", "--query", "x"],
        ["1", "--undo"],
        ["--undo", "--bad"],
        ["1", "--guidelines", "erd"],
    ],
)
def test_what_makes_no_sense_is_a_wrong_usage(run: Run, filled: Store, arguments: list[str]) -> None:
    assert run("review", *arguments).code == 2
    assert verdicts(filled) == [None] * 7


def test_guidelines_are_shown(run: Run, home: Home) -> None:
    shown = run("review", "--guidelines", "erd")
    assert shown.out.startswith("ER diagrams\n\n")
    told = run("review", "--guidelines", "erd", "--json").json
    assert told["guidelines"] == load_categories(home)["erd"].guidelines.strip()
    home.config.write_text("[categories.bare]\ntitle = 'Bare'\n")
    assert run("review", "--guidelines", "bare").code == 1
    assert run("review", "--guidelines", "bare", "--json").json["guidelines"] == ""


def test_agreement_is_told(run: Run, filled: Store, home: Home) -> None:
    judge = Judge(filled, Config(), load_categories(home))
    judge.judge(1, "good", seconds=1.0)
    judge.judge(1, "good", seconds=1.0, repeat=True)
    assert "you said the same 1 of 1 times (100 %" in run("review").out
    assert run("review", "--json").json["agreement"]["asked"] == 1


def test_no_terminal_code_of_an_answer_reaches_the_terminal(run: Run, filled: Store) -> None:
    events.add(filled, new_event("a \x1b[31mred prompt", "an \x1b]0;title\x07 answer", score=None))
    assert "\x1b" not in run("review").out
