"""Two processes on one store, and a process that is killed while it writes."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from storage import events, judgments
from storage.db import SCHEMA_VERSION, Store, integrity_problems, open_store
from storage.rows import EventFilter

pytestmark = pytest.mark.process
ROOT = Path(__file__).parents[2]

JUDGE = """
import sys
from pathlib import Path
from storage import judgments
from storage.db import SCHEMA_VERSION, open_store
with open_store(Path(sys.argv[1])) as store:
    number = 0
    while True:
        number += 1
        judgments.judge(store, number % 10 + 1, "correct", correction=f"text {number}", now=float(number))
        print(number, flush=True)
        if number % 5 == 0:
            judgments.undo(store, now=float(number))
            print(-number, flush=True)
"""
OPEN_AND_ADD = """
import sys
from pathlib import Path
from storage import judgments
from storage.db import SCHEMA_VERSION, open_store
from storage.ui_state import save
for number in range(40):
    with open_store(Path(sys.argv[1])) as store:
        save(store, f"{sys.argv[2]}-{number}", number)
"""


def python(code: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, text=True, cwd=ROOT)


@pytest.mark.parametrize("acknowledged", [1, 37, 203])
def test_a_killed_writer_loses_nothing_that_it_acknowledged(filled: Store, acknowledged: int) -> None:
    path = filled.path
    filled.close()
    with python(JUDGE, str(path)) as writer:
        assert writer.stdout
        lines = [writer.stdout.readline() for _ in range(acknowledged)]
        writer.send_signal(signal.SIGKILL)
        lines += writer.stdout.readlines()
    assert writer.returncode == -signal.SIGKILL
    told = [int(line) for line in lines if line.endswith("\n")]
    with open_store(path) as store:
        assert integrity_problems(store) == []
        log = sorted((row for event in range(1, 11) for row in judgments.history(store, event)), key=lambda row: row.id)
        kept = [int(row.created_at) * (-1 if row.kind == "undo" else 1) for row in log]
        # At most the one being written when the signal came is there without having been told.
        assert kept[: len(told)] == told
        assert len(kept) <= len(told) + 1
        for row in events.iter_events(store, EventFilter(verdict="correct")):
            assert row.correction == f"text {int(row.judged_at or 0)}"
        judgments.judge(store, 1, "good", now=1e6)


def test_two_processes_make_and_write_one_store(tmp_path: Path) -> None:
    path = tmp_path / "shared" / "store.db"
    writers = [python(OPEN_AND_ADD, str(path), name) for name in ("a", "b")]
    for writer in writers:
        writer.communicate()
        assert writer.returncode == 0
    with open_store(path, create=False) as store:
        assert store.value("SELECT count(*) FROM ui_state") == 80
        assert store.value("SELECT count(*) FROM migrations") == SCHEMA_VERSION
        assert integrity_problems(store) == []
