"""Every other command: what it says, in words and as JSON, and that an error is never exit code 0."""

from __future__ import annotations

import io
import re
import sys
import time
from pathlib import Path

import pytest
from cli_kit import Run
from versions_kit import add_version

import tui.__main__ as program
from core.config import Config
from core.paths import Home
from core.prove.ab import result_of, summary
from storage import ab_tests, ab_votes, datasets, runs
from storage.db import Store, open_store
from storage.rows import AbPairRow, Metric, VersionRow

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def no_ollama(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")


# -- help and errors


@pytest.mark.parametrize("command", list(program.COMMANDS))
def test_every_command_has_help(run: Run, command: str) -> None:
    outcome = run(command, "--help")
    assert outcome.code == 0
    assert outcome.out.startswith(f"Usage: finetune-tui {command}") and "--json" in outcome.out


def test_the_help_of_all_lists_each_command_once(run: Run) -> None:
    text = run("--help").out
    assert re.findall(r"^  ([a-z][a-z-]+)  ", text, re.MULTILINE) == list(program.COMMANDS)
    assert run("--version").out.startswith("finetune-tui ")


def test_the_readme_names_every_command() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    missing = [name for name in program.COMMANDS if not re.search(rf"(finetune-tui |make |`){name}\b", text)]
    assert missing == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("nope",),
        ("record", "--score", "500"),
        ("runs", "many"),
        ("runs", "0"),
        ("runs", "9" * 30),
        ("runs", "--stop"),
        ("runs", "--log", "5"),
        ("resume",),
        ("resume", "9" * 30),
        ("train", "erd", "--epochs", "0"),
        ("ab", "--prompts", "0"),
        ("promote",),
        ("backup",),
        ("stats", "--colour"),
    ],
)
def test_wrong_usage(run: Run, arguments: tuple[str, ...]) -> None:
    plain = run(*arguments)
    assert plain.code == 2 and plain.out == "" and "Error: " in plain.err
    told = run(*arguments, "--json")
    assert told.code == 2 and told.err == "" and told.error["message"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("runs", "9"), "There is no run 9"),
        (("runs", "9", "--stop"), "There is no run 9"),
        (("resume", "9"), "There is no run 9"),
        (("models", "nope"), "There is no version 'nope'"),
        (("models", "9" * 30), "There is no version"),
        (("models", "--category", "erdd"), "There is no category `erdd`"),
        (("ab",), "There is no trained version yet"),
        (("ab", "nope"), "There is no version 'nope'"),
        (("promote", "nope"), "There is no version 'nope'"),
        (("rollback", "erd"), "Nothing was promoted"),
        (("rollback", "nope"), "There is no category `nope`"),
        (("undo", "erd"), "Nothing was promoted or rolled back"),
        (("undo", "nope"), "There is no category `nope`"),
        (("train", "erd"), "There is no training example"),
        (("train", "nope"), "There is no category `nope`"),
        (("train", "erd", "--base", "nope"), "neither a known base model nor a folder"),
        (("train", "erd", "--base", "qwen3-4b"), "is not on this machine"),
        (("train", "erd", "--seed", "9" * 30), "seed"),
    ],
)
def test_on_an_empty_home_errors_say_what_and_what_next(run: Run, arguments: tuple[str, ...], message: str) -> None:
    plain = run(*arguments)
    assert plain.code == 1 and plain.out == ""
    assert plain.err.startswith("✗ ") and message in plain.err and "→" in plain.err
    told = run(*arguments, "--json")
    assert told.code == 1 and told.err == ""
    assert message in told.error["message"] and told.error["title"] and told.error["hint"]


@pytest.mark.parametrize("command", ["stats", "runs", "models"])
def test_an_empty_home_lists_nothing(run: Run, command: str) -> None:
    assert "finetune-tui" in run(command).out
    told = run(command, "--json")
    assert told.code == 0 and not (told.json["total"] if command == "stats" else told.json)


