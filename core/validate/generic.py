"""Tells generic content: answers that would teach a model to say nothing, politely."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Final

from rapidfuzz import fuzz

_REFUSAL = re.compile(
    r"\b(?:i(?:['’]m| am) (?:really |very |so )?sorry,? but|i(?:['’]m| am) (?:not able|unable) to|"
    r"i (?:can(?:['’]t|not)|won['’]t) (?:help|assist|provide|create|answer|do that|fulfil)|"
    r"as an? (?:ai|artificial intelligence|large language)\b)",
    re.I,
)
_PLACEHOLDER = re.compile(
    r"\b(?:TODO|FIXME|TBD|XXX)\b|\blorem ipsum\b|\bplaceholder (?:text|name|value)\b"
    r"|\b(?:entity|table|class|attribute|column|field|relation|service|component|item)_?(?:1|2|a|b|x|n)\b"
    r"|[<\[{](?:your|insert|add|put|enter)[ _][^>\]}\n]{1,40}[>\]}]",
    re.I,
)
_MARKS: Final = ("todo", "fixme", "tbd", "xxx")
_BOILERPLATE = re.compile(
    r"\b(?:in conclusion|it is important to note|it['’]s worth noting|feel free to|i hope this helps|"
    r"let me know if you|please note that|in today['’]s (?:fast-paced )?world|as mentioned (?:above|before)|"
    r"here is (?:a|an) (?:example|general|basic)|this is just an example)\b",
    re.I,
)
_HEAD: Final = 400
_COMPARED: Final = 4_000
_ECHO_FROM: Final = 20
_COMMON_FROM: Final = 40
_LINE_FROM: Final = 12
_REPEATS: Final = 5


def is_generic(prompt: str, response: str, common: Sequence[str] = ()) -> str | None:
    """Why a response is generic, in a few words, or None; `common` are outputs that many other prompts got too.

    Only the first 4,000 characters are compared, so that the time stays linear.
    """
    plain = response.strip()
    if not plain:
        return "empty"
    if _REFUSAL.search(plain[:_HEAD]):
        return "refusal"
    if placeholder := _placeholder(prompt, plain):
        return f"placeholder “{placeholder}”"
    if _echoes(prompt.strip(), plain):
        return "echo of the prompt"
    if _repeats(plain):
        return "repeats itself"
    if len(_BOILERPLATE.findall(plain)) * 80 >= max(len(plain), 160):
        return "boilerplate"
    if _is_common(plain, common):
        return "near-copy of a common output"
    return None


def _placeholder(prompt: str, response: str) -> str:
    """The first placeholder that the prompt did not ask for; TODO and the like count in capitals only."""
    asked = prompt.casefold()
    for match in _PLACEHOLDER.finditer(response):
        found = match.group()
        if found.casefold() in asked or (found.casefold() in _MARKS and not found.isupper()):
            continue
        return found[:30]
    return ""


def _echoes(prompt: str, response: str) -> bool:
    if len(response) < _ECHO_FROM or len(prompt) < _ECHO_FROM:
        return False
    first, second = prompt[:_COMPARED].casefold(), response[:_COMPARED].casefold()
    return second in first or fuzz.ratio(first, second, score_cutoff=90.0) > 0.0


def _repeats(response: str) -> bool:
    lines = [line.strip() for line in response.splitlines()]
    long = [line for line in lines if len(line) >= _LINE_FROM]
    if len(long) < _REPEATS:
        return False
    copies = Counter(long).most_common(1)[0][1]
    return copies >= _REPEATS and copies * 2 > len(long)


def _is_common(response: str, common: Sequence[str]) -> bool:
    if len(response) < _COMMON_FROM:
        return False
    head = response[:_COMPARED]
    return any(
        len(text) >= _COMMON_FROM and fuzz.ratio(head, text[:_COMPARED], score_cutoff=95.0) > 0.0 for text in common
    )
