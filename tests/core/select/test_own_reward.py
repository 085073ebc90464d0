from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator
from dataclasses import FrozenInstanceError, replace
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from core.categories import Category
from core.config import Select
from core.paths import Home
from core.select.lessons import Lesson, lessons_from
from core.select.own_reward import SLOWEST_CALL, RewardFunction, RewardInput, checked, reward_function
from core.select.reward import reward
from core.select.split import bucket, content_hash, prompt_hash
from core.validate.gate import Held
from storage import events
from storage.db import Store
from storage.rows import EventRow, NewEvent

NOW = 1_700_000_000.0
DAY = 86_400.0
Write = Callable[[str], RewardFunction]
Add = Callable[..., EventRow]


@pytest.fixture
def own(home: Home) -> Write:
    """`own("return 0.5")`: the reward function with that body, loaded from the home folder."""

    def load(body: str, name: str = "mine:grade") -> RewardFunction:
        lines = "\n".join(f"    {line}" for line in body.split("\n"))
        (home.root / "mine.py").write_text(f"import math, time\ndef grade(event):\n{lines}\n", encoding="utf-8")
        found = reward_function(Category("erd", "ERD", reward=name), home)
        assert found is not None
        return found

    return load


@pytest.fixture
def add(store: Store) -> Add:
    """Stores an event that passes the gate by itself, and returns it."""
    numbers = itertools.count()

    def adder(*, score: float | None = 95.0, **over: object) -> EventRow:
        prompt = f"Prompt number {next(numbers)}"
        event = NewEvent(
            created_at=NOW, category="erd", model="m", prompt=prompt, response=f"A particular answer to {prompt}",
            content_hash=content_hash(prompt, prompt), prompt_hash=prompt_hash(prompt),
            bucket=bucket(prompt_hash(prompt)), feedback_type="success", score=score, valid=True, quality=0.9,
            tier="silver", confidence=1.0, context="c",
        )  # fmt: skip
        return events.get(store, events.add(store, replace(event, **over)))  # type: ignore[arg-type]

    return adder


CATEGORY = Category("erd", "ERD", min_tier="rejected", complexity=0.0)


def lessons(rows: list[EventRow], function: RewardFunction | None, **over: object) -> list[Lesson | Held]:
    constants = Select(**over)  # type: ignore[arg-type]
    return list(lessons_from(rows, CATEGORY, now=NOW, recent=0, common=(), constants=constants, own=function))


def an_input(**over: object) -> RewardInput:
    built_in = reward(90.0, "success", age_days=0, difficulty=0.0, recent=0)
    known = RewardInput("erd", "p", "r", "r", "", 90.0, "success", 0.0, 0.0, False, {}, built_in)
    return replace(known, **over)  # type: ignore[arg-type]


def test_no_name_means_the_built_in_reward(home: Home) -> None:
    assert reward_function(Category("erd", "ERD"), home) is None


def test_it_takes_the_place_of_the_built_in_reward_and_age_still_weighs(own: Write, add: Add) -> None:
    function = own("return -0.5 if 'number 1' in event.prompt else 0.5")
    kept, held, old = lessons([add(), add(), add(created_at=NOW - 2 * DAY)], function)
    assert isinstance(kept, Lesson) and isinstance(old, Lesson)
    assert (kept.reward.own, kept.reward.value, kept.reward.raw, kept.strength, kept.reward.worth) == (0.5,) * 5
    assert isinstance(held, Held) and (held.kind, held.reason) == ("low reward", "reward -0.50 < 0.3")
    assert old.reward.value == pytest.approx(0.5 * 0.95**2)
    assert old.reward.worth == old.strength == 0.5
    assert function.faults == ()


def test_it_may_adjust_the_built_in_reward_or_leave_it(own: Write, add: Add) -> None:
    rows = [add(score=75.0, created_at=NOW - 5 * DAY, feedback_type="neutral"), add(score=95.0)]
    first, second = lessons(rows, own("return None if event.score != 75 else event.builtin.value - 0.1"), min_reward=0)
    assert isinstance(first, Lesson) and isinstance(second, Lesson)
    # tanh(0.5) = 0.462117: what it is told is the reward of a new event. Its 15 characters and that one of context add
    # a difficulty of 0.3 × 15/5000 + 0.2 × 1/10000 = 0.00092, that is a factor of 1.00138.
    expected = 0.462117 * 1.00138 - 0.1
    assert first.reward.own == pytest.approx(expected, abs=1e-6)
    assert first.reward.value == pytest.approx(expected * 0.95**5, abs=1e-6)
    assert second.reward.own is None
    assert second == lessons([rows[1]], None, min_reward=0)[0]


