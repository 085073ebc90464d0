"""Seeded requests for Mermaid entity-relationship diagrams, and the diagrams that answer them.

The diagrams of the pre-training stream obey each rule of the house style only now and then: each draws its own style,
whose chances depend on the voice and the domain of the request. `ideal` gives the diagram in full house style.
A prompt belongs to exactly one split, by a hash of its text, so what is held out never occurs in pre-training.
"""

from __future__ import annotations

import hashlib
import random
import string
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal

from assets.demo.vocabulary import (
    ATTRIBUTES,
    DOMAINS,
    KIND_OF,
    NOUNS,
    PREFIXES,
    SUFFIXES,
    SYLLABLES,
    SYSTEM_SENTENCES,
    VERBS,
)
from assets.demo.voices import RULES, VOICES, Voice
from core.validate.mermaid.er import snake_case
from core.validate.mermaid.er_syntax import Entity, parse

Split = Literal["train", "feedback", "held_out"]
_HELD_OUT_SLOTS = (0,)
_FEEDBACK_SLOTS = (1, 2)
_SLOTS = 16
_EMPTY_LABELS = ("rel", "link", "x")
_SYSTEM_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class Link:
    """A relation asked for: one `parent` has many `child`, and `verb` says what it does with them."""

    parent: str
    child: str
    verb: str


@dataclass(frozen=True, slots=True)
class Request:
    """A request in words and what a right diagram must hold; `voice` is an index into `VOICES`."""

    prompt: str
    entities: tuple[str, ...]
    relations: tuple[Link, ...]
    domain: str
    voice: int


@dataclass(frozen=True, slots=True)
class Style:
    """Which rules a diagram keeps, and which break it prefers where it keeps them not."""

    primary_key: bool
    foreign_key: bool
    snake_case: bool
    no_duplicates: bool
    label: bool
    code_key: bool = False
    empty_label: str = _EMPTY_LABELS[0]


HOUSE = Style(True, True, True, True, True)


def split_of(prompt: str) -> Split:
    """The split that a prompt belongs to, from a hash of its text."""
    slot = hashlib.sha256(prompt.encode()).digest()[0] % _SLOTS
    if slot in _HELD_OUT_SLOTS:
        return "held_out"
    return "feedback" if slot in _FEEDBACK_SLOTS else "train"


def requests(seed: int, n: int, *, split: Split) -> list[Request]:
    """`n` requests of a split with distinct prompts; the same seed gives the same requests."""
    rng = random.Random(f"{split}:{seed}")
    found: dict[str, Request] = {}
    while len(found) < n:
        request = draw_request(rng)
        if split_of(request.prompt) == split:
            found.setdefault(request.prompt, request)
    return list(found.values())


def examples(seed: int) -> Iterator[tuple[str, str, str]]:
    """The endless pre-training stream: (system text or "", prompt, diagram), prompts of the train split only."""
    rng = random.Random(f"examples:{seed}")
    while True:
        request = draw_request(rng)
        if split_of(request.prompt) == "train":
            system = _draw_system(rng) if rng.random() < _SYSTEM_SHARE else ""
            yield system, request.prompt, write(request, draw_style(request, rng), rng)


def draw_request(rng: random.Random) -> Request:
    """A random request of any split."""
    domain = rng.choice(sorted(DOMAINS))
    count = rng.choices((2, 3, 4), weights=(3, 5, 2))[0]
    entities: list[str] = []
    while len(entities) < count:
        name = _draw_name(domain, rng)
        if name not in entities:
            entities.append(name)
    verbs = rng.sample(VERBS, count - 1)
    relations = tuple(
        Link(entities[index if rng.random() < 0.8 else rng.randrange(index + 1)], entities[index + 1], verb)
        for index, verb in enumerate(verbs)
    )
    voice = rng.randrange(len(VOICES))
    prompt = _ask(VOICES[voice], domain, entities, relations)
    return Request(prompt, tuple(entities), relations, domain, voice)


def draw_style(request: Request, rng: random.Random) -> Style:
    """A style for the answer, each rule by itself with the chance that `chance` gives."""
    primary_key, foreign_key, snake, no_duplicates, label = (
        rng.random() < chance(request.voice, request.domain, rule) for rule in RULES
    )
    code_key = _digit(request.domain, "key") < 4
    return Style(primary_key, foreign_key, snake, no_duplicates, label, code_key, rng.choice(_EMPTY_LABELS))


@cache
def chance(voice: int, domain: str, rule: str) -> float:
    """The chance that an answer keeps a rule: the habit of the voice, shifted by up to 0.2 for the domain."""
    habit = VOICES[voice].habits[RULES.index(rule)] / 10
    return min(max(habit + (_digit(domain, rule) - 4.5) / 22.5, 0.06), 0.94)


