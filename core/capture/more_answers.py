"""Letting a model answer prompts again, so that there is something to rank: which prompts, which model, how many."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from core.backends.by_name import ModelsByName
from core.backends.watched import BrokenOff, Watched
from core.capture.candidates import Candidates, Progress, candidate_prompts, generate
from core.capture.record import Recorder
from core.categories import Category, category, load_categories, select_of
from core.config import Config, load_config
from core.errors import FinetuneError
from core.paths import Home
from core.prove.evaluate import sampling_of
from core.release.answering import answering
from core.select.split import is_held_out
from storage import comparisons, events
from storage.db import Store, open_store
from storage.rows import EventFilter, EventRow
from storage.search import newest

FEWEST: Final = 2
MOST: Final = 5
_RECENT: Final = 400


@dataclass(frozen=True, slots=True)
class MoreAnswers:
    """What became of it: the name of the model that answered, the figures, and whether it was `stopped` before all had
    been asked (the figures are then empty; what was recorded stays)."""

    model: str
    done: Candidates
    stopped: bool = False


def more_answers(
    home: Home,
    category_name: str,
    *,
    n: int,
    prompts: int = 10,
    prompt_event: int | None = None,
    stopped: Callable[[], bool] = lambda: False,
    progress: Progress | None = None,
) -> MoreAnswers:
    """Lets what serves a category, else its newest version, else its base model, answer `n` (2-5) times each: the
    prompt of an event, or so many of the `prompts` that teach most and have one answer only.

    `stopped` is looked at while an answer is drawn. Raises FinetuneError where no model can answer, the prompt is
    kept for testing, or no prompt is left; BackendError where the model fails.
    """
    config, categories = load_config(home), load_categories(home)
    own = category(categories, category_name)
    with open_store(home.store) as store:
        if prompt_event is None:
            chosen, seed = prompts_to_answer(store, config, own, prompts), 0
        else:
            chosen = [events.get(store, prompt_event)]
            # Another seed each time, or the answers that are there would come again.
            seed = len(comparisons.answers_to(store, prompt_event))
        _check(chosen, own, config)
        found = answering(store, home, config, own)

        def heard(_: str) -> None:
            if stopped():
                raise BrokenOff

        with Watched(ModelsByName(num_ctx=config.publish.num_ctx), heard) as backend:
            try:
                done = generate(
                    Recorder(store, home, config, categories),
                    backend,
                    found.model,
                    chosen,
                    name=found.name,
                    n=n,
                    sampling=sampling_of(config.publish),
                    seed=seed,
                    progress=progress,
                )
            except BrokenOff:
                return MoreAnswers(found.name, Candidates(prompts=len(chosen)), stopped=True)
        return MoreAnswers(found.name, done)


def prompts_to_answer(store: Store, config: Config, own: Category, limit: int) -> list[EventRow]:
    """Up to `limit` prompts with one answer: those of `candidate_prompts`, then the newest; none held out."""
    percent = select_of(own, config).held_out_percent
    answered = {
        event for each in comparisons.several(store, own.name, held_out_percent=percent) for event in each.answers
    }
    chosen: dict[str, EventRow] = {}
    teaching = candidate_prompts(store, config, own, limit + min(_RECENT, len(answered)))
    recent, _ = newest(store, EventFilter(category=own.name), _RECENT + len(answered))
    for source in (teaching, events.get_many(store, recent)):
        for event in source:
            if event.id not in answered and not is_held_out(event.bucket, percent):
                chosen.setdefault(event.prompt_hash, event)
            if len(chosen) == limit:
                return list(chosen.values())
    return list(chosen.values())


def _check(chosen: list[EventRow], own: Category, config: Config) -> None:
    if not chosen:
        raise FinetuneError(
            f"{own.name} has no prompt with one answer only that may be trained on.",
            title="Nothing to answer again",
            hint="Record or import more outputs first.",
        )
    if len(chosen) == 1 and is_held_out(chosen[0].bucket, select_of(own, config).held_out_percent):
        raise FinetuneError(
            "This prompt is kept for testing: nothing may be learned from its answers.",
            title="Not answered again",
            hint="Choose another prompt.",
        )
