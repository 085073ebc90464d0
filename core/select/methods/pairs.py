"""Preference pairs as examples: which may teach, on which side of the split they stand, which of them are the best.

What is chosen matters more than what is rejected (arXiv 2508.18312), and pairs with a small margin unsettle the
training (arXiv 2602.00954); beyond a middle one, more margin says nothing more. So of more pairs than are wanted those
with the best chosen answer are taken, among equals those with a margin nearest to the middle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from core.categories import Category
from core.config import Select
from core.select.examples import item
from core.select.held_out import Sides
from core.select.lessons import common_outputs
from core.select.methods.sources import held_as_answer, held_by_tools, near_held_out
from core.select.preference.examination import INFERRED, Examination, examine
from core.select.preference.preferences import UNTOLD_MARGIN
from core.select.split import bucket, is_held_out, prompt_hash
from core.validate.gate import Held
from core.validate.generic import is_generic
from core.validate.registry import validated, validator_for
from core.validate.validator import Validator
from storage import pairs
from storage.db import Store
from storage.rows import DatasetItem, EventRow, PairRow, Split

MIDDLE: Final = 0.5
_UNSCORED: Final = 0.5
_DISLIKED: Final = {"bad": "marked bad by a human", "reject": "marked reject by a human", "correct": "corrected since"}


@dataclass(frozen=True, slots=True)
class Teaching:
    """A pair that may teach. `event` is the output that its prompt comes from, None where it came without one.

    `quality` (0-1) is that of the chosen answer: 1 where a person wrote or liked it, else its score / 100, 0.5 without
    one. `margin` (0-1) is at least the middle where a person said which answer is better: by how much the scores differ
    is then beside the point.
    """

    pair: PairRow
    event: EventRow | None
    quality: float
    margin: float

    @property
    def place(self) -> tuple[int, str]:
        """Bucket and hash of the prompt."""
        return _place(self.pair, self.event)

    @property
    def rank(self) -> tuple[float, float, int]:
        """The best pair has the lowest: quality of the chosen answer in tenths, then a moderate margin, then age."""
        return -round(self.quality, 1), abs(self.margin - MIDDLE), self.pair.id

    @property
    def strength(self) -> float:
        """What its weight is in proportion to: the chosen answer's quality × the margin up to the middle."""
        return self.quality * min(self.margin, MIDDLE)


