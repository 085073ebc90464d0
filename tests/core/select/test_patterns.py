"""Patterns of failure: what groups, what names them, and that neither depends on the order."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.demo.corpus import requests
from core.categories import Category
from core.config import Select
from core.select.alike.vectors import vectors
from core.select.hard.clusters import centred, clusters
from core.select.hard.hard_negatives import HardNegative, hard_negatives
from core.select.hard.parts import HardParts
from core.select.hard.patterns import Failure, Pattern, Prompt, kind_of, patterns, patterns_of
from core.select.hard.terms import distinctive, words_of
from storage import events, judgments
from storage.db import Store
from storage.rows import NewEvent

INVOICES = [
    "Draw an ER diagram for an invoicing system with invoice, payment and customer.",
    "Model invoice, invoice line, payment and credit note as an ER diagram.",
    "ER diagram for billing: customer, invoice, payment, refund.",
    "Create an entity relationship diagram of an invoice and payment tracker for a small shop.",
    "I need the tables of an accounting app: invoice, payment, account.",
]
CLINICS = [
    "Draw a hospital with patient, doctor, appointment and prescription.",
    "ER diagram of a clinic: patient, doctor, visit, prescription, ward.",
    "Model a hospital with ward, nurse, patient and treatment as an ER diagram.",
    "Design the schema of a patient record system with doctor and diagnosis.",
    "A doctor sees a patient and writes a prescription; draw that hospital.",
]
SCHOOLS = [
    "School with student, teacher, course and grade as an ER diagram.",
    "ER diagram for a university: student, course, enrolment, lecturer, grade.",
    "Model course, student and exam of a school.",
    "Draw an ER diagram of a course registration for student and teacher.",
]


def failure(number: int, prompt: str, kind: str = "missing_foreign_key", **changes: Any) -> Failure:
    values = {"prompt_chars": len(prompt), "score": 40.0, "difficulty": 0.5} | changes
    return Failure(number, kind, prompt, **values)


def prompts(texts: list[str]) -> list[Prompt]:
    return [Prompt(text, len(text)) for text in texts]


def members(found: list[Pattern]) -> list[list[int]]:
    return [sorted(each.members) for each in found]


def test_one_kind_of_fault_in_two_subjects() -> None:
    mixed = [text for both in zip(INVOICES, CLINICS, strict=True) for text in both]
    found = patterns([failure(number, text) for number, text in enumerate(mixed, 1)], vectors, prompts(SCHOOLS))
    # One of the ten is so unlike the rest, character by character, that it stays alone.
    assert members(found) == [[1, 3, 5, 7, 9], [2, 4, 6, 10], [8]]
    assert found[0].name.startswith("missing foreign key · ")
    assert {"invoice", "payment"} <= set(found[0].terms)
    assert {"hospital", "patient"} <= set(found[1].terms)
    assert [each.key for each in found] == [f"missing_foreign_key#{own}" for own in (1, 2, "other")]


def test_kinds_come_apart_and_the_worst_pattern_is_first() -> None:
    ones = [failure(number, text, "syntax", difficulty=0.2) for number, text in enumerate(INVOICES, 1)]
    others = [failure(number, text, difficulty=0.9, score=None) for number, text in enumerate(INVOICES[:2], 11)]
    found = patterns([*ones, *others], vectors)
    assert [(each.kind, each.members) for each in found] == [
        ("missing_foreign_key", (11, 12)),
        ("syntax", (1, 2, 3, 4, 5)),
    ]
    assert found[0].mean_score is None
    assert found[1].mean_score == 40.0


def test_figures_of_a_pattern() -> None:
    given_ones = [
        failure(1, INVOICES[0], score=10.0, difficulty=0.4, corrected=True, since=5.0, note="the tax is missing"),
        failure(2, INVOICES[1], score=30.0, difficulty=0.8, state="reopened", since=9.0),
        failure(3, INVOICES[2], score=None, difficulty=0.8, note="the  tax\nis missing"),
        failure(4, INVOICES[3], score=50.0, difficulty=0.1, note="a"),
    ]
    [found] = patterns(given_ones, vectors)
    assert found.members == (2, 3, 1, 4)
    assert found.worst == (2, 3, 1)
    assert (found.mean_score, found.corrected_share, found.reopened, found.latest) == (30.0, 0.25, 1, 9.0)
    assert found.name.endswith(" · “the tax is missing”")
    assert found.difficulty == pytest.approx(0.525)
    assert patterns([], vectors) == []


def test_long_prompts_are_named_where_they_tell_failures_apart() -> None:
    topics = ["shop", "park", "band", "river", "hotel", "bakery", "museum", "airport"]
    short = [f"Draw a {topic}." for topic in topics * 5]
    long = [f"Draw a {topic}. " + "It has many more tables than this one. " * 30 for topic in topics]
    found = patterns([failure(number, text) for number, text in enumerate(long, 1)], vectors, prompts(short))
    assert all(each.long_prompts and "long prompts" in each.name for each in found)
    everywhere = patterns([failure(number, text) for number, text in enumerate(long, 1)], vectors, prompts(long * 5))
    assert not any(each.long_prompts for each in everywhere)
    # Among failures that are about nothing in common, the long ones stand apart.
    apart = patterns(
        [failure(number, text) for number, text in enumerate([*long[:3], *short[:3]], 1)],
        vectors,
        prompts(short),
    )
    assert {each.key: each.members for each in apart} == {
        "missing_foreign_key#long": (1, 2, 3),
        "missing_foreign_key#other": (4, 5, 6),
    }


def demo_failures(count: int) -> list[Failure]:
    rng = random.Random(count)
    kinds = ["missing_foreign_key", "missing_entity", "syntax"]
    return [
        failure(number, request.prompt, rng.choice(kinds), difficulty=round(rng.random(), 3))
        for number, request in enumerate(requests(count, count, split="feedback"), 1)
    ]


@settings(max_examples=8)
@given(st.integers(0, 120), st.randoms(use_true_random=False))
def test_the_order_of_the_failures_does_not_count(count: int, rng: random.Random) -> None:
    ones = demo_failures(count)
    others = [Prompt(request.prompt, len(request.prompt)) for request in requests(99, 40, split="train")]
    found = patterns(ones, vectors, others)
    shuffled = list(ones)
    rng.shuffle(shuffled)
    assert patterns(shuffled, vectors, others) == found
    assert sorted(event for each in found for event in each.members) == [each.event_id for each in ones]
    assert len({each.key for each in found}) == len(found)
    by_id = {each.event_id: each for each in ones}
    for each in found:
        said = " ".join(by_id[event].prompt for event in each.members).lower()
        assert all(term in said for term in each.terms)
        assert {by_id[event].kind for event in each.members} == {each.kind}


def test_a_pattern_keeps_its_key_when_more_of_it_come_in() -> None:
    mixed = [text for both in zip(INVOICES, CLINICS, strict=True) for text in both]
    ones = [failure(number, text) for number, text in enumerate(mixed, 1)]
    more = [*ones, failure(50, "Draw invoice, payment and customer of an invoicing system.")]
    before, after = (patterns(each, vectors, prompts(SCHOOLS)) for each in (ones, more))
    assert {each.key for each in before} == {each.key for each in after}
    assert any(50 in each.members and 1 in each.members for each in after)


def test_hostile_words_leave_a_name_of_one_plain_line() -> None:
    kind = "bad\x1b[31m\nkind\u202e" + "x" * 500
    ones = [failure(number, f"\x1b]0;title\x07 invoice\u200b {number}\r\nrm", kind) for number in range(1, 4)]
    ones = [*ones[:2], failure(3, "invoice", kind, note="see\n\x1b[2J this\u2066 [red]note[/]" + "y" * 5_000)]
    [found] = patterns(ones, vectors)
    for text in (found.name, found.key, *found.terms):
        assert text.isprintable()
        assert len(text) < 250
    assert "invoice" in found.terms


HARD = HardNegative(
    1, "b2:1", ("low score",), "open", 0.0, 20.0, 0.5, 0, None, None, None, corrected=False, held_out=False,
    parts=HardParts(0.8, 0.0, 0.0, 0.9),
)  # fmt: skip


@pytest.mark.parametrize(
    ("findings", "reasons", "kind"),
    [
        (["w:style", "w:style", "e:syntax"], ("low score",), "syntax"),
        (["e:b", "e:a", "e:a", "e:b", "w:c"], ("low score",), "a"),
        (["e:b", "e:a", "e:b"], ("low score",), "b"),
        (["w:style", "i:more"], ("low score",), "style"),
        (["i:more"], ("low score",), "low score"),
        ([], ("thumbs down",), "thumbs down"),
        (["w:style"], ("thumbs down",), "thumbs down"),
        (["e:syntax"], ("thumbs down",), "syntax"),
        (["e:syntax"], ("lost A/B",), "lost A/B"),
        (["e:syntax"], ("low score", "lost A/B"), "syntax"),
    ],
)
def test_the_finding_that_weighs_most(findings: list[str], reasons: Any, kind: str) -> None:
    severity = {"e": "error", "w": "warning", "i": "info"}
    given_ones = [{"severity": severity[each[0]], "kind": each[2:]} for each in findings]
    assert kind_of(replace(HARD, reasons=reasons), given_ones) == kind


def test_words_and_what_is_distinctive() -> None:
    assert words_of("The [EMAIL_1] of an Invoice_Line, an ÄRGER 42 and x1 io") == {"invoice_line", "ärger"}
    inside = [{"invoice", "invoices", "draw"}, {"invoice", "payment", "draw"}, {"invoice", "payment"}]
    every = {"invoice": 3, "invoices": 1, "payment": 2, "draw": 30}
    assert distinctive(inside, every, 40, 3) == ("invoice", "payment")
    assert distinctive(inside, every, 40, 1) == ("invoice",)


def test_clusters_hold_what_is_alike() -> None:
    rng = np.random.default_rng(3)
    axes = np.eye(16, dtype=np.float32)
    rows = np.concatenate([axes[at] + 0.1 * rng.standard_normal((20, 16), np.float32) for at in range(3)])
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    found = clusters(centred(rows, rows.mean(axis=0)))
    assert sorted(map(tuple, found)) == [tuple(range(20 * at, 20 * at + 20)) for at in range(3)]
    assert clusters(rows[:7]) == []
    same = np.repeat(rows[:1], 30, axis=0)
    assert not centred(same, same.mean(axis=0)).any()
    assert clusters(centred(same, same.mean(axis=0))) == []


def test_read_from_the_store(store: Store) -> None:
    for number, text in enumerate([*INVOICES, *CLINICS], 1):
        finding = {"kind": "missing_entity", "message": "m", "line": None, "severity": "error"}
        events.add(
            store,
            NewEvent(
                created_at=float(number),
                category="erd",
                model="m",
                prompt=text,
                response="r",
                content_hash=f"b2:{number:032x}",
                prompt_hash=f"b2:{number:032x}",
                bucket=50,
                feedback_type="validation_failure",
                score=30.0 if number <= 5 else 90.0,
                valid=False,
                quality=0.2,
                tier="rejected",
                findings=[finding],
            ),
        )
    judgments.judge(store, 2, "correct", correction="erDiagram", note="no invoice lines", now=1.0)
    category = Category(name="erd", title="ER", validator="mermaid_er")
    [found] = patterns_of(store, "erd", hard_negatives(store, category, constants=Select()), vectors)
    assert sorted(found.members) == [1, 2, 3, 4, 5]
    assert found.name.startswith("missing entity · invoice, payment")
    assert found.name.endswith("“no invoice lines”")
    assert found.corrected == 1
