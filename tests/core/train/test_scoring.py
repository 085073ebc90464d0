"""The validation score: which prompts are asked, what counts, and where there is none."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from training_kit import items

from core.categories import Category
from core.run_scoring import category_judge, category_scorer
from core.train import answers
from core.train.scoring import asked_items, validation_scorer
from storage import events
from storage.db import Store
from storage.rows import DatasetItem, NewEvent

BOOKS = items(12, "validation")


@dataclass
class Pretended:
    """Stands for a session; whoever answers is put in place of `greedy_answers`."""

    tokenizer: Callable[..., dict[str, list[str]]] = lambda text, **_: {"input_ids": text.split()}


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[tuple[list[DatasetItem], int]]]:
    """Lets the model answer as told; returns a list of what was asked each time, with the room for an answer."""

    def told(says: Callable[[DatasetItem], str]) -> list[tuple[list[DatasetItem], int]]:
        asked: list[tuple[list[DatasetItem], int]] = []

        def greedy(_: Any, chosen: list[DatasetItem], *, max_tokens: int, **more: Any) -> list[tuple[DatasetItem, str]]:
            asked.append((list(chosen), max_tokens))
            return [(item, says(item)) for item in chosen]

        monkeypatch.setattr(answers, "greedy_answers", greedy)
        return asked

    return told


def never() -> bool:
    return False


def test_the_same_prompts_whatever_the_order_and_each_prompt_once() -> None:
    shuffled = random.Random(1).sample(BOOKS, len(BOOKS))
    again = [replace(item, position=item.position + 100, target="another") for item in BOOKS]
    chosen = asked_items([*shuffled, *again], 5)
    assert chosen == asked_items(BOOKS, 5)
    assert len({item.prompt for item in chosen}) == 5
    assert chosen == asked_items(BOOKS, 9)[:5] and chosen != BOOKS[:5]
    assert asked_items(BOOKS, 0) == []


def test_the_mean_of_what_the_judge_gives(answer: Any) -> None:
    asked = answer(lambda item: item.prompt)
    scorer = validation_scorer(BOOKS, lambda item, text: float(len(text)), max_tokens=500, prompts=4)
    assert scorer is not None
    chosen = asked_items(BOOKS, 4)
    assert scorer(Pretended(), never) == pytest.approx(sum(len(item.prompt) for item in chosen) / 4)  # type: ignore[arg-type]
    assert scorer(Pretended(), never) is not None  # type: ignore[arg-type]
    longest = max(len(item.target.split()) for item in chosen)
    assert asked == [(chosen, 2 * longest + 32)] * 2


def test_an_answer_has_no_more_tokens_than_the_model_is_served_with(answer: Any) -> None:
    asked = answer(lambda item: "")
    scorer = validation_scorer(BOOKS, lambda *_: 1.0, max_tokens=7, prompts=4)
    assert scorer is not None and scorer(Pretended(), never) == 1.0  # type: ignore[arg-type]
    assert asked[0][1] == 7


def test_prompts_whose_known_answer_cannot_be_judged_are_not_asked(answer: Any) -> None:
    """Such a judge may still see that an empty answer is bad: the mean of these would be 0 for every model."""
    known = {item.prompt for item in BOOKS[::2]}

    def judge(item: DatasetItem, text: str) -> float | None:
        if not text:
            return 0.0
        return 80.0 if item.prompt in known else None

    asked = answer(lambda item: item.target if item.prompt in known else "")
    scorer = validation_scorer(BOOKS, judge, max_tokens=50, prompts=3)
    assert scorer is not None and scorer(Pretended(), never) == 80.0  # type: ignore[arg-type]
    assert len(asked[0][0]) == 3 and {item.prompt for item in asked[0][0]} <= known
    assert validation_scorer(BOOKS, lambda _, text: None if text else 0.0, max_tokens=50, prompts=3) is None
    assert validation_scorer([], judge, max_tokens=50, prompts=3) is None


def test_a_judge_that_fails_now_and_then_leaves_its_answer_out(answer: Any) -> None:
    answer(lambda item: "said")
    first = asked_items(BOOKS, 3)[0]
    scores = {"said": None}
    scorer = validation_scorer(
        BOOKS, lambda item, text: scores.get(text, 50.0) if item == first else 50.0, max_tokens=9, prompts=3
    )
    assert scorer is not None and scorer(Pretended(), never) == 50.0  # type: ignore[arg-type]
    mute = validation_scorer(BOOKS, lambda item, text: scores.get(text, 50.0), max_tokens=9, prompts=3)
    assert mute is not None and mute(Pretended(), never) is None  # type: ignore[arg-type]


def test_a_stop_gives_no_score_of_some_of_the_prompts(answer: Any) -> None:
    answer(lambda item: "said")
    scorer = validation_scorer(BOOKS, lambda *_: 50.0, max_tokens=9, prompts=3)
    assert scorer is not None and scorer(Pretended(), lambda: True) is None  # type: ignore[arg-type]


class TestOfACategory:
    """With the category's validator, and what its events tell of a right answer."""

    @pytest.fixture
    def item(self, store: Store) -> DatasetItem:
        event = events.add(
            store,
            NewEvent(
                created_at=1.0,
                category="erd",
                model="m",
                prompt="Draw a shop",
                response="erDiagram\n    shop {\n        int id PK\n    }",
                content_hash="b2:1",
                prompt_hash="b2:1",
                bucket=90,
                feedback_type="success",
                score=90.0,
                valid=True,
                quality=0.9,
                tier="gold",
                metadata={"expected": {"entities": ["shop"]}},
            ),
        )
        target = "erDiagram\n    shop {\n        int id PK\n    }"
        return replace(BOOKS[0], event_id=event, prompt="Draw a shop", target=target)

    def test_the_judge_knows_what_the_event_expects(self, store: Store, item: DatasetItem) -> None:
        judge = category_judge(store, Category("erd", "ER", validator="mermaid_er"), [item])
        right, wrong = judge(item, item.target), judge(item, item.target.replace("shop", "zebra"))
        unknown = judge(replace(item, event_id=99), item.target.replace("shop", "zebra"))
        assert right is not None and wrong is not None and unknown is not None
        assert right > wrong and unknown > wrong

    def test_a_scorer_where_there_is_something_to_judge(self, store: Store, item: DatasetItem, answer: Any) -> None:
        answer(lambda asked: asked.target)
        judged = Category("erd", "ER", validator="mermaid_er")
        scorer = category_scorer(store, judged, [item], max_tokens=50, prompts=4)
        assert scorer is not None
        assert scorer(Pretended(), never) == category_judge(store, judged, [item])(item, item.target)  # type: ignore[arg-type]
        assert category_scorer(store, judged, [item], max_tokens=50, prompts=0) is None
        assert category_scorer(store, judged, [], max_tokens=50, prompts=4) is None
        assert category_scorer(store, Category("erd", "ER"), [item], max_tokens=50, prompts=4) is None
