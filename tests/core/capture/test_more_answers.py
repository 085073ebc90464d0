"""Answers to rank on a home in which nothing was trained: by the shipped model itself."""

from __future__ import annotations

import pytest

from core.capture.more_answers import more_answers
from core.capture.record import Recorder
from core.categories import load_categories
from core.config import Config
from core.errors import FinetuneError
from core.paths import Home
from storage import comparisons
from storage.db import Store

ANSWER = "erDiagram\n    shop ||--o{ order : has\n"


@pytest.mark.process
def test_the_base_model_answers_where_there_is_no_version(home: Home, store: Store) -> None:
    recorder = Recorder(store, home, Config(), load_categories(home))
    prompts = [f"ER diagram for a shop: order, item{number}." for number in range(6)]
    recorder.record_many(
        [{"prompt": prompt, "response": ANSWER, "category": "erd", "model": "m"} for prompt in prompts]
    )
    told: list[tuple[int, int]] = []
    found = more_answers(home, "erd", n=2, prompts=2, progress=lambda *far: told.append(far))
    assert (found.model, found.stopped, found.done.answered) == ("demo", False, 2)
    assert told == [(1, 2), (2, 2)]
    assert len(comparisons.several(store, "erd", held_out_percent=0)) == 2
    assert more_answers(home, "erd", n=2, prompts=1, stopped=lambda: True).stopped


def test_nothing_to_answer_is_said_before_a_model_is_made(home: Home, store: Store) -> None:
    with pytest.raises(FinetuneError, match="no prompt with one answer"):
        more_answers(home, "erd", n=2)
    assert not (home.root / "playground").exists()
