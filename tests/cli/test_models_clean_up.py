"""`models`: room on the disk, and the files of old versions."""

from __future__ import annotations

import pytest
from cli_kit import Run
from versions_kit import add_version

from core.paths import Home
from storage.db import open_store


@pytest.fixture(autouse=True)
def four(home: Home) -> None:
    home.ensure()
    home.config.write_text("[publish]\nkeep_versions = 1\n")
    with open_store(home.store) as store:
        for number in range(4):
            add_version(store, home, number)


def test_a_dry_run_then_the_clean_up(run: Run) -> None:
    before = {row["name"]: row["disk_bytes"] for row in run("models", "--json").json}
    foreseen = run("models", "--clean-up", "--dry-run", "--json").json
    assert [one["version"] for one in foreseen["versions"]] == ["ft-demo-erd-v1", "ft-demo-erd-v2"]
    assert "would be removed" in run("models", "--clean-up", "--dry-run").out
    done = run("models", "--clean-up", "--json").json
    assert done["freed_bytes"] == foreseen["freed_bytes"] > 0
    after = {row["name"]: row["disk_bytes"] for row in run("models", "--json").json}
    assert sum(before.values()) - sum(after.values()) == done["freed_bytes"]
    assert done["disk_bytes"] == sum(after.values())
    said = run("models", "--clean-up").out
    assert said.startswith("Nothing to remove: each category keeps its newest 1, and what serves or served before.")


def test_the_list_and_the_details_tell_of_it(run: Run) -> None:
    run("models", "--clean-up", "--category", "erd")
    listed = run("models").out.splitlines()
    assert [("– files removed" in line) for line in listed[2:6]] == [False, True, True, False]
    assert listed[-1].endswith("on the disk")
    shown = run("models", "ft-demo-erd-v1").out
    assert "were removed on" in shown
    assert "q8_0: models/" not in shown
    kept = run("models", "ft-demo-erd-v3").out
    assert "its files stay: one of the newest" in kept
    assert run("models", "ft-demo-erd-v3", "--json").json["kept_because"] == "one of the newest"


def test_a_removed_one_is_refused_everywhere_with_the_reason(run: Run) -> None:
    run("models", "--clean-up")
    for command in (
        ("promote", "ft-demo-erd-v1"),
        ("ab", "ft-demo-erd-v1", "--against", "ft-demo-erd-v3"),
        ("ab", "ft-demo-erd-v3", "--against", "ft-demo-erd-v1"),
    ):
        said = run(*command, "--json")
        assert said.code == 1
        assert "its files were removed to save space" in said.error["message"]


def test_other_choices_beside_it(run: Run) -> None:
    assert run("models", "--clean-up", "--bases").code == 2
    assert run("models", "--dry-run").code == 2
    assert run("models", "ft-demo-erd-v1", "--clean-up").code == 2
    assert run("models", "--clean-up", "--category", "nope").code == 1
