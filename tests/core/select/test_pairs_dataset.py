"""Preference pairs as a dataset: which teach, on which side they stand, and that no held-out prompt ever gets in."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from selection_kit import NOW, Add, add_event, items_of, new_event, on_the_test_side, prompts, version_of, worded

from core.capture.comparing import record_comparison
from core.categories import Category
from core.config import Config, Select
from core.errors import RunError
from core.paths import Home
from core.select.dataset import Selection, freeze
from core.select.held_out import held_out_events
from core.select.methods.selecting import Wanted, selected
from core.select.split import bucket, is_validation, prompt_hash
from storage import datasets, events, judgments, pairs, runs
from storage.db import Store, open_store

NewStore = Callable[[], Store]
FRESH_STORES = settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
CONFIG = Config(select=Select(embeddings="none"))


@pytest.fixture
def new_store(tmp_path: Path) -> NewStore:
    """Makes an empty store, another one each time."""
    made: list[Path] = []

    def make() -> Store:
        made.append(tmp_path / f"store{len(made)}.db")
        return open_store(made[-1])

    return make


def of(
    store: Store, home: Home, category: Category, config: Config = CONFIG, *, method: str = "dpo", **wanted: Any
) -> Selection:
    return selected(store, home, config, category, Wanted(method=method, **wanted), now=NOW)


def two_answers(store: Store, prompt: str, score: float = 95.0, other: float = 75.0, **over: Any) -> tuple[int, int]:
    better = add_event(store, prompt, score=score, **over)
    return better, add_event(store, prompt, f"Something worse about {prompt[::-1]}", score=other)


def pair(store: Store, prompt: str, margin: float = 0.4, source: str = "sibling", **over: Any) -> int:
    """A pair between two outputs of their own."""
    ids = two_answers(store, prompt, **over)
    return between(store, *ids, margin=margin, source=source)


def between(store: Store, better: int, worse: int, margin: float = 0.4, source: str = "sibling") -> int:
    texts = pairs.texts(store, better, worse)
    return pairs.add(
        store, created_at=NOW, category="erd", **texts._asdict(), margin=margin, source=source, chosen_event=better,
        rejected_event=worse,
    )  # fmt: skip


def alone(store: Store, prompt: str, chosen: str = "", **over: Any) -> int:
    """A pair that came without any event."""
    answer = new_event(prompt).response
    values: dict[str, Any] = {"margin": 0.4, "source": "import", "rejected": f"Nothing but {answer[::-1]}"} | over
    return pairs.add(store, created_at=NOW, category="erd", prompt=prompt, chosen=chosen or answer, **values)


def held(selection: Selection) -> Any:
    return selection.counts["held_back"]


def run(store: Store, selection: Selection, number: int, start: int | None = None) -> int:
    """A version trained on the selection; its id."""
    row = runs.enqueue(
        store, created_at=NOW, category="erd", base_model="demo", method=str(selection.counts.get("method", "sft")),
        settings={}, dataset_id=freeze(store, selection, now=NOW), parent_version=None, start_version=start,
    )  # fmt: skip
    assert runs.claim(store, row, pid=1, pid_started=1.0, now=NOW)
    runs.finish(store, row, "finished", now=NOW + 1.0)
    return version_of(store, row, number)


def test_a_pair_has_its_prompt_its_answers_and_a_weight_of_mean_one(store: Store, home: Home, erd: Category) -> None:
    turns = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "hi"}]
    first, second, third = prompts(3)
    pair(store, first, system="Be brief.", history=turns)
    pair(store, second, 0.2)
    judgments.judge(store, add_event(store, third, score=20.0), "correct", correction="What is right", now=NOW)
    pairs.add(
        store, created_at=NOW, category="erd", prompt=third, chosen="What is right",
        rejected=new_event(third).response, margin=0.9, source="correction", rejected_event=5,
    )  # fmt: skip
    selection = of(store, home, replace(erd, system_prompt="Draw."))
    items = {item.prompt: item for item in items_of(selection, "train")}
    assert len(items) == 3
    assert (items[first].system, items[first].history, items[first].event_id) == ("Be brief.", turns, 1)
    assert items[first].target == new_event(first).response and items[first].rejected.startswith("Something worse")
    assert (items[third].target, items[third].rejected, items[third].event_id) == (
        "What is right", new_event(third).response, 5,
    )  # fmt: skip
    assert items[second].system == "Draw."
    weights = [item.weight for item in items.values()]
    assert sum(weights) / 3 == pytest.approx(1.0, abs=1e-5)
    # 1 × 0.5 for the correction, 0.95 × 0.4, 0.95 × 0.2.
    assert items[third].weight / items[first].weight == pytest.approx(0.5 / 0.38, rel=1e-4)
    assert items[first].weight / items[second].weight == pytest.approx(2.0, rel=1e-4)
    plain = of(store, home, erd, Config(select=Select(weigh_by_reward=False)))
    assert {item.weight for item in items_of(plain, "train")} == {1.0}
    kept = freeze(store, selection, now=NOW)
    assert datasets.items(store, kept) == selection.items
    assert datasets.get(store, kept).counts["pairs"] == {"sibling": 2, "correction": 1}


def test_every_pair_is_accounted_for_with_a_reason(store: Store, home: Home, erd: Category) -> None:
    texts = iter(prompts(20))
    pair(store, next(texts))
    generic = add_event(store, text := next(texts), generic=True)
    between(store, generic, add_event(store, text, "Something else altogether"))
    pair(store, next(texts), metadata={"finish_reason": "length"})
    pair(store, next(texts), valid=False)
    pair(store, next(texts), history=[{"role": "tool", "content": "42"}])
    disliked, worse = two_answers(store, next(texts))
    between(store, disliked, worse)
    judgments.judge(store, disliked, "bad", now=NOW)
    better, liked = two_answers(store, next(texts))
    between(store, better, liked)
    judgments.judge(store, liked, "good", now=NOW)
    one, other = two_answers(store, next(texts))
    between(store, one, other)
    record_comparison(store, other, one, "first", now=NOW + 1)
    twice = next(texts)
    pair(store, twice)
    alone(store, twice, chosen=new_event(twice).response, rejected=f"Something worse about {twice[::-1]}")
    alone(store, next(texts), rejected=" ")
    corrected = add_event(store, text := next(texts))
    pairs.add(store, created_at=NOW, category="erd", prompt=text, chosen="Once said", rejected="x", margin=0.5,
              source="correction", rejected_event=corrected)  # fmt: skip
    pair(store, prompts(1, held_out=True)[0])
    selection = of(store, home, erd)
    assert held(selection) == {
        "generic": 1, "truncated": 1, "invalid answer": 1, "tools": 1, "rejected by a human": 1,
        "liked by a human": 1, "contradiction": 1, "duplicate": 1, "empty pair": 1, "taken back": 1, "held out": 1,
    }  # fmt: skip
    listed = pairs.count(store, "erd")
    assert selection.counts["considered"] == listed == selection.counts["eligible"] + sum(held(selection).values())
    assert selection.counts["eligible"] == selection.counts["train"] == 3
    assert f"3 of {listed} pairs eligible" in selection.summary


def test_what_a_person_stated_holds_against_scores(store: Store, home: Home, erd: Category) -> None:
    """A person's choice counts with at least the middle margin, also where the scores hardly differ."""
    first, second = prompts(2)
    better, worse = two_answers(store, first, 90.0, 89.0)
    record_comparison(store, better, worse, "first", now=NOW)
    pair(store, second, 0.5, score=90.0, other=40.0)
    items = items_of(of(store, home, erd), "train")
    assert [item.weight for item in items] == [1.0, 1.0]
    assert pairs.list_pairs(store, "erd")[0].margin == pytest.approx(0.01)


