"""Several answers to one prompt, comparisons of them, and the pairs that follow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import pytest

from assets import ASSETS
from core.backends.backend import Generation, Message, Sampling
from core.backends.llamacpp import LlamaCppBackend
from core.capture.candidates import candidate_prompts, generate, infer_siblings
from core.capture.comparing import record_comparison, undo_comparison
from core.capture.record import Recorder
from core.categories import load_categories
from core.config import Config
from core.errors import BackendError, ConflictError, NotFoundError
from core.paths import Home
from core.select.preference.consistency import consistency
from core.select.preference.ranking import Ranking
from core.select.split import is_held_out
from storage import comparisons, events, pairs
from storage.db import Store
from storage.rows import EventFilter, EventRow

GOOD = """erDiagram
    shop ||--o{ order : takes
    shop {
        int id PK
        string name
    }
    order {
        int id PK
        int shop_id FK
        date placed_on
    }"""
POOR = """erDiagram
    shop ||--o{ order : x
    shop {
        string shopName
    }
    order {
        date placedOn
    }"""
WORSE = "There is no diagram in this answer, only words about shops."
EXPECTED = {"expected": {"entities": ["shop", "order"]}}


class Scripted:
    """Answers from a list, over and over; notes how it was asked."""

    name = "scripted"

    def __init__(self, *texts: str, fails_at: int = -1) -> None:
        self.texts = texts
        self.fails_at = fails_at
        self.asked: list[tuple[Sequence[Message], Sampling]] = []

    def generate(self, model: str, messages: Sequence[Message], sampling: Sampling) -> Generation:
        at = len(self.asked)
        if at == self.fails_at:
            raise BackendError("gone")
        self.asked.append((messages, sampling))
        return Generation(self.texts[at % len(self.texts)], 9, 30, 0.25, "stop", -0.5)

    def close(self) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        pass


@pytest.fixture
def recorder(store: Store, home: Home) -> Recorder:
    return Recorder(store, home, Config(), load_categories(home))


def record(recorder: Recorder, prompt: str, response: str = WORSE, **more: Any) -> EventRow:
    values = {"category": "erd", "model": "demo", "metadata": EXPECTED} | more
    return events.get(recorder.store, recorder.record(prompt=prompt, response=response, **values).event_id)


def side(held_out: bool, recorder: Recorder, number: int = 0) -> EventRow:
    """The `number`-th recorded prompt on that side of the split."""
    for attempt in range(200):
        event = record(recorder, f"ER diagram for shop {attempt}: shop, order.")
        if is_held_out(event.bucket) == held_out:
            if number == 0:
                return event
            number -= 1
    raise AssertionError("no prompt on that side")


def stored(store: Store, source: str) -> list[EventRow]:
    return [row for row in events.iter_events(store, EventFilter(category="erd")) if row.source == source]


def test_answers_are_recorded_scored_and_paired(recorder: Recorder, store: Store) -> None:
    event = side(False, recorder)
    backend = Scripted(POOR, GOOD, POOR + "\n", "  ", WORSE + " No.")
    done = generate(recorder, backend, "file.gguf", [event, event], name="ft-demo-erd-v1", n=3)
    assert (done.prompts, done.answered, done.generated, done.repeated, done.empty) == (1, 1, 5, 1, 1)
    made = stored(store, "candidate")
    assert [row.response for row in made] == [POOR, GOOD, WORSE + " No."] and done.recorded == 3
    assert len({row.group_key for row in made}) == 1 and made[0].group_key.startswith("candidate:")
    for row in made:
        assert (row.model, row.prompt_hash, row.latency_ms) == ("ft-demo-erd-v1", event.prompt_hash, 250.0)
        assert row.metadata["candidate_of"] == event.id and row.metadata["mean_logprob"] == -0.5
        assert row.score is not None and row.metadata["expected"] == EXPECTED["expected"]
    assert made[1].score == 100.0 and done.mean_score == pytest.approx(sum(row.score or 0 for row in made) / 3)
    (pair,) = pairs.list_pairs(store, "erd")
    assert (pair.chosen, pair.rejected, pair.source) == (GOOD, POOR, "candidate")
    assert (pair.chosen_event, pair.rejected_event) == (made[1].id, made[0].id)
    assert pair.margin == pytest.approx((100.0 - (made[0].score or 0)) / 100)


def test_each_answer_has_its_seed_and_is_drawn_freely(recorder: Recorder) -> None:
    event = side(False, recorder)
    backend = Scripted(GOOD, POOR, WORSE + "!")
    generate(recorder, backend, "m", [event], n=3, sampling=Sampling(temperature=0.1, top_k=7))
    samplings = [sampling for _, sampling in backend.asked]
    assert {sampling.temperature for sampling in samplings} == {0.8} and {each.top_k for each in samplings} == {7}
    assert len({sampling.seed for sampling in samplings}) == 3
    again = Scripted(GOOD, POOR, WORSE + "!")
    generate(recorder, again, "m", [event], name="other", n=3)
    assert [sampling.seed for _, sampling in again.asked] == [sampling.seed for sampling in samplings]
    assert backend.asked[0][0][-1] == Message("user", event.prompt)


def test_held_out_prompts_are_never_asked(recorder: Recorder, store: Store) -> None:
    event = side(True, recorder)
    backend = Scripted(GOOD, POOR)
    done = generate(recorder, backend, "m", [event])
    assert (done.held_out, done.answered, backend.asked) == (1, 0, [])
    own = recorder.categories["erd"]
    prompts = candidate_prompts(store, Config(), own, 50)
    assert prompts and not any(is_held_out(each.bucket) for each in prompts)


def test_what_was_broken_off_goes_on_where_it_was(recorder: Recorder, store: Store) -> None:
    asked = [side(False, recorder, number) for number in range(3)]
    with pytest.raises(BackendError):
        generate(recorder, Scripted(GOOD, POOR, fails_at=3), "m", asked, n=2)
    assert len(stored(store, "candidate")) == 2 and pairs.count(store, "erd") == 1
    seen: list[tuple[int, int]] = []
    backend = Scripted(GOOD, POOR)
    done = generate(recorder, backend, "m", asked, n=2, progress=lambda at, of: seen.append((at, of)))
    assert (done.known, done.answered, len(backend.asked)) == (1, 2, 4)
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert len(stored(store, "candidate")) == 6 and pairs.count(store, "erd") == 3
    more = generate(recorder, Scripted(GOOD + "\n%% a", POOR + "\n%% a"), "m", asked[:1], n=2, seed=1)
    assert (more.known, more.recorded) == (0, 2)


def test_poor_generic_and_cut_off_answers_are_not_chosen(recorder: Recorder, store: Store) -> None:
    event = side(False, recorder)
    done = generate(recorder, Scripted(POOR, WORSE + "!"), "m", [event], n=2)
    assert (done.pairs, done.without_pair) == (0, 1)

    class Cut(Scripted):
        def generate(self, model: str, messages: Sequence[Message], sampling: Sampling) -> Generation:
            return replace(super().generate(model, messages, sampling), finish_reason="length")

    assert generate(recorder, Cut(GOOD, WORSE + "?"), "m", [event], n=2, seed=1).pairs == 0
    assert pairs.count(store, "erd") == 0


def test_a_model_that_says_nothing_is_told(recorder: Recorder, store: Store) -> None:
    done = generate(recorder, Scripted(""), "m", [side(False, recorder)], n=2)
    assert (done.failed, done.empty, done.generated, done.mean_score) == (1, 4, 4, None)
    assert stored(store, "candidate") == []
    with pytest.raises(ValueError, match="2 to 5"):
        generate(recorder, Scripted(""), "m", [], n=6)


def test_personal_data_that_was_kept_stays_one_prompt(recorder: Recorder, store: Store) -> None:
    for number in range(50):
        event = record(recorder, f"Diagram {number} for ann@example.org: shop, order", sanitize=False)
        if not is_held_out(event.bucket):
            break
    generate(recorder, Scripted(GOOD, POOR), "m", [event], n=2)
    assert {row.prompt for row in stored(store, "candidate")} == {event.prompt}


def test_open_hard_negatives_come_first_and_each_prompt_once(recorder: Recorder, store: Store) -> None:
    failed = side(False, recorder)
    record(recorder, failed.prompt, WORSE + " Or so.")
    fine = [record(recorder, f"Another diagram {number}: shop, order.", GOOD) for number in range(12)]
    chosen = candidate_prompts(store, Config(), recorder.categories["erd"], 6)
    assert len(chosen) == 6 and len({each.prompt_hash for each in chosen}) == 6
    assert chosen[0].prompt_hash == failed.prompt_hash
    assert {each.id for each in chosen[1:]} & {each.id for each in fine}


def test_siblings_make_their_pairs_once_and_follow_a_new_verdict(recorder: Recorder, store: Store) -> None:
    first = side(False, recorder)
    better = record(recorder, first.prompt, GOOD)
    held = side(True, recorder)
    record(recorder, held.prompt, GOOD)
    own = recorder.categories["erd"]
    assert infer_siblings(store, own, Config()) == 1
    (pair,) = pairs.list_pairs(store, "erd")
    assert (pair.chosen_event, pair.rejected_event, pair.source) == (better.id, first.id, "sibling")
    assert infer_siblings(store, own, Config()) == 0
    recorder.judging.judge(better.id, "bad")
    recorder.judging.judge(first.id, "good")
    assert infer_siblings(store, own, Config()) == 1
    (pair,) = pairs.list_pairs(store, "erd")
    assert (pair.chosen_event, pair.rejected_event) == (first.id, better.id)


def test_siblings_say_nothing_against_a_person(recorder: Recorder, store: Store) -> None:
    first = side(False, recorder)
    better = record(recorder, first.prompt, GOOD)
    record_comparison(store, first.id, better.id, "first")
    assert infer_siblings(store, recorder.categories["erd"], Config()) == 0
    assert [pair.source for pair in pairs.list_pairs(store, "erd")] == ["ranking"]


# -- comparisons


def ranking_pairs(store: Store) -> list[tuple[int | None, int | None, float]]:
    return [(one.chosen_event, one.rejected_event, one.margin) for one in pairs.list_pairs(store, "erd")]


@pytest.fixture
def two(recorder: Recorder) -> tuple[int, int]:
    one = record(recorder, "ER diagram for a shop: shop, order.", GOOD)
    return one.id, record(recorder, one.prompt, WORSE).id


def test_a_comparison_makes_its_pair_and_takes_it_back(store: Store, two: tuple[int, int]) -> None:
    good, worse = two
    record_comparison(store, good, worse, "first", swapped=True, seconds=3.0, now=10.0)
    gain = ((events.get(store, good).score or 0) - (events.get(store, worse).score or 0)) / 100
    assert ranking_pairs(store) == [(good, worse, pytest.approx(gain))]
    assert pairs.list_pairs(store, "erd")[0].created_at == 10.0
    record_comparison(store, worse, good, "first", now=11.0)  # the newer statement, against the scores
    assert ranking_pairs(store) == [(worse, good, 0.5)]
    record_comparison(store, good, worse, "skip", now=12.0)
    assert ranking_pairs(store) == [(worse, good, 0.5)]
    record_comparison(store, good, worse, "both_bad", now=13.0)
    assert ranking_pairs(store) == []
    for expected in ([(worse, good, 0.5)], [(worse, good, 0.5)], [(good, worse, pytest.approx(gain))], []):
        assert undo_comparison(store, "erd", now=20.0) is not None
        assert ranking_pairs(store) == expected
    assert undo_comparison(store, "erd", now=21.0) is None


def test_a_pair_that_came_in_otherwise_stays(store: Store, two: tuple[int, int]) -> None:
    good, worse = two
    texts = pairs.texts(store, good, worse)
    pairs.add(
        store, created_at=5.0, category="erd", **texts._asdict(), margin=0.3, source="ranking",
        chosen_event=good, rejected_event=worse,
    )  # fmt: skip
    said = record_comparison(store, good, worse, "first", now=10.0)
    assert ranking_pairs(store) == [(good, worse, 0.3)]
    undo_comparison(store, "erd", comparison_id=said, now=11.0)
    assert ranking_pairs(store) == [(good, worse, 0.3)]


def test_answers_to_two_prompts_are_not_compared(recorder: Recorder, store: Store, two: tuple[int, int]) -> None:
    other = record(recorder, "Quite another question about libraries", GOOD)
    with pytest.raises(ConflictError, match="same prompt"):
        record_comparison(store, two[0], other.id, "tie")
    with pytest.raises(NotFoundError):
        record_comparison(store, two[0], 999, "tie")
    assert comparisons.log(store, "erd") == []


def test_a_ranking_goes_on_from_the_store(recorder: Recorder, store: Store) -> None:
    prompt = "ER diagram for a shop: shop, order."
    ids = [record(recorder, prompt, f"{GOOD}\n%% variant {number * 'x'}").id for number in range(5)]
    asked = 0
    while (
        question := Ranking(ids, comparisons.in_force(store, "erd"), repeat_one_in=10**9).next_question()
    ) is not None:
        choice = "first" if question.first > question.second else "second"  # the later the better
        record_comparison(store, question.first, question.second, choice, swapped=question.swapped, now=float(asked))  # type: ignore[arg-type]
        asked += 1
    assert asked <= 7
    log = comparisons.in_force(store, "erd")
    assert Ranking(ids, log, repeat_one_in=10**9).order() == [[each] for each in reversed(ids)]
    assert consistency(log).n == asked == pairs.count(store, "erd")


@pytest.mark.process
def test_the_shipped_model_gives_different_answers(recorder: Recorder, store: Store, tmp_path: Path) -> None:
    from core.release.gguf import export_gguf

    model = export_gguf(ASSETS / "demo" / "model", tmp_path / "demo.gguf").path
    event = side(False, recorder)
    with LlamaCppBackend() as backend:
        done = generate(recorder, backend, str(model), [event], name="demo", n=3)
    made = stored(store, "candidate")
    assert done.answered == 1 and len({row.response for row in made}) == len(made) == done.recorded >= 2
