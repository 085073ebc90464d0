"""What is kept of each category is what counting its events would give, whatever was done to them."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from storage import comparisons, events, judgments, labelling, retention, search, totals
from storage.db import Store, integrity_problems
from storage.moves import Move, Placed
from storage.rows import Condition, EventFilter, NewEvent, TextTerm
from storage.schema_006 import COUNTED

MakeEvent = Callable[..., NewEvent]


def kept(store: Store) -> list[tuple[object, ...]]:
    return store.rows("SELECT * FROM category_totals WHERE total > 0 ORDER BY category")


@pytest.fixture
def mixed(store: Store, new_event: MakeEvent) -> Store:
    """Sixty events of three categories, with ties in time and score, some without a score."""
    draw = random.Random(4)
    for number in range(60):
        score = draw.choice([None, 10.0, 55.5, 55.5, 80.25, 99.9])
        events.add(
            store,
            new_event(
                number,
                category=draw.choice(["erd", "docs", "code"]),
                created_at=float(draw.randint(1, 12)),
                score=score,
                quality=draw.random(),
                tier=draw.choice(["gold", "silver", "bronze", "rejected"]),
            ),
        )
    return store


def test_totals_follow_whatever_is_done_to_events(mixed: Store) -> None:
    assert kept(mixed) == mixed.rows(COUNTED)
    for event_id, kind in ((1, "good"), (2, "bad"), (3, "skip"), (1, "reject")):
        judgments.judge(mixed, event_id, kind, now=1.0)  # type: ignore[arg-type]
    judgments.judge(mixed, 4, "correct", correction="better", now=2.0)
    judgments.undo(mixed, now=3.0)
    judgments.judge_many(mixed, [7, 8, 9], "good", now=4.0)
    events.set_assessments(mixed, [(5, 0.123456, "gold", {}), (6, 0.9, "rejected", {})])
    assert kept(mixed) == mixed.rows(COUNTED)
    one = events.get(mixed, 10)
    other = "docs" if one.category == "erd" else "erd"
    before = Placed(one.category, one.score, one.valid, one.feedback_type, [], one.quality, one.tier, {}, [])
    after = Placed(other, 12.5, one.valid, one.feedback_type, [], 0.25, "bronze", {}, [])
    judgments.move(mixed, [Move(10, before, after)], now=5.0)
    assert kept(mixed) == mixed.rows(COUNTED)
    judgments.undo(mixed, now=6.0)
    retention.remove(mixed, [20, 21, 22], [])
    assert kept(mixed) == mixed.rows(COUNTED)
    assert integrity_problems(mixed) == []


def test_wrong_totals_are_a_fault_of_the_store(mixed: Store) -> None:
    with mixed.transaction():
        mixed.write("UPDATE category_totals SET judged = judged + 1 WHERE category = 'erd'")
    assert integrity_problems(mixed) == ["category erd: what is kept of it is not what its events come to"]


def test_a_category_without_events_is_none(mixed: Store) -> None:
    code = events.event_ids(mixed, EventFilter(category="code"))
    retention.remove(mixed, list(code), [])
    assert events.category_names(mixed) == ["docs", "erd"]
    assert [one.category for one in events.category_counts(mixed, now=0.0)] == ["docs", "erd"]
    assert retention.totals(mixed).keys() == {"docs", "erd"} and retention.total(mixed, "code") == 0


def test_a_write_that_is_taken_back_is_not_counted(mixed: Store, new_event: MakeEvent) -> None:
    before = kept(mixed)
    with pytest.raises(RuntimeError), mixed.transaction():
        events.add_many(mixed, [new_event(100), new_event(101)])
        raise RuntimeError
    assert kept(mixed) == before


@pytest.mark.parametrize("buckets", [1, 3, 7, 20, 100])
def test_a_trend_is_that_of_numbered_slices(mixed: Store, buckets: int) -> None:
    for category in events.category_names(mixed):
        numbered = mixed.rows(
            "SELECT avg(score) FROM (SELECT score, ntile(?) OVER (ORDER BY created_at, id) AS slice FROM events "
            "WHERE category = ? AND score IS NOT NULL) GROUP BY slice ORDER BY slice",
            (buckets, category),
        )
        assert totals.score_trend(mixed, category, buckets=buckets) == pytest.approx([mean for (mean,) in numbered])


@pytest.mark.parametrize("order", ["newest", "score"])
@pytest.mark.parametrize("limit", [1, 5, 30, 100])
@pytest.mark.parametrize(
    "chosen",
    [
        EventFilter(),
        EventFilter(verdict="pending"),
        EventFilter(category="erd"),
        EventFilter(max_score=60.0),
        EventFilter(text="shop"),
        EventFilter(terms=(TextTerm("nowhere"),)),
        EventFilter(conditions=(Condition("tier", "=", ("gold", "silver")),)),
    ],
)
def test_the_first_ids_are_those_of_the_whole_list(mixed: Store, order: str, limit: int, chosen: EventFilter) -> None:
    whole = events.event_ids(mixed, chosen, order=order)  # type: ignore[arg-type]
    assert events.first_ids(mixed, chosen, limit, order=order) == whole[:limit]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "chosen",
    [
        EventFilter(),
        EventFilter(category="erd"),
        EventFilter(text="shop"),
        EventFilter(terms=(TextTerm("shop", negated=True),)),
        EventFilter(conditions=(Condition("tier", "=", ("gold",)),)),
    ],
)
def test_what_was_added_is_what_stands_above(mixed: Store, chosen: EventFilter) -> None:
    every = events.event_ids(mixed, chosen, order="id")
    for after in (0, 31, 59, 60):
        assert list(search.added(mixed, chosen, after)) == [event_id for event_id in every if event_id > after]


def plan(store: Store, sql: str, params: tuple[object, ...]) -> str:
    return " | ".join(row[3] for row in store.rows(f"EXPLAIN QUERY PLAN {sql}", params))


@pytest.mark.parametrize(
    ("ask", "uses"),
    [
        (lambda store: comparisons.answers_to(store, 1), "events_by_prompt"),
        (lambda store: comparisons.several(store, "erd", held_out_percent=10), "COVERING INDEX events_by_prompt"),
        (labelling.repeated, "judgments_by_repeats"),
        (lambda store: labelling.since_last_repeat(store, "erd", 50), "judgments_by_repeats"),
        (lambda store: search.added(store, EventFilter(verdict="pending"), 9), "INTEGER PRIMARY KEY (rowid>?)"),
        (lambda store: totals.score_trend(store, "erd"), "COVERING INDEX events_by_category"),
    ],
)
def test_what_is_asked_often_is_found_by_an_index(
    mixed: Store, monkeypatch: pytest.MonkeyPatch, ask: Callable[[Store], object], uses: str
) -> None:
    asked: list[tuple[str, tuple[object, ...]]] = []
    read = Store.reading

    def remember(self: Store, sql: str, params: tuple[object, ...] = ()) -> object:
        asked.append((sql, params))
        return read(self, sql, params)

    with monkeypatch.context() as patched:
        patched.setattr(Store, "reading", remember)
        ask(mixed)
    assert any(uses in plan(mixed, sql, tuple(params)) for sql, params in asked)


def test_a_beginning_is_found_from_its_third_letter_on_whatever_its_length(store: Store, new_event: MakeEvent) -> None:
    texts = ["Übersicht der Pläne", "ubi sunt", "überall", "ein Planet", "Planung planlos", "xplan"]
    ids = [events.add(store, new_event(number, prompt=text, response="-")) for number, text in enumerate(texts)]
    found = {
        typed: [ids.index(one) for one in events.event_ids(store, EventFilter(text=typed), order="id")]
        for typed in ("ube", "über", "pla", "plan", "plane", "planu")
    }
    assert found == {"ube": [0, 2], "über": [0, 2], "pla": [0, 3, 4], "plan": [0, 3, 4], "plane": [0, 3], "planu": [4]}
