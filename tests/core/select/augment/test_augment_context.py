"""Passages in another order or left out, checked by hand."""

from __future__ import annotations

import random
from itertools import islice

import pytest

from core.select.alike.vectors import vectors
from core.select.augment.augment import augment
from core.select.augment.context import other_contexts, passages_in, proved
from core.select.augment.source import Source
from core.validate.validator import Validation

FIRST = "Refunds arrive within fourteen days."
SECOND = "Our office dog likes bones.\nIt sleeps a lot."
THIRD = "Money goes back onto the card."
CONTEXT = f"{FIRST}\n\n{SECOND}\n\n{THIRD}"
PROMPT = f"Answer from the passages.\n\n{CONTEXT}\n\nWhen is my refund there?"
TARGET = "Refunds take fourteen days and go back onto the card."


def varied(prompt: str = PROMPT, target: str = TARGET, context: str = CONTEXT) -> set[str]:
    return set(islice(other_contexts(prompt, target, context, random.Random(1)), 80))


def test_passages_change_places_and_only_those_without_a_share_in_the_answer_are_left_out() -> None:
    found = varied()
    assert len(found) == 8
    assert PROMPT.replace(f"{SECOND}\n\n", "") in found
    for text in found:
        assert FIRST in text
        assert THIRD in text
        assert text.endswith("\n\nWhen is my refund there?")
        assert proved(PROMPT, text, TARGET, CONTEXT)


def test_a_passage_that_the_answer_needs_is_missed_by_the_proof() -> None:
    assert not proved(PROMPT, PROMPT.replace(f"{FIRST}\n\n", ""), TARGET, CONTEXT)
    assert not proved(PROMPT, PROMPT.replace("bones", "cats"), TARGET, CONTEXT)
    assert not proved(PROMPT, PROMPT.replace("When", "Where"), TARGET, CONTEXT)
    assert not proved(PROMPT, PROMPT.replace(SECOND, FIRST), TARGET, CONTEXT)


@pytest.mark.parametrize(
    ("prompt", "target", "context"),
    [
        ("When is my refund there?", TARGET, CONTEXT),  # the prompt does not show the passages
        (PROMPT, TARGET, FIRST),
        (PROMPT, TARGET, ""),
        (PROMPT, "It stands in the second passage.", CONTEXT),
        (PROMPT.replace("Answer", "What does the first say? Answer"), TARGET, CONTEXT),
        (f"1. {FIRST}\n2. {SECOND}\n3. {THIRD}", TARGET, CONTEXT),  # the numbers would stay behind
        (f"{PROMPT}\n{FIRST}", TARGET, CONTEXT),
    ],
)
def test_where_it_does_not_fit(prompt: str, target: str, context: str) -> None:
    assert varied(prompt, target, context) == set()
    assert not proved(prompt, prompt, target, context) or passages_in(prompt, context)


def test_the_engine_takes_them() -> None:
    source = Source(1, PROMPT, TARGET, context=CONTEXT)
    found = augment(
        [source], validate=lambda *_: Validation(80.0, True), embed=vectors, factor=4, methods=["context"], seed=2
    )
    assert {item.origin for item in found.items} == {"context"}
    assert len({item.prompt for item in found.items}) == 3