def test_the_best_of_more_than_are_wanted(store: Store, home: Home, erd: Category) -> None:
    texts = prompts(5)
    pair(store, texts[0], 0.95, score=82.0)
    pair(store, texts[1], 0.5, score=71.0)
    pair(store, texts[2], 0.95, score=99.0)
    pair(store, texts[3], 0.55, score=97.0)
    pair(store, texts[4], 0.11, score=98.0)
    for limit, best in ((1, {3}), (2, {3, 4}), (3, {3, 4, 2}), (4, {3, 4, 2, 0})):
        items = items_of(of(store, home, erd, limit=limit), "train")
        assert {texts.index(item.prompt) for item in items} == best


def test_pairs_without_an_event_have_their_own_side(store: Store, home: Home, erd: Category) -> None:
    (kept,), (open_one,) = prompts(1, held_out=True), prompts(1)
    alone(store, kept)
    alone(store, open_one)
    selection = of(store, home, erd)
    (item,) = items_of(selection, "train")
    assert (item.event_id, item.prompt, item.history) == (0, open_one, [])
    assert held(selection) == {"held out": 1}
    version = run(store, selection, 1)
    assert datasets.items(store, 1, "train")[0].event_id == 0
    assert datasets.trained_without_event(store, "erd") == {open_one}
    assert datasets.learned_texts(store, version, "dpo") != set()
    # More is kept for testing from now on, but never what was trained on.
    for text in prompts(6, held_out=True):
        add_event(store, text)
    event = add_event(store, open_one)
    assert event not in {each.id for each in held_out_events(store, "erd", limit=99, held_out_percent=90)}
    assert len(held_out_events(store, "erd", limit=99, held_out_percent=90)) == 6


