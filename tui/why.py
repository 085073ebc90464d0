"""An explanation in words, part by part: the same on the command line and in the review."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from storage.event_uses import DatasetUse, PairUse
from tui.words import counted, number, signed

if TYPE_CHECKING:
    from core.explain import Explanation, RewardParts

UNKNOWN = "…"
_LISTED = 4


@dataclass(frozen=True, slots=True)
class Why:
    """One part: what it is, its figure, and the reasons."""

    title: str
    value: str
    text: str


def why(found: Explanation) -> list[Why]:
    """All parts, what matters most first; what needs the whole category is `…` until that was looked at."""
    return [*_standing(found), _reward(found.reward), *_rest(found), *_uses(found)]


def next_batch(found: Explanation) -> str:
    """Whether the next training takes it, and why not; `…` until its category was looked at, where it is."""
    if found.standing is not None:
        return found.standing.batch
    if found.held:
        return f"held back: {found.held}"
    return f"next batch: {found.no_standing}" if found.no_standing else f"next batch {UNKNOWN}"


def reward_line(parts: RewardParts) -> str:
    """The factors of a reward in one line: `score +0.66 success +0.30 × 1.27 difficulty × 0.90 age × 1.00 balance`."""
    kind = parts.feedback_type.replace("_", " ")
    start = f"own {signed(parts.own, 2)}"
    if parts.own is None:
        start = f"score {signed(parts.base, 2)} {kind} {signed(parts.bonus, 2)}"
        start += f" × {number(parts.difficulty_factor, 2)} difficulty"
    return f"{start} × {number(parts.decay, 2)} age × {number(parts.balance, 2)} balance"


def _standing(found: Explanation) -> Iterator[Why]:
    known = found.standing
    held = found.held_kind if known is None else known.held_kind
    yield Why("training", "", next_batch(found))
    yield Why("gate", "held back" if held else "passes", held)
    if known is None:
        if not found.no_standing:
            yield Why("split", "", UNKNOWN)
        return
    if known.near_copy_of is not None:
        yield Why("near-copy of", f"event {known.near_copy_of}", "")
    yield Why("split", known.side, known.why)


def _reward(parts: RewardParts) -> Why:
    kind = parts.feedback_type.replace("_", " ")
    age = f"× {number(parts.decay, 2)} age ({number(parts.age_days, 0)} d)"
    built_in = f"(score {signed(parts.base, 2)}, {kind} {signed(parts.bonus, 2)})"
    built_in += f" × {number(parts.difficulty_factor, 2)} difficulty"
    start = built_in if parts.own is None else f"own reward {signed(parts.own, 2)} in place of {built_in},"
    clamped = f"; {signed(parts.raw, 2)} before it was cut to ±1" if abs(parts.raw - parts.value) >= 0.005 else ""
    return Why("reward", signed(parts.value, 2), f"{start} {age} × {number(parts.balance, 2)} balance{clamped}")


def _rest(found: Explanation) -> Iterator[Why]:
    quality, hard, told = found.quality, found.difficulty, found.information
    text = _shares(quality.parts) or "nothing speaks for it yet"
    missing = f"; not: {_shares(quality.missing)}" if quality.missing else ""
    yield Why("quality", f"{number(quality.value, 2)} {quality.tier}", f"{text}{missing}")
    known = found.standing
    if known is None:
        place = "" if found.no_standing else f" {UNKNOWN}"
    elif known.quantile is None:
        place = ""
    else:
        place = f" {known.stage}, harder than {100 * known.quantile:.0f} % of what is trained on"
    formula = f"0.25 × complexity {number(hard.complexity, 2)} + 0.25 × length {number(hard.length, 2)}"
    formula += f" + 0.5 × missed {number(hard.missed, 2)}"
    yield Why("difficulty", f"{number(hard.value, 2)}{place}", formula)
    parts = {"missed": 0.4 * told.missed, "corrected": 0.3 * told.corrected, "feedback": 0.3 * told.type}
    diversity = f"{number(told.own, 2)} of its value, diversity adds up to {number(told.diversity_weight, 2)}"
    yield Why("uncertainty", number(told.uncertainty, 2), f"{_shares(parts)}; with quality {diversity}")
    if known is not None and known.hard is not None:
        yield Why("hard negative", known.hard, f"difficulty {number(known.hard_difficulty, 2)}")
    for fault in found.faults:
        yield Why("fault", "", fault)


def _uses(found: Explanation) -> Iterator[Why]:
    if found.pairs:
        yield Why("pairs", counted(len(found.pairs), "pair"), _listed([_pair(each) for each in found.pairs]))
    if found.datasets:
        versions = ", ".join(found.trained_in[:_LISTED])
        learned = f"learned by {versions}" if versions else "no version learned from it"
        yield Why("used in", learned, _listed([_dataset(each) for each in found.datasets]))


def _pair(use: PairUse) -> str:
    other = f" over event {use.other}" if use.role == "chosen" else f" to event {use.other}"
    return f"{use.role}{other if use.other is not None else ''} ({use.source}, margin {use.margin:.2f})"


def _dataset(use: DatasetUse) -> str:
    run = f", run {use.run} {use.run_status}" if use.run is not None else ""
    again = "" if use.origin == "event" else f" as {use.origin}"
    return f"dataset {use.dataset_id} {use.split}{again}{run}"


def _listed(texts: list[str]) -> str:
    more = [f"{len(texts) - _LISTED} more"] if len(texts) > _LISTED else []
    return "; ".join([*texts[:_LISTED], *more])


def _shares(parts: Mapping[str, float]) -> str:
    ranked = sorted(parts.items(), key=lambda each: (-each[1], each[0]))
    return ", ".join(f"{name.replace('_', ' ')} {number(value, 2)}" for name, value in ranked)
