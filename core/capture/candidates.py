"""Several answers to one prompt, generated on purpose: recorded and scored like all others, and made into pairs."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from core.backends.backend import Backend, Generation, Sampling
from core.capture.incoming import Incoming
from core.capture.judged import Judged
from core.capture.record import Recorder
from core.categories import Category, category, select_of
from core.config import Config
from core.prove.evaluate import messages_of, prompt_seed
from core.select.hard.hard_negatives import hard_negatives
from core.select.preference.preferences import Preference, adjacent_pairs, ranked, sibling_pairs
from core.select.review import review_order
from core.select.split import content_hash, is_held_out
from storage import events, pairs
from storage.db import Store
from storage.production import CANDIDATE
from storage.rows import EventFilter, EventRow

SOURCE: Final = CANDIDATE
LEAST_TEMPERATURE: Final = 0.8
"""Below it the answers to one prompt hardly differ."""
_ATTEMPTS: Final = 2
"""Answers asked for at most, for each one that is wanted: exact repeats are thrown away."""
_SIBLINGS: Final = 64
"""The newest answers to one prompt that are looked at; each comparison of two long texts takes milliseconds."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Candidates:
    """What became of `prompts` distinct prompts: `answered` now, `known` (their answers of this model and seed were
    there), `held_out` (refused: they test versions) and `failed` (no usable answer came). Of the `generated` answers
    `repeated` were thrown away as exact copies and `empty` as such; `recorded` are new in the store.

    `pairs` were made, none of them for `without_pair` of the prompts: the scores lie too close, or the best is no
    success. `mean_score` (0-100) is over the scored answers of this call, None without any.
    """

    prompts: int = 0
    answered: int = 0
    known: int = 0
    held_out: int = 0
    failed: int = 0
    generated: int = 0
    repeated: int = 0
    empty: int = 0
    recorded: int = 0
    pairs: int = 0
    without_pair: int = 0
    mean_score: float | None = None

    def to_mapping(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


def candidate_prompts(store: Store, config: Config, own: Category, limit: int) -> list[EventRow]:
    """The events whose prompts are most worth answering several times: hard negatives that are open, the worst first,
    then the most informative of those that nobody judged; one event a prompt, none of them held out."""
    constants = select_of(own, config)
    hard = [one.event_id for one in hard_negatives(store, own, constants=constants)]
    pending = review_order(store, EventFilter(category=own.name, verdict="pending"), limit=10 * limit + 100)
    chosen: dict[str, EventRow] = {}
    for event in events.get_many(store, list(dict.fromkeys([*hard, *pending]))):
        if event.source == SOURCE or is_held_out(event.bucket, constants.held_out_percent):
            continue
        chosen.setdefault(event.prompt_hash, event)
        if len(chosen) == limit:
            break
    return list(chosen.values())


def generate(
    recorder: Recorder,
    backend: Backend,
    model: str,
    prompts: Sequence[EventRow],
    *,
    name: str = "",
    n: int | None = None,
    sampling: Sampling | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Candidates:
    """Lets a model give 2-5 different answers to the prompt of each event, records them and makes their pairs.

    `model` is what the backend knows the model by, `name` what is stored of it (else `model`). `n` defaults to the
    category's `select.candidates`. The temperature is 0.8 at least, and each answer has a seed of its own, made of
    `seed`, its prompt and its number. What the event's validator expects is handed on.

    Each prompt is one durable transaction, and one whose answers by this name and seed are there is not asked again, so
    a call that was broken off can be made anew. `progress(done, total)` may raise to end early. Raises BackendError,
    and ValueError for `n` out of its range.
    """
    if n is not None and not 2 <= n <= 5:
        raise ValueError(f"2 to 5 answers can be generated to a prompt, not {n}")
    distinct: dict[tuple[str, str], EventRow] = {}
    for event in prompts:
        distinct.setdefault((event.category, event.prompt_hash), event)
    asking = _Asking(
        recorder, backend, model=model, name=name or model, n=n, sampling=sampling or Sampling(), seed=seed
    )
    done = Candidates(prompts=len(distinct))
    scores: list[float] = []
    for number, event in enumerate(distinct.values(), 1):
        done = asking.ask(event, done, scores)
        if progress is not None:
            progress(number, len(distinct))
    return replace(done, mean_score=sum(scores) / len(scores) if scores else None)


class _Asking:
    """What the prompts of one call share."""

    def __init__(
        self,
        recorder: Recorder,
        backend: Backend,
        *,
        model: str,
        name: str,
        n: int | None,
        sampling: Sampling,
        seed: int,
    ) -> None:
        self._recorder = recorder
        self._backend = backend
        self._model = model
        self._name = name
        self._n = n
        self._sampling = replace(sampling, temperature=max(LEAST_TEMPERATURE, sampling.temperature))
        self._seed = seed
        self._groups: dict[str, set[str]] = {}
        self._recent: dict[str, int] = {}

    def ask(self, event: EventRow, done: Candidates, scores: list[float]) -> Candidates:
        """`done` with what became of one more prompt."""
        own = category(self._recorder.categories, event.category)
        constants = select_of(own, self._recorder.config)
        if is_held_out(event.bucket, constants.held_out_percent):
            return replace(done, held_out=done.held_out + 1)
        if event.category not in self._groups:
            self._groups[event.category] = pairs.group_keys(self._recorder.store, event.category, SOURCE)
        group = self._group(event)
        if group in self._groups[event.category]:
            return replace(done, known=done.known + 1)
        answers, generated, empty = self._answers(event, own, self._n or constants.candidates)
        done = replace(
            done,
            generated=done.generated + generated,
            empty=done.empty + empty,
            repeated=done.repeated + generated - empty - len(answers),
        )
        if not answers:
            return replace(done, failed=done.failed + 1)
        now = time.time()
        judged = [self._judged(event, given, sampling, group, now) for given, sampling in answers]
        store = self._recorder.store
        with store.transaction(durable=True):
            recorded = self._recorder.keep(judged, now, self._recent)
            rows = events.get_many(store, list(dict.fromkeys(one.event_id for one in recorded)))
            found = adjacent_pairs(
                [ranked(row) for row in rows], constants.min_margin, success_score=own.success_score, source=SOURCE
            )
            made = _add(store, found, rows, now)
        scores += [row.score for row in rows if row.score is not None]
        return replace(
            done,
            answered=done.answered + 1,
            recorded=done.recorded + sum(not one.duplicate for one in recorded),
            pairs=done.pairs + made,
            without_pair=done.without_pair + (not found),
        )

    def _group(self, event: EventRow) -> str:
        asked = f"{event.prompt_hash}\n{event.system}\n{self._name}\n{self._seed}"
        return f"{SOURCE}:{hashlib.blake2b(asked.encode(errors='replace'), digest_size=12).hexdigest()}"

    def _answers(
        self, event: EventRow, own: Category, wanted: int
    ) -> tuple[list[tuple[Generation, Sampling]], int, int]:
        """Different answers with their sampling; how many were generated, and how many of them were empty."""
        messages = messages_of(event, own)
        different: dict[str, tuple[Generation, Sampling]] = {}
        generated = empty = 0
        while len(different) < wanted and generated < _ATTEMPTS * wanted:
            sampling = replace(self._sampling, seed=prompt_seed(self._seed, f"{generated}\n{event.prompt}"))
            given = self._backend.generate(self._model, messages, sampling)
            generated += 1
            if given.text.strip():
                different.setdefault(content_hash("", given.text), (given, sampling))
            else:
                empty += 1
        return list(different.values()), generated, empty

    def _judged(self, event: EventRow, given: Generation, sampling: Sampling, group: str, now: float) -> Judged:
        return judged_answer(self._recorder, event, given, sampling, name=self._name, group=group, now=now)


def judged_answer(
    recorder: Recorder, event: EventRow, given: Generation, sampling: Sampling, *, name: str, group: str, now: float
) -> Judged:
    """An answer that a model `name` gave to the prompt of an event, judged and ready to be kept as a candidate."""
    metadata: dict[str, Any] = {
        "candidate_of": event.id,
        "temperature": sampling.temperature,
        "seed": sampling.seed,
        "finish_reason": given.finish_reason,
    }
    if "expected" in event.metadata:
        metadata["expected"] = event.metadata["expected"]
    if given.mean_logprob is not None and math.isfinite(given.mean_logprob):
        metadata["mean_logprob"] = given.mean_logprob
    incoming = Incoming(
        prompt=event.prompt,
        response=given.text,
        category=event.category,
        model=name,
        system=event.system,
        history=event.history,
        source=SOURCE,
        group_key=group,
        latency_ms=given.seconds * 1000.0,
        metadata=metadata,
    )
    judged = recorder.preparer.prepare(incoming, now)
    if judged.event.prompt_hash != event.prompt_hash:
        # The prompt keeps personal data, as it was asked to: sanitised it would be another prompt.
        judged = recorder.preparer.prepare(replace(incoming, sanitize=False), now)
    return judged


def infer_siblings(store: Store, own: Category, config: Config, *, now: float | None = None) -> int:
    """Makes the pairs that answers to one prompt imply which are in the store already, each once; how many are new.

    See `core.select.preference.preferences.sibling_pairs` for what counts. Two answers of which a pair says anything
    are left alone, unless the same evidence once said the opposite: then the newer one takes its place. Held-out
    prompts make none.
    """
    constants = select_of(own, config)
    made = 0
    at = time.time() if now is None else now
    for ids in pairs.siblings(store, own.name, held_out_percent=constants.held_out_percent):
        rows = events.get_many(store, ids[-_SIBLINGS:])
        found = sibling_pairs(rows, constants.min_margin, success_score=own.success_score)
        if found:
            with store.transaction(durable=True):
                made += _add(store, found, rows, at)
    return made


def _add(store: Store, found: Iterable[Preference], rows: Sequence[EventRow], now: float) -> int:
    by_id: Mapping[int, EventRow] = {row.id: row for row in rows}
    made = 0
    for one in found:
        against = pairs.sources_between(store, one.rejected_event, one.chosen_event)
        if against - {one.source} or pairs.between(store, one.chosen_event, one.rejected_event):
            continue
        pairs.drop_between(store, one.rejected_event, one.chosen_event, one.source)
        event = by_id[one.chosen_event]
        pairs.add(
            store,
            created_at=now,
            category=event.category,
            prompt=event.prompt,
            chosen=one.chosen,
            rejected=one.rejected,
            margin=one.margin,
            source=one.source,
            chosen_event=one.chosen_event,
            rejected_event=one.rejected_event,
        )
        made += 1
    return made
