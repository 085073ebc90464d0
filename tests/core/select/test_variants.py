"""Augmented examples in a dataset: where they stand, what they carry, and what they may not come near to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from rapidfuzz import fuzz
from selection_kit import Add, chosen, items_of, on_the_test_side, split, trained, version_of, worded

from core.categories import Category, load_categories, select_of
from core.config import load_config
from core.errors import ConfigError
from core.paths import Home
from core.select.augment.source import METHODS
from core.select.dataset import Selection, freeze, select_dataset
from core.select.split import bucket, is_held_out, is_validation, prompt_hash
from core.select.variants import NEAR_OTHERS, methods_of
from storage import datasets, events
from storage.db import Store
from storage.rows import DatasetItem

EVENTS = 60


@pytest.fixture
def diagrams(home: Home) -> Category:
    """ER diagrams with their validator: a variant must pass it."""
    return load_categories(home)["erd"]


@pytest.fixture
def filled(store: Store) -> Store:
    """Requests in words with right diagrams, on both sides of the split."""
    events.add_many(store, worded(EVENTS))
    return store


def variants(selection: Selection) -> list[DatasetItem]:
    return [item for item in selection.items if item.origin in METHODS]


def test_variants_follow_their_parents_in_the_train_split_only(filled: Store, home: Home, diagrams: Category) -> None:
    plain = chosen(filled, home, diagrams)
    found = chosen(filled, home, diagrams, augmentation=True, augment_factor=3, augment_methods="all")
    made = variants(found)
    parents = [item for item in items_of(found, "train") if item.origin == "event"]
    assert len(made) > len(parents)
    assert {item.split for item in made} == {"train"}
    assert {"synonym", "paraphrase", "order"} == {item.origin for item in made}
    # Without its variants it is the selection that it would have been, in the same order.
    assert [replace(item, position=0) for item in found.items if item not in made] == [
        replace(item, position=0) for item in plain.items
    ]
    parent = parents[0]
    in_a_row = 0
    for item in items_of(found, "train"):
        parent, in_a_row = (item, 0) if item.origin == "event" else (parent, in_a_row + 1)
        assert in_a_row <= 2
        assert (item.event_id, item.weight, item.stage, item.difficulty) == (
            parent.event_id, parent.weight, parent.stage, parent.difficulty,
        )  # fmt: skip
        if item is not parent:
            assert (item.prompt, item.target) != (parent.prompt, parent.target)
            assert item.target == parent.target if item.origin != "order" else item.prompt == parent.prompt
    assert [item.position for item in found.items] == list(range(len(found.items)))


def test_no_variant_asks_what_another_split_asks_or_may_ask(filled: Store, home: Home, diagrams: Category) -> None:
    found = chosen(filled, home, diagrams, augmentation=True, augment_factor=5)
    reworded = [item for item in variants(found) if item.origin != "order"]
    others = [*items_of(found, "test"), *items_of(found, "validation")]
    assert len(items_of(found, "test")) > 5 and items_of(found, "validation")
    # A fifth of all prompts, known or not, is kept for testing: so many are refused, and none is left.
    assert not any(on_the_test_side(item.prompt) for item in reworded)
    refused = found.counts["not_augmented"]
    assert isinstance(refused, dict) and refused["known prompt"] > len(reworded) / 10
    for item in reworded:
        assert not any(
            min(fuzz.ratio(item.prompt, other.prompt), fuzz.ratio(item.target, other.target)) >= 90.0
            for other in others
        )


def test_the_counts_tell_variants_from_events(filled: Store, home: Home, diagrams: Category) -> None:
    plain = chosen(filled, home, diagrams)
    found = chosen(filled, home, diagrams, augmentation=True)
    made = len(variants(found))
    assert (plain.counts["augmented"], plain.counts["not_augmented"]) == (0, {})
    assert found.counts["augmented"] == made > 0
    assert found.counts["train"] == made + int(str(plain.counts["train"]))
    for same in ("eligible", "fresh", "validation", "test", "corrections", "mean_quality", "tiers", "held_back"):
        assert found.counts[same] == plain.counts[same]
    stages = found.counts["stages"]
    assert isinstance(stages, dict) and sum(stages.values()) == found.counts["train"]


def test_the_hash_covers_the_variants_and_the_same_question_gives_the_same_ones(
    filled: Store, home: Home, diagrams: Category
) -> None:
    first, again = (chosen(filled, home, diagrams, augmentation=True) for _ in range(2))
    plain = chosen(filled, home, diagrams)
    assert first.hash == again.hash != plain.hash
    assert chosen(filled, home, diagrams, augmentation=True, augment_factor=1).hash == plain.hash
    dataset = freeze(filled, first, now=1.0)
    assert datasets.items(filled, dataset) == first.items
    assert datasets.get(filled, dataset).settings["augmentation"] is True


def test_a_variant_carries_the_turns_and_the_system_text_of_its_parent(
    store: Store, home: Home, diagrams: Category, add: Add
) -> None:
    first, second, *_ = [event for event in worded(EVENTS) if event.bucket >= 20]
    turns = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "hi"}]
    chat = add(first.prompt, first.response, history=turns, system="Be brief.", metadata=first.metadata)
    add(second.prompt, second.response, metadata=second.metadata)
    found = chosen(store, home, diagrams, augmentation=True, augment_methods="order")
    by_event = {item.event_id: item for item in variants(found)}
    assert len(by_event) == 2
    own = by_event.pop(chat)
    assert (own.origin, own.history, own.system, own.prompt) == ("order", turns, "Be brief.", first.prompt)
    (other,) = by_event.values()
    assert (list(other.history), other.system) == ([], diagrams.system_prompt)


def test_a_correction_is_what_is_varied(store: Store, home: Home, diagrams: Category, add: Add) -> None:
    from storage import judgments

    event = next(each for each in worded(EVENTS) if each.bucket >= 20)
    corrected = add(event.prompt, "no diagram", score=10.0, valid=False, metadata=event.metadata)
    judgments.judge(store, corrected, "correct", correction=event.response, now=1.0)
    made = variants(chosen(store, home, diagrams, augmentation=True, augment_factor=3))
    assert len(made) == 2
    assert all(item.target.startswith("erDiagram") for item in made)


def on_side(side: str) -> Callable[[str], bool]:
    def stands(prompt: str) -> bool:
        own = bucket(prompt_hash(prompt))
        return is_held_out(own) if side == "test" else is_validation(own)

    return stands


@pytest.mark.parametrize("side", ["test", "validation"])
def test_a_variant_near_to_another_split_is_refused_and_counted(
    filled: Store, home: Home, diagrams: Category, add: Add, side: str
) -> None:
    settings: dict[str, Any] = {"augmentation": True, "augment_methods": "paraphrase"}
    before = chosen(filled, home, diagrams, **settings)
    parents = {item.event_id: item for item in items_of(before, "train") if item.origin == "event"}
    # Far enough from its parent that the parent itself is no near-copy of what comes in now.
    far = next(item for item in variants(before) if fuzz.ratio(item.prompt, parents[item.event_id].prompt) < 80.0)
    near = next(
        text for text in (f"{far.prompt}{mark}" for mark in "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
        if on_side(side)(text)
    )  # fmt: skip
    event = next(each for each in worded(EVENTS) if each.response == far.target)
    came_in = add(near, far.target, metadata=event.metadata)
    after = chosen(filled, home, diagrams, **settings)
    assert came_in in split(after, side)
    assert far.event_id in split(after, "train")
    assert far.prompt in {item.prompt for item in variants(before)}
    assert far.prompt not in {item.prompt for item in after.items}
    assert after.counts["not_augmented"][NEAR_OTHERS] == 1  # type: ignore[index]
    assert NEAR_OTHERS not in before.counts["not_augmented"]  # type: ignore[operator]


def test_what_is_replayed_is_not_augmented_again(filled: Store, home: Home, diagrams: Category) -> None:
    first = chosen(filled, home, diagrams, limit=20, augmentation=True)
    version = version_of(filled, trained(filled, first), 1)
    learned = datasets.learned_event_ids(filled, version)
    assert learned == set(split(first, "train"))
    second = chosen(filled, home, diagrams, limit=10, learned=learned, augmentation=True)
    replayed = {item.event_id for item in second.items if item.origin == "replay"}
    assert replayed and replayed <= learned
    assert learned.isdisjoint(item.event_id for item in variants(second))


def test_a_category_may_switch_it_off(store: Store, home: Home) -> None:
    home.config.write_text(
        '[select]\naugmentation = true\nembeddings = "none"\n\n[categories.erd.select]\naugmentation = false\n\n'
        '[categories.diagrams]\ntitle = "More"\nvalidator = "mermaid_er"\nmin_tier = "rejected"\n',
        encoding="utf-8",
    )
    config, categories = load_config(home), load_categories(home)
    assert config.select.augmentation and not select_of(categories["erd"], config).augmentation
    events.add_many(store, worded(12))
    events.add_many(store, [replace(event, category="diagrams") for event in worded(12)])
    off, on = (
        select_dataset(store, home, categories[name], now=1.0, seed=0, config=config) for name in ("erd", "diagrams")
    )
    assert off.counts["augmented"] == 0 and not off.settings.augmentation
    assert int(str(on.counts["augmented"])) > 0 and on.settings.augmentation


def test_methods_by_name(home: Home, filled: Store, diagrams: Category) -> None:
    assert methods_of(" all ") == list(METHODS)
    assert methods_of("order, synonym") == ["synonym", "order"]
    with pytest.raises(ConfigError, match="`magic` is no way to augment") as raised:
        chosen(filled, home, diagrams, augmentation=True, augment_methods="order, magic")
    assert "back_translation" in raised.value.hint


def test_a_model_that_is_gone_is_said_only_where_it_is_asked_for(home: Home, filled: Store, diagrams: Category) -> None:
    settings: dict[str, Any] = {"augmentation": True, "augment_model": str(home.root / "gone.gguf")}
    with pytest.raises(ConfigError, match="there is no file") as raised:
        chosen(filled, home, diagrams, **settings)
    assert "GGUF" in raised.value.hint
    assert variants(chosen(filled, home, diagrams, augment_methods="order", **settings))
