from __future__ import annotations

import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from core.errors import NotFoundError
from core.loop import LearningLoop
from core.paths import Home
from tui.cli.explain import explain_command


def call(home: Home, *arguments: str) -> Result:
    @click.group()
    @click.pass_context
    def root(ctx: click.Context) -> None:
        ctx.obj = home.root

    root.add_command(explain_command)
    return CliRunner().invoke(root, ["explain", *arguments], catch_exceptions=True)


@pytest.fixture
def recorded(home: Home) -> int:
    home.config.write_text('[select]\nembeddings = "none"\n', encoding="utf-8")
    with LearningLoop(home) as loop:
        found = loop.record_feedback("Draw a shop", "erDiagram\n    A ||--o{ B : has\n", "erd", "de\x1b[31mmo", 55.0)
        return found.event_id


def test_it_reads_well_in_eighty_columns(home: Home, recorded: int) -> None:
    done = call(home, str(recorded))
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert max(map(len, lines)) <= 80
    assert "\x1b" not in done.output
    assert lines[0] == f"event {recorded}: erd, de␛[31mmo, score 55, not judged"
    titles = [line[:13].strip() for line in lines[1:] if not line.startswith(" ")]
    assert titles == ["training", "gate", "split", "reward", "quality", "difficulty", "uncertainty", "hard negative"]
    assert "held back: score 55 ≤ 70" in done.output


def test_json_has_every_part(home: Home, recorded: int) -> None:
    value = json.loads(call(home, str(recorded), "--json").output)
    assert value["reward"]["feedback_type"] == "validation_failure"
    assert value["standing"]["held"] == "score 55 ≤ 70"
    assert {"quality", "difficulty", "information", "pairs", "datasets", "faults", "trained_in"} < set(value)


def test_an_unknown_event_has_a_hint(home: Home, recorded: int) -> None:
    done = call(home, "99")
    assert isinstance(done.exception, NotFoundError) and done.exception.hint


def test_no_store_is_made_by_asking(tmp_path: Path) -> None:
    done = call(Home(tmp_path / "nowhere"), "1")
    assert done.exit_code == 1
    assert not (tmp_path / "nowhere").exists()
