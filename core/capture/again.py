"""One more answer to a prompt that was asked before: recorded and scored like every candidate."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from core.backends.backend import Backend, Generation, Sampling
from core.capture.candidates import LEAST_TEMPERATURE, judged_answer
from core.capture.record import Recorder
from core.categories import category, select_of
from core.errors import BackendError
from core.prove.evaluate import messages_of, prompt_seed
from core.select.split import is_held_out
from storage.rows import EventRow


@dataclass(frozen=True, slots=True)
class AnswerAgain:
    """An answer with its score (0-100, None where nobody could judge it).

    `event_id` is the event it was recorded as, the older one where `known` (the same answer was there already), None
    where the prompt is `held_out`: an answer to what versions are tested on is shown and not kept.
    """

    text: str
    version: str
    score: float | None
    event_id: int | None
    known: bool
    held_out: bool


def answer_again(
    recorder: Recorder, backend: Backend, model: str, event: EventRow, *, name: str, sampling: Sampling, seed: int
) -> AnswerAgain:
    """Lets a model answer the prompt of an event once more, at a temperature of 0.8 at least, and records the answer.

    `model` is what the backend knows it by, `name` what is stored of it; another `seed` gives another answer. Raises
    BackendError, also for an answer without text.
    """
    own = category(recorder.categories, event.category)
    asked = replace(
        sampling,
        temperature=max(LEAST_TEMPERATURE, sampling.temperature),
        seed=prompt_seed(seed, f"again\n{event.prompt}"),
    )
    given: Generation = backend.generate(model, messages_of(event, own), asked)
    if not given.text.strip():
        raise BackendError(f"{name} gave an empty answer.", title="No answer came", hint="Ask again.")
    now = time.time()
    judged = judged_answer(recorder, event, given, asked, name=name, group="", now=now)
    if is_held_out(event.bucket, select_of(own, recorder.config).held_out_percent):
        return AnswerAgain(given.text, name, judged.event.score, None, known=False, held_out=True)
    with recorder.store.transaction(durable=True):
        [kept] = recorder.keep([judged], now, {})
    return AnswerAgain(given.text, name, judged.event.score, kept.event_id, known=kept.duplicate, held_out=False)
