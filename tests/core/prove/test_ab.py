"""Both arms answer alike but for the model, and a broken-off test goes on; a backend of fixed answers stands in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

import pytest
from versions_kit import add_version

from core.backends.backend import Generation, Message, Sampling
from core.categories import Category
from core.config import Ab, Config, Publish
from core.errors import FinetuneError
from core.paths import Home
from core.prove.ab import result_of, run_ab, winner
from core.prove.evaluate import Examiner, messages_of, prompt_seed, prompts_hash, sampling_of, summarise
from core.select.split import bucket, content_hash, prompt_hash
from storage import ab_tests, events
from storage.db import Store
from storage.rows import AbTestRow, EventRow, NewEvent, VersionRow

GOOD = "erDiagram\n    customer {\n        int id PK\n    }"
CATEGORY = Category(name="erd", title="ER diagrams", system_prompt="Draw.", validator="mermaid_er", success_score=70.0)


class Told:
    """A backend whose answer is a function of the model and the prompt."""

    name = "told"

    def __init__(self, answer: Callable[[str, str], str], *, fail_after: int | None = None) -> None:
        self.asked: list[tuple[str, tuple[Message, ...], Sampling]] = []
        self._answer = answer
        self._fail_after = fail_after

    def generate(self, model: str, messages: Sequence[Message], sampling: Sampling) -> Generation:
        if self._fail_after is not None and len(self.asked) >= self._fail_after:
            raise ConnectionResetError
        self.asked.append((Path(model).parent.name, tuple(messages), sampling))
        text = self._answer(Path(model).parent.name, messages[-1].content)
        return Generation(text, 3, len(text), 0.5 if "v0" in model else 0.6, "stop")

    def close(self) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None: ...


def better(model: str, prompt: str) -> str:
    return GOOD if model == "v1" else "no diagram"


@pytest.fixture
def asked(store: Store) -> list[EventRow]:
    rows = []
    for number in range(12):
        prompt = f"Draw shop {number}."
        known = prompt_hash(prompt)
        rows.append(
            NewEvent(
                created_at=1.0,
                category="erd",
                model="m",
                prompt=prompt,
                response="r",
                content_hash=content_hash(prompt, "r"),
                prompt_hash=known,
                bucket=bucket(known),
                feedback_type="neutral",
                score=50.0,
                valid=True,
                quality=0.5,
                tier="bronze",
                system="Own." if number == 0 else "",
                metadata={"expected": {"entities": ["customer"]}},
            )
        )
    return events.get_many(store, events.add_many(store, rows))


@pytest.fixture
def arms(store: Store, home: Home) -> tuple[VersionRow, VersionRow]:
    return add_version(store, home, 0), add_version(store, home, 1)


def compare(
    store: Store,
    home: Home,
    backend: Told,
    arms: tuple[VersionRow, VersionRow],
    asked: Sequence[EventRow],
    **more: object,
) -> AbTestRow:
    return run_ab(
        store,
        home,
        backend,
        *arms,
        category=CATEGORY,
        events=asked,
        sampling=sampling_of(Publish()),
        seed=3,
        config=Config(),
        **more,  # type: ignore[arg-type]
    )


def test_half_a_point_is_a_tie() -> None:
    assert [winner(70.0, score) for score in (70.5, 70.6, 69.5, 69.4)] == ["tie", "b", "tie", "a"]


def test_a_test_is_stored_whole_with_its_verdict(
    store: Store, home: Home, arms: tuple[VersionRow, VersionRow], asked: list[EventRow]
) -> None:
    seen: list[tuple[int, int]] = []
    test = compare(store, home, Told(better), arms, asked, progress=lambda done, total: seen.append((done, total)))
    result = test.result
    assert result is not None and test.finished_at is not None
    assert (result["n"], result["wins"], result["losses"], result["ties"]) == (12, 12, 0, 0)
    assert result["win_rate"] == 1.0
    assert result["interval"][1] == 1.0 and 0.5 < result["interval"][0] < 1.0
    assert result["score_b"] > 70 > result["score_a"]
    assert result["difference"] == pytest.approx(result["score_b"] - result["score_a"])
    assert (result["success_a"], result["success_b"]) == (0.0, 1.0)
    assert result["latency_ratio"] == pytest.approx(1.2)
    assert result["evidence"] > 20
    assert (result["verdict"], result["more"]) == ("need more data", 88)
    assert (result["name_a"], result["name_b"]) == ("ft-demo-erd-v0", "ft-demo-erd-v1")
    assert "wins 100%" in result["summary"] and "need more data (about 88 more tests)" in result["summary"]
    assert seen[-1] == (12, 12)
    pairs = ab_tests.pairs(store, test.id)
    assert [pair.event_id for pair in pairs] == [event.id for event in asked]
    assert {pair.response_b for pair in pairs} == {GOOD}


def test_both_arms_get_the_same_messages_sampling_and_seed(
    store: Store, home: Home, arms: tuple[VersionRow, VersionRow], asked: list[EventRow]
) -> None:
    backend = Told(better)
    compare(store, home, backend, arms, asked)
    by_arm = {arm: [row[1:] for row in backend.asked if row[0] == arm] for arm in ("v0", "v1")}
    assert by_arm["v0"] == by_arm["v1"]
    first = [row[0] for row in backend.asked[::2]]
    assert first == ["v0", "v1"] * 6
    seeds = [sampling.seed for _, sampling in by_arm["v0"]]
    assert len(set(seeds)) == 12 and all(0 <= seed < 2**32 for seed in seeds)
    sampling = by_arm["v0"][0][1]
    assert (sampling.temperature, sampling.top_p, sampling.top_k, sampling.max_tokens) == (0.3, 0.9, 40, 512)
    assert by_arm["v0"][0][0][0] == Message("system", "Own.")
    assert by_arm["v0"][1][0][0] == Message("system", "Draw.")


def test_a_broken_off_test_goes_on_where_it_was(
    store: Store, home: Home, arms: tuple[VersionRow, VersionRow], asked: list[EventRow]
) -> None:
    with pytest.raises(ConnectionResetError):
        compare(store, home, Told(better, fail_after=9), arms, asked)
    rest = Told(better)
    test = compare(store, home, rest, arms, asked)
    assert len(rest.asked) == 2 * (12 - 4)
    assert len(ab_tests.list_tests(store)) == 1
    assert test.result == compare(store, home, Told(better), arms, asked).result
    assert len(ab_tests.list_tests(store)) == 1


def test_a_finished_test_is_repeated_only_when_asked(
    store: Store, home: Home, arms: tuple[VersionRow, VersionRow], asked: list[EventRow]
) -> None:
    first = compare(store, home, Told(better), arms, asked)
    unasked = Told(better)
    assert compare(store, home, unasked, arms, asked).id == first.id
    assert unasked.asked == []
    assert compare(store, home, Told(better), arms, asked, again=True).id != first.id
    assert compare(store, home, Told(better), arms, asked[:5]).id != first.id


def test_what_cannot_be_compared_is_explained(
    store: Store, home: Home, arms: tuple[VersionRow, VersionRow], asked: list[EventRow]
) -> None:
    with pytest.raises(FinetuneError, match="with itself"):
        compare(store, home, Told(better), (arms[0], arms[0]), asked)
    with pytest.raises(FinetuneError, match="no held-out prompts"):
        compare(store, home, Told(better), arms, [])


def test_a_result_without_pairs_is_finite() -> None:
    result = result_of([], 70.0, Ab(), seed=0)
    assert (result["n"], result["win_rate"], result["interval"]) == (0, 0.5, [0.0, 1.0])
    assert result["difference_interval"] == [-100.0, 100.0]


def test_an_evaluation_sums_up_its_answers(asked: list[EventRow]) -> None:
    backend = Told(lambda model, prompt: GOOD if prompt.endswith(("1.", "2.", "3.")) else "TODO")
    found = Examiner(backend, CATEGORY, Sampling(), seed=1).evaluate("m", asked)
    passed = [answer.passed for answer in found.answers]
    assert found.n == 12 and sum(passed) == 4  # 1, 2, 3 and 11
    assert found.success_rate == pytest.approx(4 / 12)
    assert found.generic_share == pytest.approx(8 / 12)
    assert found.success_interval[0] < 4 / 12 < found.success_interval[1]
    assert found.tokens_per_second == pytest.approx(sum(answer.tokens for answer in found.answers) / (12 * 0.6))
    assert found.metrics()["prompts"] == prompts_hash(asked)
    assert summarise([], "b2:").metrics()["score_interval"] is None


def test_a_prompt_has_its_own_seed() -> None:
    assert prompt_seed(1, "a") == prompt_seed(1, "a")
    assert len({prompt_seed(seed, text) for seed in (0, 1) for text in ("a", "b")}) == 4


def test_no_system_prompt_no_system_turn(asked: list[EventRow]) -> None:
    plain = Category(name="erd", title="x")
    assert messages_of(asked[1], plain) == [Message("user", "Draw shop 1.")]
