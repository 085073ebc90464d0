"""One more answer to a prompt: recorded like a candidate, unless its prompt is kept for testing."""

from __future__ import annotations

import pytest
from test_candidates import EXPECTED, GOOD, WORSE, Scripted

from core.backends.backend import Sampling
from core.capture.again import AnswerAgain, answer_again
from core.capture.candidates import SOURCE
from core.capture.record import Recorder
from core.categories import load_categories
from core.config import Config
from core.errors import BackendError
from core.paths import Home
from core.select.split import bucket, is_held_out, prompt_hash
from storage import events
from storage.db import Store


@pytest.fixture
def recorder(store: Store, home: Home) -> Recorder:
    return Recorder(store, home, Config(), load_categories(home))


def asked(recorder: Recorder, *, held_out: bool) -> int:
    """An event whose answer failed."""
    prompts = (f"Draw shop {number} with its orders" for number in range(1_000))
    prompt = next(each for each in prompts if is_held_out(bucket(prompt_hash(each)), 20) is held_out)
    return recorder.record(prompt=prompt, response=WORSE, category="erd", model="old", metadata=EXPECTED).event_id


def again(recorder: Recorder, event_id: int, *texts: str, seed: int = 1) -> AnswerAgain:
    backend = Scripted(*texts)
    event = events.get(recorder.store, event_id)
    found = answer_again(recorder, backend, "file", event, name="ft-v1", sampling=Sampling(temperature=0.1), seed=seed)
    [(_, sampling)] = backend.asked
    assert sampling.temperature == 0.8
    return found


def test_the_answer_is_scored_and_recorded_as_a_candidate(recorder: Recorder) -> None:
    event_id = asked(recorder, held_out=False)
    found = again(recorder, event_id, GOOD)
    assert (found.known, found.held_out, found.version) == (False, False, "ft-v1")
    assert found.event_id is not None and found.event_id != event_id
    stored = events.get(recorder.store, found.event_id)
    assert (stored.response, stored.model, stored.source) == (GOOD, "ft-v1", SOURCE)
    assert stored.metadata["candidate_of"] == event_id
    assert stored.score == found.score and stored.score is not None and stored.score >= 80


def test_the_same_answer_again_is_known(recorder: Recorder) -> None:
    event_id = asked(recorder, held_out=False)
    first = again(recorder, event_id, GOOD)
    second = again(recorder, event_id, GOOD, seed=2)
    assert second.known and second.event_id == first.event_id


def test_an_answer_to_a_prompt_that_tests_versions_is_not_kept(recorder: Recorder) -> None:
    event_id = asked(recorder, held_out=True)
    found = again(recorder, event_id, GOOD)
    assert found.held_out and found.event_id is None and found.score is not None
    assert events.get_many(recorder.store, [event_id + 1]) == []


def test_an_empty_answer_is_a_fault(recorder: Recorder) -> None:
    with pytest.raises(BackendError, match="empty"):
        again(recorder, asked(recorder, held_out=False), "  ")
