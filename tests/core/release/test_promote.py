"""What serves: one truth, with its history, whatever happens."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from versions_kit import add_version

from core.config import Config
from core.errors import ConflictError, NotFoundError, ProofError
from core.paths import Home
from core.release.files import version_problem
from core.release.promote import announce_ready, promote, reconcile, rollback, serving, serving_stack, undo
from storage import ab_tests, aliases, outbox
from storage.db import Store, integrity_problems, open_store
from storage.rows import VersionRow

TESTS = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join((str(TESTS.parent), str(TESTS)))}
CONFIG = Config()


def do_promote(store: Store, home: Home, version: VersionRow) -> None:
    promote(store, home, CONFIG, version.id, who="me", why="better", evidence={"test_id": 7}, now=5.0)


def do_rollback(store: Store, home: Home) -> None:
    rollback(store, home, CONFIG, "erd", who="me", why="worse", now=6.0)


def do_undo(store: Store, home: Home) -> None:
    undo(store, home, CONFIG, "erd", who="me", now=7.0)


def served(store: Store) -> int | None:
    found = serving(store, CONFIG, "erd")
    return None if found is None else found.number


@pytest.fixture
def chain(store: Store, home: Home) -> list[VersionRow]:
    return [add_version(store, home, number) for number in range(4)]


def test_promotion_is_recorded_with_who_why_and_evidence(store: Store, home: Home, chain: list[VersionRow]) -> None:
    change = promote(store, home, CONFIG, chain[1].id, who="me", why="better", evidence={"test_id": 7}, now=5.0)
    assert (change.alias, change.action, change.from_version, change.to_version) == (
        "ft-erd",
        "promote",
        None,
        chain[1].id,
    )
    assert (change.who, change.why, change.evidence, change.at) == ("me", "better", {"test_id": 7}, 5.0)
    assert served(store) == 1


def test_every_change_of_what_serves_is_published_with_it(store: Store, home: Home, chain: list[VersionRow]) -> None:
    do_promote(store, home, chain[1])
    do_promote(store, home, chain[2])
    do_rollback(store, home)
    do_undo(store, home)  # of the rollback
    do_undo(store, home)  # of the second promotion
    told = [(event.name, event.payload["data"]) for event in outbox.since(store, 0)]
    names = [version.name for version in chain]
    assert [(name.split(".")[1], data["from"], data["to"], data["undo"]) for name, data in told] == [
        ("promoted", None, names[1], False),
        ("promoted", names[1], names[2], False),
        ("rolled_back", names[2], names[1], False),
        ("promoted", names[1], names[2], True),
        ("rolled_back", names[2], names[1], True),
    ]
    first = told[0][1]
    assert (first["who"], first["why"], first["alias"], first["version_id"]) == ("me", "better", "ft-erd", chain[1].id)
    for file in (home.resolve(chain[1].gguf[kind]["path"]) for kind in chain[1].gguf):
        file.unlink()
    assert reconcile(store, home, CONFIG, now=8.0)
    last = outbox.since(store, 0)[-1]
    assert (last.name, last.payload["data"]["reconcile"]) == ("fine_tuning.rolled_back", True)


def test_a_refused_or_interrupted_change_publishes_nothing(
    store: Store, home: Home, chain: list[VersionRow], monkeypatch: pytest.MonkeyPatch
) -> None:
    do_promote(store, home, chain[1])
    with pytest.raises(ConflictError):
        do_promote(store, home, chain[1])
    assert len(outbox.since(store, 0)) == 1
    with monkeypatch.context() as broken:
        broken.setattr(outbox, "publish", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            do_promote(store, home, chain[2])
    assert served(store) == 1 and len(aliases.history(store, "ft-erd")) == 1


@pytest.mark.parametrize(("verdict", "count"), [("promote", 1), ("keep", 0), ("need more data", 0)])
def test_readiness_is_published_once_for_a_test_that_says_promote(
    store: Store, chain: list[VersionRow], verdict: str, count: int
) -> None:
    test = ab_tests.start(
        store, created_at=1.0, category="erd", version_a=chain[0].id, version_b=chain[1].id, seed=1, settings={}
    )
    announce_ready(store, ab_tests.get(store, test), now=2.0)
    ab_tests.finish(store, test, {"verdict": verdict, "summary": "s", "wins": 3}, 3.0)
    for now in (4.0, 5.0):  # a resumed run comes here again
        announce_ready(store, ab_tests.get(store, test), now=now)
    found = [event for event in outbox.since(store, 0) if event.name == "fine_tuning.ready_for_promotion"]
    assert [event.at for event in found] == [4.0] * count
    for event in found:
        told = event.payload["data"]
        assert (told["test_id"], told["version"], told["verdict"]) == (test, chain[1].name, "promote")
        assert (told["summary"], told["metrics"]) == ("s", {"wins": 3})


def test_rollback_goes_one_back_each_time_and_ends_at_the_base(
    store: Store, home: Home, chain: list[VersionRow]
) -> None:
    for number in (1, 2, 3):
        do_promote(store, home, chain[number])
    found = []
    for _ in range(3):
        do_rollback(store, home)
        found.append(served(store))
    assert found == [2, 1, 0]
    with pytest.raises(ConflictError, match="nothing served before"):
        do_rollback(store, home)


def test_undo_takes_back_every_change_in_turn(store: Store, home: Home, chain: list[VersionRow]) -> None:
    do_promote(store, home, chain[1])
    do_promote(store, home, chain[2])
    do_rollback(store, home)
    found = []
    for _ in range(3):
        do_undo(store, home)
        found.append(served(store))
    assert found == [2, 1, 0]
    assert undo(store, home, CONFIG, "erd", who="me", now=8.0) is None


def test_a_rollback_after_an_undone_rollback_goes_to_the_same_place(
    store: Store, home: Home, chain: list[VersionRow]
) -> None:
    do_promote(store, home, chain[1])
    do_promote(store, home, chain[3])
    do_rollback(store, home)
    do_undo(store, home)
    assert served(store) == 3
    do_rollback(store, home)
    assert served(store) == 1


@given(st.lists(st.sampled_from(["p1", "p2", "p3", "back", "undo"]), max_size=12))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_history_agrees_with_a_simple_model(
    store: Store, home: Home, chain: list[VersionRow], steps: list[str]
) -> None:
    """The model keeps the whole stack before each change that can be undone."""
    with store.transaction():  # every example begins without a history
        store.write("DELETE FROM alias_changes")
        store.write("DELETE FROM aliases")
    stack: list[int] = []
    past: list[list[int]] = []
    for step in steps:
        if step == "undo":
            do_undo(store, home)
            if past:
                stack = past.pop() or [0]
        elif step == "back":
            if stack in ([], [0]):
                with pytest.raises(ConflictError):
                    do_rollback(store, home)
                continue
            past.append(list(stack))
            stack = stack[:-1] or [0]
            do_rollback(store, home)
        else:
            number = int(step[1:])
            if stack and stack[-1] == number:
                with pytest.raises(ConflictError):
                    do_promote(store, home, chain[number])
                continue
            past.append(list(stack))
            stack = [*stack, number]
            do_promote(store, home, chain[number])
        assert served(store) == (stack[-1] if stack else None)
    history = aliases.history(store, "ft-erd")
    alias = aliases.get(store, "ft-erd")
    assert (alias.version_id if alias else None) == (serving_stack(history) or [None])[-1]


def test_what_is_not_proved_missing_or_altered_may_not_serve(store: Store, home: Home, chain: list[VersionRow]) -> None:
    unproved = add_version(store, home, 9, passed=False)
    with pytest.raises(ProofError, match="did not pass"):
        do_promote(store, home, unproved)
    file = home.resolve(chain[1].gguf["q8_0"]["path"])
    content = file.read_bytes()
    file.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    with pytest.raises(ProofError, match="altered"):
        do_promote(store, home, chain[1])
    file.unlink()
    with pytest.raises(ProofError, match="missing"):
        do_promote(store, home, chain[1])
    with pytest.raises(NotFoundError):
        promote(store, home, CONFIG, 999, who="", why="", evidence={}, now=0.0)
    assert served(store) is None
    assert aliases.history(store, "ft-erd") == []


def test_a_rollback_to_a_damaged_version_is_refused(store: Store, home: Home, chain: list[VersionRow]) -> None:
    do_promote(store, home, chain[1])
    do_promote(store, home, chain[2])
    home.resolve(chain[1].gguf["q8_0"]["path"]).unlink()
    with pytest.raises(ProofError, match="missing"):
        do_rollback(store, home)
    assert served(store) == 2


def test_nothing_to_roll_back_or_undo(store: Store, home: Home) -> None:
    with pytest.raises(ConflictError, match="Nothing was promoted"):
        do_rollback(store, home)
    assert undo(store, home, CONFIG, "erd", who="me", now=0.0) is None


def test_reconcile_leads_away_from_a_version_whose_file_is_gone(
    store: Store, home: Home, chain: list[VersionRow]
) -> None:
    for number in (1, 2, 3):
        do_promote(store, home, chain[number])
    assert reconcile(store, home, CONFIG, now=9.0) == []
    for number in (2, 3):
        home.resolve(chain[number].gguf["f16"]["path"]).unlink()
    done = reconcile(store, home, CONFIG, now=9.0)
    assert served(store) == 1
    assert "ft-erd serves ft-demo-erd-v1 again" in done[0]
    assert aliases.history(store, "ft-erd")[0].action == "reconcile"
    assert reconcile(store, home, CONFIG, now=9.0) == []


def test_reconcile_removes_what_was_never_finished_and_nothing_else(store: Store, home: Home) -> None:
    version = add_version(store, home, 1)
    parent = home.resolve(version.folder).parent
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    own = parent / f".staging-{os.getpid()}-1"
    for folder in (own, parent / f".staging-{gone.pid}-1", parent / "v7", parent / "notes"):
        folder.mkdir()
    downloaded = home.models / "base" / "qwen3-4b" / "v1"
    downloaded.mkdir(parents=True)
    done = reconcile(store, home, CONFIG, now=9.0)
    assert len(done) == 2
    assert sorted(path.name for path in parent.iterdir()) == sorted([own.name, "notes", "v1"])
    assert downloaded.exists()


_SWITCH_FOR_EVER = """
import sys, time
from pathlib import Path
from core.config import Config
from core.paths import Home
from core.release.promote import promote, rollback
from storage.db import open_store
home = Home(Path(sys.argv[1]))
with open_store(home.store) as store:
    print("ready", flush=True)
    while True:
        for version in map(int, sys.argv[2:]):
            promote(store, home, Config(), version, who="me", why="", evidence={}, now=time.time())
            print(version, flush=True)
        rollback(store, home, Config(), "erd", who="me", why="", now=time.time())
        print("back", flush=True)