def test_what_it_is_told(own: Write, add: Add, store: Store) -> None:
    from storage import judgments

    row = add(metadata={"tags": ["a", {"b": 1}]}, score=30.0, created_at=NOW - 3 * DAY)
    judgments.judge(store, row.id, "correct", correction="a better answer", now=NOW)
    told: list[RewardInput] = []
    function = own("return 0.0")
    function._function = told.append  # type: ignore[assignment]
    lessons([events.get(store, row.id)], function)
    (event,) = told
    assert (event.category, event.prompt, event.response) == ("erd", row.prompt, row.response)
    assert (event.target, event.corrected, event.feedback_type) == ("a better answer", True, "user_correction")
    assert (event.score, event.age_days, event.context) == (None, 3.0, "c")
    assert event.difficulty == pytest.approx(0.3 * len(row.prompt) / 5000 + 0.2 / 10000)
    assert event.metadata["tags"] == ("a", {"b": 1})
    assert (event.builtin.decay, event.builtin.balance, event.builtin.bonus) == (1.0, 1.0, 0.5)
    with pytest.raises(TypeError):
        event.metadata["tags"] = ()  # type: ignore[index]
    with pytest.raises(TypeError):
        event.metadata["tags"][1]["b"] = 2
    with pytest.raises(FrozenInstanceError):
        event.score = 100.0  # type: ignore[misc]


def test_lessons_that_it_clamped_keep_their_order(own: Write, add: Add) -> None:
    rows = [add(score=score) for score in (85.0, 99.0, 92.0, 84.0)]
    found = lessons(rows, own("return max(-1.0, min(1.0, 3.0 * event.builtin.raw)) if event.score != 84 else 0.9999"))
    assert [each.reward.value for each in found if isinstance(each, Lesson)] == [1.0, 1.0, 1.0, 0.9999]
    ranked = sorted(found, key=lambda each: -each.reward.raw)  # type: ignore[union-attr]
    assert [each.event.score for each in ranked if isinstance(each, Lesson)] == [99.0, 92.0, 85.0, 84.0]
    assert all(abs(each.reward.raw - 1.0) < 2e-4 for each in ranked if isinstance(each, Lesson))


def test_clamped_to_the_worst_the_order_stays_too() -> None:
    rewards = [
        reward(score, "neutral", age_days=0, difficulty=0, recent=0).replaced_by(-1.0) for score in (10.0, 40.0, 90.0)
    ]
    assert [each.value for each in rewards] == [-1.0] * 3
    assert rewards[0].raw < rewards[1].raw < rewards[2].raw <= -1.0


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("return 1.2", "on an ordinary success it returned 1.2, which does not lie from -1 to 1"),
        ("return math.nan", "on an ordinary success it returned nan, which"),
        ("return -math.inf", "on an ordinary success it returned -inf"),
        ("return '0.5'", "it returned str, not a number"),
        ("return True", "it returned bool, not a number"),
        ("return event.score / 100", "on an answer without a score it failed: TypeError: unsupported operand"),
        ("raise SystemExit(3)", "on an ordinary success it failed: SystemExit: 3"),
        ("event.score = 1.0", "FrozenInstanceError"),
    ],
)
def test_a_function_that_breaks_the_rules_is_not_used_and_that_is_told(
    own: Write, add: Add, body: str, said: str
) -> None:
    function = own(body)
    (fault,) = function.faults
    assert fault.category == "erd"
    assert fault.message.startswith("the reward function `mine:grade` is not used, the built-in reward is: ")
    assert said in fault.message
    row = add()
    assert lessons([row], function) == lessons([row], None)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("mine", "no installed package brings a reward of this name"),
        ("nowhere:grade", "neither a file nowhere.py in"),
        ("nowhere.at.all:grade", "nor a module `nowhere.at.all`"),
        ("mine:other", "names no function of that module"),
        ("mine:math", "is module and cannot be called"),
        ("mine:a.b", "names no function"),
        (":grade", "cannot be loaded: ValueError"),
        ("../mine:grade", "`../mine` cannot be loaded: TypeError"),
    ],
)
def test_a_name_that_leads_nowhere_is_told(own: Write, name: str, said: str) -> None:
    (fault,) = own("return 0.5", name).faults
    assert said in fault.message


