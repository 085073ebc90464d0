"""What a rule of the sanitiser found, and small tests that several rules share."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

_WORD: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_")


class Found(NamedTuple):
    """`text[start:end]` is of `kind`; values with the same `value` are the same thing written in other ways."""

    start: int
    end: int
    kind: str
    value: str


def word_before(text: str, start: int, more: str = "") -> bool:
    """Whether an ASCII word character, or one of `more`, stands directly before `start`.

    Japanese and Chinese put no space between words, so other letters do not count.
    """
    return start > 0 and (text[start - 1] in _WORD or text[start - 1] in more)


def word_after(text: str, end: int, more: str = "") -> bool:
    """Whether an ASCII word character, or one of `more`, stands at `end`."""
    return end < len(text) and (text[end] in _WORD or text[end] in more)


def joined_after(text: str, end: int, joints: str = "-.") -> bool:
    """Whether the word goes on at `end`: a word character, or a joint with a word character behind it."""
    return word_after(text, end) or (end < len(text) and text[end] in joints and word_after(text, end + 1))


_LONG_WORDS: Final = {length: re.compile(rf"\s(\S{{{length},}})") for length in (16, 26)}


def long_words(text: str, length: int) -> Iterator[tuple[int, int]]:
    """Start and end of the words, with nothing but spaces around them, of `length` (16 or 26) characters or more."""
    # Searching for the space first is several times faster than for the word.
    for match in _LONG_WORDS[length].finditer(" " + text):
        yield match.start(1) - 1, match.end(1) - 1
