from __future__ import annotations

from collections import Counter

import pytest
from selection_kit import NOW, Add, chosen, on_the_test_side, prompts, split, trained

from core.categories import Category, load_categories
from core.errors import RunError
from core.paths import Home
from core.select.dataset import freeze
from core.select.held_out import held_out_events
from core.select.review import review_order
from core.select.split import bucket, is_validation, prompt_hash
from storage import datasets, events, judgments
from storage.db import Store
from storage.rows import EventFilter


def test_nothing_gives_nothing_and_cannot_be_frozen(store: Store, home: Home, erd: Category) -> None:
    selection = chosen(store, home, erd)
    assert selection.items == []
    assert selection.summary == "erd: 0 of 0 eligible"
    with pytest.raises(RunError, match="nothing to train on"):
        freeze(store, selection, now=NOW)


def test_a_tiny_category_trains_on_all_and_is_never_tested_on_it(
    store: Store, home: Home, erd: Category, add: Add
) -> None:
    ids = [add(text) for text in prompts(4, held_out=True)]
    selection = chosen(store, home, erd)
    assert sorted(split(selection, "train")) == ids
    assert split(selection, "test") == []
    trained(store, selection)
    fresh = [add(text) for text in prompts(8, held_out=True)[4:]]
    again = chosen(store, home, erd)
    assert sorted(split(again, "test")) == fresh
    assert sorted(split(again, "train")) == ids
    assert sorted(event.id for event in held_out_events(store, "erd", limit=9)) == fresh


def test_every_event_is_taken_or_has_a_reason(store: Store, home: Home, erd: Category, add: Add) -> None:
    texts = prompts(10)
    add(texts[0])
    add(texts[1], score=55.0)
    add(texts[2], score=70.0)
    add(texts[3], score=None)
    add(texts[4], response="TODO: write this answer some day, perhaps tomorrow")
    bad = add(texts[5])
    confirmed = add(texts[6], score=None)
    corrected = add(texts[7], score=20.0)
    judgments.judge(store, bad, "bad", now=NOW)
    judgments.judge(store, confirmed, "good", now=NOW)
    judgments.judge(store, corrected, "correct", correction="the right answer, in full", now=NOW)
    add(texts[8], score=75.0)
    add(texts[9], created_at=NOW - 400 * 86_400.0)
    selection = chosen(store, home, erd)
    assert selection.counts["held_back"] == {
        "low score": 2, "no score": 1, "generic": 1, "rejected by a human": 1, "low tier": 1,
    }  # fmt: skip
    assert selection.counts["reasons"]["low score"] == ["score 55 ≤ 70", "score 70 ≤ 70"]  # type: ignore[index]
    assert (selection.counts["considered"], selection.counts["eligible"], selection.counts["corrections"]) == (10, 4, 1)
    assert selection.summary.startswith("erd: 4 of 10 eligible; 2 held back for a low score, 1 ")
    lesson = next(item for item in selection.items if item.event_id == corrected)
    assert lesson.target == "the right answer, in full"


def test_a_judgment_that_was_taken_back_counts_no_more(store: Store, home: Home, erd: Category, add: Add) -> None:
    event = add(prompts(1)[0])
    judgments.judge(store, event, "reject", now=NOW)
    assert chosen(store, home, erd).counts["eligible"] == 0
    judgments.undo(store, now=NOW)
    assert chosen(store, home, erd).counts["eligible"] == 1


def test_an_invalid_correction_is_held_back(store: Store, home: Home, add: Add) -> None:
    event = add(prompts(1)[0], score=20.0)
    judgments.judge(store, event, "correct", correction="no diagram at all", now=NOW)
    selection = chosen(store, home, load_categories(home)["erd"])
    assert selection.counts["held_back"] == {"invalid correction": 1}


def test_of_near_duplicates_the_correction_stays(store: Store, home: Home, erd: Category, add: Add) -> None:
    text = prompts(1)[0]
    add(text, "the same long answer to the question, with dots")
    kept = add(text + ".", "something wholly wrong", score=10.0)
    judgments.judge(store, kept, "correct", correction="the same long answer to the question, with dots.", now=NOW)
    selection = chosen(store, home, erd)
    assert split(selection, "train") == [kept]
    assert selection.summary == "erd: 1 of 2 eligible; 1 held back as near-duplicates"


def test_held_out_prompts_never_stand_in_train_as_data_grows(store: Store, home: Home, erd: Category, add: Add) -> None:
    sides: dict[int, str] = {}
    for text in prompts(120, held_out=None):
        add(text)
        if len(sides) % 30 and events.count(store, EventFilter()) % 40:
            continue
        for item in chosen(store, home, erd).items:
            if item.split == "test" or sides.get(item.event_id) == "test":
                assert sides.setdefault(item.event_id, item.split) == item.split
    selection = chosen(store, home, erd)
    by_split = {name: {prompt_hash(i.prompt) for i in selection.items if i.split == name} for name in ("train", "test")}
    assert not by_split["train"] & by_split["test"]
    watching = [item for item in selection.items if item.split == "validation"]
    assert watching
    assert all(is_validation(bucket(prompt_hash(item.prompt))) for item in watching)


