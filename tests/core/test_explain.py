from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from core.categories import Category, load_categories
from core.config import Config, Loop, Select
from core.errors import NotFoundError
from core.explain import Explanation, explain
from core.paths import Home
from core.select.dataset import freeze, select_dataset
from core.select.split import bucket, content_hash, is_held_out, is_validation, prompt_hash
from core.standing import standings
from storage import events, judgments, pairs, runs, versions
from storage.db import Store
from storage.rows import NewEvent

NOW = 1_700_000_000.0
DAY = 86_400.0
Add = Callable[..., int]


@pytest.fixture
def erd(home: Home) -> Category:
    return replace(load_categories(home)["erd"], validator="none")


@pytest.fixture
def add(store: Store) -> Add:
    """Stores an event whose prompt is unlike the others' and trains; `side` may be "test" or "validation"."""
    numbers = itertools.count()

    def side_of(text: str) -> str:
        own = bucket(prompt_hash(text))
        return "test" if is_held_out(own) else "validation" if is_validation(own) else "train"

    def adder(
        *, side: str = "train", prompt: str = "", response: str = "", score: float | None = 95.0, **over: object
    ) -> int:
        texts = (f"{prompt_hash(str(n))[3:]} asks for {prompt_hash(str(-n - 1))[3:]}" for n in numbers)
        asked = prompt or next(text for text in texts if side_of(text) == side)
        key = prompt_hash(asked)
        answer = response or f"A long and particular answer to {key[3:15]}, unlike {key[15:]}"
        event = NewEvent(
            created_at=NOW - 2 * DAY, category="erd", model="m", prompt=asked, response=answer,
            content_hash=content_hash(asked, answer), prompt_hash=key, bucket=bucket(key),
            feedback_type="success" if score and score >= 80 else "neutral", score=score, valid=True, quality=0.7,
            tier="bronze",
        )  # fmt: skip
        return events.add(store, replace(event, **over))  # type: ignore[arg-type]

    return adder


Ask = Callable[..., Explanation]


@pytest.fixture
def ask(store: Store, home: Home, erd: Category) -> Ask:
    def asker(event: int, *, own: Category = erd, config: Config | None = None, **more: object) -> Explanation:
        settings = config or Config(select=Select(embeddings="none"), loop=Loop(incremental=False))
        return explain(store, home, settings, {"erd": own}, event, now=NOW, **more)  # type: ignore[arg-type]

    return asker


def test_every_part_by_hand(ask: Ask, add: Add, erd: Category) -> None:
    event = add(prompt="p" * 500, response="r" * 1500, score=90.0)
    found = ask(event)
    reward = found.reward
    # tanh(0.8) = 0.664037; difficulty 0.5 × 0.3 + 0.3 × 0.1 = 0.18 → × 1.27; 0.95² = 0.9025
    assert (reward.base, reward.bonus) == (pytest.approx(0.664037, abs=1e-6), 0.3)
    assert (reward.age_days, reward.decay, reward.recent, reward.balance) == (2.0, pytest.approx(0.9025), 1, 1.0)
    assert (reward.difficulty, reward.difficulty_factor) == (pytest.approx(0.18), pytest.approx(1.27))
    assert reward.strength == pytest.approx(0.964037 * 1.27, abs=1e-6)
    assert (reward.raw, reward.value) == (pytest.approx(0.964037 * 1.27 * 0.9025, abs=1e-6), 1.0)
    assert (reward.worth, reward.own, reward.feedback_type) == (1.0, None, "success")
    assert (found.quality.value, found.quality.tier, found.quality.needed) == (0.69, "bronze", "bronze")
    assert found.quality.parts == {"score": pytest.approx(0.54), "outcome": 0.15}
    assert found.quality.missing == {
        "human": 0.20, "rag": 0.10, "precedents": 0.05, "edge_case": 0.10, "common_pattern": 0.05,
    }  # fmt: skip
    hard = found.difficulty
    assert (hard.complexity, hard.length, hard.missed) == (0.3, pytest.approx(0.4), pytest.approx(0.1))
    assert hard.value == pytest.approx(0.25 * 0.3 + 0.25 * 0.4 + 0.5 * 0.1)
    told = found.information
    assert (told.missed, told.corrected, told.type) == (pytest.approx(0.1), 0.0, 0.1)
    assert told.uncertainty == pytest.approx(0.04 + 0.03)
    assert told.own == pytest.approx(0.4 * 0.07 + 0.3 * 0.69)


def test_it_is_one_json_object(ask: Ask, add: Add) -> None:
    event = add(metadata={"odd": [1]})
    value = json.loads(json.dumps(ask(event).to_json()))
    assert value["event_id"] == event
    assert value["standing"]["side"] == "train"
    assert value["trained_in"] == []


def test_the_side_of_the_split_and_why(ask: Ask, add: Add, store: Store) -> None:
    train = [add() for _ in range(20)]
    test, watching = add(side="test"), add(side="validation")
    again = add(prompt=events.get(store, test).prompt, response="another answer to the very same question")
    sides = {event: ask(event).standing for event in (train[0], test, watching, again)}
    assert [found.side for found in sides.values() if found] == ["train", "test", "validation", "kept for testing"]
    assert [found.held_kind for found in sides.values() if found] == ["", "held out", "", "held out"]
    assert sides[watching] is not None
    assert sides[watching].batch == "not in the next batch: it watches the training instead"
    assert sides[test] is not None and sides[test].batch == "held back: kept for testing"


