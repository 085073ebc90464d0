"""Pairs from scores and siblings, and what pairs say together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import count, pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.select.preference.preferences import (
    UNTOLD_MARGIN,
    Preference,
    Ranked,
    adjacent_pairs,
    examine,
    sibling_pairs,
    usable,
)
from storage.rows import EventRow, PairRow

TEXTS = (
    "The invoice lists every order with its date and sum.",
    "A table of customers, and nothing that joins them to what they bought.",
    "shop ||--o{ order : takes, order }|--|| customer : names",
    "Rooms are booked by guests; each booking has a first and a last night.",
    "42",
    "Neither keys nor relations are given here at all.",
    "An author writes books, a book has one publisher and many copies.",
    "Machines report sensors hourly, alarms follow thresholds.",
)


def answers(*scores: float | None, **more: Any) -> list[Ranked]:
    return [Ranked(at, TEXTS[at], score, **more) for at, score in enumerate(scores)]


def ids(found: Sequence[Preference]) -> list[tuple[int, int]]:
    return [(one.chosen_event, one.rejected_event) for one in found]


def test_neighbours_by_score_make_pairs_with_the_difference_as_margin() -> None:
    found = adjacent_pairs(answers(40.0, 95.0, 80.0), 0.1)
    assert ids(found) == [(1, 2), (2, 0)]
    assert [one.margin for one in found] == pytest.approx([0.15, 0.40])
    assert found[0].chosen == TEXTS[1] and found[0].rejected == TEXTS[2] and found[0].source == "candidate"


def test_a_margin_must_be_more_than_the_least() -> None:
    assert adjacent_pairs(answers(90.0, 80.0), 0.1) == []
    assert ids(adjacent_pairs(answers(90.0, 79.9), 0.1)) == [(0, 1)]
    assert adjacent_pairs(answers(90.0, 90.0), 0.0) == []


def test_nothing_below_success_is_chosen_unless_a_person_likes_it() -> None:
    assert adjacent_pairs(answers(69.9, 20.0), 0.1, success_score=70.0) == []
    liked = [Ranked(0, TEXTS[0], 69.9, "good"), Ranked(1, TEXTS[1], 20.0)]
    assert ids(adjacent_pairs(liked, 0.1)) == [(0, 1)]


@pytest.mark.parametrize("verdict", ["bad", "correct", "reject"])
def test_what_a_person_dislikes_is_not_chosen(verdict: Any) -> None:
    assert adjacent_pairs([Ranked(0, TEXTS[0], 95.0, verdict), Ranked(1, TEXTS[1], 20.0)], 0.1) == []


def test_what_a_person_likes_loses_to_nothing_that_nobody_liked() -> None:
    assert adjacent_pairs([Ranked(0, TEXTS[0], 95.0), Ranked(1, TEXTS[1], 75.0, "good")], 0.1) == []
    both = [Ranked(0, TEXTS[0], 95.0, "good"), Ranked(1, TEXTS[1], 75.0, "good")]
    assert ids(adjacent_pairs(both, 0.1)) == [(0, 1)]


def test_generic_empty_equal_unscored_and_mistyped_answers_make_no_pair() -> None:
    poor = Ranked(9, TEXTS[1], 20.0)
    assert adjacent_pairs([Ranked(0, TEXTS[0], 95.0, teaches=False), poor], 0.1) == []
    assert adjacent_pairs([Ranked(0, TEXTS[0], 95.0), Ranked(1, " \n", 0.0)], 0.1) == []
    assert adjacent_pairs([Ranked(0, TEXTS[0], 95.0), Ranked(1, TEXTS[0] + "  \n", 20.0)], 0.1) == []
    assert adjacent_pairs([Ranked(0, TEXTS[0], 95.0), Ranked(1, TEXTS[1], None)], 0.1) == []
    long = " ".join(TEXTS)
    assert adjacent_pairs([Ranked(0, long, 95.0), Ranked(1, long.replace("sum", "sun"), 20.0)], 0.1) == []
    # A repeat stands in nobody's way: the better copy counts.
    repeated = [Ranked(0, TEXTS[0], 95.0), Ranked(1, TEXTS[0], 60.0), Ranked(2, TEXTS[1], 50.0)]
    assert ids(adjacent_pairs(repeated, 0.1)) == [(0, 2)]


@given(
    st.lists(
        st.builds(
            Ranked,
            st.integers(1, 50),
            st.sampled_from([*TEXTS, "", TEXTS[0] + " "]),
            st.none() | st.floats(0, 100).map(lambda score: round(score, 1)),
            st.sampled_from([None, "good", "bad", "correct", "skip", "reject"]),
            st.booleans(),
        ),
        max_size=8,
        unique_by=lambda one: one.event_id,
    ),
    st.sampled_from([0.0, 0.1, 0.3]),
)
@settings(max_examples=60)
def test_adjacent_pairs_never_contradict(given_answers: list[Ranked], least: float) -> None:
    found = adjacent_pairs(given_answers, least)
    by_id = {one.event_id: one for one in given_answers}
    # A chain: each text is chosen once and rejected once at most, and scores fall along it.
    assert len({one.chosen_event for one in found}) == len({one.rejected_event for one in found}) == len(found)
    for one in found:
        chosen, rejected = by_id[one.chosen_event], by_id[one.rejected_event]
        assert chosen.score is not None and rejected.score is not None
        assert one.margin == pytest.approx((chosen.score - rejected.score) / 100) and least < one.margin <= 1
        assert chosen.teaches and chosen.verdict not in ("bad", "correct", "reject")
        assert chosen.score >= 70 or chosen.verdict == "good"
        assert one.chosen.strip() != one.rejected.strip() and one.chosen.strip() and one.rejected.strip()
    assert ids(found) == ids(adjacent_pairs(given_answers[::-1], least))


def event(number: int, **changes: Any) -> EventRow:
    values: dict[str, Any] = {
        "id": number,
        "created_at": float(number),
        "category": "erd",
        "model": "m",
        "prompt": "p",
        "response": TEXTS[number],
        "content_hash": f"b2:{number}",
        "prompt_hash": "b2:p",
        "bucket": 50,
        "feedback_type": "neutral",
        "score": None,
        "valid": True,
        "quality": 0.5,
        "tier": "silver",
        "generic": False,
        "confidence": None,
        "system": "",
        "context": "",
        "source": "api",
        "group_key": "",
        "latency_ms": None,
        "findings": [],
        "quality_parts": {},
        "sanitized": {},
        "metadata": {},
        "verdict": None,
        "correction": None,
        "judged_at": None,
    }
    return EventRow(**(values | changes))


def test_a_verdict_decides_between_siblings_before_the_scores() -> None:
    found = sibling_pairs([event(1, score=60.0, verdict="good"), event(2, score=90.0, verdict="bad")], 0.1)
    assert ids(found) == [(1, 2)]
    assert (found[0].margin, found[0].source) == (UNTOLD_MARGIN, "sibling")
    agreeing = sibling_pairs([event(1, score=95.0, verdict="good"), event(2, score=30.0, verdict="bad")], 0.1)
    assert agreeing[0].margin == pytest.approx(0.65)


def test_scores_decide_between_siblings_that_nobody_judged() -> None:
    found = sibling_pairs([event(1, score=30.0), event(2, score=90.0), event(3, score=88.0)], 0.1)
    assert ids(found) == [(3, 1)]


def test_what_was_kept_after_regenerating_is_preferred() -> None:
    thrown = event(1, score=75.0, group_key="g", metadata={"regenerated": True})
    kept = event(2, score=75.0, group_key="g")
    assert ids(sibling_pairs([thrown, kept], 0.1)) == [(2, 1)]
    assert sibling_pairs([thrown], 0.1) == []
    # The kept one must be a success, and nothing later may be missing.
    assert sibling_pairs([thrown, event(2, score=60.0, group_key="g")], 0.1) == []
    assert sibling_pairs([event(1, score=75.0, metadata={"regenerated": True}), event(2, score=75.0)], 0.1) == []
    # Scores that say the opposite leave it open.
    assert sibling_pairs([event(1, score=99.0, group_key="g", metadata={"regenerated": True}), kept], 0.1) == []


def test_what_was_copied_is_preferred() -> None:
    assert ids(sibling_pairs([event(1, score=80.0), event(2, score=80.0, metadata={"copied": True})], 0.1)) == [(2, 1)]


def test_answers_to_different_questions_are_no_siblings() -> None:
    for other in ({"prompt_hash": "b2:q"}, {"system": "Be short."}, {"context": "schema"}, {"category": "workflows"}):
        assert sibling_pairs([event(1, score=95.0), event(2, score=20.0, **other)], 0.1) == []


NUMBERS = count(1)


def pair(chosen: str, rejected: str, **changes: Any) -> PairRow:
    values: dict[str, Any] = {
        "id": next(NUMBERS),
        "created_at": 1.0,
        "category": "erd",
        "prompt": "Draw a shop.",
        "chosen": chosen,
        "rejected": rejected,
        "margin": 0.5,
        "source": "ranking",
        "chosen_event": None,
        "rejected_event": None,
    }
    return PairRow(**(values | changes))


A, B, C, D = TEXTS[:4]


def test_of_two_statements_the_newer_holds() -> None:
    old, new = pair(A, B, created_at=1.0), pair(B, A, created_at=2.0, margin=0.2)
    (found,) = examine([new, old]).contradictions
    assert (found.loses, found.holds) == (old.id, (new.id,))
    assert "newer" in found.why
    assert usable([old, new]) == [new]


def test_a_person_holds_against_scores_however_new_and_wide() -> None:
    said = pair(A, B, created_at=1.0, margin=0.1, source="correction")
    inferred = pair(B, A, created_at=9.0, margin=1.0, source="candidate")
    (found,) = examine([inferred, said]).contradictions
    assert (found.loses, found.holds) == (inferred.id, (said.id,)) and "person" in found.why


def test_of_inferred_pairs_the_larger_margin_holds() -> None:
    small, large = pair(A, B, margin=0.2, source="sibling"), pair(B, A, margin=0.3, source="candidate")
    assert usable([small, large]) == [large]


def test_a_circle_loses_its_weakest_pair() -> None:
    circle = [
        pair(A, B, source="candidate", margin=0.4),
        pair(B, C, source="candidate", margin=0.3),
        pair(C, A, source="candidate", margin=0.2),
    ]
    (found,) = examine(circle).contradictions
    assert found.loses == circle[2].id
    assert found.holds == (circle[0].id, circle[1].id)
    # Each prompt for itself: the same answers to another one are in order.
    assert len(usable([*circle[:2], pair(C, A, source="candidate", margin=0.2, prompt="Draw a library.")])) == 3


def test_the_same_words_in_another_chat_are_another_question() -> None:
    one, other = pair(A, B), pair(B, A)
    assert len(usable([one, other])) == 1
    assert len(usable([one, other], asked={one.id: "b2:1", other.id: "b2:2"})) == 2


def test_repeats_are_found_and_the_strongest_stays() -> None:
    inferred, said = pair(A, B, source="sibling", margin=0.9), pair(A + " ", B, source="ranking", margin=0.2)
    near = pair(A.replace("date", "day"), B.replace("nothing", "nothing "), margin=0.1)
    other = pair(A, D)
    found = examine([inferred, said, near, other])
    assert [(one.holds, one.repeats) for one in found.duplicates] == [(said.id, (inferred.id,))]
    assert [(one.holds, one.repeats) for one in found.near_duplicates] == [(said.id, (near.id,))]
    assert found.contradictions == ()
    assert usable([inferred, said, near, other]) == [said, other]


def test_pairs_that_prefer_nothing_are_of_no_use() -> None:
    odd = [pair(A, A + "\n"), pair(" ", B), pair(A, "")]
    found = examine(odd)
    assert found.empty == tuple(one.id for one in odd)
    assert usable(odd) == []


def test_figures() -> None:
    rows = [pair(A, B, margin=0.0), pair(C, D, margin=1.0, source="sibling"), pair(B, D, margin=0.55)]
    found = examine(rows)
    assert found.by_source == {"ranking": 2, "sibling": 1}
    assert found.shares["sibling"] == pytest.approx(1 / 3)
    assert found.margins.histogram == (1, 0, 0, 0, 0, 1, 0, 0, 0, 1)
    assert found.margins.quartiles[1] == pytest.approx(0.55) and found.margins.mean == pytest.approx(0.5166667)
    nothing = examine([])
    assert (nothing.n, nothing.margins.mean, nothing.shares) == (0, 0.0, {})


@st.composite
def any_pairs(draw: st.DrawFn) -> list[PairRow]:
    made = draw(
        st.lists(
            st.tuples(
                st.sampled_from(["Draw a shop.", "Describe the weather in Oslo."]),
                st.sampled_from(TEXTS[:6]),
                st.sampled_from(TEXTS[:6]),
                st.sampled_from(["ranking", "correction", "import", "sibling", "candidate"]),
                st.sampled_from([0.1, 0.2, 0.5, 1.0]),
                st.integers(1, 4),
            ),
            max_size=25,
        )
    )
    return [
        pair(chosen, rejected, id=at, prompt=prompt, source=source, margin=margin, created_at=float(day))
        for at, (prompt, chosen, rejected, source, margin, day) in enumerate(made, 1)
    ]


@given(any_pairs())
@settings(max_examples=60)
def test_what_is_usable_leads_round_nowhere(rows: list[PairRow]) -> None:
    left = usable(rows)
    below: dict[tuple[str, str], set[tuple[str, str]]] = defaultdict(set)
    for one in left:
        assert (one.prompt, one.rejected) not in below[one.prompt, one.chosen]
        below[one.prompt, one.chosen].add((one.prompt, one.rejected))

    def reaches(start: tuple[str, str], end: tuple[str, str], seen: frozenset[tuple[str, str]]) -> bool:
        return start == end or any(
            reaches(each, end, seen | {each}) for each in below.get(start, set()) if each not in seen
        )

    for one in left:
        assert not reaches((one.prompt, one.rejected), (one.prompt, one.chosen), frozenset())
    # Nothing is left out that could stay, and what is left is at rest.
    found = examine(rows)
    assert len(left) + len(found.losers) == len(rows)
    assert usable(left) == left
    for loser in found.contradictions:
        by_id = {one.id: one for one in rows}
        steps = [by_id[each] for each in loser.holds]
        assert steps[0].chosen == by_id[loser.loses].rejected and steps[-1].rejected == by_id[loser.loses].chosen
        assert all(one.rejected == other.chosen for one, other in pairwise(steps))