def test_a_pair_that_names_an_event_with_another_prompt_goes_by_its_own_text(
    store: Store, home: Home, erd: Category, add: Add
) -> None:
    asked, *others = prompts(6)
    (kept,) = prompts(1, held_out=True)
    for text in others:
        add(text)
    alone(store, kept, chosen_event=add(asked, "An answer"))
    alone(store, others[0], chosen_event=add(kept, "Another answer"))
    assert held(of(store, home, erd)) == {"held out": 2}


def test_near_copies_of_what_is_kept_for_testing_do_not_teach(
    store: Store, home: Home, erd: Category, add: Add
) -> None:
    """Neither of a test's own answer nor of either side of a pair on a held-out prompt, as a person ranked them."""
    for text in prompts(6):
        add(text)
    kept = next(text for text in prompts(40, held_out=True) if not on_the_test_side(f"{text}!"))
    better, worse = two_answers(store, kept)
    record_comparison(store, better, worse, "first", now=NOW)
    third = add(kept, "A third answer, unlike both of the others in every word")
    record_comparison(store, third, worse, "first", now=NOW)
    near = f"{kept}!"
    alone(store, near, chosen="A third answer, unlike both of the others in every word.")
    alone(store, near, chosen=f"{new_event(kept).response}.", rejected="What nobody would write")
    alone(store, near, chosen="A fourth answer with nothing in common", rejected="Nor has this, however long it is")
    selection = of(store, home, erd)
    assert held(selection) == {"held out": 2, "near test": 2}
    assert [item.target for item in items_of(selection, "train")] == ["A fourth answer with nothing in common"]


def test_validation_is_that_of_the_split_and_can_be_scored(store: Store, home: Home, erd: Category) -> None:
    texts = prompts(120)
    watching = [text for text in texts if is_validation(bucket(prompt_hash(text)))][:4]
    others = [text for text in texts if not is_validation(bucket(prompt_hash(text)))]
    for text in (*watching, *others[:15]):
        pair(store, text)
    assert of(store, home, erd).counts["validation"] == 0, "fewer than twenty watch nothing"
    pair(store, others[15])
    selection = of(store, home, erd)
    assert {item.prompt for item in items_of(selection, "validation")} == set(watching)
    assert all(item.target and item.rejected for item in items_of(selection, "validation"))
    run(store, of(store, home, erd, limit=9), 1)
    assert {item.prompt for item in items_of(of(store, home, erd), "validation")} == set(watching)


def test_an_order_that_depends_on_the_seed_alone(store: Store, home: Home, erd: Category) -> None:
    for text in prompts(30):
        pair(store, text, 0.2 + len(text) % 7 / 10)
    one, again, other = of(store, home, erd, seed=3), of(store, home, erd, seed=3), of(store, home, erd, seed=4)
    assert one == again and one.hash != other.hash
    assert Counter(item.prompt for item in one.items) == Counter(item.prompt for item in other.items)
    stages = [item.stage for item in of(store, home, erd, Config(select=Select(curriculum=True))).items if item.stage]
    assert stages == sorted(stages, key=["easy", "medium", "hard"].index) and len(set(stages)) == 3


def test_a_successor_learns_new_pairs_and_replays_some(store: Store, home: Home, erd: Category) -> None:
    texts = prompts(40)
    for text in texts[:12]:
        pair(store, text)
    lessons = of(store, home, erd, method="sft")
    first = run(store, lessons, 1)
    begun = of(store, home, erd, start=first)
    assert begun.counts["fresh"] == 12, "what was learned as a lesson has not been learned as a pair"
    second = run(store, begun, 2, first)
    assert datasets.learned_event_ids(store, second) == {item.event_id for item in items_of(lessons, "train")}
    assert len(datasets.learned_texts(store, second, "dpo")) == 12
    assert datasets.taken_event_ids(store, "erd", "demo", method="dpo") == {item.event_id for item in begun.items}
    for text in texts[12:18]:
        pair(store, text)
    later = items_of(of(store, home, erd, start=second), "train")
    assert {item.prompt for item in later if item.origin == "event"} == set(texts[12:18])
    assert sum(item.origin == "replay" for item in later) == 2 and len(later) == 8
    assert {item.prompt for item in later if item.origin == "replay"} <= set(texts[:12])


