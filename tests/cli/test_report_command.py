"""`report` as a user calls it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from core.errors import FinetuneError
from core.paths import Home
from storage import events
from storage.db import Store
from storage.rows import NewEvent
from tui.cli.report import report


@pytest.fixture
def one_event(store: Store) -> None:
    events.add(
        store,
        NewEvent(
            created_at=1_700_000_000.0, category="erd", model="demo", prompt="Draw a shop", response="erDiagram",
            content_hash="c", prompt_hash="p", bucket=1, feedback_type="neutral", score=80.0, valid=True, quality=0.5,
            tier="silver",
        ),
    )  # fmt: skip


@pytest.fixture
def call(home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., str]:
    monkeypatch.setenv("FINETUNE_TUI_HOME", str(home.root))
    monkeypatch.chdir(tmp_path)

    def called(*arguments: str) -> str:
        done = CliRunner().invoke(report, list(arguments))
        if done.exception is not None:
            raise done.exception
        return done.output

    return called


@pytest.mark.usefixtures("one_event")
def test_the_page_is_one_file_without_prompt_or_answer(call: Callable[..., str], tmp_path: Path) -> None:
    told = json.loads(call("mine.html", "--json"))
    text = (tmp_path / "mine.html").read_text(encoding="utf-8")
    assert told == {
        "file": str(tmp_path / "mine.html"), "bytes": len(text.encode()), "events": 1, "runs": 0, "tests": 0,
    }  # fmt: skip
    assert text.startswith("<!DOCTYPE html>")
    assert "Draw a shop" not in text
    assert "erDiagram" not in text


@pytest.mark.usefixtures("one_event")
def test_a_report_is_renewed_and_another_file_is_not(call: Callable[..., str], tmp_path: Path) -> None:
    call("mine.html")
    call("mine.html")
    other = tmp_path / "thesis.html"
    other.write_text("years of work")
    with pytest.raises(FinetuneError, match="is no report"):
        call("thesis.html")
    assert other.read_text() == "years of work"
    assert "thesis.html" in call("thesis.html", "--force")


@pytest.mark.usefixtures("one_event")
@pytest.mark.parametrize("date", ["yesterday", "2026-13-01", "99999-01-01"])
def test_a_date_that_is_none_is_refused(call: Callable[..., str], date: str) -> None:
    with pytest.raises(SystemExit) as end:
        call("--since", date)
    assert end.value.code == 2


@pytest.mark.usefixtures("one_event")
def test_without_a_name_the_file_carries_the_date(call: Callable[..., str], tmp_path: Path) -> None:
    call("--since", "2023-11-01", "--category", "erd")
    assert [path.name[:7] for path in tmp_path.glob("*.html")] == ["report-"]
