"""The helpers with which exports are read."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.capture.formats import export_values as values
from core.capture.formats.parts import Answer
from core.capture.formats.siblings import majority, most_common, ranked, rated_siblings

_ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.sampled_from([10**400]),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("told", "wanted"),
    [
        (1717000000, 1717000000.0),
        (1717000000.5, 1717000000.5),
        (1717000000000, 1717000000.0),
        (1717000000000000, 1717000000.0),
        (1717000000000000000, 1717000000.0),
        ("1717000000", 1717000000.0),
        ("2024-05-29T16:26:40Z", 1717000000.0),
        ("2024-05-29T16:26:40", 1717000000.0),
        ("2024-05-29T18:26:40+02:00", 1717000000.0),
        ("2024-05-29 16:26:40.500000", 1717000000.5),
        (datetime(2024, 5, 29, 16, 26, 40, tzinfo=UTC), 1717000000.0),
        (0, None),
        (-1, None),
        ("1969-12-31", None),
        ("soon", None),
        (True, None),
        (None, None),
        (float("nan"), None),
        (10**400, None),
    ],
)
def test_moments(told: Any, wanted: float | None) -> None:
    assert values.seconds(told) == (pytest.approx(wanted) if wanted is not None else None)


@pytest.mark.parametrize(
    ("told", "wanted"),
    [
        ("thumbs_up", "good"),
        ("thumbsUp", "good"),
        ("Thumbs Down", "bad"),
        ("👎", "bad"),
        ("not-helpful", "bad"),
        (True, "good"),
        (1, "good"),
        (-1.0, "bad"),
        (0, None),
        (5, None),
        ("maybe", None),
        (["good"], None),
        (None, None),
    ],
)
def test_verdicts(told: Any, wanted: str | None) -> None:
    assert values.verdict_of(told) == wanted


@given(_ANYTHING)
def test_no_helper_stumbles(value: Any) -> None:
    assert isinstance(values.as_text(value), str) and isinstance(values.label(value), str)
    assert len(values.shown(value)) <= 50 and values.shown(value)
    for helper in (values.number, values.seconds, values.verdict_of, values.parsed, values.text, values.mapping):
        helper(value)
    json.dumps(values.details(key=value), allow_nan=False)


def test_a_number_too_long_to_be_written_is_nothing() -> None:
    endless = 10**5_000
    assert (values.label(endless), values.number(endless), values.seconds(endless)) == ("", None, None)
    assert values.shown(endless) == "int" and values.details(key=[endless, 1]) == {"key": [None, 1]}


def answer(verdict: Any, response: str) -> Answer:
    return Answer("p", response, verdict=verdict)


def test_siblings() -> None:
    answers = [answer("good", "a"), answer(None, "b"), answer("bad", "c"), answer("good", "d"), answer(None, "a")]
    found = {(each.chosen, each.rejected): each.source for each in rated_siblings(answers, range(5))}
    assert found == {
        (0, 1): "sibling",
        (0, 2): "ranking",
        (1, 2): "sibling",
        (3, 1): "sibling",
        (3, 2): "ranking",
        (3, 4): "sibling",
        (4, 2): "sibling",
    }  # 0 and 4 say the same; 0 and 3 are both liked; 1 and 4 are both unrated


def test_ranks_and_their_margins() -> None:
    assert ranked([[2], [0, 1], [3]]) == {(2, 0): 0.5, (2, 1): 0.5, (2, 3): 1.0, (0, 3): 0.5, (1, 3): 0.5}
    assert ranked([]) == {} == ranked([[1, 2]])


def test_the_majority_decides_and_a_split_is_said() -> None:
    found, split = majority([{(0, 1): 1.0, (2, 3): None}, {(0, 1): 0.5}, {(1, 0): 1.0}, {(3, 2): None}])
    assert [(each.chosen, each.rejected, each.margin) for each in found] == [(0, 1, 0.75)]
    assert split == ["Answers 3 and 4: the annotators are split, so neither is preferred."]


def test_most_common_is_the_later_of_equals() -> None:
    assert most_common(["a", "b"]) == "b" and most_common(["a", "a", "b"]) == "a"