@pytest.mark.parametrize("place", ["", "below"])
def test_a_home_that_is_a_file_is_said(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("FINETUNE_TUI_HOME", str(tmp_path / "file" / place))
    for command in ("stats", "runs", "models", "doctor"):
        assert run(command).code == 1
    said = run("stats", "--json").error
    assert "cannot be made" in said["message"] and "FINETUNE_TUI_HOME" in said["hint"]


@pytest.mark.parametrize(
    "text",
    [
        "[ab]\nmin_tests = 'many'",
        "[ab]\nmin_tests = 1" + "0" * 400,
        "[ab]\nmin_tests = 1" + "0" * 5000,
        "a = " + "[" * 9999,
    ],
    ids=["text", "large", "larger", "deep"],
)
def test_a_fault_in_the_configuration_names_the_file(run: Run, home: Home, text: str) -> None:
    home.config.write_text(text, encoding="utf-8")
    said = run("stats", "--json")
    assert said.code == 1 and str(home.config) in said.error["message"]
    assert run("doctor").code == 1


class _Closed(io.StringIO):
    """A standard output whose reader is gone, or whose disk is full."""

    def __init__(self, error: OSError) -> None:
        super().__init__()
        self.error = error

    def write(self, text: str) -> int:
        raise self.error


def test_a_full_device_as_output_is_said(
    home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments in (["stats"], ["stats", "--json"], ["runs", "9", "--json"]):
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", ["finetune-tui", *arguments])
            patch.setattr(sys, "stdout", _Closed(OSError(28, "No space left on device")))
            with pytest.raises(SystemExit) as ended:
                program.main()
        assert ended.value.code == 1
        assert "The output cannot be read or written: No space left" in capsys.readouterr().err


# -- stats, runs


def test_stats_counts_what_was_recorded(run: Run) -> None:
    run("record", "--category", "erd", "--model", "m", "--prompt", "p", "--response", "r", "--bad")
    told = run("stats", "--json").json
    assert (told["total"], told["judged"]) == (1, 1)
    (one,) = told["categories"]
    assert one["category"] == "erd" and one["next_step"]
    lines = run("stats").out.splitlines()
    assert lines[0].split()[:2] == ["category", "events"] and lines[2].split()[:2] == ["erd", "1"]


@pytest.fixture
def a_run(store: Store, home: Home) -> int:
    dataset = datasets.add(
        store, created_at=1.0, category="erd", hash="h", seed=0, settings={}, counts={"train": 1}, items=[]
    )
    number = runs.enqueue(
        store,
        created_at=1.0,
        category="erd",
        base_model="demo",
        method="sft",
        settings={"rank": 8},
        dataset_id=dataset,
        parent_version=None,
        total_steps=10,
    )
    assert runs.claim(store, number, pid=1, pid_started=-1.0, now=time.time())
    runs.progress(store, number, step=4, total_steps=10)
    runs.add_metrics(store, number, [Metric(4, "loss", 1.5, 1.0)])
    log = home.resolve(runs.get(store, number).folder) / "log.txt"
    log.parent.mkdir(parents=True)
    log.write_text("first\nsecond \x1b[31m\nthird\n", encoding="utf-8")
    return number


def test_runs_are_listed_and_shown(run: Run, a_run: int) -> None:
    assert "● running" in run("runs").out and "4/10" in run("runs").out
    assert [one["id"] for one in run("runs", "--json").json] == [a_run]
    shown = run("runs", str(a_run), "--log", "2")
    assert "loss: 1.5" in shown.out and "third" in shown.out and "first" not in shown.out and "\x1b" not in shown.out
    told = run("runs", str(a_run), "--json").json
    assert told["metrics"] == {"loss": 1.5} and told["settings"] == {"rank": 8} and told["step"] == 4


def test_a_run_is_asked_to_stop(run: Run, store: Store, a_run: int) -> None:
    told = run("runs", str(a_run), "--stop", "--json")
    assert told.code == 0 and told.json["stop_requested"] is True
    runs.finish(store, a_run, "failed", now=2.0, error="The disk is full.", hint="Free some.")
    refused = run("runs", str(a_run), "--stop", "--json")
    assert refused.code == 1 and "is failed" in refused.error["message"]
    shown = run("runs", str(a_run)).out
    assert "✗ The disk is full." in shown and "→ Free some." in shown


def test_a_finished_run_is_not_resumed(run: Run, store: Store, a_run: int) -> None:
    runs.finish(store, a_run, "finished", now=2.0)
    refused = run("resume", str(a_run), "--json")
    assert refused.code == 1 and "is finished" in refused.error["message"] and refused.error["hint"]


# -- versions


@pytest.fixture
def versions(store: Store, home: Home) -> list[VersionRow]:
    return [add_version(store, home, number) for number in range(3)]


def compared(store: Store, a: VersionRow, b: VersionRow, wins: int) -> int:
    """A finished comparison in which b wins `wins` of 10."""
    test = ab_tests.start(store, created_at=1.0, category="erd", version_a=a.id, version_b=b.id, seed=0, settings={})
    pairs = [
        AbPairRow(
            test_id=test,
            position=number,
            event_id=None,
            prompt="p",
            response_a="a",
            response_b="b",
            score_a=40.0,
            score_b=90.0 if number < wins else 10.0,
            latency_a=1.0,
            latency_b=1.0,
            tokens_a=1,
            tokens_b=1,
            winner="b" if number < wins else "a",
        )
        for number in range(10)
    ]
    ab_tests.add_pairs(store, pairs)
    result = result_of(pairs, 70.0, Config().ab, seed=0)
    names = {"name_a": a.name, "name_b": b.name, "kind": "q8_0", "summary": summary(result, a.name, b.name)}
    ab_tests.finish(store, test, {**result, **names}, 2.0)
    return test


def test_models_are_listed_and_shown(run: Run, versions: list[VersionRow]) -> None:
    listed = run("models", "--category", "erd").out
    assert all(version.name in listed for version in versions) and "✓ proved" in listed
    assert [one["name"] for one in run("models", "--json").json] == [version.name for version in versions]
    assert run("models", "--category", "workflows", "--json").json == []
    shown = run("models", versions[1].name).out
    assert versions[1].name in shown and "✓ q8_0: stops: all" in shown
    assert run("models", str(versions[1].id), "--json").json["name"] == versions[1].name


def test_promote_rollback_and_undo(run: Run, versions: list[VersionRow]) -> None:
    base, first, second = (version.name for version in versions)

    def serving() -> list[str]:
        return [one["name"] for one in run("models", "--json").json if one["serving"]]

    told = run("promote", first, "--why", "better", "--json")
    assert told.code == 0 and (told.json["from"], told.json["to"], told.json["why"]) == (None, first, "better")
    assert f"{first} → {second}" in run("promote", second).out
    assert serving() == [second]
    assert "★ serving" in run("models").out
    again = run("promote", second, "--json")
    assert again.code == 1 and "serves erd already" in again.error["message"]
    assert run("rollback", "erd", "--json").json["to"] == first
    assert run("undo", "erd", "--json").json["to"] == second
    assert run("undo", "erd").code == 0 and serving() == [first]
    assert run("undo", "erd").code == 0 and serving() == [base]
    assert run("undo", "erd", "--json").error["title"] == "Nothing to undo"
    assert run("stats", "--json").json["deployed"] == [{"alias": "ft-erd", "category": "erd", "version": base}]


def test_what_is_not_proved_or_altered_is_not_promoted(
    run: Run, store: Store, home: Home, versions: list[VersionRow]
) -> None:
    poor = add_version(store, home, 3, passed=False)
    refused = run("promote", poor.name, "--json")
    assert refused.code == 1 and "did not pass its proof" in refused.error["message"] and refused.error["hint"]
    file = home.resolve(str(versions[2].gguf["q8_0"]["path"]))
    file.write_bytes(b"X" + file.read_bytes()[1:])
    assert "altered" in run("promote", versions[2].name, "--json").error["message"]
    file.unlink()
    assert "is missing" in run("promote", versions[2].name, "--json").error["message"]
    assert not any(one["serving"] for one in run("models", "--json").json)


def test_ab_tells_the_comparison_with_what_serves_today(run: Run, store: Store, versions: list[VersionRow]) -> None:
    base, first, second = versions
    old = compared(store, base, second, wins=9)
    told = run("ab", "--json")
    assert told.code == 0 and told.json["test_id"] == old and (told.json["wins"], told.json["losses"]) == (9, 1)
    shown = run("ab", second.name).out
    assert "wins 9, losses 1, ties 0 of 10" in shown and f"verdict: {told.json['verdict']}" in shown
    assert "40.0" in shown and "82.0" in shown
    assert run("promote", first.name).code == 0
    new = compared(store, first, second, wins=2)
    assert run("ab", "--json").json["test_id"] == new
    assert run("ab", "--against", base.name, "--json").json["test_id"] == old


def test_ab_counts_votes_and_tells_all_that_is_known(run: Run, store: Store, versions: list[VersionRow]) -> None:
    base, first, second = versions
    compared(store, base, first, wins=6)
    test = compared(store, base, second, wins=9)
    for position in (0, 1):
        ab_votes.add(store, at=1.0, test_id=test, position=position, choice="a", swapped=False)
    told = run("ab", "--category", "erd", "--json").json
    assert (told["wins"], told["pooled"]["wins"], told["pooled"]["losses"]) == (9, 7, 3)
    assert told["pooled"]["sources"] == {"votes": 2, "stored": 8, "shadow": 0, "not_judged": 0}
    assert told["pooled"]["votes"] == {"a": 2} and told["pooled"]["agreement"]["share"] == 0.0
    assert told["pooled"]["verdict"] == "need more data" and told["pooled"]["more"] and told["pooled"]["reasons"]
    assert told["breakdown"][0]["name"] == "erd" and told["breakdown"][0]["n"] == 10
    assert [each["name"] for each in told["ratings"]] == [second.name, first.name, base.name]
    assert told["rating_model"] == {"ties": 0.0, "separated": False}
    shown = run("ab").out
    assert "wins 7, losses 3, ties 0 of 10" in shown and "decided by 2 votes, 8 stored prompts" in shown
    assert "people and scores agree on 0 of 2 pairs" in shown and "rating (Elo)" in shown
    assert run("ab", second.name, "--category", "erd", "--json").code == 2
    assert "no trained version" in run("ab", "--category", "workflows", "--json").error["message"]


def test_ab_without_prompts_to_ask_is_said(run: Run, versions: list[VersionRow]) -> None:
    for arguments in ((), ("--again",), ("--prompts", "5"), ("--seed", "3")):
        refused = run("ab", *arguments, "--json")
        assert refused.code == 1 and "no held-out prompts" in refused.error["message"] and refused.error["hint"]
    itself = run("ab", versions[1].name, "--against", versions[1].name, "--json")
    assert itself.code == 1 and "with itself" in itself.error["message"]


# -- doctor, backup


def test_doctor_is_clean_on_a_fresh_home(run: Run, store: Store) -> None:
    told = run("doctor", "--json")
    assert told.code == 0 and told.json["ok"] is True
    assert {"python", "packages", "home", "disk", "memory", "configuration", "store", "ollama"} <= {
        check["name"] for check in told.json["checks"]
    }
    assert run("doctor").out.count("✗") == 0


def test_doctor_finds_a_damaged_store(run: Run, store: Store, home: Home) -> None:
    store.close()
    home.store.write_bytes(b"SQLite format 3\x00" + b"\x01" * 8000)
    told = run("doctor", "--json")
    assert told.code == 1 and told.json["ok"] is False
    (bad,) = [check for check in told.json["checks"] if check["state"] == "problem"]
    assert bad["name"] == "store" and bad["hint"]
    assert "✗ store" in run("doctor").out


@pytest.mark.parametrize("command", ["stats", "runs", "models", "record", "backup", "doctor"])
def test_a_store_that_cannot_be_used_is_said_and_left_alone(
    run: Run, store: Store, home: Home, tmp_path: Path, command: str
) -> None:
    store.connection.execute("PRAGMA user_version = 999")
    store.close()
    arguments = {
        "record": ("--category", "erd", "--model", "m", "--prompt", "p", "--response", "r"),
        "backup": (str(tmp_path / "copy.db"),),
    }.get(command, ())
    for content, message in (
        (home.store.read_bytes(), "was written by a newer finetune-tui"),
        (b"no database at all" * 500, "is not a SQLite file"),
        (b"SQLite format 3\x00" + b"\x01" * 8000, "store.db"),
    ):
        home.store.write_bytes(content)
        plain = run(command, *arguments)
        assert plain.code == 1 and message in plain.out + plain.err and "→" in plain.out + plain.err
        told = run(command, *arguments, "--json")
        assert told.code == 1 and message in told.out
        assert home.store.read_bytes() == content
        assert not (tmp_path / "copy.db").exists()


def test_backup_writes_a_whole_copy(run: Run, tmp_path: Path) -> None:
    run("record", "--category", "erd", "--model", "m", "--prompt", "p", "--response", "r")
    target = tmp_path / "copy.db"
    told = run("backup", str(target), "--json")
    assert told.code == 0 and told.json == {"path": str(target), "bytes": target.stat().st_size}
    with open_store(target, create=False) as copied:
        assert copied.value("SELECT count(*) FROM events") == 1
    before = target.read_bytes()
    refused = run("backup", str(target), "--json")
    assert refused.code == 1 and "there already" in refused.error["message"] and "--force" in refused.error["hint"]
    assert target.read_bytes() == before
    assert run("backup", str(target), "--force").code == 0
    folder = tmp_path / "folder"
    folder.mkdir()
    assert run("backup", str(folder)).out.startswith(f"✓ {folder / 'store.db'} (")


def test_backup_refuses_to_write_over_the_store(run: Run, home: Home, store: Store) -> None:
    for target in (home.store, home.root):
        assert run("backup", str(target), "--force", "--json").code == 1
    assert run("doctor").code == 0


def test_there_is_nothing_to_back_up_in_an_empty_home(run: Run, home: Home, tmp_path: Path) -> None:
    refused = run("backup", str(tmp_path / "copy.db"), "--json")
    assert refused.code == 1 and "There is no store" in refused.error["message"]
    assert not home.store.exists() and not (tmp_path / "copy.db").exists()
