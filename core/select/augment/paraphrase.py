"""Rewords a request by rules: another frame around the same object, politeness, the order of clauses, lists.

Only frames that ask for something are changed; what is asked for keeps its words. A prompt without such a frame has
no paraphrase but one with its facts in another order.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass
from typing import Final

from core.select.augment.clauses import facts_swapped, last_two_joined
from core.select.augment.proof import is_name
from core.select.augment.spans import pieces, request_end
from core.select.augment.synonyms import starts_with_vowel_sound
from core.select.augment.words import OBJECTS

_MAKING: Final = (
    "draw|sketch|create|make|design|produce|generate|write|build|prepare|provide|draft|compose|develop|construct"
    "|put together"
)
_DOING: Final = "model|document|describe|explain|list|show|give|implement|outline|summari[sz]e|tell|define|specify"
_THING: Final = (
    "diagram|model|schema|flowchart|chart|document|specification|spec|documentation|function|script|program|query"
    "|overview|description|list|plan|sketch|summary"
)
_SENTENCE = re.compile(r"[.!?]+(?=\s|\Z)|\n|\Z")
_SHORTENED = re.compile(r"(?:\b(?:e\.g|i\.e|etc|vs|approx|no|dr|mr|ms|mrs|st|inc|cf))\Z", re.I)
_GREETING = re.compile(r"(?P<word>hey|hi|hello)(?P<mark>,? )", re.I)
_IMPERATIVE = re.compile(rf"(?:(?:please|kindly),? )?(?P<verb>{_MAKING}|{_DOING}) (?P<object>.+)", re.I | re.S)
_QUESTION = re.compile(
    rf"(?:can|could|would|will) you (?:please |kindly )?(?P<verb>{_MAKING}|{_DOING}) (?P<object>.+)", re.I | re.S
)
_WISH = re.compile(
    r"(?:(?P<who>i|we) )?(?:(?:would|'d) like|need|want|require) (?P<object>(?:an?|the|some) .+)", re.I | re.S
)
_PHRASE = re.compile(rf"(?P<object>(?:[\w-]+ ){{0,3}}(?:{_THING}) (?:of|for) .+)", re.I | re.S)
_DUTY = re.compile(r"(?P<head>.*?\b(?:i|we)) (?P<duty>must|have to) (?P<object>.+)", re.I | re.S)
_PURPOSE = re.compile(r"(?P<what>(?:an?|the) [\w -]{3,60}?) (?P<purpose>for (?:an?|the|my|our) [\w-]+(?: [\w-]+){0,2}?)"
                      r"(?= with\b|[:.;,\n]|\Z)(?P<rest>.*)", re.I | re.S)  # fmt: skip
_SENTENCES: Final = 2
_EXTRA: Final = 0.5


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request taken apart: `verb` and `thing`, its object without the mark at its end; `open_ended` when a list or
    another clause follows, so that no question mark can stand behind it."""

    verb: str
    thing: str
    mark: str
    open_ended: bool


def paraphrases(prompt: str, names: Set[str], rng: random.Random, *, ordered: bool) -> Iterator[str]:
    """The paraphrases of a prompt in random order, each with its list or facts rearranged at random; maybe none.

    `ordered`: what the prompt tells may be steps in a row, so that its facts stay in their places.
    """
    framed = list(dict.fromkeys(_framed(prompt, names)))
    rng.shuffle(framed)
    for each in framed:
        changed = each
        if not ordered and rng.random() < _EXTRA:
            changed = facts_swapped(changed, names, rng)
        if rng.random() < _EXTRA:
            changed = last_two_joined(changed, names, rng)
        yield changed
    yield last_two_joined(prompt if ordered else facts_swapped(prompt, names, rng), names, rng)


