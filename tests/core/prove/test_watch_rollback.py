"""Production that got worse: one rollback follows, once, and its evidence is kept."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from production_kit import answers
from versions_kit import add_version
from watch_kit import CONFIG, PROMOTED, drop, look, put

from core.errors import ConflictError
from core.loop import LearningLoop
from core.paths import Home
from core.prove.watch import watch_all
from core.release.promote import serving
from storage import aliases, outbox
from storage.db import Store, integrity_problems
from storage.rows import VersionRow

TESTS = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join((str(TESTS.parent), str(TESTS)))}
ON = "[loop]\nauto_rollback = true\n"
OFF = "[loop]\nauto_rollback = false\n"

Open = Callable[..., LearningLoop]


def served(store: Store) -> int:
    found = serving(store, CONFIG, "erd")
    assert found is not None
    return found.number


@pytest.fixture
def opened(home: Home) -> Open:
    def open_with(config: str = ON) -> LearningLoop:
        home.config.write_text(config, encoding="utf-8")
        return LearningLoop(home)

    return open_with


class TestRollback:
    def test_one_that_does_worse_is_rolled_back_once(self, store: Store, chain: list[VersionRow], opened: Open) -> None:
        drop(store, chain)
        with opened() as loop, opened() as other:
            (first,) = watch_all(loop)
            assert first.change is not None
            assert (first.change.action, first.change.to_version, first.change.who) == (
                "rollback", chain[1].id, "finetune-tui",
            )  # fmt: skip
            for each in (loop, other, loop):
                (again,) = watch_all(each)
                assert (again.change, again.watch.verdict) == (None, "nothing to watch")
        assert served(store) == 1
        assert [change.action for change in aliases.history(store, "ft-erd")] == ["rollback", "promote", "promote"]

    def test_the_evidence_is_kept_and_published(self, store: Store, chain: list[VersionRow], opened: Open) -> None:
        drop(store, chain)
        with opened() as loop:
            (acted,) = watch_all(loop)
        assert acted.change is not None
        kept = acted.change.evidence
        assert (kept["verdict"], kept["pairs"], kept["losses"], kept["success_before"]) == ("worse", 60, 60, 1.0)
        told = outbox.since(store, 0)[-1]
        data = told.payload["data"]
        assert (told.name, data["from"], data["to"]) == ("fine_tuning.rolled_back", chain[2].name, chain[1].name)
        assert (data["verdict"], data["summary"], data["why"]) == ("worse", acted.watch.why, acted.watch.why)
        assert (data["evidence"]["losses"], data["evidence"]["success_after"]) == (60, 0.0)

    def test_two_who_have_seen_the_same_roll_back_once(
        self, store: Store, home: Home, chain: list[VersionRow], opened: Open
    ) -> None:
        """The second one comes with what it saw before the first had acted."""
        drop(store, chain)
        seen = look(store)
        with opened() as loop:
            watch_all(loop)
            with pytest.raises(ConflictError, match="was changed meanwhile"):
                loop.rollback("erd", after=seen.change)
        assert served(store) == 1

    @pytest.mark.parametrize("config", [OFF, f"{ON}[categories.erd.loop]\nauto_rollback = false\n"])
    def test_switched_off_it_is_only_said(
        self, store: Store, chain: list[VersionRow], opened: Open, config: str
    ) -> None:
        drop(store, chain)
        with opened(config) as loop:
            (acted,) = watch_all(loop)
        assert (acted.watch.verdict, acted.change, served(store)) == ("worse", None, 2)

    def test_switched_on_for_one_category(self, store: Store, chain: list[VersionRow], opened: Open) -> None:
        drop(store, chain)
        with opened(f"{OFF}[categories.erd.loop]\nauto_rollback = true\n") as loop:
            assert watch_all(loop)[0].change is not None

    def test_what_a_person_took_back_stays(self, store: Store, chain: list[VersionRow], opened: Open) -> None:
        drop(store, chain)
        with opened() as loop:
            watch_all(loop)
            loop.undo("erd")
            answers(store, chain[2].name, [40.0] * 60, at=time.time() + 1)
            (acted,) = watch_all(loop, now=time.time() + 1_000)
        assert (acted.watch.verdict, acted.watch.automatic, acted.change, served(store)) == ("worse", False, None, 2)
        assert "a person took the rollback back" in acted.watch.why

    def test_a_new_promotion_is_watched_anew(
        self, store: Store, home: Home, chain: list[VersionRow], opened: Open
    ) -> None:
        drop(store, chain)
        with opened() as loop:
            watch_all(loop)
            at = time.time() + 10
            put(store, home, chain[2], at)
            assert watch_all(loop, now=at + 1)[0].watch.tally.pairs == 0
            answers(store, chain[2].name, [40.0] * 60, at=at)
            assert watch_all(loop, now=at + 100)[0].change is not None

    def test_a_damaged_file_stands_in_the_way_of_one_alone(
        self, store: Store, home: Home, chain: list[VersionRow], opened: Open
    ) -> None:
        drop(store, chain)
        other = [add_version(store, home, number, category="architecture") for number in range(2)]
        put(store, home, other[1], PROMOTED)
        answers(store, other[0].name, [90.0] * 30, at=1.0, category="architecture")
        answers(store, other[1].name, [40.0] * 30, at=PROMOTED, category="architecture")
        with opened() as loop:
            home.resolve(str(chain[1].gguf["q8_0"]["path"])).unlink()
            acted = {each.watch.category: each for each in watch_all(loop)}
        assert acted["architecture"].change is not None
        assert (acted["erd"].change, served(store)) == (None, 2)
        assert "is missing" in acted["erd"].problem

    def test_a_category_that_is_configured_no_more_is_left_alone(self, store: Store, home: Home, opened: Open) -> None:
        put(store, home, add_version(store, home, 1, category="gone"), PROMOTED)
        with opened() as loop:
            assert watch_all(loop) == []


_LOOKER = """
import sys, time
from pathlib import Path
from core.loop import LearningLoop
from core.prove.watch import watch_all
with LearningLoop(Path(sys.argv[1])) as loop:
    print("ready", flush=True)
    while True:
        watch_all(loop)
"""


@pytest.mark.process
def test_a_kill_at_any_moment_leaves_one_rollback_or_none(
    store: Store, home: Home, chain: list[VersionRow], opened: Open
) -> None:
    drop(store, chain)
    opened().close()
    rng = random.Random(3)
    for _ in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", _LOOKER, str(home.root)], env=ENVIRONMENT, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(rng.uniform(0.0, 0.05))
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
    with opened() as loop:
        watch_all(loop)
    assert served(store) == 1
    assert [change.action for change in aliases.history(store, "ft-erd")].count("rollback") == 1
    told = [row for row in outbox.since(store, 0) if row.name == "fine_tuning.rolled_back"]
    assert len(told) == 1
    assert integrity_problems(store) == []
