"""A user's weeks with the demonstration model, drawn from a seed: what was asked, what came back, how a person reacts.

Nothing here knows of the learning components. The person judges the answer that they see with all that they know of
the request; the validator of the store sees the text alone, since nobody tells it which entities were asked for.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

from assets.demo import corpus
from core.paths import write_whole
from core.validate.generic import is_generic
from core.validate.mermaid.er import MermaidErValidator
from storage.rows import Verdict

ROWS: Final = 1_000
"""Answers in the log, a month of use."""
FREQUENT: Final = 20
FREQUENT_SHARE: Final = 0.30
"""This many requests come again and again and make up this share of the log."""
CACHED: Final = 0.5
"""Share of repeats that get the very answer of the first time (a cache, or the same seed); the others a new one."""
REWORDED: Final = 0.4
"""Share of repeats in which the request is worded a little differently."""
FALLBACK_SHARE: Final = 0.08
"""Share of answers that are the boilerplate which some other program fell back on."""
TEMPERATURE: Final = 0.8
DAYS: Final = 25.0

BUDGET_S: Final = 600.0
"""Ten minutes of a person's attention for labels, the same for every arm."""
THUMB_S: Final = 4.0
CORRECTION_S: Final = 20.0
GOOD_FROM: Final = 85.0
"""Score, with all entities there, from which the person is content."""
WRITES: Final = 0.5
"""Chance that the person corrects an answer that they do not like, instead of a thumb down."""
WRONG_THUMB: Final = 0.10
SLOPPY: Final = 0.10
"""Share of corrections that mend the half and leave or bring in other mistakes."""

TEST_PROMPTS: Final = 120
CANDIDATE_PROMPTS: Final = 60
CANDIDATES: Final = 4
"""For the arm with candidates: so many answers drawn anew for so many prompts of the log, without a person."""

FALLBACK: Final = """erDiagram
    entity_a ||--o{ entity_b : has
    entity_a {
        int id PK
        string name
    }
    entity_b {
        int id PK
        string name
    }"""
_HALF_DONE: Final = (
    replace(corpus.HOUSE, foreign_key=False),
    replace(corpus.HOUSE, primary_key=False, snake_case=False),
    replace(corpus.HOUSE, foreign_key=False, label=False),
)
_VALIDATOR: Final = MermaidErValidator()

Ask = Callable[[Sequence[str], float, int], list[str]]
"""Prompts, temperature and seed to answers of the untouched base model."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the log. `request` is an index into the requests; the prompt may be a rewording of that one's."""

    request: int
    prompt: str
    response: str
    age_days: float


@dataclass(frozen=True, slots=True)
class World:
    """The log in the order of arrival, and the base model's answers to the test (greedy)."""

    seed: int
    rows: list[Row]
    test_answers: list[str]

    @property
    def requests(self) -> list[corpus.Request]:
        """The requests that rows point into."""
        return _asked(self.seed)

    @property
    def test(self) -> list[corpus.Request]:
        """The requests of the test, in the order of `test_answers`."""
        return test_requests(self.seed)


@dataclass(frozen=True, slots=True)
class Reaction:
    """What a person says of an answer, and how long they take."""

    verdict: Verdict
    correction: str | None
    seconds: float


def test_requests(seed: int) -> list[corpus.Request]:
    """The prompts that every arm of a seed is tested on; none occurs in pre-training or in the log."""
    return corpus.requests(10_000 + seed, TEST_PROMPTS, split="held_out")


def _asked(seed: int) -> list[corpus.Request]:
    return corpus.requests(seed, FREQUENT + ROWS, split="feedback")


def make_world(seed: int, ask: Ask) -> World:
    """Asks the base model and lays out the log."""
    chance = random.Random(f"world:{seed}")
    asked = _asked(seed)
    order = [chance.randrange(FREQUENT) if chance.random() < FREQUENT_SHARE else FREQUENT + at for at in range(ROWS)]
    prompts = [asked[at].prompt for at in order]
    answers = ask(prompts, TEMPERATURE, seed)
    ages = sorted((chance.uniform(0.0, DAYS) for _ in order), reverse=True)
    first: dict[int, str] = {}
    rows: list[Row] = []
    for at, prompt, answer, age in zip(order, prompts, answers, ages, strict=True):
        again = at in first
        worded = reword(prompt, chance) if again and chance.random() < REWORDED else prompt
        given = first[at] if again and chance.random() < CACHED else answer
        if not again and chance.random() < FALLBACK_SHARE:
            given = FALLBACK
        first.setdefault(at, given)
        rows.append(Row(at, worded, given, round(age, 4)))
    return World(seed, rows, ask([each.prompt for each in test_requests(seed)], 0.0, seed))


def reword(prompt: str, chance: random.Random) -> str:
    """The same request, typed a second time."""
    ways = (prompt.rstrip("."), prompt[0].lower() + prompt[1:], f"{prompt} Thanks!", prompt.replace(", ", " , "))
    return chance.choice(ways)


def true_score(request: corpus.Request, text: str) -> float:
    """The score 0-100 by all that is known of the request: what the tests count."""
    return _VALIDATOR.validate(text, prompt=request.prompt, expected={"entities": request.entities}).score


def react(world: World, request: corpus.Request, text: str) -> Reaction:
    """What the person says of an answer: always the same of the same one, whoever asks and in whichever order."""
    chance = random.Random(f"person:{world.seed}:{request.prompt}:{text}")
    verdict = _VALIDATOR.validate(text, prompt=request.prompt, expected={"entities": request.entities})
    whole = all(finding.kind != "missing_entity" for finding in verdict.findings)
    content = verdict.score >= GOOD_FROM and whole and is_generic(request.prompt, text) is None
    mistaken, writes, sloppy = chance.random() < WRONG_THUMB, chance.random() < WRITES, chance.random() < SLOPPY
    if not content and writes:
        mended = corpus.correct(request, text)
        if sloppy:
            mended = corpus.write(request, chance.choice(_HALF_DONE), chance)
        return Reaction("correct", mended, CORRECTION_S)
    return Reaction("good" if content != mistaken else "bad", None, THUMB_S)


def save(world: World, path: Path) -> None:
    """Keeps a world for the arms."""
    write_whole(path, json.dumps(asdict(world), ensure_ascii=False))


def load(path: Path) -> World:
    """A world that was kept."""
    values = json.loads(path.read_text(encoding="utf-8"))
    rows = [Row(**row) for row in values["rows"]]
    return World(values["seed"], rows, values["test_answers"])
