"""Replaces words of a request by synonyms, where their part of speech is plain from the words around them.

A verb counts only where it asks for something, a noun only where it ends its group, so that `book a flight` and `the
book` are never taken for each other. The words of the target, code, quotations and identifiers are not touched.
"""

from __future__ import annotations

import random
import re
import tomllib
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from functools import cache
from typing import Final

from assets import ASSETS
from core.select.augment.proof import is_name
from core.select.augment.spans import Piece, pieces, request_end
from core.select.augment.words import ASKING, DETERMINERS, FUNCTION, OBJECTS, PERSONS

PARTS: Final = ("verb", "subject", "noun", "adjective", "adverb", "phrase")
_SHARE: Final = 0.75
_VOWELS: Final = frozenset("aeiou")
_VOWEL_SOUND: Final = re.compile(r"(?!uni|use|usu|eu|one\b|once)[aeiou]|hour|honest|heir", re.I)
# `Show me`, `make it bigger`: what a pronoun follows takes other words behind it than its synonyms do.
_PRONOUNS: Final = frozenset({"me", "us", "it", "them"})
_UNKNOWN: Final = Piece(0, 0, "", "", False)


@dataclass(frozen=True, slots=True)
class _Site:
    start: int
    end: int
    options: tuple[str, ...]


@cache
def groups() -> Mapping[str, Mapping[str, tuple[str, ...]]]:
    """By part of speech, each word with the others of its group."""
    tables = tomllib.loads((ASSETS / "synonyms.toml").read_text(encoding="utf-8"))
    return {
        part: {word: tuple(other for other in group if other != word) for group in tables[part] for word in group}
        for part in PARTS
    }


def synonyms(prompt: str, names: Set[str], rng: random.Random) -> Iterator[str]:
    """Endless variants of a prompt with some of its words replaced; none when no word of it can be."""
    sites = list(_sites(prompt, names))
    while sites:
        chosen = [site for site in sites if rng.random() < _SHARE] or [rng.choice(sites)]
        parts, at = [], 0
        for site in chosen:
            parts += [prompt[at : site.start], _cased(rng.choice(site.options), prompt[site.start : site.end])]
            at = site.end
        yield "".join(parts) + prompt[at:]


def starts_with_vowel_sound(text: str) -> bool:
    """Whether `an` stands before a text; of an acronym the name of its first letter counts."""
    word = text.split(maxsplit=1)[0] if text.split() else ""
    if len(word) > 1 and word.isupper():
        return word[0] in "AEFHILMNORSX"
    return _VOWEL_SOUND.match(word) is not None


def _sites(prompt: str, names: Set[str]) -> Iterator[_Site]:
    end = request_end(prompt)
    found = [piece for piece in pieces(prompt[:end]) if piece.end <= end]
    phrases = _phrase_sites(prompt[:end], found, names)
    taken = [False] * (end + 1)
    for site in phrases:
        taken[site.start : site.end] = [True] * (site.end - site.start)
    sites = list(phrases)
    for before, piece, after in zip([_UNKNOWN, *found], found, [*found[1:], _UNKNOWN], strict=False):
        if taken[piece.start] or is_name(piece, names):
            continue
        options = _options(before if piece.gap.isspace() else _UNKNOWN, piece, after, prompt[piece.end : end])
        if options:
            sites.append(_Site(piece.start, piece.end, options))
    yield from sorted(sites, key=lambda site: site.start)


def _options(before: Piece, piece: Piece, after: Piece, rest: str) -> tuple[str, ...]:
    """What can stand for a word between two others; `before` is unknown where punctuation parts them."""
    word, left = piece.lower, before.lower
    right = after.lower if after.gap.isspace() else ""
    tables = groups()
    options: tuple[str, ...] = ()
    if (left in ASKING or (not left and piece.opens_sentence)) and right in OBJECTS - _PRONOUNS:
        options = tables["verb"].get(word, ())
    elif left in PERSONS and right in OBJECTS | {"to", "that"}:
        options = tables["subject"].get(word, ())
    elif left in DETERMINERS and right and right not in FUNCTION and word in tables["adjective"]:
        options = tables["adjective"][word]
    elif (left in DETERMINERS or left in tables["adjective"]) and (not right or right in FUNCTION):
        options = tables["noun"].get(word, ())
    if not options and not rest.startswith(("-", "/")):
        options = tables["adverb"].get(word, ())
    if left in {"a", "an"}:
        options = tuple(each for each in options if starts_with_vowel_sound(each) == (left == "an"))
    return options


def _phrase_sites(text: str, found: list[Piece], names: Set[str]) -> list[_Site]:
    sites: list[_Site] = []
    starts = {piece.start: at for at, piece in enumerate(found)}
    ends = {piece.end for piece in found}
    for match in _phrases().finditer(text):
        if match.start() not in starts or match.end() not in ends:
            continue
        covered = [piece for piece in found[starts[match.start()] :][:8] if piece.end <= match.end()]
        if not any(is_name(piece, names) for piece in covered):
            said = match.group().lower().replace("’", "'")
            sites.append(_Site(match.start(), match.end(), groups()["phrase"][" ".join(said.split())]))
    return sites


@cache
def _phrases() -> re.Pattern[str]:
    said = sorted(groups()["phrase"], key=len, reverse=True)
    return re.compile("|".join(rf"\b{each}\b" for each in said).replace("'", "['’]"), re.I)


def _cased(option: str, word: str) -> str:
    if option.startswith(("i ", "i'")):
        option = f"I{option[1:]}"
    return option[0].upper() + option[1:] if word[0].isupper() else option