"""


@pytest.mark.process
def test_a_kill_at_any_moment_leaves_one_truth(home: Home) -> None:
    """What was acknowledged is there; alias and history agree; the served file is whole."""
    draw = random.Random(7)
    with open_store(home.store) as store:
        chain = [add_version(store, home, number) for number in range(3)]
    for _ in range(8):
        command = [sys.executable, "-c", _SWITCH_FOR_EVER, str(home.root), str(chain[1].id), str(chain[2].id)]
        with open_store(home.store) as store:
            if served(store) not in (None, 0):
                promote(store, home, CONFIG, chain[0].id, who="me", why="", evidence={}, now=0.0)
            before = len(aliases.history(store, "ft-erd"))
        child = subprocess.Popen(command, stdout=subprocess.PIPE, env=ENVIRONMENT)
        assert child.stdout is not None and child.stdout.readline() == b"ready\n"
        time.sleep(draw.uniform(0.02, 0.12))
        os.kill(child.pid, signal.SIGKILL)
        acknowledged = child.stdout.read().splitlines()
        child.wait()
        child.stdout.close()
        with open_store(home.store) as store:
            history = aliases.history(store, "ft-erd")
            assert 0 <= len(history) - before - len(acknowledged) <= 1
            current = serving(store, CONFIG, "erd")
            assert (current.id if current else None) == (history[0].to_version if history else None)
            assert current is None or version_problem(home, current) is None
            assert reconcile(store, home, CONFIG, now=0.0) == []
            assert integrity_problems(store) == []
