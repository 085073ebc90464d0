"""`categories` and `clean-up` as a user calls them."""

from __future__ import annotations

import pytest
from cli_kit import Run

from core.paths import Home
from storage import events
from storage.db import open_store
from storage.rows import NewEvent


def fill(home: Home, count: int) -> None:
    made = [
        NewEvent(
            created_at=1_600_000_000.0 + number,
            category="erd",
            model="m",
            prompt=f"prompt {number}",
            response="r",
            content_hash=f"b2:{number:032x}",
            prompt_hash=f"b2:{number:032x}",
            bucket=50,
            feedback_type="success",
            score=90.0,
            valid=True,
            quality=0.8,
            tier="bronze" if number < 5 else "silver",
        )
        for number in range(count)
    ]
    with open_store(home.store) as store:
        events.add_many(store, made)


def test_the_list_names_every_category(run: Run, home: Home) -> None:
    home.config.write_text('[categories.erd]\nmin_tier = "gold"\n')
    for arguments in (("categories",), ("categories", "list")):
        outcome = run(*arguments)
        assert outcome.code == 0
        assert len(outcome.out.splitlines()) == 2 + 19
        found = run(*arguments, "--json").json["categories"]
        assert len(found) == 19
        assert found[0]["name"] == "api_docs" or {one["name"] for one in found} >= {"erd", "rag_enhancement"}
        assert next(one for one in found if one["name"] == "erd")["min_tier"] == "gold"


def test_one_category_is_shown_with_labels_and_events(run: Run) -> None:
    outcome = run("categories", "show", "scam_detection")
    assert outcome.code == 0
    for part in ("phishing", "qwen3-1.7b", "scam.detected", "0.35 confidence", "System prompt", "Guidelines"):
        assert part in outcome.out
    shown = run("categories", "show", "erd", "--json").json
    assert (shown["name"], shown["validator"], shown["events"]) == ("erd", "mermaid_er", [])
    assert "none is sent" in run("categories", "show", "erd").out


def test_an_unknown_category_or_faulty_options_are_named(run: Run, home: Home) -> None:
    outcome = run("categories", "show", "scam", "--json")
    assert (outcome.code, outcome.error["message"]) == (1, "There is no category `scam`.")
    home.config.write_text("[categories.sentiment_analysis]\nvalidator_options = { label = 3 }\n")
    outcome = run("categories", "show", "sentiment_analysis", "--json")
    assert (outcome.code, outcome.error["title"]) == (1, "Wrong options for a validator")


def test_events_tell_which_keys_are_read(run: Run) -> None:
    outcome = run("categories", "events")
    assert outcome.code == 0
    assert outcome.out.count(" → ") == 13
    found = run("categories", "events", "--json").json["events"]
    assert len(found) == 13
    (one,) = run("categories", "events", "ai.correction", "--json").json["events"]
    assert one["category"] == "human_correction"
    assert "corrected_response" in one["mapping"]["correction"]
    assert "corrected_response" in run("categories", "events", "ai.correction").out
    missing = run("categories", "events", "ai.corection", "--json")
    assert (missing.code, missing.error["hint"]) == (1, "Did you mean ai.correction?")


def test_clean_up_tells_first_and_then_removes(run: Run, home: Home) -> None:
    home.config.write_text("[capture]\nretention = 100\n")
    fill(home, 107)
    told = run("clean-up", "--dry-run")
    assert (told.code, told.out) == (0, "erd: 7 of 107 would be removed (5 bronze, 2 silver)\n")
    done = run("clean-up", "--json").json
    assert (done["limit"], done["dry_run"]) == (100, False)
    (one,) = done["categories"]
    assert (one["category"], one["before"], one["remaining"], one["over"]) == ("erd", 107, 100, 0)
    assert run("clean-up", "--category", "erd").out == "Nothing to remove: no category has more than 100 events.\n"


@pytest.mark.parametrize("arguments", [("--category", "edr"), ()])
def test_clean_up_refuses_an_unknown_category_and_a_missing_store(
    run: Run, home: Home, arguments: tuple[str, ...]
) -> None:
    if arguments:
        fill(home, 1)
    outcome = run("clean-up", *arguments, "--json")
    assert outcome.code == 1
    assert outcome.error["hint"]


def test_the_validators_are_listed_with_their_options(run: Run) -> None:
    shown = run("categories", "validators").out
    assert "json_schema" in shown and "`schema_file`" in shown
    listed = run("categories", "validators", "--json").json["validators"]
    assert {"none", "mermaid", "python", "openapi", "label", "judge"} <= set(listed)
    assert all(text.startswith("Options: ") for text in listed.values())
