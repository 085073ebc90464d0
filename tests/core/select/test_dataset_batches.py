"""What a limited training takes: failures with corrections, replay of what was learned, texts compared by meaning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from selection_kit import (
    NOW,
    Add,
    add_failure,
    chosen,
    items_of,
    new_event,
    prompts,
    split,
    trained,
    version_of,
)

from core.categories import Category
from core.config import Config, Select
from core.paths import Home
from core.select.alike import meaning as meanings
from core.select.alike.meaning import PLAIN, Meaning, cached_meaning, fill, preview
from core.select.alike.vectors import Vectors
from core.select.dataset import Selection, select_dataset
from storage import datasets, events, hard_tests, judgments
from storage.db import Store

ANSWERS = 60


def origins(selection: Selection, origin: str) -> set[int]:
    return {item.event_id for item in selection.items if item.origin == origin and item.split == "train"}


@pytest.fixture
def mixed(store: Store) -> list[int]:
    """60 good answers, and 20 failures that a person corrected; the ids of those."""
    texts = prompts(ANSWERS + 20)
    events.add_many(store, [new_event(text, score=99.0) for text in texts[:ANSWERS]])
    return [add_failure(store, text, f"What is right for {text}") for text in texts[ANSWERS:]]


@pytest.mark.parametrize(("limit", "hard"), [(20, 7), (40, 14), (10, 4), (1, 0)])
def test_35_of_100_examples_are_failures_with_corrections(
    store: Store, home: Home, erd: Category, mixed: list[int], limit: int, hard: int
) -> None:
    # 0.35 × 20 = 7; 0.35 × 40 = 14; 0.35 × 10 = 3.5, rounded up; 0.35 × 1 = 0.35.
    found = chosen(store, home, erd, limit=limit)
    assert len(split(found, "train")) == limit
    assert (len(set(mixed) & set(split(found, "train"))), found.counts["hard"]) == (hard, hard)
    targets = {item.event_id: item.target for item in items_of(found, "train")}
    assert all(targets[event].startswith("What is right for ") for event in set(mixed) & set(targets))
    assert found.counts["corrections"] == hard


def test_the_share_is_a_setting_and_can_be_switched_off(
    store: Store, home: Home, erd: Category, mixed: list[int]
) -> None:
    assert chosen(store, home, erd, limit=20, hard_share=0.1).counts["hard"] == 2
    # Without it, what the model is least sure of comes first anyway: those are failures, one after another.
    assert int(str(chosen(store, home, erd, limit=20, hard_negatives=False).counts["hard"])) > 7


def test_a_failure_that_a_version_has_passed_is_hard_no_more(
    store: Store, home: Home, erd: Category, mixed: list[int]
) -> None:
    version = version_of(store, trained(store, chosen(store, home, erd, limit=20)), 1)
    hard = [event for event in mixed if event in split(chosen(store, home, erd), "train")]
    assert len(hard) > 15
    for event in hard[5:]:
        hard_tests.add(store, event, version, at=NOW, response="r", score=90.0, passed=True)
    for event in hard[:5]:
        hard_tests.add(store, event, version, at=NOW, response="r", score=30.0, passed=False)
    found = chosen(store, home, erd, limit=40)
    assert found.counts["hard"] == 5, "fourteen would be the share, and five are left"
    assert set(hard[:5]) <= set(split(found, "train"))
    second = version_of(store, trained(store, found), 2)
    hard_tests.add(store, hard[5], second, at=NOW + 1, response="r", score=20.0, passed=False)
    again = chosen(store, home, erd, limit=40)
    assert again.counts["hard"] == 6
    assert hard[5] in split(again, "train")


def test_a_failure_without_a_correction_waits_and_is_never_taught(
    store: Store, home: Home, erd: Category, add: Add
) -> None:
    texts = prompts(40)
    good = {add(text) for text in texts[:30]}
    waiting = [add_failure(store, text) for text in texts[30:36]]
    bad = add(texts[36])
    judgments.judge(store, bad, "bad", now=NOW)
    rejected = add_failure(store, texts[37])
    judgments.judge(store, rejected, "reject", now=NOW)
    corrected = add_failure(store, texts[38], "What is right")
    kept = [add_failure(store, text) for text in prompts(3, held_out=True)]
    for limit in (None, 20):
        found = chosen(store, home, erd, limit=limit)
        assert set(split(found, "train")) <= {*good, corrected}
        assert corrected in split(found, "train")
        assert found.counts["hard"] == 1
        # Neither what was rejected as an example waits nor what is kept for testing.
        assert found.counts["waiting"] == len(waiting) + 1
    assert set(split(chosen(store, home, erd), "test")) == set(kept)
    assert {*waiting, bad, rejected}.isdisjoint(item.event_id for item in chosen(store, home, erd).items)


def test_a_low_bar_does_not_make_failures_hard_examples(store: Store, home: Home, erd: Category, add: Add) -> None:
    """Who trains on low scores gets them, but no batch prefers bad answers because they are bad."""
    texts = prompts(40)
    for text in texts[:30]:
        add(text)
    low = [add(text, score=58.0, quality=0.0) for text in texts[30:]]
    settings: dict[str, Any] = {"min_score": 50.0, "min_reward": -1.0}
    lenient = replace(erd, min_tier="rejected")
    assert set(low) & set(split(chosen(store, home, lenient, **settings), "train"))
    assert chosen(store, home, lenient, limit=20, **settings).counts["hard"] == 0


@pytest.fixture
def chain(store: Store, home: Home, erd: Category, add: Add) -> list[int]:
    """Versions 1, 2 and 3, each going on from the one before with 10 events more; version 1's are 10 of tier gold."""
    made: list[int] = []
    for number in (1, 2, 3):
        for text in prompts(30)[10 * (number - 1) : 10 * number]:
            event = add(text)
            if number == 1:
                judgments.judge(store, event, "good", now=NOW)
        start = made[-1] if made else None
        known = datasets.learned_event_ids(store, start) if start else set()
        selection = chosen(store, home, erd, learned=known, replay_share=0.0)
        assert len(split(selection, "train")) in (10, 9, 8, 7), "some of them watch"
        made.append(version_of(store, trained(store, selection, start=start), number))
    return made


