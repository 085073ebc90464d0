"""Answers with a thumb as examples: what a person liked or wrote is desirable, what a person disliked is not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from core.categories import Category
from core.config import Select
from core.select.alike.similarity import near_duplicates
from core.select.difficulty import lesson_difficulty
from core.select.examples import item
from core.select.held_out import Sides
from core.select.lessons import common_outputs
from core.select.methods.sources import held_as_answer, held_by_tools, near_held_out
from core.select.split import content_hash
from core.validate.gate import Held
from core.validate.registry import validated, validator_for
from core.validate.validator import Validator
from storage.rows import DatasetItem, EventRow, Split

_THUMBS: Final = frozenset({"good", "bad", "correct"})


@dataclass(frozen=True, slots=True)
class Thumb:
    """An answer that a person judged. `written` tells that it is a person's own text."""

    event: EventRow
    target: str
    desirable: bool
    written: bool = False

    @property
    def place(self) -> tuple[int, str]:
        """Bucket and hash of the prompt."""
        return self.event.bucket, self.event.prompt_hash

    @property
    def rank(self) -> tuple[bool, float, float, int]:
        """The best has the lowest: corrections, then the score that agrees with the thumb, then the newest."""
        score = 50.0 if self.event.score is None else self.event.score
        return not self.written, -score if self.desirable else score, -_said_at(self.event), self.event.id

    def hardness(self, category: Category) -> float:
        """How hard it is to learn, 0-1; see `core.select.difficulty.lesson_difficulty`."""
        score = None if self.written else self.event.score
        return lesson_difficulty(
            category.complexity, prompt_chars=len(self.event.prompt), target_chars=len(self.target), score=score
        )


def thumbs(category: Category, sides: Sides, constants: Select) -> tuple[list[Thumb], list[Held]]:
    """The thumbs of a category that may teach, by event, and why each other one may not.

    A correction counts twice: the corrected text is desirable and the original is not.
    """
    validator, common = validator_for(category), common_outputs(sides.considered)
    held: list[Held] = []
    found: list[Thumb] = []
    for event in sides.considered:
        for each in _of(event):
            refused = (
                Held("held out", "kept for testing")
                if event.id in sides.kept
                else held_by_tools(event) or _held(each, common, validator)
            )
            if refused is not None:
                held.append(refused)
            else:
                found.append(each)
    apart = [(event.prompt, event.correction or event.response) for event in sides.test]
    near = near_held_out([(each.event.prompt, each.target) for each in found], apart, constants.near_duplicate)
    held += [Held("near test", "near-copy of what is kept for testing")] * len(near)
    kept, repeats = _distinct([each for at, each in enumerate(found) if at not in near], constants.near_duplicate)
    return kept, held + repeats


def thumb_item(each: Thumb, split: Split, category: Category) -> DatasetItem:
    """A thumb as an example."""
    return replace(item(each.event, split, each.target, category), desirable=each.desirable)


def _of(event: EventRow) -> list[Thumb]:
    if event.verdict not in _THUMBS:
        return []
    if event.verdict == "correct":
        return [Thumb(event, event.correction or "", True, True), Thumb(event, event.response, False)]
    return [Thumb(event, event.response, event.verdict == "good")]


def _held(each: Thumb, common: Sequence[str], validator: Validator) -> Held | None:
    if not each.target.strip():
        return Held("empty", "its answer is empty")
    if not each.desirable:
        return None
    if not each.written:
        return held_as_answer(each.event, common)
    verdict = validated(validator, each.target, each.event.prompt, each.event.metadata)
    if verdict.valid:
        return None
    finding = verdict.findings[0].message if verdict.findings else "refused by the validator"
    return Held("invalid correction", f"the correction is not valid: {finding}")


def _distinct(found: Sequence[Thumb], floor: float) -> tuple[list[Thumb], list[Held]]:
    """Those of which none nearly repeats a better one of its side, nor has the other thumb from a newer judgment."""
    held: list[Held] = []
    newest: dict[tuple[str, str], Thumb] = {}
    for each in sorted(found, key=lambda one: (-_said_at(one.event), one.event.id, not one.written)):
        newest.setdefault((each.event.prompt_hash, content_hash("", each.target)), each)
    agreed: list[Thumb] = []
    for each in found:
        last = newest[each.event.prompt_hash, content_hash("", each.target)]
        if last.desirable == each.desirable:
            agreed.append(each)
        else:
            held.append(Held("contradiction", f"a newer judgment, of event {last.event.id}, says the opposite"))
    kept: list[Thumb] = []
    for side in (True, False):
        members = sorted((each for each in agreed if each.desirable is side), key=lambda one: one.rank)
        repeated = near_duplicates([one.event.prompt for one in members], [one.target for one in members], floor)
        for at, each in enumerate(members):
            if at in repeated:
                original = members[repeated[at]].event.id
                held.append(Held("near-duplicate", f"near-copy of event {original}"))
            else:
                kept.append(each)
    return sorted(kept, key=lambda one: (one.event.id, not one.desirable)), held


def _said_at(event: EventRow) -> float:
    return event.judged_at if event.judged_at is not None else event.created_at
