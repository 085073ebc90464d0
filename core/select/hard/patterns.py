"""Patterns of failure: what goes wrong, and with what kind of prompt.

Failures are grouped by the kind of the finding that weighs most, then by what their prompts are about; what is about
nothing in particular stays together, long prompts apart where they fail more often. Each pattern is named by words that
really stand in its findings, prompts and notes.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median, quantiles
from typing import Any, Final

import numpy as np

from core.select.alike.vectors import Embed
from core.select.hard.clusters import SMALLEST, centred, clusters
from core.select.hard.hard_negatives import HardNegative, State
from core.select.hard.terms import distinctive, words_of
from storage import hard_tests
from storage.db import Store

_SEVERITIES: Final = ("error", "warning")
_TERMS: Final = 3
_WORST: Final = 3
_OTHERS: Final = 1_000
_CENTRE: Final = 200
_WORDS_SHOWN: Final = 60
_LONG_AT: Final = 1.5
_LONG_SHARE: Final = 0.6
_LONG_RATIO: Final = 2.0


@dataclass(frozen=True, slots=True)
class Failure:
    """A hard negative with what tells its pattern; `prompt_chars` is the length of the whole prompt.

    `kind` is the name of what went wrong, `note` what a person wrote about it.
    """

    event_id: int
    kind: str
    prompt: str
    prompt_chars: int
    score: float | None
    difficulty: float
    state: State = "open"
    since: float = 0.0
    corrected: bool = False
    note: str = ""


@dataclass(frozen=True, slots=True)
class Pattern:
    """Failures that belong together. `members` are event ids, worst first; `key` stays while more of them come in.

    `mean_score` is 0-100, None when none has a score; `corrected` and `reopened` count members; `latest` is when the
    newest one failed (seconds).
    """

    key: str
    name: str
    kind: str
    terms: tuple[str, ...]
    long_prompts: bool
    note: str
    members: tuple[int, ...]
    mean_score: float | None
    difficulty: float
    corrected: int
    reopened: int
    latest: float

    @property
    def worst(self) -> tuple[int, ...]:
        """The three worst examples."""
        return self.members[:_WORST]

    @property
    def corrected_share(self) -> float:
        """The share of members that have a correction, 0-1."""
        return self.corrected / len(self.members)


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt that is no failure, to compare with; `chars` is the length of the whole."""

    text: str
    chars: int


def patterns_of(store: Store, category_name: str, negatives: Sequence[HardNegative], embed: Embed) -> list[Pattern]:
    """The patterns among these hard negatives of a category, compared with a sample of its other prompts."""
    ids = [each.event_id for each in negatives]
    others = hard_tests.other_prompts(store, category_name, ids, _OTHERS)
    return patterns(failures_of(store, category_name, negatives), embed, [Prompt(*other) for other in others])


def failures_of(store: Store, category_name: str, negatives: Sequence[HardNegative]) -> list[Failure]:
    """Reads what tells the patterns of these hard negatives; those removed meanwhile are left out."""
    known = {each.event_id: each for each in negatives}
    notes = hard_tests.notes(store, category_name)
    return [
        Failure(
            event_id=text.id,
            kind=kind_of(known[text.id], text.findings),
            prompt=text.prompt,
            prompt_chars=text.prompt_chars,
            score=known[text.id].score,
            difficulty=known[text.id].difficulty,
            state=known[text.id].state,
            since=known[text.id].since,
            corrected=known[text.id].corrected,
            note=notes.get(text.id, ""),
        )
        for text in hard_tests.texts(store, list(known))
    ]


def kind_of(negative: HardNegative, findings: Iterable[Mapping[str, Any]]) -> str:
    """The kind of the finding that weighs most: an error before a warning, then the most frequent, then the alphabet.

    A warning is no reason for a person's "bad", and no finding about the event's own answer is one for an A/B test
    that a version lost: then the reason itself is the kind, as it is where nothing was found.
    """
    counts: dict[str, Counter[str]] = {severity: Counter() for severity in _SEVERITIES}
    for finding in findings:
        if (severity := str(finding.get("severity", "error"))) in counts:
            counts[severity][str(finding.get("kind", ""))] += 1
    telling = _SEVERITIES if "low score" in negative.reasons else _SEVERITIES[:1] if negative.own_failure else ()
    for severity in telling:
        if own := counts[severity]:
            return min(own, key=lambda kind: (-own[kind], kind))
    return negative.reasons[0]


