"""`import` at the command line: the account that it prints, and a look that stores nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli_kit import Run

from core.paths import Home
from storage.db import open_store

FIXTURES = Path(__file__).parents[1] / "core" / "capture" / "formats" / "fixtures"
ACCOUNTS = {
    "training/kto.jsonl": {"read": 5, "accepted": 4, "merged": 0, "rejected": 1, "pairs": 0, "replaced": {}},
    "training/h2o.csv": {"read": 7, "accepted": 4, "merged": 0, "rejected": 3, "pairs": 0, "replaced": {}},
    "training/icr_preference.jsonl": {"read": 1, "accepted": 1, "merged": 0, "rejected": 0, "pairs": 1, "replaced": {}},
    "exports/label_studio.json": {
        "read": 8, "accepted": 4, "merged": 1, "rejected": 3, "pairs": 6, "replaced": {"user_id": 7},
    },
}  # fmt: skip


def stored(home: Home) -> int:
    with open_store(home.store) as store:
        return int(store.value("SELECT count(*) FROM events"))


@pytest.mark.parametrize("name", ACCOUNTS)
def test_the_account_is_printed(run: Run, name: str) -> None:
    told = run("import", str(FIXTURES / name), "--category", "human_correction", "--json")
    assert told.code == 0
    assert {key: told.json[key] for key in ACCOUNTS[name]} == ACCOUNTS[name]
    path = told.json["rejects_file"]
    if ACCOUNTS[name]["rejected"] == 0:
        assert path is None
        return
    rows = [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]
    whole = [one for one in rows if not one["part"]]
    assert len(whole) == ACCOUNTS[name]["rejected"]
    assert all(isinstance(one["line"], int) and one["reason"] and one["file"] for one in whole)


def test_several_files_are_summed_and_told_apart(run: Run) -> None:
    names = list(ACCOUNTS)
    told = run("import", *(str(FIXTURES / name) for name in names), "--category", "human_correction", "--json").json
    assert told["read"] == sum(int(str(ACCOUNTS[name]["read"])) for name in names)
    assert told["read"] == told["accepted"] + told["merged"] + told["rejected"]
    assert [one["read"] for one in told["files"]] == [ACCOUNTS[name]["read"] for name in names]


def test_the_account_for_people(run: Run) -> None:
    told = run("import", str(FIXTURES / "training" / "kto.jsonl"), "--category", "human_correction")
    assert told.code == 0
    assert "5 rows read = 4 accepted + 0 merged + 1 rejected" in told.out
    assert "read as kto" in told.out and ".rejects.jsonl" in told.out


def test_a_dry_run_shows_the_mapping_and_stores_nothing(run: Run, home: Home) -> None:
    path = str(FIXTURES / "training" / "kto.jsonl")
    told = run("import", path, "--category", "human_correction", "--dry-run", "--json")
    (source,) = told.json["files"][0]["sources"]
    assert (source["format"], source["rows"], source["refused"]) == ("kto", 5, 1)
    assert source["mapping"]["label"].startswith("verdict")
    assert [one["verdict"] for one in source["samples"][:4]] == ["good", "bad", "bad", "good"]
    assert "label" in source["samples"][4]["problem"]
    shown = run("import", path, "--category", "human_correction", "--dry-run")
    assert "Nothing was stored." in shown.out and "label" in shown.out and "verdict" in shown.out
    assert stored(home) == 0
    assert not list(home.imports.iterdir())


def test_a_file_of_no_format_is_an_error_with_a_way_out(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.write_text('{"colour": "blue"}')
    told = run("import", str(path), "--json")
    assert told.code != 0
    assert "settings.json" in told.error["message"] and "--map" in told.error["hint"]
