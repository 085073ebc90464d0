"""The query language of the review screen and of the command line: `is:pending score:<60 -tier:gold "two words"`.

A term is a word, a phrase in quotes or `field:value`; a hyphen before it turns it round. All terms must hold; of
several values with commas between them one must. Words are looked for in prompt and response, the last one may be
unfinished, from its third letter on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final, Literal

from core.config import close_names
from core.query_fields import FIELDS, QueryFault, Reader, operator_of
from storage.rows import Condition, EventFilter, TextTerm, Verdict
from storage.search import MAX_TERMS

MAX_CHARS: Final = 4_000
WORDS: Final = ("", "prompt", "response")
"""The fields of terms that search the text; the empty one is that of bare words."""
SORTS: Final = ("informative", "newest", "oldest", "score")
_FIELD = re.compile(r"([A-Za-z_]{1,20}):(?![:/])")
_VERDICTS: Final[Mapping[str, Verdict | Literal["pending", "done"]]] = {
    "pending": "pending",
    "done": "done",
    "good": "good",
    "bad": "bad",
    "corrected": "correct",
    "rejected": "reject",
    "skipped": "skip",
}


@dataclass(frozen=True, slots=True)
class Term:
    """One term of a query: `text[start:end]`.

    `field` is empty for bare words; `operator` is `:` or what the value begins with (`<`, `<=`, `>`, `>=`, `..`).
    `problem` says why a term is passed over, empty for one that counts.
    """

    field: str
    operator: str
    value: str
    start: int
    end: int
    negated: bool = False
    phrase: bool = False
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Query:
    """What a text asks for. `errors` are sentences, one for each term that was passed over; `sort` is one of SORTS, or
    empty where nothing is said of it."""

    text: str
    terms: tuple[Term, ...]
    filter: EventFilter
    errors: tuple[str, ...]
    sort: str = ""

    @property
    def searches_text(self) -> bool:
        """Whether words are looked for."""
        return any(term.field in WORDS and not term.problem for term in self.terms)

    def value(self, field: str) -> str:
        """The value of the first term of a field that counts and is not negated, empty when there is none."""
        found = (term for term in self.terms if term.field == field and not term.negated and not term.problem)
        return next((term.value for term in found), "")

    def said(self, term: Term) -> str:
        """The term as it was written, with its closing quote."""
        piece = self.text[term.start : term.end]
        return f'{piece}"' if term.phrase and piece.count('"') == 1 else piece

    def without(self, term: Term) -> str:
        """The text with one of its terms taken out."""
        return self._only(lambda other: other is not term)

    def without_words(self) -> str:
        """The text without the terms that search words, and without those that have a fault."""
        return self._only(lambda term: term.field not in WORDS and not term.problem)

    def with_field(self, field: str, value: str) -> str:
        """The text with `field:value` in place of what it says of the field; an empty value takes that out only."""
        said = f"{field}:{_quoted(value)}" if value else ""
        before: list[str] = []
        after: list[str] = []
        for term in self.terms:
            if term.field == field and not term.negated:
                before, after = [*before, *after], []  # it goes to the place of the last one
            else:
                after.append(self.said(term))
        if not any(term.field == field and not term.negated for term in self.terms):
            before, after = after, []
        return _joined([*before, said, *after])

    def _only(self, keep: Callable[[Term], bool]) -> str:
        return _joined([self.said(term) for term in self.terms if keep(term)])


def parse(text: str, *, now: float) -> Query:
    """What `text` asks for; `now` (seconds since the epoch) is what `age:` counts from. Never raises.

    A term with a fault is passed over and told in `errors`: it never hides everything.
    """
    terms: list[Term] = []
    conditions: list[Condition] = []
    words: list[TextTerm] = []
    sort = ""
    found = list(islice(_terms(text[:MAX_CHARS]), MAX_TERMS + 1))
    for term in found[:MAX_TERMS]:
        problem = ""
        try:
            if term.field == "sort":
                sort = _sort(term)
            elif term.field in WORDS:
                words.append(_words(term))
            else:
                conditions.append(replace(_reader(term.field)(term.value, now), negated=term.negated))
        except QueryFault as fault:
            problem = str(fault)
        terms.append(replace(term, problem=problem))
    errors = [term.problem for term in terms if term.problem]
    if len(found) > MAX_TERMS or len(text) > MAX_CHARS:
        errors.append(f"Only the first {MAX_TERMS} terms are used.")
    return Query(text, tuple(terms), _filter(conditions, words), tuple(errors), sort)


def _terms(text: str) -> Iterator[Term]:
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        start = at
        # A hyphen turns round what follows at once; `-->` and a lone `-` are looked for as they stand.
        negated = text[at] == "-" and at + 1 < len(text) and (text[at + 1].isalnum() or text[at + 1] == '"')
        at += negated
        name = _FIELD.match(text, at)
        field = name[1].lower() if name else ""
        at = name.end() if name else at
        value, end, phrase = _value(text, at)
        yield Term(field, operator_of(value) if field and not phrase else ":", value, start, end, negated, phrase)
        at = end


def _value(text: str, at: int) -> tuple[str, int, bool]:
    """What stands at `at`: in quotes up to the closing one or the end of the text, else up to white space."""
    if text[at : at + 1] == '"':
        close = text.find('"', at + 1)
        return (text[at + 1 :], len(text), True) if close < 0 else (text[at + 1 : close], close + 1, True)
    end = at
    while end < len(text) and not text[end].isspace():
        end += 1
    return text[at:end], end, False


def _reader(field: str) -> Reader:
    found = FIELDS.get(field)
    if found is None:
        known = {*FIELDS, *WORDS[1:], "sort"}
        raise QueryFault(f"There is no field `{field}:`. {close_names(field, known)} Quotes search for it as text.")
    return found


def _sort(term: Term) -> str:
    value = term.value.strip().lower()
    if term.negated or value not in SORTS:
        raise QueryFault(f"`sort:` takes {', '.join(SORTS)}.")
    return value


def _words(term: Term) -> TextTerm:
    if not term.value.strip():
        raise QueryFault(
            f"`{term.field}:` needs words to look for." if term.field else "There is nothing in the quotes."
        )
    column: Literal["prompt", "response"] | None = None
    if term.field:
        column = "prompt" if term.field == "prompt" else "response"
    return TextTerm(term.value, column, term.phrase, term.negated)


def _filter(conditions: list[Condition], words: list[TextTerm]) -> EventFilter:
    """Conditions that the store has an index for become fields of their own."""
    chosen, rest = EventFilter(), []
    for one in conditions:
        value = str(one.values[0])
        if one.negated or one.operator != "=" or len(one.values) > 1:
            rest.append(one)
        elif one.field == "category" and chosen.category is None and not value.endswith("*"):
            chosen = replace(chosen, category=value)
        elif one.field == "state" and chosen.verdict is None and value in _VERDICTS:
            chosen = replace(chosen, verdict=_VERDICTS[value])
        else:
            rest.append(one)
    return replace(chosen, conditions=tuple(rest), terms=tuple(words))


def _quoted(value: str) -> str:
    return f'"{value}"' if any(character.isspace() for character in value) else value


def _joined(parts: Iterable[str]) -> str:
    return " ".join(stripped for part in parts if (stripped := part.strip()))