def test_the_same_question_gives_the_same_answer_whenever_it_is_asked(
    store: Store, home: Home, erd: Category, add: Add
) -> None:
    for number, text in enumerate(prompts(40)):
        add(text, score=80.0 + number / 2, created_at=NOW - number * 86_400.0)
    first, later = chosen(store, home, erd), chosen(store, home, erd, now=NOW + 90 * 86_400.0)
    assert first.hash == later.hash
    assert chosen(store, home, erd, seed=1).hash != first.hash
    assert freeze(store, first, now=NOW) == freeze(store, later, now=NOW + 1)
    assert datasets.items(store, 1) == first.items


def test_train_order_weights_and_stages(store: Store, home: Home, erd: Category, add: Add) -> None:
    for number, text in enumerate(prompts(40)):
        add(text, score=80.0 + number / 2)
    items = [item for item in chosen(store, home, erd, curriculum=True).items if item.split == "train"]
    assert [item.position for item in items] == list(range(len(items)))
    ranks = [("easy", "medium", "hard").index(item.stage) for item in items]
    assert ranks == sorted(ranks)
    assert set(Counter(ranks)) == {0, 1, 2}
    assert sum(item.weight for item in items) / len(items) == pytest.approx(1.0, abs=1e-4)
    assert max(item.weight for item in items) > min(item.weight for item in items)
    plain = chosen(store, home, erd, weigh_by_reward=False)
    assert {item.weight for item in plain.items} == {1.0}


def test_a_limit_takes_the_most_informative(store: Store, home: Home, erd: Category, add: Add) -> None:
    ids = [add(text, score=99.0) for text in prompts(30)]
    judgments.judge(store, ids[3], "correct", correction="a better answer altogether", now=NOW)
    selection = chosen(store, home, erd, limit=5)
    assert len(split(selection, "train")) == 5
    assert ids[3] in split(selection, "train")
    assert selection.counts["eligible"] == 30


def test_a_level_mixes_stages(store: Store, home: Home, erd: Category, add: Add) -> None:
    for number, text in enumerate(prompts(60)):
        add(text, score=80.0 + number / 3)
    selection = chosen(store, home, erd, limit=10, level=1)
    assert selection.counts["stages"] == {"easy": 7, "medium": 3}


def test_the_test_split_has_distinct_prompts_in_a_stable_order(store: Store, add: Add) -> None:
    texts = prompts(12, held_out=True)
    for text in texts:
        add(text)
    better = add(texts[0], "another answer", score=10.0)
    judgments.judge(store, better, "correct", correction="the reference", now=NOW)
    rejected = add(prompts(13, held_out=True)[12])
    judgments.judge(store, rejected, "reject", now=NOW)
    found = held_out_events(store, "erd", limit=100)
    assert [event.prompt_hash for event in found] == sorted(prompt_hash(text) for text in texts)
    assert better in [event.id for event in found]
    assert [event.id for event in held_out_events(store, "erd", limit=5)] == [event.id for event in found[:5]]


def test_review_asks_for_what_teaches_most_first(store: Store, add: Add) -> None:
    texts = prompts(6)
    sure = add(texts[0], score=99.0)
    unsure = add(texts[1], score=5.0, feedback_type="validation_failure")
    copy = add(texts[1] + "!", score=5.0, feedback_type="validation_failure")
    other = add(texts[2], score=30.0, feedback_type="validation_failure")
    judged = add(texts[3], score=1.0)
    judgments.judge(store, judged, "good", now=NOW)
    found = review_order(store, EventFilter(category="erd", verdict="pending"))
    assert list(found) == [unsure, other, copy, sure]
    assert list(review_order(store, EventFilter(verdict="pending"), limit=2)) == [unsure, other]
    assert list(review_order(store, EventFilter(category="none"))) == []


def test_nothing_near_the_test_is_trained_on(store: Store, home: Home, erd: Category, add: Add) -> None:
    (held,) = prompts(1, held_out=True)
    near = next(text for text in (f"{held}{mark}" for mark in "abcdefghijklmnop") if not on_the_test_side(text))
    answer = "the same long answer to both of them, word for word, with nothing changed in it"
    add(held, answer)
    copy = add(near, answer)
    kept = [add(text) for text in prompts(6)]
    selection = chosen(store, home, erd)
    trained = {item.event_id for item in selection.items if item.split == "train"}
    assert trained == set(kept) and copy not in trained
    assert selection.counts["held_back"] == {"held out": 1, "near test": 1}
    assert "kept for testing" in str(selection.counts["reasons"]) and "near-copies of what is kept" in selection.summary


def test_a_chat_carries_its_earlier_turns_into_the_dataset(store: Store, home: Home, erd: Category, add: Add) -> None:
    turns = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "hi"}]
    first, second, third = prompts(3)
    chat = add(first, history=turns)
    tools = add(second, history=[*turns, {"role": "tool", "content": "42"}])
    add(third)
    selection = chosen(store, home, erd)
    by_event = {item.event_id: item for item in selection.items}
    assert by_event[chat].history == turns
    assert tools not in by_event and selection.counts["held_back"] == {"tools": 1}
    dataset = freeze(store, selection, now=NOW)
    assert [item.history for item in datasets.items(store, dataset) if item.event_id == chat] == [turns]
