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
_NUMBERED: Final = tuple(
    (noun, re.compile(noun + r"_?[12abxn]\b"))
    for noun in (
        "entity", "table", "class", "attribute", "column", "field", "relation", "service", "component", "item",
    )
)  # fmt: skip
_TO_FILL_IN: Final = ("your", "insert", "add", "put", "enter")
_OPENED = re.compile(rf"[<\[{{](?:{'|'.join(_TO_FILL_IN)})[ _]")
_BOILERPLATE = re.compile(
    r"\b(?:in conclusion|it is important to note|it['’]s worth noting|feel free to|i hope this helps|"
    r"let me know if you|please note that|in today['’]s (?:fast-paced )?world|as mentioned (?:above|before)|"
    r"here is (?:a|an) (?:example|general|basic)|this is just an example)\b",
    re.I,
)
# Looking for a substring is many times faster than trying a pattern at every character, so a pattern runs only where
# one of these stands in the case-folded text. Each match of the pattern holds one of them.
_IN_REFUSAL: Final = ("sorry", "able to", "i can", "i won", "as a")
_IN_PLACEHOLDER: Final = (*_MARKS, "lorem ipsum", "placeholder ")
_IN_BOILERPLATE: Final = (
    "in conclusion", "important to note", "worth noting", "feel free", "hope this helps", "let me know",
    "please note", "in today", "as mentioned", "here is a", "just an example",
)  # fmt: skip
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
    folded = plain.casefold()
    if _holds(plain[:_HEAD].casefold(), _IN_REFUSAL) and _REFUSAL.search(plain[:_HEAD]):
        return "refusal"
    if _may_hold_placeholder(folded) and (placeholder := _placeholder(prompt, plain)):
        return f"placeholder “{placeholder}”"
    if _echoes(prompt.strip(), plain):
        return "echo of the prompt"
    if _repeats(plain):
        return "repeats itself"
    least = max(len(plain), 160)
    if sum(map(folded.count, _IN_BOILERPLATE)) * 80 >= least and len(_BOILERPLATE.findall(plain)) * 80 >= least:
        return "boilerplate"
    if _is_common(plain, common):
        return "near-copy of a common output"
    return None


def _holds(folded: str, parts: Sequence[str]) -> bool:
    return any(part in folded for part in parts)


def _may_hold_placeholder(folded: str) -> bool:
    if _holds(folded, _IN_PLACEHOLDER):
        return True
    if any(noun in folded and pattern.search(folded) for noun, pattern in _NUMBERED):
        return True
    return _holds(folded, _TO_FILL_IN) and _OPENED.search(folded) is not None


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
    return second in first or _alike(first, second, 90.0)


def _alike(first: str, second: str, least: float) -> bool:
    """Whether the similarity 200 × matches / (both lengths), in percent, reaches `least`."""
    if 200.0 * min(len(first), len(second)) < least * (len(first) + len(second)):
        return False
    return fuzz.ratio(first, second, score_cutoff=least) > 0.0


def _repeats(response: str) -> bool:
    lines = response.splitlines()
    if len(lines) < _REPEATS:
        return False
    long = [line for each in lines if len(line := each.strip()) >= _LINE_FROM]
    # One line that is more than half of them leaves less than half to differ.
    if len(long) < _REPEATS or len(set(long)) * 2 > len(long) + 1:
        return False
    copies = max(Counter(long).values())
    return copies >= _REPEATS and copies * 2 > len(long)


def _is_common(response: str, common: Sequence[str]) -> bool:
    if len(response) < _COMMON_FROM:
        return False
    head = response[:_COMPARED]
    return any(len(text) >= _COMMON_FROM and _alike(head, text[:_COMPARED], 95.0) for text in common)
