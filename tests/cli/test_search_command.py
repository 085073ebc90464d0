"""`search` on the command line, with trials that have already been told their ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cli_kit import Run

from core.config import Config
from core.paths import Home
from core.search.places import FILE
from core.search.study import Spec, create, open_storage, prepare, spec_of
from core.train.config import TrainSettings, configured
from core.train.search_space import suggest
from tui.__main__ import COMMANDS


@pytest.fixture(autouse=True)
def command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(COMMANDS, "search", ("tui.cli.search", "search", "Search hyper-parameters."))


def told(home: Home, values: list[float]) -> list[dict[str, Any]]:
    """A search of `erd` with these objectives; the settings of each trial."""
    drawn = []
    with open_storage(home) as storage:
        study = create(storage, Spec("erd", "demo", 1, 0, None, configured(Config(), "demo")))
        for value in values:
            prepare(study)
            trial = study.ask()
            drawn.append(suggest(trial, TrainSettings.from_mapping(spec_of(study).settings)))
            for name, figure in (("score", value), ("loss", 0.5), ("base_loss", 1.0), ("seconds", 2.0)):
                trial.set_user_attr(name, figure)
            study.tell(trial, value)
    return drawn


def test_status_shows_trials_and_apply_makes_the_best_the_default(run: Run, home: Home) -> None:
    drawn = told(home, [60.0, 90.0, 70.0])
    shown = run("search", "erd", "--base", "demo", "--status")
    assert shown.code == 0 and "best: trial 1, objective 90.000" in shown.out and "--status --apply" in shown.out
    found = run("search", "erd", "--base", "demo", "--status", "--json").json
    assert (found["done"], found["best"]["number"], found["applied"]) == (3, 1, {})
    assert [one["settings"] for one in found["trials"]] == drawn
    made = run("search", "erd", "--base", "DEMO", "--status", "--apply", "--json")
    assert made.code == 0 and made.json["applied"] == drawn[1]
    assert "next:" not in run("search", "erd", "--base", "demo", "--status").out
    assert run("search", "erd", "--base", "demo", "--forget", "--json").json == {"forgotten": True}
    assert "no applied settings" in run("search", "erd", "--base", "demo", "--forget").out


def test_backup_takes_the_searches_along(run: Run, home: Home, tmp_path: Path) -> None:
    run("record", "--category", "erd", "--model", "m", "--prompt", "p", "--response", "r")
    told(home, [60.0, 90.0])
    target = tmp_path / "copy.db"
    made = run("backup", str(target), "--json").json
    copy = tmp_path / "copy-search.db"
    assert made["searches"] == {"path": str(copy), "bytes": copy.stat().st_size}
    (home.root / FILE).write_bytes(b"SQLite format 3\x00" + b"\x01" * 8000)
    assert run("search", "erd", "--base", "demo", "--status").code == 1
    damaged = run("backup", str(target), "--force", "--json")
    assert damaged.code == 1 and "copy of the store is written" in damaged.error["message"]
    copy.replace(home.root / FILE)
    assert run("search", "erd", "--base", "demo", "--status", "--json").json["done"] == 2


def test_a_shared_search_is_shown_and_its_password_is_not(
    run: Run, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = f"journal:{tmp_path}/s.log"
    assert run("search", "erd", "--base", "demo", "--status", "--storage", place).code == 1
    assert not (tmp_path / "s.log").exists()
    home.config.write_text('[search]\nstorage = "postgresql+pg8000://me:s3cret@db.example/x"\n', encoding="utf-8")
    for arguments in (("search", "erd", "--status"), ("search", "erd"), ("search", "erd", "--json"), ("doctor",)):
        said = run(*arguments)
        assert "s3cret" not in said.out + said.err and "db.example" in said.out + said.err
    monkeypatch.setenv("FINETUNE_TUI_SEARCH_STORAGE", "home")
    assert "db.example" not in run("search", "erd", "--base", "demo", "--status").err


def test_what_is_not_there_is_said(run: Run, home: Home) -> None:
    none = run("search", "erd", "--base", "demo", "--status", "--json")
    assert none.code == 1 and "search erd" in none.error["hint"]
    assert not (home.root / "search.db").exists()
    assert run("search", "nothing", "--json").code == 1
    empty = run("search", "erd", "--base", "demo", "--json")
    assert empty.code == 1 and empty.error["hint"]
    assert run("search", "erd", "--trials", "0").code == 2


def test_a_search_with_enough_trials_ends_at_once(run: Run, home: Home) -> None:
    told(home, [60.0, 90.0])
    shown = run("search", "erd", "--base", "demo", "--trials", "2")
    assert shown.code == 0 and "best: trial 1" in shown.out
