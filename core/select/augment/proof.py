"""Proves that a reworded prompt asks for the same: names, numbers, code, negations, amounts and facts are all there."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Set
from dataclasses import dataclass
from typing import Final

from core.select.augment.spans import Piece, pieces, signs
from core.select.augment.words import AMOUNTS, FUNCTION, LOOSE, NEGATIONS, SAME_AMOUNT

_TARGET_WORD = re.compile(r"[^\W\d_]+")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_TARGET_CHARS: Final = 200_000
_BETWEEN: Final = 3
_DUTY: Final = frozenset({"have", "has"})
Fact = tuple[str, tuple[str, ...], str]


@dataclass(frozen=True, slots=True)
class Said:
    """What a prompt says that no rewording may change, each counted.

    `kept`: code, quotations, numbers, identifiers, addresses, placeholders, markup and signs, to the letter; `names`:
    words that the target uses and capitalised names; `facts`, in order: two names with at most three words between
    them that state something, such as `order` `has` `item`.
    """

    kept: Counter[str]
    names: Counter[str]
    negations: Counter[str]
    amounts: Counter[str]
    facts: list[Fact]


def target_names(target: str) -> frozenset[str]:
    """The words of a target (its first 200,000 characters), also within identifiers, without a plural s."""
    found: set[str] = set()
    for word in _TARGET_WORD.findall(target[:_TARGET_CHARS]):
        found.update((_one(word.casefold()), *(_one(part.casefold()) for part in _HUMP.split(word))))
    return frozenset(found - FUNCTION)


def is_name(piece: Piece, names: Set[str]) -> bool:
    """Whether a piece must stay: it is no plain word, or one of `names`."""
    return not piece.plain or _one(piece.lower) in names


def changed(prompt: str, variant: str, names: frozenset[str], *, ordered: bool) -> str | None:
    """Why a variant does not say the same as the prompt, in two words, or None; `names` are those of the target.

    `ordered`: facts that follow each other, as the steps of a process do, must still do so.
    """
    all_names = names | _capitalised(prompt) | _capitalised(variant)
    before, after = said(prompt, all_names), said(variant, all_names)
    if before.kept != after.kept or before.names != after.names:
        return "names changed"
    if before.negations != after.negations:
        return "negation changed"
    if before.amounts != after.amounts:
        return "amount changed"
    kept = _follows(before.facts, after.facts) if ordered else Counter(before.facts) <= Counter(after.facts)
    return None if kept else "fact changed"


def said(text: str, names: Set[str]) -> Said:
    """Reads a prompt; see `Said`."""
    found = Said(Counter(signs(text)), Counter(), Counter(), Counter(), [])
    name, between, duty = "", list[str](), False
    for piece in pieces(text):
        word = piece.lower
        if piece.gap.strip():
            name, between, duty = "", [], False
        if duty and word == "to":
            found.amounts["must"] += 1
        duty = word in _DUTY
        if is_name(piece, names):
            key = _one(word) if piece.plain else piece.text
            (found.names if piece.plain else found.kept)[key] += 1
            if name and 0 < len(between) <= _BETWEEN and not LOOSE.issuperset(between):
                found.facts.append((name, tuple(between), key))
            name, between = key, []
        else:
            between.append(word)
        if word in NEGATIONS or word.endswith("n't"):
            found.negations["not" if word.endswith(("nt", "n't", "nnot")) else word] += 1
        if word in AMOUNTS:
            found.amounts[SAME_AMOUNT.get(word, word)] += 1
    return found


def _follows(first: Iterable[Fact], second: Iterable[Fact]) -> bool:
    """Whether all of `first` stand in `second` in the same order, others between them."""
    rest = iter(second)
    return all(fact in rest for fact in first)


def _capitalised(text: str) -> frozenset[str]:
    """Words that are capitalised where no sentence begins, and so are names."""
    found = {
        _one(piece.lower)
        for piece in pieces(text)
        if piece.plain and piece.text[0].isupper() and not piece.opens_sentence
    }
    return frozenset(word for word in found if word.partition("'")[0] not in FUNCTION)


def _one(word: str) -> str:
    """A word without its plural s."""
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word
