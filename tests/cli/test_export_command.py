"""`export` and what it writes for another store: as a user calls it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cli_kit import Run
from versions_kit import add_version

from core.paths import Home
from storage import events
from storage.db import Store, open_store
from storage.rows import EventFilter

ROW: dict[str, Any] = {
    "prompt": "Customers",
    "response": "erDiagram\n    A ||--o{ B : has",
    "category": "erd",
    "model": "m",
}


@pytest.fixture
def fed(run: Run, home: Home) -> Home:
    """A home with two good outputs and a bad one."""
    said = [{"prompt": "Customers"}, {"prompt": "Orders"}, {"prompt": "Shops", "verdict": "bad"}]
    for more in said:
        assert run("record", stdin=json.dumps({**ROW, "verdict": "good", **more})).code == 0
    return home


def test_a_dataset_with_statistics_beside_it(run: Run, fed: Home, tmp_path: Path) -> None:
    target = tmp_path / "out.jsonl"
    told = run("export", str(target), "--split", "all", "--json").json
    assert (told["rows"], told["path"], told["format"]) == (2, str(target), "trl-sft")
    stats = json.loads(Path(told["stats_file"]).read_text())
    assert stats["rows"] == 2 and stats["filters"]["split"] == "all"
    text = run("export", str(target), "--split", "all").out
    assert "2 rows, TRL SFT" in text and "1 a bad answer" in text


def test_balance_filters_and_formats(run: Run, fed: Home, tmp_path: Path) -> None:
    told = run("export", str(tmp_path / "k"), "--format", "trl-kto", "--balanced", "--split", "all", "--json").json
    assert told["stats"]["by_outcome"] == {"positive": 1, "negative": 1}
    names = [one["name"] for one in run("export", "--formats", "--json").json]
    assert "record" in names and run("export", "--formats").out.count("\n") == len(names) + 2
    later = run("export", str(tmp_path / "k"), "--since", "2999-01-01")
    assert later.code == 1 and "No event passes" in later.err
    wrong = run("export", str(tmp_path / "k"), "--since", "soon")
    assert wrong.code == 1 and "is no date" in wrong.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "No file to write to"),
        (("out", "--format", "trl"), "There is no export format `trl`"),
        (("out", "--category", "erdd"), "There is no category `erdd`"),
        (("out", "--no-models"), "--no-models belongs to --bundle"),
        (("out", "--bundle", "b.zip"), "TARGET does not go with --bundle"),
        (("--bundle", "b.zip", "--format", "csv"), "--format does not go with --bundle"),
        (("--bundle", "b.zip", "--limit", "3"), "--limit does not go with --bundle"),
        (("--bundle", "b.zip", "--category", "erdd"), "There is no category `erdd`"),
        (("--bundle", "."), "is a folder"),
    ],
)
def test_what_cannot_be_exported(run: Run, fed: Home, arguments: tuple[str, ...], message: str) -> None:
    plain = run("export", *arguments)
    assert plain.code == 1 and message in plain.err and "→" in plain.err
    assert message in run("export", *arguments, "--json").error["message"]


def test_a_bundle_goes_to_another_home(run: Run, fed: Home, store: Store, tmp_path: Path) -> None:
    add_version(store, fed, 0)
    sent = add_version(store, fed)
    bundle, other = str(tmp_path / "mine.zip"), str(tmp_path / "other")
    told = run("export", "--bundle", bundle, "--json").json
    assert (told["events"], told["judgments"], told["left_out"]) == (3, 3, {})
    assert told["versions"] == ["ft-demo-erd-v0", sent.name]
    look = run("--home", other, "import", bundle, "--dry-run", "--json").json["files"]
    assert [one["events"] for one in look] == [3]
    assert "version ft-demo-erd-v1" in run("--home", other, "import", bundle, "--dry-run").out
    first = run("--home", other, "import", bundle, "--json").json
    assert (first["read"], first["accepted"], first["merged"], first["judged"]) == (3, 3, 0, 3)
    assert (first["versions_added"], first["versions_merged"], first["rejects_file"]) == (2, 0, None)
    again = run("--home", other, "import", bundle)
    assert "3 rows read = 0 accepted + 3 merged + 0 rejected" in again.out
    assert f"version {sent.name}: known here as {sent.name}" in again.out
    with open_store(Path(other) / "store.db") as theirs:
        assert events.count(theirs, EventFilter()) == 3
    assert run("--home", other, "models", "--json").code == 0


def test_a_bundle_without_models(run: Run, fed: Home, store: Store, tmp_path: Path) -> None:
    add_version(store, fed)
    text = run("export", "--bundle", str(tmp_path / "b.zip"), "--no-models").out
    assert "3 outputs with 3 judgments, 0 preference pairs, 0 versions" in text


def test_what_a_bundle_says_itself_is_not_asked_for(run: Run, fed: Home, tmp_path: Path) -> None:
    bundle = str(tmp_path / "b.zip")
    assert run("export", "--bundle", bundle).code == 0
    refused = run("import", bundle, "--category", "erd")
    assert refused.code == 1 and "without --category" in refused.err


def test_a_missing_category_is_shown_with_its_definition(run: Run, fed: Home, tmp_path: Path) -> None:
    fed.config.write_text('[categories.haiku]\ntitle = "Haiku"\n', encoding="utf-8")
    assert run("record", stdin=json.dumps({**ROW, "category": "haiku"})).code == 0
    bundle, other = str(tmp_path / "b.zip"), str(tmp_path / "other")
    run("export", "--bundle", bundle)
    told = run("--home", other, "import", bundle)
    assert told.code == 0 and "1 rejected" in told.out
    assert "haiku is no category here" in told.out and "[categories.haiku]" in told.out
