"""Production after a promotion: which answers are compared, and what is said of them."""

from __future__ import annotations

import random
import time
from dataclasses import replace

from production_kit import answers, passed_on
from versions_kit import add_version
from watch_kit import CONFIG, PROMOTED, drop, look, put

from core.config import Capture
from core.loop import LearningLoop
from core.paths import Home
from core.prove import stats
from core.prove.watch import LEAST_PAIRS
from storage import judgments
from storage.db import Store
from storage.rows import VersionRow


class TestWhatIsCompared:
    def test_the_new_version_with_the_one_before(self, store: Store, chain: list[VersionRow]) -> None:
        drop(store, chain)
        found = look(store)
        assert (found.verdict, found.tally.losses, found.tally.pairs, found.automatic) == ("worse", 60, 60, True)
        assert found.new is not None
        assert found.old is not None
        assert (found.new.success, found.old.success, found.new.score, found.old.score) == (0.0, 1.0, 40.0, 90.0)
        assert found.evidence_worse > 1e6
        assert "ft-demo-erd-v2 does worse in production than ft-demo-erd-v1 (over a million : 1)" in found.why
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
        answers(store, chain[2].name, [90.0, 40.0, 40.0, 40.0, 40.0, 40.0] * 5, at=PROMOTED + 1)
        found = look(store)
        assert (found.verdict, found.tally.pairs) == ("no difference yet", 30)
        assert found.more is not None

        def told(pairs: int) -> float:
            wins, losses = (round(count * pairs / 30) for count in (found.tally.wins, found.tally.losses))
            return stats.evidence(max(wins, losses), min(wins, losses))

        assert told(30 + found.more) >= CONFIG.ab.evidence > told(29 + found.more)

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
