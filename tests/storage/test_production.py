"""What a version has answered in production, and that finding it costs little."""

from __future__ import annotations

import pytest
from production_kit import answers, passed_on
from versions_kit import add_version

from core.paths import Home
from storage import judgments, production
from storage.db import Store
from storage.production import Served, first_answers, has_at_least, last_answers, passed_on_query, recorded_query

NAME = "ft-demo-erd-v1"


@pytest.fixture
def served(store: Store, home: Home) -> Served:
    version = add_version(store, home, 1)
    return Served("erd", version.id, (version.name,))


def period(served: Served, since: float, until: float) -> Served:
    return Served(served.category, served.version_id, served.models, since=since, until=until)


def test_the_answers_of_a_period_by_one_model(store: Store, served: Served) -> None:
    answers(store, NAME, [10, 20, 30], at=100.0)
    answers(store, "other", [1, 2, 3], at=100.5)
    answers(store, NAME, [90], at=101.0, category="architecture")
    assert [one.score for one in first_answers(store, period(served, 101.0, 102.0), 10)] == [20]
    assert [one.score for one in first_answers(store, served, 2)] == [10, 20]
    assert [one.score for one in last_answers(store, served, 2)] == [30, 20]


def test_only_what_says_how_good_it_is(store: Store, served: Served) -> None:
    plain, judged, skipped = answers(store, NAME, [None, None, None], at=1.0)
    judgments.judge(store, judged, "bad", now=5.0)
    judgments.judge(store, skipped, "skip", now=5.0)
    assert [(one.key, one.verdict) for one in first_answers(store, served, 10)] == [(f"e{judged}", "bad")]
    assert plain


def test_candidates_made_on_demand_are_no_production(store: Store, served: Served) -> None:
    answers(store, NAME, [10, 20], at=1.0, source=production.CANDIDATE)
    assert first_answers(store, served, 10) == []


def test_an_answer_of_the_gateway_counts_each_time(store: Store, served: Served) -> None:
    """The same text is one event however often it was answered, and whoever answered it first."""
    old, own = answers(store, "other", [80], at=1.0)[0], answers(store, NAME, [60], at=2.0)[0]
    passed_on(store, [old, own, own], served.version_id, at=10.0)
    found = first_answers(store, served, 10)
    assert [(one.at, one.score) for one in found] == [(10.0, 80), (11.0, 60), (12.0, 60)]
    assert len({one.key for one in found}) == 3
    assert [one.at for one in last_answers(store, served, 2)] == [12.0, 11.0]
    assert [one.at for one in first_answers(store, period(served, 11.0, 12.0), 10)] == [11.0]


def test_what_went_through_the_gateway_and_what_did_not_stand_together(store: Store, served: Served) -> None:
    own = answers(store, NAME, [60], at=2.0)
    passed_on(store, own, served.version_id, at=2.0)
    answers(store, NAME, [70], at=1.0)
    answers(store, NAME, [80], at=3.0)
    assert [one.score for one in first_answers(store, served, 10)] == [70, 60, 80]
    assert [one.score for one in last_answers(store, served, 2)] == [80, 60]


def test_held_out_answers_alone(store: Store, served: Served) -> None:
    answers(store, NAME, [10], at=1.0, bucket=19)
    event = answers(store, NAME, [20], at=2.0, bucket=20)
    passed_on(store, event, served.version_id, at=2.0)
    passed_on(store, answers(store, "x", [30], at=3.0, bucket=0), served.version_id, at=3.0)
    below = Served(served.category, served.version_id, served.models, held_out_below=20)
    assert [one.score for one in first_answers(store, below, 10)] == [10, 30]


def test_events_of_others_are_passed_over_up_to_a_limit(
    store: Store, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(production, "SCANNED", 10)
    answers(store, NAME, [1], at=0.0)
    answers(store, "other", [50] * 20, at=10.0)
    answers(store, NAME, [99], at=100.0)
    assert [one.score for one in first_answers(store, served, 10)] == [1]
    assert [one.score for one in last_answers(store, served, 10)] == [99]


@pytest.mark.parametrize("order", ["ASC", "DESC"])
def test_indexes_lead_to_the_answers(store: Store, served: Served, order: str) -> None:
    for sql, params in (
        passed_on_query(served, order, 10),
        recorded_query(served, order, 10, low=0.0, high=1.0),
    ):
        plan = [row[3] for row in store.rows(f"EXPLAIN QUERY PLAN {sql}", params)]
        assert not any("TEMP B-TREE" in step or step.startswith("SCAN e") or step.startswith("SCAN r") for step in plan)
    assert any("events_by_category (category=? AND created_at>? AND created_at<?)" in step for step in plan)
    first = store.rows(
        f"EXPLAIN QUERY PLAN {passed_on_query(served, order, 10)[0]}", passed_on_query(served, order, 10)[1]
    )
    assert "responses_by_version (version_id=? AND at>? AND at<?)" in first[0][3]


def test_whether_there_are_so_many(store: Store, served: Served) -> None:
    answers(store, "x", [1, 2, 3], at=0.0)
    assert [has_at_least(store, "erd", count) for count in (0, 3, 4)] == [True, True, False]
    assert not has_at_least(store, "other", 1)