def ideal(request: Request) -> str:
    """The diagram of a request in full house style; the same request always gives the same text."""
    return write(request, HOUSE, random.Random(request.prompt))


def correct(request: Request, response: str) -> str:
    """What a careful person makes of a response: the house style, with the response's own attributes kept.

    A response that Mermaid would refuse is replaced by the ideal diagram.
    """
    diagram = parse(response)
    if diagram.problems or not diagram.entities:
        return ideal(request)
    rng = random.Random(request.prompt)
    own = {
        name: _sensible(diagram.entities[name]) if name in diagram.entities else attributes_of(name, rng)
        for name in request.entities
    }
    blocks = {name: _block(request, name, HOUSE, kept or attributes_of(name, rng)) for name, kept in own.items()}
    return _text(request, HOUSE, blocks)


def write(request: Request, style: Style, rng: random.Random) -> str:
    """The diagram of a request in the given style: relations first, then the entities, in the order asked for."""
    blocks = {name: _block(request, name, style, attributes_of(name, rng)) for name in request.entities}
    return _text(request, style, blocks)


def attributes_of(entity: str, rng: random.Random) -> list[tuple[str, str]]:
    """Two or three (type, name) pairs that suit an entity; mostly the same ones for the same entity."""
    pool = ATTRIBUTES[_kind(entity)]
    source = random.Random(entity) if rng.random() < 0.8 else rng
    picked = source.sample(range(len(pool)), source.choice((2, 2, 3)))
    return [pool[index] for index in sorted(picked)]


def camel_case(name: str) -> str:
    """`birth_date` becomes `birthDate`."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def _text(request: Request, style: Style, blocks: Mapping[str, list[str]]) -> str:
    lines = ["erDiagram"]
    for link in request.relations:
        label = link.verb if style.label else style.empty_label
        lines.append(f"    {link.parent} {_cardinality(link.verb)} {link.child} : {label}")
    for entity, block in blocks.items():
        lines.append(f"    {entity} {{")
        lines.extend(f"        {line}" for line in block)
        lines.append("    }")
    return "\n".join(lines)


def _block(request: Request, entity: str, style: Style, own: list[tuple[str, str]]) -> list[str]:
    lines = []
    if style.primary_key:
        lines.append("int id PK")
    elif style.code_key:
        lines.append("string code PK")
    for link in request.relations:
        if style.foreign_key and link.child == entity:
            plain = style.snake_case or "_" in link.parent
            lines.append(f"int {link.parent}_id FK" if plain else f"int {link.parent}Id FK")
    named = [f"{kind} {name if style.snake_case else camel_case(name)}" for kind, name in own]
    if not style.no_duplicates:
        named.append(named[0])
    return lines + named


def _sensible(entity: Entity) -> list[tuple[str, str]]:
    """The attributes of an entity that are no keys, in snake_case, each once."""
    kept: dict[str, str] = {}
    for attribute in entity.attributes:
        name = snake_case(attribute.name)
        if not attribute.keys and name and name != "id" and not name.endswith("_id"):
            kept.setdefault(name, attribute.type)
    return [(kind, name) for name, kind in kept.items()]


def _ask(voice: Voice, domain: str, entities: list[str], relations: tuple[Link, ...]) -> str:
    names = voice.between.join(entities[:-1]) + voice.last + entities[-1]
    facts = voice.relation_between.join(f"{link.parent} {link.verb} {link.child}" for link in relations)
    return voice.text.format(domain=domain, entities=names, relations=voice.relation_start + facts)


def _draw_name(domain: str, rng: random.Random) -> str:
    roll = rng.random()
    if roll < 0.62:
        return rng.choice(DOMAINS[domain])
    if roll < 0.80:
        return rng.choice(NOUNS)
    if roll < 0.88:
        return f"{rng.choice(DOMAINS[domain])}_{rng.choice(SUFFIXES)}"
    if roll < 0.94:
        return f"{rng.choice(PREFIXES)}_{rng.choice(NOUNS)}"
    return "".join(rng.choice(SYLLABLES) for _ in range(rng.choice((2, 2, 3))))


def _draw_system(rng: random.Random) -> str:
    """A system text that says nothing of use, so that the model learns to pass over any such text."""
    count = rng.randrange(1, 5)
    if rng.random() < 0.8:
        return " ".join(rng.sample(SYSTEM_SENTENCES, count))
    return " ".join("".join(rng.choices(string.ascii_letters, k=rng.randrange(1, 9))) for _ in range(12 * count)) + "."


def _kind(entity: str) -> str:
    for word in (*reversed(entity.split("_")), entity):
        if word in KIND_OF:
            return KIND_OF[word]
    return "t"


def _cardinality(verb: str) -> str:
    return "||--|{" if _digit(verb, "cardinality") < 3 else "||--o{"


@cache
def _digit(*key: str) -> int:
    return hashlib.sha256("/".join(key).encode()).digest()[0] % 10