def _framed(prompt: str, names: Set[str]) -> Iterator[str]:
    """The prompt with its first sentence that has a frame put into every other one."""
    end, start = request_end(prompt), 0
    for _ in range(_SENTENCES):
        while start < end and prompt[start].isspace():
            start += 1
        if start >= end:
            return
        found = _SENTENCE.search(prompt, start, end)
        stop = found.start() if found else end
        mark = found.group().strip() if found else ""
        sentence = prompt[start:stop]
        if _SHORTENED.search(sentence):
            return
        behind = stop + len(mark)
        greeting = _GREETING.match(sentence)
        head = greeting.group() if greeting else ""
        open_ended = not mark and stop < len(prompt.rstrip())
        renderings = list(_renderings(sentence[len(head) :], mark, open_ended, names))
        for each in renderings:
            opened = each if greeting else each[:1].upper() + each[1:]
            yield f"{prompt[:start]}{head}{opened}{prompt[behind:]}"
        if renderings:
            return
        start = behind


def _renderings(sentence: str, mark: str, open_ended: bool, names: Set[str]) -> Iterator[str]:
    match = _QUESTION.fullmatch(sentence) or _IMPERATIVE.fullmatch(sentence)
    if match and _is_object(match["object"], names):
        thing, polite = _without_please(match["object"])
        asked = _Asked(match["verb"].lower(), thing, mark, open_ended)
        yield from _ways(asked, polite or "lease " in sentence[:10])
    elif (match := _WISH.fullmatch(sentence)) or (match := _PHRASE.fullmatch(sentence)):
        thing, _ = _without_please(_with_article(match["object"]))
        asked = _Asked("", thing, mark, open_ended)
        yield from _wishes(asked)
        yield from _ways(_Asked(_verb_for(thing), thing, mark, open_ended), False)
    elif match := _DUTY.fullmatch(sentence):
        other = "have to" if match["duty"].lower() == "must" else "must"
        yield f"{match['head']} {other} {match['object']}{mark}"


def _ways(asked: _Asked, polite: bool) -> Iterator[str]:
    """Every way to ask for something to be done."""
    verb, thing, full = asked.verb, asked.thing, asked.mark if asked.mark != "?" else "."
    forms: list[Callable[[], str]] = [
        lambda: f"{verb} {thing}{full}" if polite else f"please {verb} {thing}{full}",
        lambda: f"I would like you to {verb} {thing}{full}",
        lambda: f"I need you to {verb} {thing}{full}",
        lambda: f"your task is to {verb} {thing}{full}",
    ]
    yield from (form() for form in forms)
    if not asked.open_ended:
        yield f"could you {verb} {thing}?"
        yield f"can you please {verb} {thing}?"
        yield f"{verb} {thing}, please{full}"
    if purpose := _PURPOSE.fullmatch(thing):
        yield f"{purpose['purpose']}, {verb} {purpose['what']}{purpose['rest']}{full}"
    if re.fullmatch(_MAKING, verb) and re.match(r"(?:an?|the|some) ", thing):
        yield from _wishes(asked)


def _wishes(asked: _Asked) -> Iterator[str]:
    full = asked.mark if asked.mark != "?" else "."
    for wish in ("I need", "I would like", "what I need is", "I am looking for"):
        yield f"{wish} {asked.thing}{full}"


def _is_object(thing: str, names: Set[str]) -> bool:
    """Whether the word before `thing` is a verb, as in `list the users` and not in `list of users`."""
    first = next(pieces(thing), None)
    return first is not None and (first.lower in OBJECTS or is_name(first, names))


def _verb_for(thing: str) -> str:
    return "draw" if re.search(r"\b(?:diagram|flowchart|chart|sketch)\b", thing[:60], re.I) else "write"


def _with_article(thing: str) -> str:
    """`thing` with `a` or `an` before it when no article is there, its first word in lower case unless it is a name."""
    first = thing.split(maxsplit=1)[0]
    if first.lower() in {"a", "an", "the", "some", "my", "our"}:
        return thing
    plain = thing if first[1:] != first[1:].lower() or len(first) == 1 else thing[0].lower() + thing[1:]
    return f"{'an' if starts_with_vowel_sound(plain) else 'a'} {plain}"


def _without_please(thing: str) -> tuple[str, bool]:
    found = re.search(r",? please\Z", thing, re.I)
    return (thing[: found.start()], True) if found else (thing, False)
