"""A search whose process is killed, that makes room for a run, and goes on to its end; with real, tiny trials."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from process_kit import PATIENCE, ROOT, cli, environment, fill, wait

from core.loop import LearningLoop
from core.paths import Home
from core.search.process import PROGRESS
from core.search.study import overview
from core.train.launch import process_started
from storage import runs
from tui.runs import search_work
from tui.runs.search import broken_off, read_search
from tui.runs.search_work import SearchWish

pytestmark = pytest.mark.process
TINY = """
[train]
epochs = 2
batch_size = 2
accumulation = 4
rank = 4
save_every = 1
max_length = 256

[select]
embeddings = "none"

[publish]
max_tokens = 16
"""
SEARCH = """
import sys
from pathlib import Path
from core.loop import LearningLoop
from core.paths import Home
from core.search.search import Search
with LearningLoop(Home(Path(sys.argv[1]))) as loop:
    Search(loop, "erd", "demo", trials=2, limit=20).run(lambda moment: print(moment.kind, moment.trial, flush=True))
"""


def begin(home: Home, said: Path) -> subprocess.Popen[bytes]:
    with said.open("wb") as file:
        return subprocess.Popen(
            [sys.executable, "-c", SEARCH, str(home.root)], stdout=file, env=environment(), cwd=ROOT
        )


def told(home: Home, folder: str) -> list[dict[str, object]]:
    path = home.runs / folder / PROGRESS
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("}")]


def trial_processes(home: Home) -> list[int]:
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = place.read_bytes().split(b"\0")
        except OSError:
            continue
        if b"core.search.trial" in words and str(home.root).encode() in words:
            found.append(int(place.parent.name))
    return [pid for pid in found if process_started(pid) is not None]


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_a_killed_search_goes_on_and_makes_room_for_a_run(tmp_path: Path) -> None:
    home = fill(tmp_path / "home", TINY)
    first = begin(home, tmp_path / "first.txt")
    wait(lambda: len(told(home, "search-1-0")) >= 2)
    first.send_signal(signal.SIGKILL)
    first.wait()
    wait(lambda: not trial_processes(home))  # a trial does not outlive its search
    said = tmp_path / "second.txt"
    second = begin(home, said)
    try:
        wait(lambda: bool(trial_processes(home)) and (home.runs / "search-1-2").exists())
        with LearningLoop(home) as loop:
            run_id = runs.enqueue(
                loop.store,
                created_at=time.time(),
                category="erd",
                base_model="demo",
                method="sft",
                settings={},
                dataset_id=1,
                parent_version=None,
            )
            started = process_started(os.getpid())
            assert started is not None
            assert runs.claim(loop.store, run_id, pid=os.getpid(), pid_started=started, now=time.time())
            wait(lambda: "waits" in said.read_text(encoding="utf-8"))
            assert not trial_processes(home)
            runs.finish(loop.store, run_id, "stopped", now=time.time())
        assert second.wait(timeout=PATIENCE) == 0
    finally:
        second.kill()
    kinds = [line for line in said.read_text(encoding="utf-8").splitlines() if not line.startswith("step")]
    assert kinds == ["begins 1", "ends 1", "begins 2", "waits None", "ends 2"]
    with LearningLoop(home) as loop:
        assert loop.versions() == []
    assert not list(home.runs.iterdir())
    assert cli(home.root, "doctor").returncode == 0
    found = overview(home, "erd", "demo")
    assert found is not None and found.done == 2
    assert [one.state for one in found.trials] == ["failed", "complete", "complete"]
    assert found.trials[1].settings == found.trials[0].settings
    for one in found.trials[1:]:
        assert one.score is not None and one.loss is not None and one.base_loss is not None


def test_a_search_begun_from_the_app_is_stopped_and_gone_on_with(tmp_path: Path) -> None:
    home = fill(tmp_path / "home", TINY)
    wish = SearchWish("erd", "demo", 2, limit=20)
    search_work.begin(home, wish)
    wait(lambda: len(told(home, "search-1-0")) >= 2)
    assert search_work.at_work(home) is not None
    search_work.stop(home)
    wait(lambda: search_work.at_work(home) is None)
    assert search_work.last_words(home) == "What is done is kept; the same command goes on from here."
    stopped = read_search(home, "erd", "demo")
    assert stopped.waits and [broken_off(one) for one in stopped.trials] == [True, False]
    search_work.begin(home, SearchWish("erd", "demo", 2))
    wait(lambda: search_work.at_work(home) is None)
    found = read_search(home, "erd", "demo")
    assert found.done == 2 and not found.open and not found.waits and not found.best_is_applied
    search_work.set_defaults(home, "erd", "demo", forget=False)
    assert read_search(home, "erd", "demo").best_is_applied
    search_work.set_defaults(home, "erd", "demo", forget=True)
    assert not read_search(home, "erd", "demo").best_is_applied
