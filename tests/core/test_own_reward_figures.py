"""A reward function of the user's own decides what is taught, and every figure that tells a reward follows it."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import replace

import pytest
from selection_kit import NOW, add_event, chosen, items_of, prompts, split

from core.capture.record import Recorder
from core.categories import Category, load_categories
from core.config import load_config
from core.doctor import Check, examine
from core.loop import LearningLoop
from core.paths import Home
from core.select import dataset as selecting
from core.select.dataset import Selection
from core.select.own_reward import reward_function
from core.select.split import content_hash
from storage import events
from storage.db import Store

Write = Callable[[str], None]


@pytest.fixture
def write(home: Home) -> Write:
    """`write("return 0.5")`: the body of the function that the category `erd` names."""
    home.config.write_text(
        '[select]\nembeddings = "none"\n\n[categories.erd]\nvalidator = "none"\nreward = "mine:grade"\n\n'
        '[categories.poems]\ntitle = "Poems"\n',
        encoding="utf-8",
    )

    def body(text: str) -> None:
        lines = "\n".join(f"    {line}" for line in text.split("\n"))
        (home.root / "mine.py").write_text(f"def grade(event):\n{lines}\n", encoding="utf-8")

    return body


@pytest.fixture
def erd(home: Home, write: Write) -> Category:
    return load_categories(home)["erd"]


@pytest.fixture
def ids(store: Store) -> list[int]:
    return [add_event(store, text, f"{at:02d} of {content_hash(text, '')}") for at, text in enumerate(prompts(10))]


def test_it_decides_which_lessons_pass_and_what_they_weigh(
    store: Store, home: Home, erd: Category, write: Write, ids: list[int]
) -> None:
    built_in = chosen(store, home, replace(erd, reward=""))
    assert set(split(built_in, "train")) == set(ids)
    write("return int(event.response[:2]) / 10 if event.response[:2].isdigit() else 0.5")
    own = chosen(store, home, erd)
    # 0.3 is the least reward: 0, 0.1 and 0.2 stay out.
    assert set(split(own, "train")) == set(ids[3:])
    assert own.counts["held_back"] == {"low reward": 3}
    assert own.counts["faults"] == []
    weights = {item.event_id: item.weight for item in items_of(own, "train")}
    assert [weights[event] for event in ids[3:]] == sorted(weights.values())
    # Its mean over 0.3 … 0.9 is 0.6, so 0.9 weighs 1.5 and 0.3 a half.
    assert [weights[ids[9]], weights[ids[3]]] == pytest.approx([1.5, 0.5])
    assert all(item.weight == pytest.approx(1.0, abs=0.01) for item in items_of(built_in, "train"))


def test_it_orders_them_where_the_reward_decides(
    store: Store, home: Home, erd: Category, write: Write, ids: list[int]
) -> None:
    write("return 0.3 + int(event.response[:2]) / 20 if event.response[:2].isdigit() else 0.5")
    assert set(split(chosen(store, home, erd, limit=3, active=False), "train")) == set(ids[7:])
    write("return 0.9 - int(event.response[:2]) / 20 if event.response[:2].isdigit() else 0.5")
    assert set(split(chosen(store, home, erd, limit=3, active=False), "train")) == set(ids[:3])


def faults(selection: Selection) -> list[str]:
    found = selection.counts["faults"]
    assert isinstance(found, list)
    return found


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("return 1 / 0", "ZeroDivisionError"),
        ("return 7.0", "does not lie from -1 to 1"),
        ("import mine_too", "ModuleNotFoundError"),
    ],
)
def test_a_faulty_one_is_told_and_the_built_in_reward_holds(
    store: Store, home: Home, erd: Category, write: Write, ids: list[int], body: str, said: str
) -> None:
    write(body)
    found = chosen(store, home, erd)
    (fault,) = faults(found)
    assert "is not used, the built-in reward is" in fault and said in fault
    assert found.hash == chosen(store, home, replace(erd, reward="")).hash


def test_one_that_fails_on_some_events_is_used_for_the_others(
    store: Store, home: Home, erd: Category, write: Write, ids: list[int]
) -> None:
    write("return {'03': 9, '04': -0.5}.get(event.response[:2], 0.5)")
    found = chosen(store, home, erd)
    assert set(split(found, "train")) == set(ids) - {ids[4]}
    (fault,) = faults(found)
    assert "failed on 1 of 10 events" in fault


def test_a_slow_one_is_told(
    store: Store, home: Home, erd: Category, write: Write, ids: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    write("return 0.5")
    seconds = itertools.count(0.0, 0.5)
    monkeypatch.setattr(
        selecting, "reward_function", lambda own, at: reward_function(own, at, clock=lambda: next(seconds))
    )
    found = chosen(store, home, erd)
    (fault,) = faults(found)
    assert "a call takes 500.0 ms" in fault
    assert set(split(found, "train")) == set(ids)


def test_what_is_recorded_tells_its_reward(store: Store, home: Home, erd: Category, write: Write) -> None:
    def record(prompt: str, category: str = "erd", **more: object) -> float:
        recorder = Recorder(store, home, load_config(home), load_categories(home))
        return recorder.record(
            prompt=prompt,
            response="an answer",
            category=category,
            model="m",
            score=95.0,
            **more,  # type: ignore[arg-type]
        ).reward

    write("return -0.25")
    assert record("first") == -0.25
    assert record("first") == pytest.approx(-0.25), "known already, and worth the same"
    assert record("second", created_at=time.time() - 2 * 86_400.0) == pytest.approx(-0.25 * 0.95**2, rel=1e-4)
    assert record("a poem", "poems") > 0.5
    write("raise ValueError")
    assert record("third") > 0.5, "a fault costs no feedback"
    recorder = Recorder(store, home, load_config(home), load_categories(home))
    write("return None if 'fourth' in event.prompt else 0.125")
    rows = [{"prompt": f"the {name}", "response": "x", "category": "erd", "model": "m", "score": 95.0}
            for name in ("fourth", "fifth")]  # fmt: skip
    built_in, own = (each.reward for each in recorder.record_many(rows))
    assert built_in > 0.5 and own == 0.125


def test_the_mean_reward_of_the_statistics_follows_it(
    store: Store, home: Home, erd: Category, write: Write, ids: list[int]
) -> None:
    def mean() -> float:
        with LearningLoop(home) as loop:
            (found,) = loop.stats()["categories"]
            return float(found["mean_reward"])

    age = 0.95 ** ((time.time() - events.get(store, ids[0]).created_at) / 86_400.0)
    write("return int(event.response[:2]) / 10 if event.response[:2].isdigit() else 0.0")
    assert mean() == pytest.approx(0.45 * age, rel=1e-3)
    write("return -1.0")
    assert mean() == pytest.approx(-age, rel=1e-3)
    write("return 'much'")
    faulty = mean()
    (home.root / "mine.py").unlink()
    assert faulty == pytest.approx(mean(), rel=1e-3)
    assert faulty > 0.0


def test_doctor_looks_at_it(home: Home, erd: Category, write: Write) -> None:
    def check() -> Check:
        (found,) = (each for each in examine(home) if each.name.startswith("reward of "))
        return found

    write("return 0.5")
    assert (check().name, check().state) == ("reward of erd", "ok")
    assert "mine:grade answers as it must" in check().detail
    write("return 2")
    assert check().state == "warning" and "does not lie from -1 to 1" in check().detail
    assert "Correct it" in check().hint
    (home.root / "mine.py").unlink()
    assert check().state == "warning" and "neither a file mine.py" in check().detail


def test_a_new_selection_sees_a_mended_file(
    store: Store, home: Home, erd: Category, write: Write, ids: list[int]
) -> None:
    write("return -1.0")
    assert chosen(store, home, erd).counts["train"] == 0
    write("return 1.0")
    assert chosen(store, home, erd, now=NOW + 1.0).counts["train"] == 10
