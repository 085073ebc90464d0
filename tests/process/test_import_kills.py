"""kill -9 of an import, at any moment: what was acknowledged is there, and the same import goes on to the same end."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from storage import events
from storage.db import integrity_problems, open_store
from storage.rows import EventFilter

pytestmark = pytest.mark.process
ROWS = 6_000


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("feedback") / "feedback.jsonl"
    draw = random.Random(0)
    with path.open("w", encoding="utf-8") as out:
        for number in range(ROWS):
            if number % 100 == 99:
                out.write("{broken\n")
                continue
            name = f"thing_{draw.randrange(10**9)}"
            answer = f"erDiagram\n    {name} {{\n        int id PK\n        string title\n    }}"
            row = {"prompt": f"Draw {name}, number {number}.", "response": answer, "category": "erd", "model": "m"}
            out.write(json.dumps(row | ({"verdict": "good"} if number % 7 == 0 else {})) + "\n")
    return path


def start(home: Path, file: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tui", "--home", str(home), "import", str(file), "--json"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("seed", range(4))
def test_a_killed_import_goes_on_to_the_same_end(tmp_path: Path, file: Path, seed: int) -> None:
    home, draw, kills = tmp_path / "home", random.Random(seed), 0
    for _ in range(3):
        process = start(home, file)
        time.sleep(draw.uniform(0.3, 2.0))
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            kills += 1
        process.communicate()
    out, err = start(home, file).communicate(timeout=120)
    assert err == "" and kills
    report = json.loads(out)
    # Whether it went on or, finished already, was done again: every row is accounted for.
    assert report["read"] == ROWS and report["rejected"] == ROWS // 100
    assert report["accepted"] + report["merged"] == ROWS - ROWS // 100
    with Path(report["rejects_file"]).open(encoding="utf-8") as rejects:
        assert [json.loads(line)["line"] for line in rejects] == list(range(100, ROWS + 1, 100))
    with open_store(home / "store.db") as store:
        assert events.count(store, EventFilter()) == ROWS - ROWS // 100
        assert store.value("SELECT count(*) FROM judgments") == len(
            [n for n in range(ROWS) if n % 7 == 0 and n % 100 != 99]
        )
        assert store.value("SELECT count(*) FROM near_keys") == 8 * (ROWS - ROWS // 100)
        assert integrity_problems(store) == []
