"""Re-tests: a new version answers the prompts on which a model had failed, and some that count as solved.

Every answer is stored at once, so that a re-test that was broken off goes on where it was.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from core.backends.backend import Backend, Message, Sampling
from core.categories import Category
from core.config import Select
from core.prove.evaluate import Progress, messages_of, prompt_seed
from core.select.hard.hard_negatives import STATES, HardNegative, State, hard_negatives
from core.validate.registry import validated, validator_for
from core.validate.validator import Validator
from storage import ab_tests, events, hard_tests
from storage.db import Store
from storage.rows import EventRow, VersionRow

_SOLVED_SHARE = 4
"""One part in so many of the questions goes to failures that count as solved."""

_ROLES = frozenset({"user", "assistant"})


@dataclass(frozen=True, slots=True)
class Retested:
    """What came of a version's re-tests: `solved` were open before, `reopened` were solved, `failed` counts all failed.

    `tested` are the judged ones; where the validator could not judge an answer (`not_judged`) nothing changes.
    """

    tested: int
    solved: int
    reopened: int
    failed: int
    not_judged: int

    @property
    def summary(self) -> str:
        """In words: "40 hard negatives tested: 12 solved, 1 came back, 28 still fail"."""
        if not self.tested:
            return "No hard negatives were tested."
        text = f"{self.tested} hard negative{'s' * (self.tested != 1)} tested: {self.solved} solved"
        if self.reopened:
            text += f", {self.reopened} came back"
        text += f", {self.failed - self.reopened} still fail"
        return text + (f"; {self.not_judged} could not be judged." if self.not_judged else ".")


def retest(
    store: Store,
    backend: Backend,
    model: str,
    version: VersionRow,
    category: Category,
    *,
    constants: Select,
    sampling: Sampling,
    seed: int,
    limit: int | None = None,
    progress: Progress | None = None,
) -> Retested:
    """`version` answers up to `limit` prompts of hard negatives (None: `constants.max_retests`), the worst first.

    A quarter of them are solved ones, those that were not tested for longest first. Answers that the version gave in
    an A/B test already are taken from there and do not count. `model` is what the backend knows the version by;
    `progress(done, total)` may raise to break off. Raises BackendError.
    """
    # As things stood before this version was tested: the plan of a re-test that goes on is the one it began with.
    known = hard_negatives(store, category, constants=constants, states=STATES, ignore_version=version.id)
    examiner = _Examiner(store, backend, model, version, category, sampling, seed, validator_for(category), {})
    known_ids = {each.event_id for each in known}
    given = {event_id: text for event_id, text in _given(store, version).items() if event_id in known_ids}
    done = events_tested_by(store, category.name, version.id)
    for event in events.get_many(store, sorted(set(given) - done)):
        examiner.keep(event, given[event.id])
    most = constants.max_retests if limit is None else limit
    chosen = plan([each for each in known if each.event_id not in given], most)
    for count, event_id in enumerate(chosen, 1):
        if event_id not in done:
            # One at a time: what a long history holds is never all in memory.
            for event in events.get_many(store, [event_id]):
                examiner.ask(event)
        if progress is not None:
            progress(count, len(chosen))
    return _counted(store, category, version, {each.event_id: each.state for each in known})


def retest_these(
    store: Store,
    backend: Backend,
    model: str,
    version: VersionRow,
    category: Category,
    *,
    event_ids: Sequence[int],
    constants: Select,
    sampling: Sampling,
    seed: int,
    progress: Progress | None = None,
) -> Retested:
    """`version` answers the prompts of these hard negatives, in this order; the figures are of them alone.

    What it answered before, here or in an A/B test, is not asked again: with the same seed it would say the same.
    `progress(done, total)` counts what is asked, and may raise to break off. Raises BackendError.
    """
    known = hard_negatives(store, category, constants=constants, states=STATES, ignore_version=version.id)
    wanted = set(event_ids)
    before = {each.event_id: each.state for each in known if each.event_id in wanted}
    done = events_tested_by(store, category.name, version.id)
    given = _given(store, version)
    examiner = _Examiner(store, backend, model, version, category, sampling, seed, validator_for(category), {})
    chosen = [event_id for event_id in event_ids if event_id in before and event_id not in done]
    for count, event_id in enumerate(chosen, 1):
        for event in events.get_many(store, [event_id]):
            if event_id in given:
                examiner.keep(event, given[event_id])
            else:
                examiner.ask(event)
        if progress is not None:
            progress(count, len(chosen))
    return _counted(store, category, version, before, only=wanted)


def events_tested_by(store: Store, category_name: str, version_id: int) -> set[int]:
    """The events of the category that a version was tested on."""
    return {each.event_id for each in hard_tests.tests(store, category_name) if each.version_id == version_id}


def plan(negatives: Sequence[HardNegative], limit: int) -> list[int]:
    """The events to ask about, at most `limit`: failures in the order given, then up to a quarter of solved ones."""
    solved = [each for each in negatives if each.state == "solved"]
    solved.sort(key=lambda each: (each.last_tested or 0.0, each.event_id))
    again = [each.event_id for each in solved[: limit // _SOLVED_SHARE]]
    return [each.event_id for each in negatives if each.state != "solved"][: limit - len(again)] + again


@dataclass(frozen=True, slots=True)
class _Examiner:
    """Asks one version, with the messages, sampling and seeds of every other test, and stores what it answers."""

    store: Store
    backend: Backend
    model: str
    version: VersionRow
    category: Category
    sampling: Sampling
    seed: int
    validator: Validator
    answers: dict[tuple[Message, ...], str]

    def ask(self, event: EventRow) -> None:
        """One question; the same question of another event has the same answer. Chats with tools are not asked."""
        if any(turn.get("role") not in _ROLES or "tool_calls" in turn for turn in event.history):
            return
        question = tuple(messages_of(event, self.category))
        if question not in self.answers:
            sampling = replace(self.sampling, seed=prompt_seed(self.seed, event.prompt))
            self.answers[question] = self.backend.generate(self.model, question, sampling).text
        self.keep(event, self.answers[question])

    def keep(self, event: EventRow, text: str) -> None:
        """Scores and stores an answer."""
        validation = validated(self.validator, text, event.prompt, event.metadata)
        hard_tests.add(
            self.store,
            event.id,
            self.version.id,
            at=time.time(),
            response=text,
            score=validation.score if validation.judged else None,
            passed=validation.judged and validation.score >= self.category.success_score,
        )


def _given(store: Store, version: VersionRow) -> dict[int, str]:
    """The answers of the version in its A/B tests, by event; of several the newest."""
    tests = [test for test in ab_tests.list_tests(store, version.category) if test.version_b == version.id]
    return {
        pair.event_id: pair.response_b
        for test in reversed(tests)
        for pair in ab_tests.pairs(store, test.id)
        if pair.event_id is not None
    }


def _counted(
    store: Store,
    category: Category,
    version: VersionRow,
    before: Mapping[int, State],
    *,
    only: Collection[int] | None = None,
) -> Retested:
    """The figures of everything (of `only` these events) that the version was tested on, also before it was broken
    off."""
    every = [each for each in hard_tests.tests(store, category.name) if each.version_id == version.id]
    rows = [each for each in every if only is None or each.event_id in only]
    told = [each for each in rows if each.score is not None]
    return Retested(
        tested=len(told),
        solved=sum(each.passed and before.get(each.event_id) in ("open", "reopened") for each in told),
        reopened=sum(not each.passed and before.get(each.event_id) == "solved" for each in told),
        failed=sum(not each.passed for each in told),
        not_judged=len(rows) - len(told),
    )
