"""Re-tests of hard negatives: which are asked, that each answer is kept, and that a broken-off one goes on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Self

import pytest
from versions_kit import add_version

from core.backends.backend import Generation, Message, Sampling
from core.categories import Category
from core.config import Select
from core.paths import Home
from core.prove.evaluate import prompt_seed
from core.prove.retest import Retested, plan, retest
from core.select.hard.hard_negatives import STATES, HardNegative, State, hard_negatives
from core.select.hard.parts import HardParts
from storage import ab_tests, events, hard_tests
from storage.db import Store
from storage.rows import AbPairRow, NewEvent, VersionRow

GOOD = "erDiagram\n    customer {\n        int id PK\n    }"
CATEGORY = Category(name="erd", title="ER diagrams", system_prompt="Draw.", validator="mermaid_er", success_score=70.0)


class Told:
    """A backend whose answer is a function of the prompt; it breaks down after `fail_after` answers."""

    name = "told"

    def __init__(self, answer: Callable[[str], str], *, fail_after: int | None = None) -> None:
        self.asked: list[str] = []
        self.seeds: list[int] = []
        self._answer = answer
        self._fail_after = fail_after

    def generate(self, model: str, messages: Sequence[Message], sampling: Sampling) -> Generation:
        if len(self.asked) == self._fail_after:
            raise ConnectionResetError
        assert model == "model.gguf"
        self.asked.append(messages[-1].content)
        self.seeds.append(sampling.seed)
        text = self._answer(messages[-1].content)
        return Generation(text, 3, len(text), 0.5, "stop")

    def close(self) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None: ...


def event(number: int, **changes: Any) -> NewEvent:
    values: dict[str, Any] = {
        "created_at": 100.0 + number,
        "category": "erd",
        "model": "m",
        "prompt": f"Draw shop {number}",
        "response": "no diagram",
        "content_hash": f"b2:{number:032x}",
        "prompt_hash": f"b2:{number:032x}",
        "bucket": 50,
        "feedback_type": "validation_failure",
        "score": 40.0 - number,
        "valid": False,
        "quality": 0.2,
        "tier": "rejected",
    }
    return NewEvent(**(values | changes))


@pytest.fixture
def failed(store: Store) -> list[int]:
    """Events 1-8; the later the worse."""
    return events.add_many(store, [event(number) for number in range(1, 9)])


@pytest.fixture
def ask(store: Store, home: Home) -> Callable[..., Retested]:
    def run(backend: Told, version: VersionRow, *, category: Category = CATEGORY, **more: Any) -> Retested:
        return retest(
            store,
            backend,
            "model.gguf",
            version,
            category,
            constants=Select(),
            sampling=Sampling(),
            seed=3,
            **more,
        )

    return run


def states(store: Store) -> dict[int, State]:
    return {each.event_id: each.state for each in hard_negatives(store, CATEGORY, constants=Select(), states=STATES)}


def test_solved_then_reopened(store: Store, home: Home, failed: list[int], ask: Callable[..., Retested]) -> None:
    first, second = add_version(store, home, 1), add_version(store, home, 2)
    heard: list[tuple[int, int]] = []
    backend = Told(lambda prompt: GOOD if prompt[-1] in "78" else "no diagram")
    found = ask(backend, first, progress=lambda done, total: heard.append((done, total)))
    assert found == Retested(tested=8, solved=2, reopened=0, failed=6, not_judged=0)
    assert backend.asked == [f"Draw shop {number}" for number in range(8, 0, -1)]
    assert backend.seeds == [prompt_seed(3, prompt) for prompt in backend.asked]
    assert heard == [(done, 8) for done in range(1, 9)]
    assert {event_id for event_id, state in states(store).items() if state == "solved"} == {7, 8}
    found = ask(Told(lambda prompt: GOOD if prompt[-1] in "18" else "no diagram"), second)
    assert found == Retested(tested=8, solved=1, reopened=1, failed=6, not_judged=0)
    assert found.summary == "8 hard negatives tested: 1 solved, 1 came back, 5 still fail."
    assert states(store)[7] == "reopened"
    assert states(store)[1] == states(store)[8] == "solved"


def test_one_that_broke_off_goes_on(store: Store, home: Home, failed: list[int], ask: Callable[..., Retested]) -> None:
    version = add_version(store, home, 1)
    broken = Told(lambda prompt: GOOD, fail_after=3)
    with pytest.raises(ConnectionResetError):
        ask(broken, version, limit=5)
    assert [row.event_id for row in hard_tests.tests(store, "erd")] == [8, 7, 6]
    backend = Told(lambda prompt: GOOD)
    assert ask(backend, version, limit=5) == Retested(tested=5, solved=5, reopened=0, failed=0, not_judged=0)
    assert backend.asked == ["Draw shop 5", "Draw shop 4"]
    again = Told(lambda prompt: GOOD)
    assert ask(again, version, limit=5).tested == 5
    assert again.asked == []


def test_progress_may_stop_it(store: Store, home: Home, failed: list[int], ask: Callable[..., Retested]) -> None:
    class Enough(Exception):
        pass

    def stop(done: int, total: int) -> None:
        if done == 2:
            raise Enough

    with pytest.raises(Enough):
        ask(Told(lambda prompt: GOOD), add_version(store, home, 1), progress=stop)
    assert len(hard_tests.tests(store, "erd")) == 2


def test_what_it_answered_in_the_ab_test_is_not_asked_again(
    store: Store, home: Home, failed: list[int], ask: Callable[..., Retested]
) -> None:
    base, version = add_version(store, home, 0), add_version(store, home, 1)
    test = ab_tests.start(
        store, created_at=1.0, category="erd", version_a=base.id, version_b=version.id, seed=3, settings={}
    )
    rows = [
        AbPairRow(test, 0, 8, "Draw shop 8", "bad", GOOD, 10.0, 90.0, 1.0, 1.0, 1, 1, "b"),
        AbPairRow(test, 1, 3, "Draw shop 3", GOOD, "bad", 90.0, 10.0, 1.0, 1.0, 1, 1, "a"),
    ]
    ab_tests.add_pairs(store, rows)
    ab_tests.finish(store, test, {"verdict": "keep"}, 9.0)
    backend = Told(lambda prompt: "no diagram")
    assert ask(backend, version, limit=2) == Retested(tested=4, solved=1, reopened=0, failed=3, not_judged=0)
    assert backend.asked == ["Draw shop 7", "Draw shop 6"]
    assert states(store)[8] == "solved"


def test_the_same_question_is_asked_once(store: Store, home: Home, ask: Callable[..., Retested]) -> None:
    events.add_many(store, [event(number, prompt="Draw shop 0") for number in (1, 2)])
    events.add_many(store, [event(3, prompt="Draw shop 0", system="Briefly.")])
    backend = Told(lambda prompt: GOOD)
    assert ask(backend, add_version(store, home, 1)).solved == 3
    assert len(backend.asked) == 2


def test_chats_with_tools_are_left_alone(store: Store, home: Home, ask: Callable[..., Retested]) -> None:
    events.add_many(store, [event(1, history=[{"role": "tool", "content": "7"}])])
    backend = Told(lambda prompt: GOOD)
    assert ask(backend, add_version(store, home, 1)) == Retested(0, 0, 0, 0, 0)
    assert backend.asked == []


def test_what_nobody_can_judge_changes_nothing(store: Store, home: Home, ask: Callable[..., Retested]) -> None:
    labels = Category(name="erd", title="Scams", validator="label", validator_options={"labels": ["scam", "fine"]})
    expected = {"expected": {"label": "scam"}}
    events.add_many(store, [event(1), event(2, metadata=expected)])
    version = add_version(store, home, 1)
    found = ask(Told(lambda prompt: "scam"), version, category=labels)
    assert (found.tested, found.solved, found.not_judged) == (1, 1, 1)
    assert states(store) == {1: "open", 2: "solved"}
    backend = Told(lambda prompt: "scam")
    ask(backend, version, category=labels)
    assert backend.asked == []


def negative(number: int, state: State, last_tested: float | None) -> HardNegative:
    return HardNegative(
        number, f"b2:{number}", ("low score",), state, 0.0, 20.0, 0.5, 0, 1, last_tested, 20.0,
        corrected=False, held_out=False, parts=HardParts(0.8, 0.0, 0.0, 0.9),
    )  # fmt: skip


def test_a_quarter_of_the_questions_goes_to_solved_ones() -> None:
    hard = [negative(number, "open" if number % 2 else "reopened", None) for number in (9, 3, 7, 1, 5, 2)]
    solved = [negative(number, "solved", at) for number, at in ((20, 5.0), (21, 2.0), (22, 2.0), (23, 9.0))]
    mixed = [solved[0], *hard[:3], *solved[1:], *hard[3:]]
    assert plan(mixed, 8) == [9, 3, 7, 1, 5, 2, 21, 22]
    assert plan(mixed, 4) == [9, 3, 7, 21]
    assert plan(mixed, 3) == [9, 3, 7]
    assert plan(hard, 4) == [9, 3, 7, 1]
    assert plan(solved, 100) == [21, 22, 20, 23]
    assert plan(mixed, 0) == []
