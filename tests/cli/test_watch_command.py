"""`watch`: how what serves does against what served before."""

from __future__ import annotations

import pytest
from cli_kit import Run
from production_kit import answers
from versions_kit import add_version

from core.config import Config
from core.paths import Home
from core.prove.watch import Side
from core.release.promote import promote
from storage.db import Store, open_store
from tui.cli import watch as watch_command
from tui.cli.output import table


@pytest.fixture
def store(home: Home) -> Store:
    home.ensure()
    return open_store(home.store)


@pytest.fixture
def two(store: Store, home: Home) -> Store:
    for number in range(2):
        version = add_version(store, home, number)
    promote(store, home, Config(), version.id, who="me", why="", evidence={}, now=1_000.0)
    answers(store, "ft-demo-erd-v0", [90.0] * 30, at=100.0)
    return store


def test_what_does_worse_is_said_with_the_way_back(run: Run, home: Home, two: Store) -> None:
    answers(two, "ft-demo-erd-v1", [40.0] * 30, at=1_001.0)
    home.config.write_text("[loop]\nauto_rollback = false\n")
    said = run("watch")
    assert said.code == 0
    assert said.out.startswith("✗ ft-demo-erd-v1 does worse in production than ft-demo-erd-v0")
    assert "→ Roll it back: finetune-tui rollback erd" in said.out
    assert "before: ft-demo-erd-v0" in said.out
    (one,) = run("watch", "erd", "--json").json
    assert (one["verdict"], one["tally"]["losses"], one["auto_rollback"]) == ("worse", 30, False)
    home.config.write_text("[loop]\nauto_rollback = true\n")
    assert "→" not in run("watch").out.replace("→ 0%", "")
    assert run("watch", "--json").json[0]["verdict"] == "worse"  # looking rolls nothing back


def test_little_is_known_yet(run: Run, two: Store) -> None:
    assert "no scored or judged answer of ft-demo-erd-v1 is known" in run("watch").out


def test_nothing_serves(run: Run, home: Home, store: Store) -> None:
    assert run("watch").out.startswith("Nothing serves yet.")
    assert run("watch", "--json").json == []
    assert run("watch", "erd").out == "· erd: nothing was promoted yet.\n"
    assert "There is no category" in run("watch", "nope", "--json").error["message"]


def test_stats_say_what_is_known_of_production(run: Run, two: Store) -> None:
    answers(two, "ft-demo-erd-v1", [40.0] * 30, at=1_001.0)
    said = run("stats").out
    assert "✗ ft-demo-erd-v1 does worse in production" in said
    assert "What serves does worse than ft-demo-erd-v0 did before: roll it back under Models (r)." in said
    (erd,) = run("stats", "--json").json["categories"]
    assert (erd["production"]["verdict"], erd["production"]["tally"]["losses"]) == ("worse", 30)


def test_the_table_fits_into_a_small_terminal() -> None:
    side = Side("ft-demo-erd-v10", 12_345, 1_234, 0.275, (0.2436, 1.0), 64.68, (0.0, 100.0))
    lines = table(watch_command.HEADERS, [watch_command._row("before", side)]).splitlines()
    assert max(map(len, lines)) <= 80 and lines[2].endswith("28% (24% to 100%)  64.7 (0.0 to 100.0)")
