"""`hooks`: what is configured and how it stands, a test, delivery by hand, and no secret ever shown."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from cli_kit import Run

from core.paths import Home
from storage import outbox
from storage.db import Store

SECRET = "hunter2"
LATER = 4e9
"""After any configuration was written, so that every event counts as new."""


@pytest.fixture
def taken(home: Home) -> Path:
    """Where the hook `keep` writes what it is told; it refuses while the file `no` is there. `far` has secrets."""
    code = (
        "import sys, os\nif os.path.exists('no'): sys.exit('not \\033[31mnow')\n"
        "open('taken.txt', 'a').write(sys.stdin.read() + chr(10))"
    )
    arguments = json.dumps([sys.executable, "-c", code, SECRET])
    home.config.write_text(
        f"[hooks.keep]\non = '*'\ntries = 2\ncommand = {arguments}\n"
        f"[hooks.far]\non = ['ab_test.completed']\ncategories = ['erd']\n"
        f"url = 'http://127.0.0.1:9/{SECRET}?key={SECRET}'\nsecret = '{SECRET}'\n",
        encoding="utf-8",
    )
    return home.root / "taken.txt"


def test_without_hooks_it_says_how_to_make_one(run: Run) -> None:
    assert "[hooks.<name>]" in run("hooks").out
    assert run("hooks", "--json").json == {"hooks": []}
    assert "Write a section" in run("hooks", "--test", "x", "--json").error["hint"]


def test_the_list_tells_how_each_hook_stands(run: Run, store: Store, home: Home, taken: Path) -> None:
    assert run("hooks").code == 0
    outbox.publish(store, "fine_tuning.completed", "erd", {}, now=LATER)
    outbox.publish(store, "ab_test.completed", "code", {}, now=LATER)
    keep, far = run("hooks", "--json").json["hooks"]
    assert (keep["kind"], keep["due"], keep["last"], keep["on"]) == ("command", 2, None, list(outbox.EVENTS))
    assert (far["kind"], far["due"], far["signed"], far["target"]) == ("url", 0, True, "http://127.0.0.1:9/…")
    (home.root / "no").touch()
    tried = run("hooks", "--deliver")
    assert tried.code == 1 and "! keep: event 1, fine_tuning.completed: " in tried.out and "Still due: 2" in tried.out
    assert "tried again at" in run("hooks").out
    store.write("UPDATE deliveries SET last_at = 0")
    assert run("hooks", "--deliver", "--json").json["attempts"][0]["state"] == "given up"
    keep = run("hooks", "--json").json["hooks"][0]
    assert (keep["due"], keep["given_up"], keep["last"]["number"], keep["last"]["state"]) == (1, 1, 2, "due")
    store.write("UPDATE deliveries SET last_at = 0 WHERE outbox_id = 2")
    assert run("hooks", "--deliver", "--json").json["attempts"][0]["state"] == "given up"
    assert "`finetune-tui hooks --retry keep` makes it due again" in run("hooks").out
    (home.root / "no").unlink()
    assert run("hooks", "--retry", "keep", "--json").json == {"hook": "keep", "renewed": 2}
    done = run("hooks", "--deliver", "--json")
    assert done.code == 0 and done.json["due"] == 0
    assert [(one["number"], one["state"]) for one in done.json["attempts"]] == [(1, "delivered"), (2, "delivered")]
    assert [json.loads(line)["number"] for line in taken.read_text(encoding="utf-8").splitlines()] == [1, 2]
    assert "Nothing is due" in run("hooks", "--deliver").out
    rows = run("hooks", "--log", "1", "--json").json["deliveries"]
    assert [(row["number"], row["hook"], row["state"]) for row in rows] == [(2, "keep", "delivered")]
    assert "fine_tuning.completed" in run("hooks", "--log", "5").out


def test_a_test_is_sent_and_leaves_no_trace(run: Run, store: Store, home: Home, taken: Path) -> None:
    assert run("hooks", "--test", "keep").out.startswith("✓ keep: ")
    told = json.loads(taken.read_text(encoding="utf-8"))
    assert (told["test"], told["event"]) == (True, "fine_tuning.completed")
    assert run("hooks", "--log", "5").out == "Nothing was delivered yet.\n"
    failed = run("hooks", "--test", "far", "--json")
    assert failed.code == 1 and "cannot be reached" in failed.error["message"]
    (home.root / "no").touch()
    refused = run("hooks", "--test", "keep")
    assert refused.code == 1 and "not [31mnow" in refused.err and "\x1b[31mnow" not in refused.err
    assert "keep" in run("hooks", "--test", "kep", "--json").error["hint"]


@pytest.mark.parametrize(
    "arguments", [(), ("--test", "far"), ("--deliver",), ("--log", "9"), ("--retry", "far"), ("--test", "nothing")]
)
def test_no_secret_is_shown(run: Run, store: Store, taken: Path, arguments: tuple[str, ...]) -> None:
    outbox.publish(store, "ab_test.completed", "erd", {}, now=LATER)
    run("hooks", "--deliver")
    for form in ((), ("--json",)):
        done = run("hooks", *arguments, *form)
        assert SECRET not in done.out + done.err
        assert "far" in done.out + done.err or "--retry" in arguments or "--deliver" in arguments


def test_wrong_use_is_said(run: Run, home: Home) -> None:
    assert run("hooks", "--deliver", "--log", "3").code == 2
    assert run("hooks", "--log", "0").code == 2
    assert "No store yet" in run("hooks", "--deliver", "--json").error["title"]
    home.config.write_text("[hooks.x]\non = '*'\n", encoding="utf-8")
    assert "exactly one" in run("hooks", "--json").error["hint"]
    assert run("categories").code == 0
