"""Production after a promotion: what is compared, what is said, and that one rollback follows, once."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from production_kit import answers, passed_on
from versions_kit import add_version

from core.config import Capture, Config
from core.errors import ConflictError
from core.loop import LearningLoop
from core.paths import Home
from core.prove.watch import LEAST_PAIRS, Watch, watch, watch_all
from core.release.promote import promote, serving
from storage import aliases, judgments, outbox
from storage.db import Store, integrity_problems
from storage.rows import VersionRow

TESTS = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join((str(TESTS.parent), str(TESTS)))}
CONFIG = Config()
ON = "[loop]\nauto_rollback = true\n"
OFF = "[loop]\nauto_rollback = false\n"
PROMOTED = 1_000.0

Open = Callable[..., LearningLoop]


def put(store: Store, home: Home, version: VersionRow, at: float) -> None:
    promote(store, home, CONFIG, version.id, who="me", why="", evidence={}, now=at)


def look(store: Store, config: Config = CONFIG, now: float = 1e6) -> Watch:
    return watch(store, config, "erd", now=now)


@pytest.fixture
def chain(store: Store, home: Home) -> list[VersionRow]:
    """v0 to v2; v1 was promoted at 500, v2 at 1,000."""
    made = [add_version(store, home, number) for number in range(3)]
    put(store, home, made[1], 500.0)
    put(store, home, made[2], PROMOTED)
    return made


def drop(store: Store, chain: list[VersionRow], count: int = 60) -> None:
    """v1 answered well, v2 answers badly."""
    answers(store, chain[1].name, [90.0] * count, at=600.0)
    answers(store, chain[2].name, [40.0] * count, at=PROMOTED + 1)


def served(store: Store) -> int:
    found = serving(store, CONFIG, "erd")
    assert found is not None
    return found.number


class TestWhatIsCompared:
    def test_the_new_version_with_the_one_before(self, store: Store, chain: list[VersionRow]) -> None:
        drop(store, chain)
        found = look(store)
        assert (found.verdict, found.tally.losses, found.tally.pairs, found.automatic) == ("worse", 60, 60, True)
        assert found.new is not None
        assert found.old is not None
        assert (found.new.success, found.old.success, found.new.score, found.old.score) == (0.0, 1.0, 40.0, 90.0)
        assert found.evidence_worse > 1e6
        assert "ft-demo-erd-v2 does worse in production than ft-demo-erd-v1 (1,000,000 : 1)" in found.why
        assert "of 60 answers compared, 0 are better, 60 worse and 0 as good; success 100% → 0%." in found.why
        assert found.to_json()["tally"] == {"wins": 0, "losses": 60, "ties": 0}

    def test_better_is_said_too(self, store: Store, chain: list[VersionRow]) -> None:
        answers(store, chain[1].name, [50.0] * 30, at=600.0)
        answers(store, chain[2].name, [80.0] * 30, at=PROMOTED)
        assert look(store).verdict == "better"

    def test_few_answers_decide_nothing(self, store: Store, chain: list[VersionRow]) -> None:
        drop(store, chain, LEAST_PAIRS - 1)
        found = look(store)
        assert (found.verdict, found.more) == ("no difference yet", 1)
        assert found.evidence_worse > CONFIG.ab.evidence
        answers(store, chain[1].name, [90.0], at=700.0)
        answers(store, chain[2].name, [40.0], at=PROMOTED + 500)
        assert look(store).verdict == "worse"

    def test_none_at_all(self, store: Store, chain: list[VersionRow]) -> None:
        found = look(store)
        assert (found.verdict, found.more) == ("no difference yet", LEAST_PAIRS)
        assert "no scored or judged answer of ft-demo-erd-v1 is known" in found.why
        answers(store, chain[1].name, [90.0], at=600.0)
        assert "no scored or judged answer of ft-demo-erd-v2 is known" in look(store).why

    def test_how_many_more_are_needed(self, store: Store, chain: list[VersionRow]) -> None:
        answers(store, chain[1].name, [90.0, 40.0] * 50, at=600.0)
        answers(store, chain[2].name, [90.0, 40.0, 40.0] * 10, at=PROMOTED + 1)
        found = look(store)
        assert found.verdict == "no difference yet"
        assert found.more is None or found.more > 0
        assert found.tally.pairs == 30

    def test_a_used_up_past_is_said(self, store: Store, chain: list[VersionRow]) -> None:
        answers(store, chain[1].name, [50.0] * 3, at=600.0)
        answers(store, chain[2].name, [50.0] * 9, at=PROMOTED + 1)
        assert look(store).why.endswith("No difference; all answers of ft-demo-erd-v1 are used up.")

    def test_each_period_has_its_own_version_and_time(self, store: Store, chain: list[VersionRow]) -> None:
        answers(store, chain[1].name, [90.0] * 5, at=PROMOTED + 10)  # asked by name, after the promotion
        answers(store, chain[2].name, [40.0] * 5, at=PROMOTED - 50)  # tried before it
        assert look(store).tally.pairs == 0
        answers(store, chain[1].name, [90.0] * 2, at=PROMOTED - 2)
        answers(store, chain[2].name, [40.0] * 2, at=PROMOTED)
        assert look(store).tally.pairs == 2

    def test_before_the_first_promotion_the_base_has_answered(self, store: Store, home: Home) -> None:
        made = [add_version(store, home, number) for number in range(2)]
        put(store, home, made[1], PROMOTED)
        answers(store, made[0].name, [90.0] * 10, at=100.0)
        answers(store, "ft-erd", [90.0] * 10, at=200.0)
        passed_on(store, answers(store, "x", [90.0] * 5, at=300.0), made[0].id, at=300.0)
        answers(store, made[1].name, [40.0] * 25, at=PROMOTED)
        found = look(store)
        assert found.old is not None
        assert (found.old.answers, found.verdict) == (25, "worse")

    def test_what_the_gateway_answered_again_counts_again(self, store: Store, chain: list[VersionRow]) -> None:
        """An answer that the version before had given in the same words is one event, recorded then."""
        same = answers(store, chain[1].name, [90.0] * 30, at=600.0)
        passed_on(store, same, chain[1].id, at=600.0)
        passed_on(store, same, chain[2].id, at=PROMOTED)
        found = look(store)
        assert (found.tally.ties, found.tally.pairs) == (30, 30)

    def test_a_judgment_outranks_the_score(self, store: Store, chain: list[VersionRow]) -> None:
        old = answers(store, chain[1].name, [80.0] * 30, at=600.0)
        new = answers(store, chain[2].name, [80.0] * 30, at=PROMOTED)
        assert look(store).tally.ties == 30
        for event in new:
            judgments.judge(store, event, "bad", now=2_000.0)
        assert look(store).tally.losses == 0  # only one side was reviewed
        for event in old:
            judgments.judge(store, event, "good", now=2_000.0)
        assert look(store).verdict == "worse"

    def test_where_the_clean_up_was_only_what_it_never_takes_counts(
        self, store: Store, chain: list[VersionRow]
    ) -> None:
        """It takes the worst of the old first: what is left of them is better than they were."""
        answers(store, chain[1].name, [90.0] * 40, at=600.0, bucket=50)
        answers(store, chain[2].name, [60.0] * 40, at=PROMOTED, bucket=50)
        answers(store, chain[1].name, [70.0] * 40, at=700.0, bucket=0)
        answers(store, chain[2].name, [70.0] * 40, at=PROMOTED + 100, bucket=0)
        assert look(store).verdict == "worse"
        full = look(store, replace(CONFIG, capture=Capture(retention=160)))
        assert (full.tally.ties, full.tally.pairs) == (40, 40)

    def test_a_clock_that_was_set_back(self, store: Store, home: Home, chain: list[VersionRow]) -> None:
        """The promotion lies in the future: what is known of both versions is compared, and nothing fails."""
        v3 = add_version(store, home, 3)
        put(store, home, v3, 1e12)
        answers(store, chain[2].name, [90.0] * 30, at=2_000.0)
        now = time.time()
        answers(store, v3.name, [40.0] * 30, at=now)
        assert look(store, now=now + 60).verdict == "worse"
        assert look(store, now=1e12 + 1).tally.pairs == 0
        assert look(store, now=10.0).tally.pairs == 30

    def test_an_even_race_is_left_alone(self, store: Store, chain: list[VersionRow]) -> None:
        rng = random.Random(1)
        answers(store, chain[1].name, [rng.uniform(0, 100) for _ in range(300)], at=600.0)
        answers(store, chain[2].name, [rng.uniform(0, 100) for _ in range(300)], at=PROMOTED)
        assert look(store).verdict == "no difference yet"


class TestNothingToWatch:
    def test_before_any_promotion(self, store: Store) -> None:
        found = look(store)
        assert (found.verdict, found.why, found.new) == ("nothing to watch", "erd: nothing was promoted yet.", None)

    def test_without_a_version_before(self, store: Store, home: Home) -> None:
        put(store, home, add_version(store, home, 1), PROMOTED)
        assert look(store).why == "erd: nothing served before ft-demo-erd-v1."

    def test_what_was_put_back(self, store: Store, home: Home, chain: list[VersionRow]) -> None:
        drop(store, chain)
        with LearningLoop(home) as loop:
            loop.rollback("erd")
        assert look(store).why == "erd: ft-demo-erd-v1 was put back, and serves as it did before."
        with LearningLoop(home) as loop:
            put(store, home, chain[2], 3_000.0)
            loop.undo("erd")
        assert look(store).verdict == "nothing to watch"


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
