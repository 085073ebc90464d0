"""Cuts a prompt into what must stay to the letter and the words around it, in time linear in its length."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from core.select.augment.words import SYSTEM_MATTERS, TEXT_MATTERS

REQUEST_CHARS: Final = 600
_LOOKED_AT: Final = 2_000

_KEPT = re.compile(
    r"```[\s\S]*?(?:```|\Z)|~~~[\s\S]*?(?:~~~|\Z)|`[^`\n]{1,1000}`"
    r"|https?://\S+|(?<![\w.+-])[\w.+-]++@[\w-]++(?:\.[\w-]++)+"
    r"|\[[A-Z]{1,20}(?:_[A-Z]{1,20}){0,3}_\d{1,6}\]"
    r"|<[^<>\n]{1,200}>|\{[^{}\n]{1,200}\}"
    r'|"[^"\n]{1,400}"|“[^“”\n]{1,400}”|«[^«»\n]{1,400}»|„[^„“”\n]{1,400}[“”]|‘[^‘’\n]{1,400}’(?!\w)'
    r"|(?<!\w)'[^'\n]{1,200}'(?!\w)"
)
_RUN = re.compile(r"(?:(?<!\S)-(?=\d))?\w++(?:[-./:@\\'’]\w++)*+")
_WORD = re.compile(r"[^\W\d_]++(?:['’][^\W\d_]++)*+\Z")
_MATERIAL = re.compile(r":(?=\s|\Z)|\n[ \t]*\n|```|~~~")
_GAP = re.compile(r"\s{200}")
_NOT_PLAIN: Final = frozenset(".,;:!?-–—()'\"’‘“”…")


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of characters of a prompt, `text[start:end]`. `plain` is a word of letters, in lower case or capitalised.

    `gap` is what stands between the piece before and this one.
    """

    start: int
    end: int
    text: str
    gap: str
    plain: bool

    @property
    def lower(self) -> str:
        """The word without regard to case."""
        return self.text.casefold().replace("’", "'")

    @property
    def opens_sentence(self) -> bool:
        """Whether it may be capitalised for its place alone."""
        return self.start == len(self.gap) or any(mark in self.gap for mark in '.!?:\n•*"“(')


def pieces(text: str) -> Iterator[Piece]:
    """Code, quotations, addresses, placeholders, markup and identifiers whole, and every word by itself, in order."""
    at = 0
    for start, end, kept in _cut(text):
        found = text[start:end]
        plain = not kept and _WORD.match(found) is not None and (found[1:].islower() or len(found) == 1)
        yield Piece(start, end, found, text[at:start], plain or (not kept and _caseless(found)))
        at = end


def signs(text: str) -> Iterator[str]:
    """Every character that is neither part of a piece nor white space or common punctuation."""
    at = 0
    for start, end, _ in (*_cut(text), (len(text), len(text), True)):
        yield from (char for char in text[at:start] if not char.isspace() and char not in _NOT_PLAIN)
        at = end


def request_end(text: str) -> int:
    """Where the request itself ends at the latest: a colon, an empty line or code brings material that is not to be
    touched; so is everything behind the first 600 characters."""
    found = _MATERIAL.search(text, 0, REQUEST_CHARS)
    return found.start() if found else min(len(text), REQUEST_CHARS)


def has_long_gap(text: str) -> bool:
    """Whether 200 blanks stand in a row, as in no text that is worth an example.

    Finding where a diagram or a document begins costs the square of the blanks before it.
    """
    return _GAP.search(text) is not None


def words_matter(prompt: str, system: str) -> bool:
    """Whether the answer hangs on the very words of the prompt, as a translation of it does."""
    asked = prompt[:_LOOKED_AT].casefold() + prompt[-_LOOKED_AT:].casefold()
    told = system[:_LOOKED_AT].casefold()
    return any(word in asked for word in TEXT_MATTERS) or any(word in told for word in SYSTEM_MATTERS)


def _cut(text: str) -> Iterator[tuple[int, int, bool]]:
    at = 0
    for kept in _KEPT.finditer(text):
        yield from ((each.start(), each.end(), False) for each in _RUN.finditer(text, at, kept.start()))
        yield (*kept.span(), True)
        at = kept.end()
    yield from ((each.start(), each.end(), False) for each in _RUN.finditer(text, at))


def _caseless(word: str) -> bool:
    return word.isalpha() and word.lower() == word.upper()
