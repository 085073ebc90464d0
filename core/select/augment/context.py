"""Shows the model its retrieved passages in another order, or without one that has nothing to do with the answer.

It applies where the prompt itself holds the passages: what is not trained on cannot be varied. A passage is left out
only when it shares no word of content with the target, and nothing is moved where the order is spoken of.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from core.select.augment.proof import target_names

_PARTED = re.compile(r"\n[ \t]*\n")
_ORDER_MATTERS = re.compile(
    r"\b(?:first|second|third|last|previous|next|above|below|earlier|former|latter|following|order|order(?:ed|ing)"
    r"|sequence|how many (?:passages|documents|chunks|sources))\b",
    re.I,
)
_MOST: Final = 50
_LEAST_CHARS: Final = 12
_BETWEEN: Final = 40

Span = tuple[int, int]


def other_contexts(prompt: str, target: str, context: str, rng: random.Random) -> Iterator[str]:
    """Prompts with their passages varied; none when the prompt does not hold two of them one after the other."""
    spans = passages_in(prompt, context)
    if len(spans) < 2:
        return
    around = prompt[: spans[0][0]] + prompt[spans[-1][1] :]
    if _ORDER_MATTERS.search(around) or _ORDER_MATTERS.search(target):
        return
    droppable = [at for at, span in enumerate(spans) if not shares_words(prompt[slice(*span)], target)]
    while True:
        kept = list(range(len(spans)))
        if droppable and len(kept) > 1 and rng.random() < 0.5:
            kept.remove(rng.choice(droppable))
        yield _written(prompt, spans, rng.sample(kept, len(kept)))


def passages_in(prompt: str, context: str) -> list[Span]:
    """Where the passages of a context stand in the prompt, in order; empty unless each stands there exactly once and
    nothing but white space or a short mark parts them."""
    passages = [part.strip() for part in _PARTED.split(context) if part.strip()]
    if not 2 <= len(passages) <= _MOST or len(set(passages)) < len(passages):
        return []
    spans: list[Span] = []
    for passage in passages:
        start = prompt.find(passage)
        if len(passage) < _LEAST_CHARS or start < 0 or prompt.find(passage, start + 1) >= 0:
            return []
        spans.append((start, start + len(passage)))
    spans.sort()
    gaps = {prompt[one[1] : other[0]] if one[1] <= other[0] else "overlap" for one, other in pairwise(spans)}
    # Equal marks between all of them: numbered ones would end up in front of the wrong passage.
    gap = gaps.pop()
    return spans if not gaps and len(gap) <= _BETWEEN and not any(char.isalnum() for char in gap) else []


def shares_words(passage: str, target: str) -> bool:
    """Whether a passage and a target have a word of content (or a number) in common."""
    return bool(target_names(passage) & target_names(target)) or bool(_numbers(passage) & _numbers(target))


def proved(prompt: str, variant: str, target: str, context: str) -> bool:
    """Whether a variant has every passage of the prompt that shares words with the target, each once, and no other
    text than before around them."""
    spans = passages_in(prompt, context)
    if len(spans) < 2:
        return False
    passages = [prompt[slice(*span)] for span in spans]
    head, tail = prompt[: spans[0][0]], prompt[spans[-1][1] :]
    if not variant.startswith(head) or not variant.endswith(tail) or len(variant) < len(head) + len(tail):
        return False
    middle = variant[len(head) : len(variant) - len(tail)]
    found = sorted(middle.split(prompt[spans[0][1] : spans[1][0]]))
    left_out = [each for each in passages if each not in found]
    return (
        len(found) == len(set(found))
        and set(found) <= set(passages)
        and not any(shares_words(each, target) for each in left_out)
    )


def _written(prompt: str, spans: list[Span], kept: list[int]) -> str:
    gap = prompt[spans[0][1] : spans[1][0]]
    return prompt[: spans[0][0]] + gap.join(prompt[slice(*spans[at])] for at in kept) + prompt[spans[-1][1] :]


def _numbers(text: str) -> set[str]:
    return set(re.findall(r"\d+", text))
