"""Lone thumbs as a dataset: what was liked, what was not, what a correction makes of an answer, and both sides."""

from __future__ import annotations

from typing import Any

import pytest
from selection_kit import NOW, Add, add_event, items_of, new_event, on_the_test_side, prompts

from core.categories import Category, load_categories
from core.config import Config, Select
from core.errors import RunError
from core.paths import Home
from core.select.dataset import Selection, freeze
from core.select.methods.selecting import Wanted, selected
from core.select.split import bucket, is_validation, prompt_hash
from storage import datasets, judgments
from storage.db import Store

CONFIG = Config(select=Select(embeddings="none"))


def of(store: Store, home: Home, category: Category, config: Config = CONFIG, **wanted: Any) -> Selection:
    return selected(store, home, config, category, Wanted(method="kto", **wanted), now=NOW)


def judged(store: Store, prompt: str, verdict: Any, correction: str | None = None, **over: Any) -> int:
    event = add_event(store, prompt, **over)
    judgments.judge(store, event, verdict, correction=correction, now=NOW)
    return event


def told(selection: Selection, split: str = "train") -> set[tuple[int, str, bool]]:
    return {(item.event_id, item.target, item.desirable) for item in items_of(selection, split)}


def test_thumbs_stand_as_given_and_a_correction_is_two(store: Store, home: Home, erd: Category, add: Add) -> None:
    texts = prompts(6)
    liked, disliked = judged(store, texts[0], "good", score=30.0), judged(store, texts[1], "bad", score=95.0)
    mended = judged(store, texts[2], "correct", "What is right")
    judged(store, texts[3], "reject")
    judged(store, texts[4], "skip")
    add(texts[5])
    selection = of(store, home, erd)
    assert told(selection) == {
        (liked, new_event(texts[0]).response, True),
        (disliked, new_event(texts[1]).response, False),
        (mended, "What is right", True),
        (mended, new_event(texts[2]).response, False),
    }
    counts = selection.counts
    assert (counts["considered"], counts["eligible"], counts["held_back"]) == (4, 4, {})
    assert (counts["desirable"], counts["undesirable"], counts["corrections"]) == (2, 2, 1)
    kept = freeze(store, selection, now=NOW)
    assert datasets.items(store, kept) == selection.items
    assert of(store, home, erd) == selection
    judgments.undo(store, now=NOW + 1)  # the skip
    judgments.judge(store, liked, "bad", now=NOW + 2)
    assert (liked, new_event(texts[0]).response, False) in told(of(store, home, erd))


def test_what_is_held_back_is_counted(store: Store, home: Home) -> None:
    erd = load_categories(home)["erd"]
    texts = prompts(9)
    judged(store, texts[0], "good", metadata={"finish_reason": "length"})
    judged(store, texts[2], "good", generic=True)
    judged(store, texts[3], "bad", generic=True)
    judged(store, texts[4], "correct", "no diagram at all")
    judged(store, texts[5], "bad", history=[{"role": "assistant", "content": "", "tool_calls": []}])
    for text in prompts(3, held_out=True):
        judged(store, text, "good")
    selection = of(store, home, erd)
    held: Any = selection.counts["held_back"]
    assert held == {"held out": 3, "truncated": 1, "generic": 1, "invalid correction": 1, "tools": 1}
    assert selection.counts["considered"] == 9 and selection.counts["undesirable"] == 2
    assert {item.split for item in selection.items} == {"train", "test"}


def test_near_copies_of_tests_and_of_each_other_stay_out(store: Store, home: Home, erd: Category, add: Add) -> None:
    kept = next(text for text in prompts(40, held_out=True) if not on_the_test_side(f"{text}!"))
    for text in prompts(9)[5:]:
        add(text)
    add(kept)
    judged(store, f"{kept}!", "bad", response=f"{new_event(kept).response}.")
    text = prompts(1)[0]
    one = judged(store, text, "good", response="A long answer that two models gave, word for word")
    other = judged(store, text, "good", response="A long answer that two models gave, word for words", score=90.0)
    bad = judged(store, text, "bad", response="A long answer that two models gave, word for wor")
    selection = of(store, home, erd)
    assert selection.counts["held_back"] == {"near test": 1, "near-duplicate": 1}
    assert {event for event, _, _ in told(selection)} == {one, bad} and other


