from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from selection_kit import new_event

from core.query import SORTS, WORDS, parse
from core.query_fields import FIELDS
from storage import events, judgments
from storage.db import Store
from storage.rows import EventFilter, NewEvent
from storage.search import newest

NOW = 1_700_000_000.0
DAY = 86_400.0
NAMES = [*FIELDS, *WORDS[1:], "sort", "scor", ""]
PIECES = [":", '"', "-", "<60", "60..80", "..", ">", "=", ",", "*", " ", "\t", "(", ")", "NOT", "OR", "NEAR", "^",
          "{a}", "bad", "gold", "2026-01-31", "7d", "12", "é", "\ud800", "\x00", "'", "; DROP TABLE events", "%", "_",
          "99999999999999999999999", "nan", "inf", "1e400", "--", "||--o{"]  # fmt: skip


@pytest.fixture
def shop(store: Store) -> dict[str, int]:
    """Four events that differ in everything a query can ask for, by name."""
    found = [{"kind": "missing_pk", "severity": "error", "message": "no key"}, "not an object"]
    made = {
        "old": _event(1, created_at=NOW - 40 * DAY, score=20.0, quality=0.2, findings=found, context="from the shop"),
        "bad": _event(2, created_at=NOW - 3 * DAY, score=75.0, quality=0.6, model="Llama3.2:3b", valid=False),
        "new": _event(3, created_at=NOW - 60, score=95.0, quality=0.95, tier="gold", source="import_chat"),
        "bare": _event(4, created_at=NOW - 10 * DAY, score=None, category="scam", response="nothing " * 400),
    }
    ids = dict(zip(made, events.add_many(store, list(made.values())), strict=True))
    judgments.judge(store, ids["bad"], "bad", now=NOW)
    judgments.judge(store, ids["new"], "correct", correction="better", now=NOW)
    return ids


def _event(number: int, **changed: object) -> NewEvent:
    prompt = ("draw the Shop of Anna", "draw a library", "list orders, draw nothing", "is this a scam")[number - 1]
    base: NewEvent = new_event(prompt, f"answer {number} customer")
    return replace(base, **{"category": "erd", "model": "demo", "tier": "bronze", "source": "api", **changed})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "old bad new bare"),
        ("category:erd", "old bad new"),
        ("category:ERD,scam", "old bad new bare"),
        ("category:sc*", "bare"),
        ("-category:erd", "bare"),
        ("is:pending", "old bare"),
        ("is:bad,corrected", "bad new"),
        ("is:edited", "new"),
        ("-is:pending", "bad new"),
        ("is:invalid", "bad"),
        ("is:hard", "old bad"),
        ("is:long", "bare"),
        ("is:unscored", "bare"),
        ("tier:gold", "new"),
        ("model:llama", "bad"),
        ("source:import*", "new"),
        ("score:<60", "old"),
        ("score:75", "bad"),
        ("score:60..80", "bad"),
        ("score:60..", "bad new"),
        ("-score:60..", "old bare"),
        ("quality:>0.5 quality:<=0.6", "bad"),
        ("age:<7d", "bad new"),
        ("age:>4w", "old"),
        ("after:today", "new"),
        ("finding:missing_pk", "old"),
        ("finding:error", "old"),
        ("-finding:missing_pk", "bad new bare"),
        ("has:findings", "old"),
        ("has:context,correction", "old new"),
        ("shop", "old"),
        ("dra", "old bad new"),
        ("draw -nothing", "old bad"),
        ("-draw", "bare"),
        ('"draw nothing"', "new"),
        ('"nothing draw"', ""),
        ('-"draw nothing" draw', "old bad"),
        ("prompt:nothing", "new"),
        ("response:nothing", "bare"),
        ("-response:nothing nothing", "new"),
        ('prompt:"draw a library"', "bad"),
        ("draw is:bad category:erd", "bad"),
        ("tier:wood draw", "old bad new"),
        ("colour:red", "old bad new bare"),
    ],
)
def test_what_a_query_finds(store: Store, shop: dict[str, int], text: str, expected: str) -> None:
    found = events.event_ids(store, parse(text, now=NOW).filter, order="id")
    assert list(found) == sorted(shop[name] for name in expected.split())
    assert events.count(store, parse(text, now=NOW).filter) == len(found)
    newest_ids, complete = newest(store, parse(text, now=NOW).filter, 10)
    assert sorted(newest_ids) == list(found) and complete


def test_the_newest_matches_come_first(store: Store, shop: dict[str, int]) -> None:
    def found(text: str, limit: int, within: int | None = None) -> tuple[list[int], bool]:
        ids, complete = newest(store, parse(text, now=NOW).filter, limit, within=within)
        return list(ids), complete

    assert found("draw", 2) == found("score:>0", 2) == ([shop["new"], shop["bad"]], False)
    assert found("dr", 9) == ([], True), "a beginning of two letters is a whole word"
    assert found("draw", 9, within=2) == ([shop["new"]], False), "only the last two are looked at"
    assert found("model:demo", 9, within=2) == ([shop["new"], shop["bare"]], False)
    assert found("-draw", 9, within=2) == ([shop["bare"]], False)
    assert found("score:<60", 9, within=2) == ([shop["old"]], True), "an index answers that for all"