def test_replay_is_a_quarter_of_all_and_the_best_first(
    store: Store, home: Home, erd: Category, add: Add, chain: list[int]
) -> None:
    learned = datasets.learned_event_ids(store, chain[-1])
    gold = {event.id for event in events.get_many(store, sorted(learned)) if event.verdict == "good"}
    assert len(gold) == 10
    late = [add(text) for text in prompts(60)[30:]]
    found = chosen(store, home, erd, learned=learned, limit=18)
    # Of 18 + x examples x is a quarter: 6.
    assert (len(split(found, "train")), found.counts["replay"]) == (24, 6)
    assert origins(found, "replay") <= gold
    assert origins(found, "event") <= set(late)
    half = chosen(store, home, erd, learned=learned, limit=18, replay_share=0.5)
    assert half.counts["replay"] == 18
    assert gold < origins(half, "replay")
    assert chosen(store, home, erd, learned=learned, limit=18, replay_share=0.0).counts["replay"] == 0


def test_what_a_person_has_rejected_since_is_not_replayed(
    store: Store, home: Home, erd: Category, add: Add, chain: list[int]
) -> None:
    learned = datasets.learned_event_ids(store, chain[-1])
    for text in prompts(60)[30:]:
        add(text)
    settings: dict[str, Any] = {"learned": learned, "limit": 20, "replay_share": 0.6}
    before = origins(chosen(store, home, erd, **settings), "replay")
    gone = sorted(before)[:3]
    for event, verdict in zip(gone, ("reject", "bad", "reject"), strict=True):
        judgments.judge(store, event, verdict, now=NOW)  # type: ignore[arg-type]
    after = chosen(store, home, erd, **settings)
    assert set(gone).isdisjoint(item.event_id for item in after.items)
    judgments.undo(store, now=NOW + 1)
    assert gone[2] in {item.event_id for item in chosen(store, home, erd, **settings).items}


