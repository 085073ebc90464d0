"""What the worker does about what serves: one rollback where it does worse, and room on the disk."""

from __future__ import annotations

import time

import pytest
from production_kit import answers
from versions_kit import add_version
from worker_kit import PLAIN, Open, did, look

from core.loop import LearningLoop
from core.release.promote import promote
from core.worker import Worker
from storage import aliases, versions
from storage.rows import VersionRow

ON = f"{PLAIN}[loop]\nauto_train = false\nauto_rollback = true\nbackoff_seconds = 300\n"


def promoted(loop: LearningLoop, *, ago: float = 500.0) -> list[VersionRow]:
    """v0 to v2; v2 serves, and does worse than v1 did. Returns them."""
    chain = [add_version(loop.store, loop.home, number) for number in range(3)]
    now = time.time()
    for version, at in ((chain[1], now - 1_000.0), (chain[2], now - ago)):
        promote(loop.store, loop.home, loop.config, version.id, who="me", why="", evidence={}, now=at)
    answers(loop.store, chain[1].name, [90.0] * 40, at=now - 900.0)
    answers(loop.store, chain[2].name, [40.0] * 40, at=now - 400.0)
    return chain


def serves(loop: LearningLoop) -> str:
    found = loop.serving("erd")
    assert found is not None
    return found.name


def test_what_does_worse_is_rolled_back_at_one_look(opened: Open) -> None:
    loop = opened(ON)
    chain = promoted(loop)
    heard: list[str] = []
    loop.on("fine_tuning.rolled_back", lambda told: heard.append(told["data"]["verdict"]))
    at_work = Worker(loop)
    report = look(at_work)
    assert did(report) == [("rolled back", "erd")]
    assert report.did[0].text.startswith(f"erd: {chain[1].name} serves again. {chain[2].name} does worse in production")
    assert serves(loop) == chain[1].name
    for each in (at_work, Worker(opened(ON))):
        assert did(look(each)) == []
    loop.tell()
    assert heard == ["worse"]
    assert [change.action for change in aliases.history(loop.store, "ft-erd")].count("rollback") == 1


def test_switched_off_it_stays(opened: Open) -> None:
    loop = opened(ON.replace("auto_rollback = true", "auto_rollback = false"))
    chain = promoted(loop)
    assert did(look(Worker(loop))) == []
    assert serves(loop) == chain[2].name


def test_a_rollback_that_is_refused_is_told_once_in_a_while(opened: Open) -> None:
    loop = opened(ON)
    chain = promoted(loop)
    home = loop.home
    home.resolve(str(chain[1].gguf["q8_0"]["path"])).write_bytes(b"not what was proved")
    at_work, now = Worker(loop), time.time()
    assert did(look(at_work, now)) == [("refused", "erd")]
    assert did(look(at_work, now + 299.0)) == []
    assert did(look(at_work, now + 301.0)) == [("refused", "erd")]
    assert serves(loop) == chain[2].name


def test_the_clock_going_back_and_forth_rolls_back_once(opened: Open) -> None:
    loop = opened(ON)
    promoted(loop)
    at_work, now = Worker(loop), time.time()
    for at in (now - 1e8, now + 1e8, now, now - 1e8, now + 1e9):
        look(at_work, at)
    assert [change.action for change in aliases.history(loop.store, "ft-erd")].count("rollback") == 1


@pytest.mark.parametrize("keep", [1, 0])
def test_the_files_of_old_versions_go_at_the_clean_up(opened: Open, keep: int) -> None:
    loop = opened(f"{PLAIN}[loop]\nauto_train = false\n[publish]\nkeep_versions = {keep}\n")
    for number in range(4):
        add_version(loop.store, loop.home, number)
    report = look(Worker(loop))
    assert did(report) == ([("cleaned", "erd")] * 2 if keep else [])
    gone = [version.number for version in versions.list_versions(loop.store) if not version.gguf]
    assert gone == ([1, 2] if keep else [])
    if keep:
        assert "ft-demo-erd-v1: " in report.did[0].text
        assert "of GGUF files removed" in report.did[0].text