def test_of_two_thumbs_on_one_text_the_newer_holds(store: Store, home: Home, erd: Category) -> None:
    first, second = prompts(2)
    original = judged(store, first, "bad", response="What was said first")
    mended = add_event(store, first, "Something else")
    judgments.judge(store, mended, "correct", correction="What was said first", now=NOW + 5)
    judged(store, second, "bad")
    selection = of(store, home, erd)
    assert selection.counts["held_back"] == {"contradiction": 1}
    assert (mended, "What was said first", True) in told(selection)
    assert original not in {event for event, _, _ in told(selection)}


@pytest.mark.parametrize(("verdict", "missing"), [("good", "bad"), ("bad", "good")])
def test_one_side_alone_teaches_nothing(store: Store, home: Home, erd: Category, verdict: str, missing: str) -> None:
    for text in prompts(3):
        judged(store, text, verdict)
    selection = of(store, home, erd)
    with pytest.raises(RunError, match=f"All 3 answers to train on were marked {verdict} and none {missing}") as raised:
        freeze(store, selection, now=NOW)
    assert "Mark some outputs" in raised.value.hint
    assert store.value("SELECT count(*) FROM datasets") == 0


def test_without_thumbs_the_error_says_what_to_do(store: Store, home: Home, erd: Category, add: Add) -> None:
    add(prompts(1)[0])
    with pytest.raises(RunError, match="0 of 0 thumbs eligible") as raised:
        freeze(store, of(store, home, erd), now=NOW)
    assert "good" in raised.value.hint


def test_both_sides_pull_alike(store: Store, home: Home, erd: Category) -> None:
    for at, text in enumerate(prompts(12)):
        judged(store, text, "bad" if at < 3 else "good")
    items = items_of(of(store, home, erd), "train")
    assert sum(item.weight for item in items) / len(items) == pytest.approx(1.0, abs=1e-5)
    pull = {side: sum(item.weight for item in items if item.desirable is side) for side in (True, False)}
    assert pull[True] == pytest.approx(pull[False], abs=1e-4)
    plain = items_of(of(store, home, erd, Config(select=Select(weigh_by_reward=False))), "train")
    assert {item.weight for item in plain} == {1.0}


@pytest.mark.parametrize(("limit", "sides"), [(2, (1, 1)), (7, (4, 3)), (10, (7, 3)), (50, (9, 3))])
def test_the_best_of_both_sides(store: Store, home: Home, erd: Category, limit: int, sides: tuple[int, int]) -> None:
    texts = prompts(12)
    for at, text in enumerate(texts):
        judged(store, text, "bad" if at < 3 else "good", score=50.0 + at)
    selection = of(store, home, erd, limit=limit)
    assert (selection.counts["desirable"], selection.counts["undesirable"]) == sides
    best = {item.prompt for item in items_of(selection, "train")}
    assert {texts[0], texts[11]} <= best, "the worst that was disliked and the best that was liked"


def test_validation_has_both_thumbs_or_is_none(store: Store, home: Home, erd: Category) -> None:
    texts = prompts(200)
    watching = [text for text in texts if is_validation(bucket(prompt_hash(text)))]
    others = [text for text in texts if text not in watching][:20]
    for at, text in enumerate(others):
        judged(store, text, "bad" if at % 2 else "good")
    judged(store, watching[0], "good")
    judged(store, watching[1], "good")
    alone = of(store, home, erd)
    assert (alone.counts["train"], alone.counts["validation"]) == (22, 0)
    judged(store, watching[2], "bad")
    both = of(store, home, erd)
    assert (both.counts["train"], both.counts["validation"]) == (20, 3)
    assert sum(item.desirable for item in items_of(both, "validation")) == 2