def test_a_correction_of_what_was_learned_is_rehearsed_as_corrected(
    store: Store, home: Home, erd: Category, add: Add, chain: list[int]
) -> None:
    learned = datasets.learned_event_ids(store, chain[-1])
    for text in prompts(60)[30:]:
        add(text)
    event = min(learned)
    judgments.judge(store, event, "correct", correction="what it should have said", now=NOW)
    found = chosen(store, home, erd, learned=learned, limit=20, replay_share=0.7)
    assert next(item.target for item in found.items if item.event_id == event) == "what it should have said"


def by_topic(texts: Sequence[str]) -> Vectors:
    """A model to which texts on one topic mean the same, whatever their characters."""
    topics = ("ship", "boat", "vessel"), ("tax", "duty", "levy")
    rows = np.zeros((len(texts), 3), dtype=np.float32)
    for row, text in zip(rows, texts, strict=True):
        row[next((at for at, words in enumerate(topics) if any(word in text for word in words)), 2)] = 1.0
    return rows


SEMANTIC = Meaning("by topic", True, by_topic)


@pytest.fixture
def topics(store: Store, home: Home, erd: Category, add: Add) -> dict[int, str]:
    """Three lessons on ships and one on taxes, by their prompts; to n-grams `levy` is most like a ship."""
    told = {
        "an ocean ship with its crew of sailors": "ship: captain, deck, sailors",
        "big vessel 77 / QXZ": "vessel = [hull; mast; anchor chain]",
        "how does one row a small boat on a lake": "boat {oar, oar}, and somebody who rows it",
        "an ocean levy with its crew of sailors": "levy: captain, deck, sailors!",
    }
    # The prompts' own buckets do not matter here: all stand on the side of training.
    return {add(prompt, answer, bucket=50, quality=0.7): prompt for prompt, answer in told.items()}


def test_meaning_decides_what_is_alike(store: Store, home: Home, erd: Category, topics: dict[int, str]) -> None:
    ship, vessel, boat, levy = topics
    plain = chosen(store, home, erd, limit=2)
    by_meaning = chosen(store, home, erd, limit=2, meaning=SEMANTIC)
    # Of equals the first is taken; then n-grams want other characters, and meaning wants the other topic.
    assert levy not in split(plain, "train") and ship in split(plain, "train")
    assert set(split(by_meaning, "train")) == {ship, levy}
    assert (plain.counts["compared_by"], by_meaning.counts["compared_by"]) == (PLAIN.label, "by topic")
    assert plain.hash != by_meaning.hash
    everything = chosen(store, home, erd, meaning=SEMANTIC)
    assert set(split(everything, "train")) == {ship, vessel, boat, levy}


class Kept:
    """Stands in for the embedding model's process, and counts what it computes."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.pid = None

    def embed(self, texts: Sequence[str]) -> Vectors:
        self.asked.extend(texts)
        return by_topic(texts)

    def close(self) -> None: ...


def test_a_selection_never_mixes_two_kinds(
    store: Store, home: Home, erd: Category, topics: dict[int, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Kept()
    monkeypatch.setattr(meanings, "open_embedder", lambda *_: model)
    config = Config(select=Select())
    own = cached_meaning(store, config)
    if not own.semantic:
        pytest.skip("no embedding model is installed")
    kinds: list[str] = []

    def work(by: Meaning) -> Selection:
        kinds.append(by.label)
        return select_dataset(store, home, erd, now=NOW, seed=0, limit=2, config=config, meaning=by)

    texts = [text for event in events.get_many(store, list(topics)) for text in (event.prompt, event.response)]
    # With one text missing all of it is made anew by n-grams, as though there was no model.
    fill(store, home, config, texts[:-1])
    partly = preview(store, config, work)
    assert len(kinds) == 2 and kinds[0] == own.label and kinds[1] == partly.counts["compared_by"]
    assert "not all texts are embedded" in kinds[1]
    assert partly.hash == chosen(store, home, erd, limit=2).hash
    fill(store, home, config, texts)
    whole = preview(store, config, work)
    assert kinds[2:] == [own.label] == [whole.counts["compared_by"]]
    assert whole.hash == chosen(store, home, erd, limit=2, meaning=SEMANTIC).hash
    assert set(model.asked) - {""} == set(texts)
