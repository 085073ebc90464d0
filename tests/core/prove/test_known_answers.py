"""What is known of the right answer: from the event, from a correction where there is one label, and what it proves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self

import pytest
from versions_kit import add_version

from core.backends.backend import Generation, Message, Sampling
from core.categories import Category
from core.config import Config, Publish
from core.paths import Home
from core.prove.ab import run_ab
from core.prove.breakdown import NO_PATTERN, breakdown
from core.prove.evaluate import Examiner, sampling_of
from core.prove.known import expected_of
from core.prove.pooled import outcomes
from core.select.split import bucket, content_hash, prompt_hash
from core.validate.registry import validator_for
from storage import ab_tests, events, judgments
from storage.db import Store
from storage.rows import EventRow, NewEvent

LABELS = Category(
    name="tickets", title="Tickets", validator="label", validator_options={"labels": ["bug", "wish", "question"]}
)


class Told:
    """A backend whose answer is a function of the model and the prompt."""

    name = "told"

    def __init__(self, answer: Callable[[str, str], str]) -> None:
        self._answer = answer

    def generate(self, model: str, messages: Sequence[Message], sampling: Sampling) -> Generation:
        arm = Path(model).parent.name
        return Generation(self._answer(arm, messages[-1].content), 3, 1, 0.5, "stop", -0.1 if arm == "v1" else None)

    def close(self) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None: ...


def add(store: Store, number: int, *, score: float | None = None, expected: str | None = None) -> int:
    prompt = f"Ticket number {number}: it does not start, why?"
    known = prompt_hash(prompt)
    event = NewEvent(
        created_at=1.0 + number, category="tickets", model="m", prompt=prompt, response="wish",
        content_hash=content_hash(prompt, "wish"), prompt_hash=known, bucket=bucket(known), feedback_type="neutral",
        score=score, valid=True, quality=0.5, tier="bronze", findings=[{"kind": "wrong_label", "message": "x"}],
        metadata={"expected": {"label": expected}} if expected else {},
    )  # fmt: skip
    return events.add(store, event)


def of(store: Store, ids: Sequence[int]) -> list[EventRow]:
    return events.get_many(store, list(ids))


@pytest.fixture
def three(store: Store) -> list[EventRow]:
    """The first comes with its label, the second is corrected, of the third nothing is known."""
    ids = [add(store, 0, expected="bug"), add(store, 1), add(store, 2)]
    judgments.judge(store, ids[1], "correct", correction='{"label": "question"}', now=5.0)
    return of(store, ids)


def test_a_correction_is_the_known_label(three: list[EventRow]) -> None:
    validator = validator_for(LABELS)
    assert [expected_of(validator, event) for event in three] == [{"label": "bug"}, {"label": "question"}, None]
    unclear = replace(three[1], correction="a bug, or a wish")
    assert expected_of(validator, unclear) is None
    assert expected_of(validator_for(Category(name="x", title="x")), three[1]) is None


def test_right_and_wrong_answers_are_told_apart_whatever_their_form(three: list[EventRow]) -> None:
    examiner = Examiner(Told(lambda *_: ""), LABELS, Sampling())
    for text, right in (("bug", True), ("```\nbug\n```", True), ("wish", False), ("bug or wish", False), ("", False)):
        answer = examiner.scored(three[0], text, 1, 1.0, confidence=-0.25)
        assert (answer.correct, answer.judged, answer.confidence) == (right, True, -0.25)
    strange = replace(three[0], metadata={"expected": {"label": "no such label"}})
    assert examiner.scored(strange, "nonsense", 1, 1.0).correct is None
    unknown = examiner.scored(three[2], "bug", 1, 1.0)
    assert (unknown.correct, unknown.judged, unknown.confidence) == (None, False, None)


def test_a_value_to_be_found_is_a_known_answer_too(three: list[EventRow]) -> None:
    category = Category(name="n", title="n", validator="regex", validator_options={"pattern": r"total: (\d+)"})
    event = replace(three[0], metadata={"expected": {"match": "42"}})
    examiner = Examiner(Told(lambda *_: ""), category, Sampling())
    told = {text: examiner.scored(event, text, 1, 1.0).correct for text in ("total: 42", "total: 41", "none")}
    assert told == {"total: 42": True, "total: 41": False, "none": False}
    assert examiner.scored(three[2], "total: 42", 1, 1.0).correct is None


def test_a_test_keeps_what_is_known_and_leaves_out_what_nobody_can_judge(
    store: Store, home: Home, three: list[EventRow]
) -> None:
    arms = [add_version(store, home, number, category="tickets") for number in (0, 1)]
    right = {three[0].prompt: "bug", three[1].prompt: "question", three[2].prompt: "bug"}
    test = run_ab(
        store, home, Told(lambda arm, prompt: right[prompt] if arm == "v1" else "wish"), arms[0], arms[1],
        category=LABELS, events=three, sampling=sampling_of(Publish()), seed=0, config=Config(),
    )  # fmt: skip
    pairs = ab_tests.pairs(store, test.id)
    assert [(pair.correct_a, pair.correct_b, pair.judged) for pair in pairs] == [
        (False, True, True), (False, True, True), (None, None, False),
    ]  # fmt: skip
    assert [(pair.confidence_a, pair.confidence_b, pair.winner) for pair in pairs] == [
        (None, -0.1, "b"), (None, -0.1, "b"), (None, -0.1, "tie"),
    ]  # fmt: skip
    result = test.result
    assert result is not None
    assert (result["wins"], result["ties"], result["n"], result["not_judged"]) == (2, 0, 2, 1)
    assert (result["accuracy_a"], result["accuracy_b"], result["known_answers"]) == (0.0, 1.0, 2)
    assert result["confidence_a"] is None and result["confidence_b"] == pytest.approx(-0.1)


def test_outcomes_are_told_by_what_used_to_fail(store: Store, home: Home) -> None:
    failed = [add(store, number, score=20.0, expected="bug") for number in range(4)]
    fine = [add(store, number, score=100.0, expected="wish") for number in range(10, 12)]
    arms = [add_version(store, home, number, category="tickets") for number in (0, 1)]
    run_ab(
        store, home, Told(lambda arm, _: "bug" if arm == "v1" else "wish"), arms[0], arms[1], category=LABELS,
        events=of(store, [*failed, *fine]), sampling=sampling_of(Publish()), seed=0, config=Config(),
    )  # fmt: skip
    whole, *patterns = breakdown(store, Config(), LABELS, outcomes(store, arms[0].id, arms[1].id))
    assert (whole.kind, whole.name, whole.wins, whole.losses, whole.n) == ("category", "tickets", 4, 2, 6)
    assert sum(part.n for part in patterns) == 6 and patterns[-1].name == NO_PATTERN
    assert "wrong label" in patterns[0].name
    assert [(part.wins, part.losses) for part in patterns] == [(4, 0), (0, 2)]
    assert patterns[0].interval[0] > 0.3 and patterns[0].score_b == 100.0