def test_ids_and_days(store: Store, shop: dict[str, int]) -> None:
    def found(text: str) -> list[int]:
        return list(events.event_ids(store, parse(text, now=NOW).filter, order="id"))

    assert found(f"id:{shop['bad']},{shop['bare']}") == [shop["bad"], shop["bare"]]
    assert found(f"id:>{shop['new']}") == [shop["bare"]]
    day = datetime.fromtimestamp(NOW - 10 * DAY).date().isoformat()
    assert found(f"before:{day}") == [shop["old"]]
    assert found(f"after:{day}") == [shop["bad"], shop["new"], shop["bare"]]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("scor:<60", "There is no field `scor:`. Did you mean score or sort or source? Quotes"),
        ("tier:golden", "`tier:` has no `golden`. Did you mean gold?"),
        ("is:", "`is:` needs a value."),
        ("score:", "`score:` needs a number, such as score:<60."),
        ("score:many", "`score:` needs a number, such as score:<60."),
        ("score:<nan", "`score:` goes from 0 to 100."),
        ("score:101", "`score:` goes from 0 to 100."),
        ("score:80..60", "`score:80..60` has its larger bound first."),
        ("id:99999999999999999999", "`id:` goes from 0 to 9 quintillion."),
        ("after:2026-13-01", "`after:` needs a day"),
        ("age:soon", "`age:` needs a length of time"),
        ("sort:random", "`sort:` takes informative, newest, oldest, score."),
        ('""', "There is nothing in the quotes."),
        ("prompt:", "`prompt:` needs words to look for."),
    ],
)
def test_a_fault_is_told_and_hides_nothing(text: str, said: str) -> None:
    query = parse(f"is:good {text}", now=NOW)
    (error,) = query.errors
    assert error.startswith(said)
    assert query.terms[-1].problem == error
    assert query.filter == parse("is:good", now=NOW).filter


def test_what_only_looks_like_a_field_is_text() -> None:
    for text in ("http://a.example", "std::vector", "10:30", "-->", "||--o{", "-", "a-b"):
        query = parse(text, now=NOW)
        assert [term.field for term in query.terms] == [""] and not query.errors


def test_terms_know_their_place_and_can_be_taken_out() -> None:
    query = parse('is:pending  -tier:gold "two words" score:<60 end', now=NOW)
    assert [query.text[term.start : term.end] for term in query.terms] == [
        "is:pending", "-tier:gold", '"two words"', "score:<60", "end",
    ]  # fmt: skip
    assert [(term.field, term.operator, term.negated, term.phrase) for term in query.terms] == [
        ("is", ":", False, False), ("tier", ":", True, False), ("", ":", False, True), ("score", "<", False, False),
        ("", ":", False, False),
    ]  # fmt: skip
    assert query.without(query.terms[1]) == 'is:pending "two words" score:<60 end'
    assert query.without_words() == "is:pending -tier:gold score:<60"


def test_a_field_is_set_where_it_stands() -> None:
    query = parse("draw is:pending -is:hard category:erd", now=NOW)
    assert query.with_field("is", "good") == "draw is:good -is:hard category:erd"
    assert query.with_field("is", "") == "draw -is:hard category:erd"
    assert query.with_field("sort", "newest") == "draw is:pending -is:hard category:erd sort:newest"
    assert query.value("is") == "pending" and query.value("sort") == ""


def test_indexed_fields_are_fields_of_the_filter() -> None:
    query = parse("is:corrected category:erd sort:score", now=NOW)
    assert (query.filter.verdict, query.filter.category, query.filter.conditions) == ("correct", "erd", ())
    assert query.sort == "score" and query.sort in SORTS


def test_a_pasted_page_is_cut_and_says_so(store: Store, shop: dict[str, int]) -> None:
    query = parse("draw " + "word:word " * 5_000, now=NOW)
    assert len(query.terms) == 64 and query.errors[-1] == "Only the first 64 terms are used."
    assert len(events.event_ids(store, query.filter)) == 3


texts = st.one_of(
    st.text(max_size=80),
    st.lists(st.sampled_from([*NAMES, *PIECES, *(f"{name}:" for name in NAMES)]), max_size=25).map("".join),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(text=texts)
@example(text='-"\u0300" "\u0301"')
@example(text="-😀 -a")
@example(text='finding:"\\u0000" finding:*')
def test_any_text_is_a_query(store: Store, shop: dict[str, int], text: str) -> None:
    query = parse(text, now=NOW)
    found = set(events.event_ids(store, query.filter))
    assert found <= set(shop.values())
    assert set(newest(store, query.filter, 10)[0]) == found
    assert events.count(store, EventFilter()) == 4
    assert len(query.errors) >= sum(bool(term.problem) for term in query.terms)
    ends = [0]
    for term in query.terms:
        assert ends[-1] <= term.start < term.end <= len(text)
        ends.append(term.end)
        parse(query.without(term), now=NOW)


@given(text=texts, value=st.sampled_from(["good", "pending", ""]))
def test_setting_a_field_leaves_the_rest(text: str, value: str) -> None:
    query = parse(text, now=NOW)
    if len(query.terms) > 60:
        return
    changed = parse(query.with_field("is", value), now=NOW)
    assert changed.value("is") == value
    rest = [term.value for term in query.terms if term.field != "is" or term.negated]
    assert [term.value for term in changed.terms if term.field != "is" or term.negated] == rest