def test_what_is_held_back_says_why(ask: Ask, add: Add, store: Store) -> None:
    good = add(response="the one and only answer there is, in full length")
    text = events.get(store, good).prompt
    copy = add(prompt=f"{text}!", response="the one and only answer there is, in full lengths", score=90.0)
    low, bad = add(score=40.0), add()
    judgments.judge(store, bad, "bad", now=NOW)
    found = ask(copy)
    assert found.held == "", "alone it would pass"
    assert found.standing is not None
    assert (found.standing.held_kind, found.standing.near_copy_of) == ("near-duplicate", good)
    assert found.standing.batch == f"held back: near-copy of event {good}"
    assert (ask(low).held, ask(low).held_kind) == ("score 40 ≤ 70", "low score")
    known = ask(low).standing
    assert known is not None and known.batch == "held back: score 40 ≤ 70"
    assert (known.hard, known.quantile, known.stage) == ("open (low score)", None, None)
    assert known.hard_difficulty == pytest.approx(0.4 * 0.6 + 0.2 * 0.5, abs=0.11)
    assert ask(bad).held == "marked bad by a human"


def test_the_place_in_the_next_batch_is_that_of_the_selection(
    ask: Ask, add: Add, store: Store, home: Home, erd: Category
) -> None:
    ids = [add(score=80.0 + number) for number in range(20)]
    config = Config(select=Select(embeddings="none", curriculum=False), loop=Loop(incremental=False))
    selection = select_dataset(store, home, erd, now=NOW, seed=0, limit=5, config=config)
    order = [item.event_id for item in selection.items if item.split == "train"]
    assert len(order) == 5
    for event in ids:
        computed, given = (
            ask(event, config=config, limit=5).standing,
            ask(event, config=config, selection=selection).standing,
        )
        assert computed == given and computed is not None
        assert computed.place == (order.index(event) + 1 if event in order else None)
        if event in order:
            assert computed.batch == f"in the next batch: place {order.index(event) + 1} of 5 in training order"
        else:
            assert computed.batch.startswith("not in the next batch of 5: ")
            assert computed.batch.endswith(" chosen") or "chosen, and" in computed.batch


def test_the_curriculum_is_named_where_it_keeps_an_event_out(ask: Ask, add: Add) -> None:
    ids = [add(score=80.0 + number) for number in range(18)]
    settings = Config(select=Select(embeddings="none", curriculum=True), loop=Loop(incremental=False))
    hardest = ask(ids[0], limit=5, config=settings).standing
    assert hardest is not None and hardest.stage == "hard"
    assert hardest.batch == "not in the next batch of 5: the curriculum takes easy ones for now, and this one is hard"


def test_without_a_limit_the_batch_is_what_the_policy_would_take(ask: Ask, add: Add) -> None:
    ids = [add() for _ in range(8)]
    waiting = ask(ids[0]).standing
    assert waiting is not None and waiting.size == 8
    assert waiting.batch.startswith("in the next batch: place ")
    assert waiting.batch.endswith("; it waits: 8 of 20 fresh examples")
    for _ in range(22):
        add()
    due = ask(ids[0]).standing
    assert due is not None
    assert due.size == 20 and "waits" not in due.batch


def test_pairs_datasets_and_versions_that_it_went_into(
    ask: Ask, add: Add, store: Store, home: Home, erd: Category
) -> None:
    event, other = add(), add()
    pairs.add(
        store, created_at=NOW, category="erd", prompt="p", chosen="c", rejected="r", margin=0.4, source="ranking",
        chosen_event=other, rejected_event=event,
    )  # fmt: skip
    selection = select_dataset(store, home, erd, now=NOW, seed=0, config=Config())
    dataset = freeze(store, selection, now=NOW)
    assert [(one.dataset_id, one.run) for one in ask(event).datasets] == [(dataset, None)]
    run = runs.enqueue(
        store, created_at=NOW, category="erd", base_model="b", method="sft", settings={}, dataset_id=dataset,
        parent_version=None,
    )  # fmt: skip
    versions.add(
        store, created_at=NOW, name="ft-b-erd-v1", category="erd", base_model="b", number=1, run_id=run,
        parent_id=None, dataset_id=dataset, folder="models/b/erd/v1", settings={}, code_version="0",
    )  # fmt: skip
    found = ask(event)
    assert [(one.role, one.other, one.source, one.margin) for one in found.pairs] == [
        ("rejected", other, "ranking", 0.4)
    ]
    assert [(one.split, one.origin, one.run, one.version) for one in found.datasets] == [
        ("train", "event", run, "ft-b-erd-v1")
    ]
    assert found.trained_in == ("ft-b-erd-v1",)


def test_an_own_reward_and_its_faults_are_told(ask: Ask, add: Add, home: Home, erd: Category) -> None:
    (home.root / "mine.py").write_text(
        "def grade(e):\n    return 0.5 if e.prompt[:5] in ('good ', '', 'custo') else 7\n"
    )
    own = replace(erd, reward="mine:grade")
    fine, odd = ask(add(prompt="good one"), own=own), ask(add(prompt="odd one"), own=own)
    assert (fine.reward.own, fine.reward.value, fine.faults) == (0.5, pytest.approx(0.5 * 0.95**2), ())
    assert odd.reward.own is None
    assert len(odd.faults) == 1 and "failed on 1 of 1 events" in odd.faults[0]


def test_a_category_that_is_gone_has_no_standing(add: Add, ask: Ask, store: Store, home: Home) -> None:
    found = explain(store, home, Config(), {}, add(), now=NOW)
    assert found.standing is None
    assert found.quality.value > 0


def test_an_unknown_event_says_so(ask: Ask) -> None:
    with pytest.raises(NotFoundError, match="no event 99") as raised:
        ask(99)
    assert raised.value.hint


def test_an_event_that_came_in_since_is_not_made_up(add: Add, store: Store, home: Home, erd: Category) -> None:
    add()
    known = standings(store, home, Config(select=Select(embeddings="none")), erd, now=NOW)
    assert known.of(add()).batch == "not known yet"