def test_without_pairs_the_error_says_how_to_come_by_some(store: Store, home: Home, erd: Category) -> None:
    with pytest.raises(RunError, match="0 of 0 pairs eligible") as raised:
        freeze(store, of(store, home, erd), now=NOW)
    assert "preferences" in raised.value.hint


def test_datasets_of_lessons_keep_their_hashes(store: Store, home: Home, erd: Category, add: Add) -> None:
    """What a dataset of an older schema would hash to: without the new fields."""
    import hashlib
    import json

    add(prompts(1)[0])
    selection = of(store, home, erd, method="sft")
    digest = hashlib.blake2b(digest_size=16)
    for item in selection.items:
        values = asdict(item)
        for name in ("history", "origin", "rejected", "desirable"):
            del values[name]
        digest.update(json.dumps(values, sort_keys=True).encode())
    assert selection.hash == f"b2:{digest.hexdigest()}"


@FRESH_STORES
@given(
    st.lists(st.sampled_from(["sft", "dpo", "kto"]), min_size=1, max_size=4),
    st.integers(0, 2**16),
    st.sampled_from([10, 20, 50]),
)
def test_no_method_ever_trains_or_watches_a_held_out_prompt(
    new_store: NewStore, home: Home, erd: Category, methods: list[str], seed: int, percent: int
) -> None:
    """Whatever is answered, judged, ranked and imported, and whichever runs came before, in whatever order."""
    chance = random.Random(seed)
    asked = [event for event in worded(60) if chance.random() < 0.4]
    config = Config(select=Select(embeddings="none", held_out_percent=percent))
    with new_store() as store:
        version = None
        for number, method in enumerate(methods, 1):
            for event in asked[number - 1 :: len(methods)]:
                _happen(store, event.prompt, chance)
            selection = of(store, home, erd, config, method=method, seed=seed, start=version)
            tested = {item.prompt for item in items_of(selection, "test")}
            kept = {each.prompt_hash for each in held_out_events(store, "erd", limit=9_999, held_out_percent=percent)}
            total = store.value("SELECT count(*) FROM events")
            learned = [item for item in selection.items if item.split != "test"]
            for item in learned:
                key = prompt_hash(item.prompt)
                assert key not in kept and item.prompt not in tested
                before = store.value("SELECT count(*) FROM dataset_items WHERE prompt = ?", (item.prompt,))
                assert bucket(key) >= percent or before or (total < 5 and item.event_id)
            assert not {item.prompt for item in items_of(selection, "train")} & {
                item.prompt for item in items_of(selection, "validation")
            }
            counts = selection.counts
            assert counts["considered"] == counts["eligible"] + sum(held(selection).values())
            one_sided = method == "kto" and not (counts["desirable"] and counts["undesirable"])
            if counts["train"] and not one_sided and chance.random() < 0.7:
                version = run(store, selection, number, version)


def _happen(store: Store, prompt: str, chance: random.Random) -> None:
    ids = two_answers(store, prompt, chance.uniform(70, 99), chance.uniform(10, 70))
    for event in ids:
        verdict: Any = chance.choice(["good", "bad", "correct", "reject", None])
        if verdict is not None:
            text = f"Corrected: {prompt}" if verdict == "correct" else None
            judgments.judge(store, event, verdict, correction=text, now=NOW)
            if text is not None:
                pairs.add(
                    store, created_at=NOW, category="erd", prompt=prompt, chosen=text,
                    rejected=events.get(store, event).response, margin=0.5, source="correction", rejected_event=event,
                )  # fmt: skip
    if chance.random() < 0.5:
        choice: Any = chance.choice(["first", "second", "tie"])
        record_comparison(store, *ids, choice, now=NOW)
    if chance.random() < 0.5:
        alone(
            store, chance.choice([prompt, f"{prompt} Please."]), chosen=f"%% {prompt_hash(prompt)} is how it is drawn"
        )