def teaching_pairs(
    store: Store, category: Category, sides: Sides, constants: Select
) -> tuple[list[Teaching], dict[int, Held]]:
    """The pairs of a category that may teach, by id, and for each other one why it may not.

    A pair comes in without an event where a bundle held its texts only; such a prompt counts as held out by its hash,
    even in a category that is too small to keep events for testing.
    """
    listed = pairs.list_pairs(store, category.name)
    by_id = {event.id: event for event in sides.considered}
    origins = {pair.id: _origin(pair, by_id) for pair in listed}
    kept_prompts = {prompt_hash(event.prompt) for event in sides.considered if event.id in sides.kept}
    held: dict[int, Held] = {}
    for pair in listed:
        if _is_kept(pair, origins[pair.id], sides, kept_prompts, constants):
            held[pair.id] = Held("held out", "kept for testing")
    hidden = [pair for pair in listed if pair.id in held]
    open_pairs = [pair for pair in listed if pair.id not in held]
    found = examine(open_pairs, asked=pairs.asked(store, category.name), near=constants.near_duplicate)
    held |= _losers(found)
    left = [pair for pair in open_pairs if pair.id not in held]
    apart = [(event.prompt, event.correction or event.response) for event in sides.test]
    apart += [(pair.prompt, text) for pair in hidden for text in (pair.chosen, pair.rejected)]
    texts = [(pair.prompt, text) for pair in left for text in (pair.chosen, pair.rejected)]
    near = {at // 2 for at in near_held_out(texts, apart, constants.near_duplicate)}
    common = common_outputs(sides.considered)
    validator = validator_for(category)
    teaching: list[Teaching] = []
    for at, pair in enumerate(left):
        event = origins[pair.id]
        judged = (
            Held("near test", "near-copy of what is kept for testing")
            if at in near
            else _judged(pair, event, by_id, common, validator)
        )
        if isinstance(judged, Held):
            held[pair.id] = judged
        else:
            margin = pair.margin if pair.source in INFERRED else max(pair.margin, UNTOLD_MARGIN)
            teaching.append(Teaching(pair, event, judged, margin))
    return teaching, held


def pair_item(each: Teaching, split: Split, category: Category) -> DatasetItem:
    """A pair as an example: `target` is the chosen answer."""
    pair = each.pair
    if each.event is not None:
        return replace(item(each.event, split, pair.chosen, category), rejected=pair.rejected)
    return DatasetItem(
        position=0,
        event_id=0,
        split=split,
        prompt=pair.prompt,
        target=pair.chosen,
        system=category.system_prompt,
        weight=1.0,
        difficulty=0.0,
        stage="",
        rejected=pair.rejected,
    )


def _origin(pair: PairRow, by_id: Mapping[int, EventRow]) -> EventRow | None:
    """The event whose prompt, earlier turns and system prompt are those of the pair."""
    for event_id in (pair.chosen_event, pair.rejected_event):
        event = by_id.get(event_id or 0)
        # Beside texts of its own a pair from elsewhere may name an event that was asked something else.
        if event is not None and event.prompt == pair.prompt:
            return event
    return None


def _place(pair: PairRow, event: EventRow | None) -> tuple[int, str]:
    if event is not None:
        return event.bucket, event.prompt_hash
    key = prompt_hash(pair.prompt)
    return bucket(key), key


def _is_kept(pair: PairRow, event: EventRow | None, sides: Sides, kept_prompts: set[str], constants: Select) -> bool:
    if sides.kept & {pair.chosen_event, pair.rejected_event}:
        return True
    if event is not None:
        return False
    at, key = _place(pair, None)
    # It may have lost its earlier turns, which decide on the side of a chat.
    return key in kept_prompts or (is_held_out(at, constants.held_out_percent) and key not in sides.trained_prompts)


def _losers(found: Examination) -> dict[int, Held]:
    """The pairs that examination leaves out."""
    held = {pair: Held("empty pair", "a side is empty, or both are the same") for pair in found.empty}
    for kind, groups in (("duplicate", found.duplicates), ("near-duplicate", found.near_duplicates)):
        for group in groups:
            held |= {pair: Held(kind, f"says the same as pair {group.holds}") for pair in group.repeats}
    for one in found.contradictions:
        others = ", ".join(map(str, one.holds[:3]))
        held[one.loses] = Held("contradiction", f"contradicts pair {others}: {one.why}")
    return held


def _judged(
    pair: PairRow,
    event: EventRow | None,
    by_id: Mapping[int, EventRow],
    common: Sequence[str],
    validator: Validator,
) -> Held | float:
    """The quality of the chosen answer, or why the pair may not teach."""
    chosen, rejected = by_id.get(pair.chosen_event or 0), by_id.get(pair.rejected_event or 0)
    for each in (chosen, rejected):
        if each is not None and (used := held_by_tools(each)):
            return used
        if each is not None and each.verdict == "reject":
            return Held("rejected by a human", _DISLIKED["reject"])
    if chosen is None or chosen.response != pair.chosen:
        return _written(pair, event, common, validator)
    if chosen.verdict in _DISLIKED:
        return Held("rejected by a human", f"its chosen answer was {_DISLIKED[chosen.verdict]}")
    if held := held_as_answer(chosen, common):
        return held
    if chosen.score is not None and not chosen.valid:
        finding = next((each.get("message") for each in chosen.findings), None) or "refused by the validator"
        return Held("invalid answer", f"its chosen answer is not valid: {finding}")
    if chosen.verdict == "good":
        return 1.0
    if rejected is not None and rejected.verdict == "good" and pair.source in INFERRED:
        return Held("liked by a human", "a person likes the answer that it rejects")
    return _UNSCORED if chosen.score is None else chosen.score / 100.0


def _written(pair: PairRow, event: EventRow | None, common: Sequence[str], validator: Validator) -> Held | float:
    """The same for a chosen text that is no event's: a correction, or what came in without one. It is judged anew."""
    corrected = pair.source == "correction" and event is not None
    if corrected and event is not None and event.correction != pair.chosen:
        return Held("taken back", "its correction is no longer in force")
    if not corrected and (why := is_generic(pair.prompt, pair.chosen, common)):
        return Held("generic", f"generic: {why}")
    verdict = validated(validator, pair.chosen, pair.prompt, event.metadata if event is not None else {})
    if not verdict.valid:
        finding = verdict.findings[0].message if verdict.findings else "refused by the validator"
        kind = "invalid correction" if corrected else "invalid answer"
        return Held(kind, f"its chosen answer is not valid: {finding}")
    return 1.0 if corrected else verdict.score / 100.0 if verdict.judged else _UNSCORED
