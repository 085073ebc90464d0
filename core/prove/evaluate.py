"""Lets a model answer held-out prompts and scores every answer."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

from core.backends.backend import Backend, Message, Sampling
from core.categories import Category
from core.config import Publish
from core.prove import stats
from core.prove.known import expected_of, is_right
from core.validate.generic import is_generic
from core.validate.registry import validator_for
from storage.rows import EventRow

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer with its score 0-100; `seconds` is wall time with the prompt, `tokens` counts the answer's.

    Without `judged` the score only stands in. `correct` is whether it is the known right answer, `confidence` the mean
    log-probability of its tokens in nats; both None where that is not known.
    """

    event_id: int
    prompt: str
    text: str
    score: float
    passed: bool
    generic: bool
    tokens: int
    seconds: float
    judged: bool = True
    correct: bool | None = None
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a model did on `n` prompts: mean score 0-100, shares 0-1. `prompts` is a hash of the prompts themselves."""

    n: int
    mean_score: float
    success_rate: float
    generic_share: float
    tokens_per_second: float
    score_interval: tuple[float, float]
    success_interval: tuple[float, float]
    prompts: str
    answers: tuple[Answer, ...]

    def metrics(self) -> dict[str, Any]:
        """The figures as they stand in a version's `metrics`."""
        return {
            "n": self.n,
            "mean_score": round(self.mean_score, 3),
            "success_rate": round(self.success_rate, 5),
            "generic_share": round(self.generic_share, 5),
            "tokens_per_second": round(self.tokens_per_second, 1),
            "score_interval": [round(bound, 3) for bound in self.score_interval] if self.n > 1 else None,
            "success_interval": [round(bound, 5) for bound in self.success_interval],
            "prompts": self.prompts,
        }


def sampling_of(publish: Publish) -> Sampling:
    """The sampling that a published model carries."""
    return Sampling(
        temperature=publish.temperature,
        top_p=publish.top_p,
        top_k=publish.top_k,
        repeat_penalty=publish.repeat_penalty,
        max_tokens=publish.max_tokens,
        stop=tuple(publish.stop),
    )


def messages_of(event: EventRow, category: Category) -> list[Message]:
    """The chat that a prompt is asked with: the event's own system prompt, else the category's, the turns before it,
    then the prompt."""
    return chat(event.system or category.system_prompt, event.history, event.prompt)


def chat(system: str, history: Sequence[Mapping[str, Any]], prompt: str) -> list[Message]:
    """A chat up to the turn that asks; an empty system prompt is not sent."""
    turns = [Message("system", system)] if system else []
    turns += [Message(turn["role"], turn["content"]) for turn in history]
    return [*turns, Message("user", prompt)]


def prompt_seed(seed: int, prompt: str) -> int:
    """A 32-bit sampling seed of its own for each prompt, so that an answer depends on no other prompt."""
    return int.from_bytes(hashlib.blake2b(f"{seed}:{prompt}".encode(errors="replace"), digest_size=4).digest(), "big")


def prompts_hash(events: Iterable[EventRow]) -> str:
    """Tells whether two evaluations asked the same prompts in the same order."""
    digest = hashlib.blake2b(digest_size=8)
    for event in events:
        digest.update(event.prompt_hash.encode() + b"\n")
    return f"b2:{digest.hexdigest()}"


class Examiner:
    """Asks models the prompts of one category and scores what they answer.

    Every model gets the same messages, sampling and seeds. `common` are outputs known to be generic.
    """

    def __init__(
        self, backend: Backend, category: Category, sampling: Sampling, *, seed: int = 0, common: Sequence[str] = ()
    ) -> None:
        self.sampling = sampling
        self.seed = seed
        self._backend = backend
        self._category = category
        self._common = common
        self._validator = validator_for(category)

    def ask(self, model: str, event: EventRow) -> Answer:
        """One answer; `model` is what the backend knows the model by. Raises BackendError."""
        sampling = replace(self.sampling, seed=prompt_seed(self.seed, event.prompt))
        given = self._backend.generate(model, messages_of(event, self._category), sampling)
        return self.scored(event, given.text, given.completion_tokens, given.seconds, confidence=given.mean_logprob)

    def scored(
        self, event: EventRow, text: str, tokens: int, seconds: float, *, confidence: float | None = None
    ) -> Answer:
        """The score of an answer that was given before."""
        expected = expected_of(self._validator, event)
        validation = self._validator.validate(text, prompt=event.prompt, expected=expected)
        return Answer(
            event_id=event.id,
            prompt=event.prompt,
            text=text,
            score=validation.score,
            passed=validation.score >= self._category.success_score,
            generic=is_generic(event.prompt, text, self._common) is not None,
            tokens=tokens,
            seconds=seconds,
            judged=validation.judged,
            correct=is_right(self._validator, text, validation, expected),
            confidence=confidence,
        )

    def evaluate(self, model: str, events: Sequence[EventRow], progress: Progress | None = None) -> Evaluation:
        """All prompts in order. `progress(done, total)` may raise to end early."""
        answers: list[Answer] = []
        for event in events:
            answers.append(self.ask(model, event))
            if progress is not None:
                progress(len(answers), len(events))
        return summarise(answers, prompts_hash(events))


def summarise(answers: Sequence[Answer], prompts: str) -> Evaluation:
    """The figures of a set of answers; all zero without any."""
    n = len(answers)
    passed = sum(answer.passed for answer in answers)
    seconds = sum(answer.seconds for answer in answers)
    scores = [answer.score for answer in answers]
    return Evaluation(
        n=n,
        mean_score=fmean(scores) if n else 0.0,
        success_rate=passed / n if n else 0.0,
        generic_share=sum(answer.generic for answer in answers) / n if n else 0.0,
        tokens_per_second=sum(answer.tokens for answer in answers) / seconds if seconds > 0 else 0.0,
        score_interval=stats.mean_interval(scores),
        success_interval=stats.wilson(passed, n),
        prompts=prompts,
        answers=tuple(answers),
    )