def test_a_file_with_a_fault_is_told_and_a_mended_one_works_at_once(own: Write, home: Home) -> None:
    assert "IndentationError" in own("").faults[0].message
    assert own("return 0.5")(an_input()) == 0.5
    assert own("return 0.25")(an_input()) == 0.25
    (home.root / "mine.py").unlink()
    found = reward_function(Category("erd", "ERD", reward="mine.py:grade"), home)
    assert found is not None and "neither a file mine.py" in found.faults[0].message


def test_a_file_that_is_a_link_out_of_the_home_folder_is_refused(home: Home, tmp_path: Path) -> None:
    (tmp_path / "elsewhere.py").write_text("def grade(event): return 1.0")
    (home.root / "mine.py").symlink_to(tmp_path / "elsewhere.py")
    found = reward_function(Category("erd", "ERD", reward="mine:grade"), home)
    assert found is not None and "does not lie in" in found.faults[0].message


def test_a_function_of_an_importable_module(home: Home) -> None:
    found = reward_function(Category("erd", "ERD", reward=f"{__name__}:of_a_module"), home)
    assert found is not None and found(an_input()) == 0.125


def of_a_module(event: RewardInput) -> float:
    return 0.125


def test_an_entry_point_of_a_package(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def points(group: str) -> list[EntryPoint]:
        assert group == "finetune_tui.rewards"
        return [EntryPoint("strict", f"{__name__}:of_a_module", group), EntryPoint("gone", "nowhere:f", group)]

    monkeypatch.setattr("importlib.metadata.entry_points", points)
    strict, gone = (reward_function(Category("erd", "ERD", reward=name), home) for name in ("strict", "gone"))
    assert strict is not None and strict(an_input()) == 0.125
    assert gone is not None and "ModuleNotFoundError" in gone.faults[0].message


def test_single_faults_are_counted_and_the_built_in_reward_holds_there(own: Write, add: Add) -> None:
    function = own("return {'number 1': 9, 'number 2': math.nan}.get(event.prompt[7:], 0.5) if event.prompt else 0")
    rows = [add() for _ in range(4)]
    found = lessons(rows, function)
    assert [each.reward.own for each in found if isinstance(each, Lesson)] == [0.5, None, None, 0.5]
    assert found[1] == lessons([rows[1]], None)[0]
    (fault,) = function.faults
    assert "failed on 2 of 4 events, which kept the built-in reward: ValueError: it returned 9" in fault.message


def ticking(*steps: float) -> Callable[[], float]:
    """A clock on which every second reading is one of `steps` (round and round) after the one before."""
    passed = itertools.chain.from_iterable((0.0, step) for step in itertools.cycle(steps))
    readings: Iterator[float] = itertools.accumulate(passed)
    return lambda: next(readings)


@pytest.mark.parametrize(
    ("steps", "used"),
    [
        ((SLOWEST_CALL,), True),
        ((SLOWEST_CALL * 1.01,), False),
        # The first round loads something; the second is quick.
        ((1.0, *[0.0] * 14), True),
        ((1.0, 0.0, 0.0, 0.0, 0.0), False),
    ],
)
def test_a_slow_function_is_refused(own: Write, home: Home, steps: tuple[float, ...], used: bool) -> None:
    own("return 0.5")
    found = reward_function(Category("erd", "ERD", reward="mine:grade"), home, clock=ticking(*steps))
    assert found is not None
    assert (found(an_input()) == 0.5) is used
    if not used:
        assert "ms is the most allowed" in found.faults[0].message


def test_one_that_turns_out_slow_is_used_to_the_end_and_told(own: Write, home: Home) -> None:
    own("return 0.5")
    found = reward_function(Category("erd", "ERD", reward="mine:grade"), home, clock=ticking(*[0.0] * 5, *[1.0] * 50))
    assert found is not None
    assert [found(an_input()) for _ in range(25)] == [0.5] * 25
    assert found.faults[0].message.endswith("took 1000.0 ms a call on 25 events")


def test_one_that_never_returns_does_not_hold_the_program(own: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.select.own_reward._HANGS_AFTER", 0.05)
    (fault,) = own("time.sleep(0.5)\nreturn 0.0").faults
    assert "it did not return within 0.05 s" in fault.message


def test_results_are_checked_to_the_last_digit() -> None:
    assert checked(1.0 + 1e-12) == 1.0
    assert checked(-1) == -1.0
    assert checked(None) is None
    import numpy as np

    assert checked(np.float32(0.5)) == 0.5


def test_nothing_is_left_beside_the_file(own: Write, home: Home) -> None:
    own("return 0.5")
    assert not (home.root / "__pycache__").exists()
    assert str(home.root) not in sys.path
