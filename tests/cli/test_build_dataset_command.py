"""`build-dataset` as a user calls it: its report, its errors, and what it leaves."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

import pytest
from cli_kit import Run

from core.backends.backend import Generation, Message, Sampling
from core.errors import BackendError
from core.paths import Home
from tui.__main__ import COMMANDS

ENTRY = ("tui.cli.build_dataset", "build_dataset", "Make examples from a folder of documents or code.")
TEXT = "Orders above fifty euros are sent free of charge; smaller parcels cost four euros within the country."
PAIR = {"prompt": "What does shipping cost for a small parcel?", "response": "Four euros, unless you spend over fifty."}


@pytest.fixture(autouse=True)
def command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(COMMANDS, "build-dataset", ENTRY)


@pytest.fixture
def teacher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[str], str]], str]:
    """`teacher(answer)`: a model file whose server answers with that function of the question."""

    def made(answer: Callable[[str], str]) -> str:
        class FakeBackend:
            name = "fake"

            def __init__(self, **_: Any) -> None: ...

            def generate(self, model: str, messages: Sequence[Message], sampling: Sampling) -> Generation:
                return Generation(answer(messages[-1].content), 1, 1, 0.0, "stop")

            def close(self) -> None: ...

            def __enter__(self) -> Self:
                return self

            def __exit__(self, *exc: object) -> None: ...

        monkeypatch.setattr("core.backends.llamacpp.LlamaCppBackend", FakeBackend)
        path = tmp_path / "wise.gguf"
        path.write_bytes(b"")
        return str(path)

    return made


@pytest.fixture
def folder(tmp_path: Path, home: Home) -> Path:
    home.config.write_text('[categories.shop]\ntitle = "Shop"\n', encoding="utf-8")
    made = tmp_path / "docs"
    made.mkdir()
    (made / "one.md").write_text(TEXT, encoding="utf-8")
    (made / "two.md").write_text(TEXT.replace("four", "nine"), encoding="utf-8")
    (made / "blob").write_bytes(bytes(range(256)) * 10)
    return made


def answer(question: str) -> str:
    if "one.md" in question:
        return json.dumps([PAIR])
    return "I would rather not."


def test_the_report_accounts_for_everything(
    run: Run, folder: Path, teacher: Callable[[Callable[[str], str]], str]
) -> None:
    done = run("build-dataset", str(folder), "--category", "shop", "--model", teacher(answer), "--json")
    told = done.json
    assert done.code == 0 and told["ended"] == "all read" and told["teacher"] == "wise"
    assert told["files"] == {"found": 3, "read": 2, "whole": 2, "left": 0, "skipped": 1}
    assert told["skipped_files"] == {"not text": ["blob"]}
    assert told["chunks"] == {"read": 2, "thin": 0, "left": 0}
    assert told["examples"] == {"made": 1, "refused": 1, "pass_the_gate": 0}
    assert told["held_back"] == {"no score": 1} and told["refused"] == {"unreadable answer": 1}
    assert told["refusals"][0]["file"] == "two.md"
    again = run("build-dataset", str(folder), "--category", "shop", "--model", teacher(answer))
    assert again.code == 0 and "0 read, 3 skipped" in again.out
    assert "skipped, unchanged since it was read: 2 (one.md, two.md)" in again.out


def test_words_for_people(run: Run, folder: Path, teacher: Callable[[Callable[[str], str]], str]) -> None:
    done = run("build-dataset", str(folder), "--category", "shop", "--model", teacher(answer), "--max-chunks", "1")
    assert done.code == 0
    assert "3 files found, 1 read, 1 skipped, 1 left" in done.out
    assert "1 chunks read (0 more hold too little text): 1 examples made, 0 refused" in done.out
    assert "0 of 1 could be trained on at once, 1 no score" in done.out
    assert "1 chunks are left; the same command goes on with them." in done.out


def test_a_dry_run_needs_no_teacher_and_stores_nothing(run: Run, folder: Path) -> None:
    done = run("build-dataset", str(folder), "--category", "shop", "--dry-run")
    assert done.code == 0
    assert "2 to read in 2 chunks" in done.out and "Nothing was asked or stored." in done.out
    assert run("stats", "--json").json["categories"] == []


def test_a_server_that_is_gone_is_an_error_with_the_report(
    run: Run, folder: Path, teacher: Callable[[Callable[[str], str]], str]
) -> None:
    def gone(question: str) -> str:
        if "one.md" in question:
            return json.dumps([PAIR])
        raise BackendError("The server does not answer.", hint="Start it.")

    path = teacher(gone)
    done = run("build-dataset", str(folder), "--category", "shop", "--model", path, "--json")
    assert done.code == 1
    assert done.json["examples"]["made"] == 1 and done.json["error"]["message"] == "The server does not answer."
    done = run("build-dataset", str(folder), "--category", "shop", "--model", path)
    assert done.code == 1 and "does not answer" in done.err and "Start it." in done.err


def test_ctrl_c_says_what_is_kept(run: Run, folder: Path, teacher: Callable[[Callable[[str], str]], str]) -> None:
    def interrupted(question: str) -> str:
        raise KeyboardInterrupt

    done = run("build-dataset", str(folder), "--category", "shop", "--model", teacher(interrupted))
    assert done.code == 130 and "goes on from here" in done.out


def test_notes_come_from_a_file_or_from_the_line(
    run: Run, folder: Path, tmp_path: Path, teacher: Callable[[Callable[[str], str]], str]
) -> None:
    asked: list[str] = []

    def remember(question: str) -> str:
        asked.append(question)
        return "[]"

    notes = tmp_path / "notes.txt"
    notes.write_text("Ask about the price.", encoding="utf-8")
    arguments = ("build-dataset", str(folder), "--category", "shop", "--model", teacher(remember), "--again", "--notes")
    for given in (str(notes), "Ask about the price."):
        asked.clear()
        assert run(*arguments, given).code == 0
        assert len(asked) == 2 and all(re.search(r"^Ask about the price\.$", each, re.M) for each in asked)
    missing = run(*arguments, "nots.md", "--json")
    assert missing.code == 1 and "no file nots.md" in missing.error["message"]
    assert run(*arguments, "many words " * 1000, "--json").error["title"] == "The notes are too long"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--category", "shop"), "No teacher was named"),
        (("--category", "shop", "--model", "no/such.gguf"), "no model file"),
        (("--category", "shop", "--model", "ft-demo-shop-v1"), "no version"),
        (("--category", "sohp", "--dry-run"), "no category"),
        (("--category", "shop", "--dry-run", "--max-chunks", "501"), "501"),
    ],
)
def test_what_cannot_be_done_is_said(run: Run, folder: Path, arguments: tuple[str, ...], message: str) -> None:
    done = run("build-dataset", str(folder), *arguments, "--json")
    assert done.code in (1, 2) and message in done.error["message"] and done.error["hint"]


def test_a_folder_that_is_not_there(run: Run, home: Home) -> None:
    done = run("build-dataset", "/nowhere/at/all", "--category", "erd", "--dry-run", "--json")
    assert done.code == 1 and "cannot be listed" in done.error["message"]


def test_hostile_names_reach_the_screen_inert(run: Run, folder: Path) -> None:
    (folder / "a\x1b[31mred").write_bytes(bytes(range(256)) * 4)
    done = run("build-dataset", str(folder), "--category", "shop", "--dry-run")
    assert done.code == 0 and "\x1b" not in done.out and "␛[31mred" in done.out
