"""Other orders of what a prompt lists: equal facts change places, the last two of a list are joined in another way."""

from __future__ import annotations

import random
import re
from collections.abc import Set
from itertools import groupby
from typing import Final

from core.select.augment.proof import is_name
from core.select.augment.spans import Piece, pieces

_BOUNDARY = re.compile(r"[.;,:!?](?:[ \t]+|(?=\n)|\Z)|\n(?:[ \t]*[-*•][ \t]+)?")
_LAST_TWO = re.compile(r"(,?) and (?=(\S+)[.;:\n]|(\S+)\Z)")
_PAIRED = re.compile(r"\b(?:between|both|either|neither)\b", re.I)
_OPENERS: Final = frozenset({"a", "an", "each", "every"})
_VERB = re.compile(r"[a-z]{2,}s\Z")


def facts_swapped(prompt: str, names: Set[str], rng: random.Random) -> str:
    """The prompt with the facts of one run in another order, or as it is when no run has two.

    A fact is a clause of its own such as `a room books guests`: two names and a verb. A run is what equal marks part.
    """
    starts = [0, *(match.end() for match in _BOUNDARY.finditer(prompt))]
    marks = [(match.start(), match.group()) for match in _BOUNDARY.finditer(prompt)]
    if not marks or marks[-1][0] < len(prompt):
        marks.append((len(prompt), ""))
    clauses = [(start, end, mark) for start, (end, mark) in zip(starts, marks, strict=False)]
    runs = [
        run
        for is_fact, each in groupby(clauses, key=lambda clause: _is_fact(prompt[clause[0] : clause[1]], names))
        if is_fact and len(run := list(each)) > 1 and len({mark.strip(" ") for _, _, mark in run[:-1]}) == 1
    ]
    if not runs:
        return prompt
    run = rng.choice(runs)
    texts = [prompt[start:end] for start, end, _ in run]
    if len({_opener(text).lower() for text in texts}) > 1:
        return prompt
    openers, bodies = [_opener(text) for text in texts], [text[len(_opener(text)) :] for text in texts]
    shuffled = rng.sample(bodies, len(bodies))
    parts, at = [], 0
    for (start, end, _), opener, body in zip(run, openers, shuffled, strict=True):
        parts += [prompt[at:start], opener, body]
        at = end
    return "".join(parts) + prompt[at:]


def last_two_joined(prompt: str, names: Set[str], rng: random.Random) -> str:
    """The prompt with `a, b and c` written `a, b, and c` or `a, b as well as c`, where both sides are names."""
    found = [match for match in _LAST_TWO.finditer(prompt) if _between_names(prompt, match, names)]
    if not found:
        return prompt
    match = rng.choice(found)
    listed = ", " in prompt[max(0, match.start() - 80) : match.start()]
    joins = (" as well as ", ", and " if listed and not match[1] else " and ")
    return f"{prompt[: match.start()]}{rng.choice(joins)}{prompt[match.end() :]}"


def _is_fact(clause: str, names: Set[str]) -> bool:
    if len(clause) > 200:
        return False
    words = list(pieces(clause))
    if words and words[0].lower in _OPENERS:
        words = words[1:]
    if len(words) == 4 and words[2].lower in _OPENERS:
        words = [*words[:2], words[3]]
    return (
        len(words) == 3
        and is_name(words[0], names)
        and is_name(words[2], names)
        and _VERB.match(words[1].text) is not None
        and words[2].end == len(clause.rstrip())
    )


def _opener(clause: str) -> str:
    first, space, _ = clause.partition(" ")
    return first + space if first.lower() in _OPENERS else ""


def _between_names(prompt: str, match: re.Match[str], names: Set[str]) -> bool:
    if _PAIRED.search(prompt, max(0, match.start() - 80), match.start()):
        return False
    around = [*_words(prompt[max(0, match.start() - 80) : match.start()])[-1:], *_words(match[2] or match[3])[:1]]
    return len(around) == 2 and all(is_name(word, names) for word in around)


def _words(text: str) -> list[Piece]:
    return list(pieces(text))