def patterns(failures: Sequence[Failure], embed: Embed, others: Sequence[Prompt] = ()) -> list[Pattern]:
    """The patterns of these failures, worst (the sum of the difficulties) first, whatever order they came in.

    `others` are prompts of the category that are no failures: names and clusters are made of what differs from them.
    """
    if not failures:
        return []
    ordered = sorted(failures, key=lambda each: each.event_id)
    naming = _Naming(ordered, others)
    rows = embed([each.prompt for each in ordered])
    beside = embed([other.text for other in others[:_CENTRE]]) if others else rows[:0]
    rows = centred(rows, np.concatenate([rows, beside]).mean(axis=0))
    by_kind: dict[str, list[int]] = defaultdict(list)
    for index, failure in enumerate(ordered):
        by_kind[failure.kind].append(index)
    found: list[Pattern] = []
    for kind in sorted(by_kind):
        indices = by_kind[kind]
        groups = [[indices[member] for member in group] for group in clusters(rows[indices])]
        # A cluster is known by its oldest member, which stays when newer ones come in.
        found.extend(naming.pattern(group, str(ordered[group[0]].event_id)) for group in groups)
        clustered = {index for group in groups for index in group}
        long, short = naming.parted([index for index in indices if index not in clustered])
        found.extend(naming.pattern(group, own) for own, group in (("long", long), ("other", short)) if group)
    return sorted(found, key=lambda each: (-round(each.difficulty * len(each.members), 4), each.key))


class _Naming:
    """Makes patterns of failures, with names that tell them from all other prompts of the category."""

    def __init__(self, failures: Sequence[Failure], others: Sequence[Prompt]) -> None:
        self._failures = failures
        self._words = [words_of(each.prompt) for each in failures]
        self._every = Counter(word for words in self._words for word in words)
        for other in others:
            self._every.update(words_of(other.text))
        self._prompts = len(failures) + len(others)
        chars = [each.prompt_chars for each in failures] + [other.chars for other in others]
        fifth = quantiles(chars, n=5, method="inclusive")[-1] if len(chars) > 1 else chars[0]
        long_from = max(fifth, _LONG_AT * median(chars))
        self._long = [each.prompt_chars > long_from for each in failures]
        self._all_long = sum(self._long) + sum(other.chars > long_from for other in others)

    def parted(self, indices: Sequence[int]) -> tuple[list[int], list[int]]:
        """The failures with long prompts, where those fail more often than others, and the rest."""
        long = [index for index in indices if self._long[index]]
        share = len(long) / len(indices) if indices else 0.0
        if len(long) < SMALLEST or share < _LONG_RATIO * self._long_share_beside(indices):
            return [], list(indices)
        return long, [index for index in indices if not self._long[index]]

    def pattern(self, indices: Sequence[int], own: str) -> Pattern:
        """The pattern of some failures of one kind; `own` tells its key from others of that kind."""
        members = [self._failures[index] for index in indices]
        terms = distinctive([self._words[index] for index in indices], self._every, self._prompts, _TERMS)
        share = fmean(self._long[index] for index in indices)
        long = (
            len(indices) >= SMALLEST
            and share >= _LONG_SHARE
            and share >= _LONG_RATIO * self._long_share_beside(indices)
        )
        notes = Counter(note for each in members if (note := _one_line(each.note)))
        note = min(notes, key=lambda each: (-notes[each], each)) if notes else ""
        kind = members[0].kind
        parts = [
            _one_line(kind.replace("_", " ")) or "failed",
            ", ".join(terms),
            "long prompts" if long else "",
            f"“{note}”" if note else "",
        ]
        scores = [each.score for each in members if each.score is not None]
        return Pattern(
            key=f"{_one_line(kind)}#{own}",
            name=" · ".join(part for part in parts if part),
            kind=kind,
            terms=terms,
            long_prompts=long,
            note=note,
            members=tuple(
                each.event_id for each in sorted(members, key=lambda each: (-each.difficulty, each.event_id))
            ),
            mean_score=fmean(scores) if scores else None,
            difficulty=fmean(each.difficulty for each in members),
            corrected=sum(each.corrected for each in members),
            reopened=sum(each.state == "reopened" for each in members),
            latest=max(each.since for each in members),
        )

    def _long_share_beside(self, indices: Sequence[int]) -> float:
        """The share of long prompts among all that are not of `indices`, 0-1."""
        beside = self._prompts - len(indices)
        return (self._all_long - sum(self._long[index] for index in indices)) / beside if beside else 1.0


def _one_line(text: str) -> str:
    """At most 60 characters of a text in one line, without any that a terminal obeys or nobody can see."""
    line = " ".join("".join(mark if mark.isprintable() else " " for mark in text[:1_000]).split())
    return line if len(line) <= _WORDS_SHOWN else f"{line[: _WORDS_SHOWN - 1].rstrip()}…"
