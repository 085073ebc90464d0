from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.capture.record import Recorder
from core.categories import load_categories
from core.config import Config
from core.paths import Home
from core.select.alike.near import BANDS, alike, index_older, likeliest, near_clusters, near_keys, nearest
from storage import near
from storage.db import Store, open_store

WORDS = (
    "invoice", "parcel", "harbour", "violin", "meadow", "ledger", "comet", "basket", "lantern", "pepper", "orchard",
    "tunnel", "cabin", "ribbon", "marble",
)  # fmt: skip

KEPT = (6105152501621751973, -3918043716374481781)


def text(seed: int, words: int = 80) -> str:
    draw = random.Random(seed)
    return " ".join(draw.choice(WORDS) + str(draw.randrange(100)) for _ in range(words))


@given(st.text(max_size=300), st.text(max_size=300))
@settings(max_examples=200)
def test_any_texts_have_the_same_keys_each_time(prompt: str, response: str) -> None:
    keys = near_keys("erd", prompt, response)
    assert len(keys) == BANDS == len(near_keys("erd", prompt, response))
    assert keys == near_keys("erd", prompt, response)
    assert all(-(2**63) <= key < 2**63 for key in keys)
    assert set(keys).isdisjoint(near_keys("api_docs", prompt, response))


def test_keys_never_change() -> None:
    # They are stored: a new scheme needs a migration that computes them anew.
    assert near_keys("erd", "Draw a shop.", "erDiagram\n  shop {\n    int id PK\n  }")[:2] == KEPT


def test_a_small_change_shares_a_key_and_another_text_does_not() -> None:
    """The bands find 98 % of the pairs at a Jaccard similarity of 0.8 or more; 3 words of 80 leave about 0.85."""
    draw = random.Random(0)
    found = 0
    for seed in range(200):
        words = text(seed).split()
        changed = list(words)
        for at in draw.sample(range(80), 3):
            changed[at] = "changed"
        found += bool({*near_keys("erd", "p", " ".join(words))} & {*near_keys("erd", "p", " ".join(changed))})
        assert not {*near_keys("erd", "p", text(seed))} & {*near_keys("erd", "p", text(seed + 1_000))}
    assert found >= 190


@pytest.mark.parametrize("response", ["模型绘制实体关系图并且说明每个字段的含义和约束条件以及索引", "x", ""])
def test_scripts_without_spaces_and_short_texts_work(response: str) -> None:
    assert set(near_keys("erd", "图", response)) == set(near_keys("erd", "图", response))


def test_both_prompt_and_output_must_be_alike() -> None:
    one = ("draw a shop with customers and orders", text(1))
    assert alike(one, (one[0] + "!", one[1] + "."), 0.9)
    assert not alike(one, (one[0], text(2)), 0.9)
    assert not alike(one, (text(3), one[1]), 0.9)


def test_the_event_that_shares_most_is_the_nearest() -> None:
    texts = {7: ("p", "almost"), 9: ("p", "almost!")}
    assert likeliest((1, 2, 3), {1: [7, 9], 2: [9], 3: [9]}) == [9, 7]
    assert likeliest((5,), {1: [7]}) == []
    assert nearest(("p", "almost!"), [9, 7], texts, 0.9) == 9
    assert nearest(("p", "other thing"), [7], texts, 0.9) is None
    assert nearest(("p", "almost"), [3], texts, 0.9) is None  # the keys of an event that is gone may be left


@pytest.fixture
def recorder(store: Store, home: Home) -> Recorder:
    return Recorder(store, home, Config(), load_categories(home))


def row(prompt: str, response: str) -> dict[str, str]:
    return {"prompt": prompt, "response": response, "category": "erd", "model": "m"}


def test_recording_names_the_near_duplicate_and_clusters_hold_it(recorder: Recorder, store: Store) -> None:
    first, second = text(1), text(2)
    rows = [
        row("ask one", first),
        row("ask one", first + " more"),
        row("ask two", second),
        row("ask one", first + " again"),
        row("ask two", second + " too"),
    ]
    done = recorder.record_many(rows)
    assert [one.near_duplicate for one in done] == [None, 1, None, 1, 3]
    assert recorder.record(**row("ask one", first + " and more")).near_duplicate == 1  # type: ignore[arg-type]
    assert near_clusters(store, "erd", 0.9) == [[1, 2, 4, 6], [3, 5]]
    assert near_clusters(store, "api_docs", 0.9) == []


def test_one_by_one_and_together_are_the_same(recorder: Recorder, store: Store, home: Home) -> None:
    rows = [row("ask", text(seed % 4) + (" x" * (seed % 3))) for seed in range(12)]
    together = [(one.near_duplicate, one.duplicate) for one in recorder.record_many(rows)]
    with open_store(home.root / "second.db") as other:
        alone = Recorder(other, home, Config(), load_categories(home))
        each = [alone.record(**one) for one in rows]  # type: ignore[arg-type]
    assert [(one.near_duplicate, one.duplicate) for one in each] == together


def test_events_of_an_older_schema_get_their_keys(recorder: Recorder, store: Store) -> None:
    recorder.record_many([row("ask", text(1)), row("ask", text(1) + " more")])
    with store.transaction():
        store.write("DELETE FROM near_keys")
    assert near_clusters(store, "erd", 0.9) == []
    assert index_older(store, batch=1) == 2
    assert near_clusters(store, "erd", 0.9) == [[1, 2]]
    assert index_older(store) == 0


def test_keys_of_what_is_gone_go_with_the_clean_up(recorder: Recorder, store: Store) -> None:
    recorder.record_many([row("ask", text(1)), row("ask", text(2))])
    with store.transaction():
        store.write("DELETE FROM events WHERE id = 1")
    assert near.drop_orphans(store) == BANDS
    assert near.drop_orphans(store) == 0
