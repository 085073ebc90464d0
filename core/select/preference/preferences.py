"""Preference pairs from answers to one prompt: neighbours in the order of their scores, and siblings in the store.

Known of such pairs: what is chosen matters more than what is rejected (arXiv 2508.18312), and small margins unsettle
the training (arXiv 2602.00954). So the chosen side is held to the success score, and every margin to a least one.
What these and other pairs say together is looked into by `core.select.preference.examination`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Final

from core.select.alike.similarity import is_typo, similarity
from core.select.preference.examination import Examination, examine, usable
from core.select.split import content_hash
from storage.rows import EventRow, Verdict

__all__ = [
    "UNTOLD_MARGIN",
    "Examination",
    "Preference",
    "Ranked",
    "adjacent_pairs",
    "examine",
    "ranked",
    "sibling_pairs",
    "usable",
]

UNTOLD_MARGIN: Final = 0.5
"""The margin where one answer is better but nobody said by how much."""

_SAID: Final[dict[Verdict | None, int]] = {"good": 1, None: 0, "skip": 0, "correct": -1, "bad": -1}


@dataclass(frozen=True, slots=True)
class Ranked:
    """An answer with its score 0-100 (None: not scored) and what a person said of it.

    `teaches` is False for what must never be chosen: generic content, or an answer that was cut off.
    """

    event_id: int
    text: str
    score: float | None
    verdict: Verdict | None = None
    teaches: bool = True


@dataclass(frozen=True, slots=True)
class Preference:
    """One answer is better than another by `margin`, 0-1; `source` is `candidate` or `sibling`."""

    chosen_event: int
    rejected_event: int
    chosen: str
    rejected: str
    margin: float
    source: str


def ranked(event: EventRow) -> Ranked:
    """A stored event as an answer among others."""
    cut = event.metadata.get("finish_reason") == "length"
    return Ranked(event.id, event.response, event.score, event.verdict, not event.generic and not cut)


def adjacent_pairs(
    answers: Sequence[Ranked], min_margin: float, *, success_score: float = 70.0, source: str = "candidate"
) -> list[Preference]:
    """The neighbours in the order of the scores (ties by id) of answers to one prompt, best first.

    margin = score difference / 100, kept when it is more than `min_margin` (0-1). Empty, unscored and repeated texts
    take no part, nor what a person rejected. No pair has two texts that differ by a typo only, and none chooses what is
    generic, cut off, disliked, or below `success_score` (0-100) unless a person likes it; nor is what a person likes
    rejected for what nobody liked.
    """
    scored = [one for one in answers if one.score is not None]
    found: list[Preference] = []
    for better, worse in pairwise(_distinct(sorted(scored, key=lambda one: (-(one.score or 0.0), one.event_id)))):
        gain = _gain(better, worse) or 0.0
        if gain > min_margin and _may_stand(better, worse, success_score):
            found.append(_preference(better, worse, gain, source))
    return found


def sibling_pairs(events: Sequence[EventRow], min_margin: float, *, success_score: float = 70.0) -> list[Preference]:
    """The pairs that answers to the same prompt, system prompt and context imply; source `sibling`.

    What counts, the first that differs deciding: a person's verdict (good, then none, then bad or corrected); what was
    done with the answer (`metadata`: `copied` is true, then nothing, then `regenerated` is true and a later answer of
    the same group took its place); the score. Neighbours in that order make pairs, so none contradict. The margin is
    the score difference / 100 where that is more than `min_margin`, else 0.5 when something but the score decided: a
    verdict wins against the scores, while scores that say the opposite of what was done leave the matter open. The
    rules of `adjacent_pairs` for each side hold here too.
    """
    found: list[Preference] = []
    for _, group in groupby(sorted(events, key=_same_question), key=_same_question):
        found += _pairs_of(list(group), min_margin, success_score)
    return found


def _same_question(event: EventRow) -> tuple[str, str, str, str]:
    return event.category, event.prompt_hash, event.system, event.context


def _pairs_of(group: Sequence[EventRow], min_margin: float, success_score: float) -> list[Preference]:
    newest: dict[str, tuple[float, int]] = {}
    for event in group:
        newest[event.group_key] = max(newest.get(event.group_key, (0.0, 0)), (event.created_at, event.id))
    evidence: dict[int, tuple[int, int]] = {}
    for event in group:
        replaced = event.group_key and (event.created_at, event.id) < newest[event.group_key]
        done = 1 if event.metadata.get("copied") is True else 0
        if event.metadata.get("regenerated") is True and replaced:
            done = -1
        evidence[event.id] = _SAID.get(event.verdict, 0), done

    def order(one: Ranked) -> tuple[int, int, float, int]:
        said, done = evidence[one.event_id]
        return -said, -done, -(-1.0 if one.score is None else one.score), one.event_id

    found: list[Preference] = []
    for better, worse in pairwise(_distinct(sorted(map(ranked, group), key=order))):
        (said, done), (other_said, other_done) = evidence[better.event_id], evidence[worse.event_id]
        gain = _gain(better, worse)
        told = said != other_said or (done != other_done and (gain is None or gain >= -min_margin))
        margin = gain if gain is not None and gain > min_margin else UNTOLD_MARGIN if told else None
        if margin is not None and _may_stand(better, worse, success_score):
            found.append(_preference(better, worse, margin, "sibling"))
    return found


def _distinct(order: Sequence[Ranked]) -> list[Ranked]:
    """The answers that may take part, each text once, in the order given."""
    first: dict[str, Ranked] = {}
    for one in order:
        if one.text.strip() and one.verdict != "reject":
            first.setdefault(content_hash("", one.text), one)
    return list(first.values())


def _gain(better: Ranked, worse: Ranked) -> float | None:
    if better.score is None or worse.score is None:
        return None
    return (better.score - worse.score) / 100.0


def _may_stand(chosen: Ranked, rejected: Ranked, success_score: float) -> bool:
    liked = chosen.verdict == "good"
    if not chosen.teaches or _SAID.get(chosen.verdict, 0) < 0 or (rejected.verdict == "good" and not liked):
        return False
    if not liked and (chosen.score is None or chosen.score < success_score):
        return False
    return not is_typo(similarity(chosen.text, rejected.text))


def _preference(chosen: Ranked, rejected: Ranked, margin: float, source: str) -> Preference:
    return Preference(
        chosen.event_id, rejected.event_id, chosen.text, rejected.text, min(1.0, max(0.0, margin)), source
    )
