"""How hard negatives are put into words: the same on the command line and on the screen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

from core.select.hard.hard_negatives import HardNegative
from core.select.hard.parts import MISSED, REPEATED, REQUEST, SAID, HardParts
from core.validate.feedback import FAILURE_BELOW
from tui.words import number

Mark = Literal["open", "corrected", "failed again", "came back", "solved"]

MARKS: Final[dict[Mark, tuple[str, str]]] = {
    "open": ("○", "$text-error"),
    "corrected": ("✎", "$text-primary"),
    "failed again": ("✗", "$text-error"),
    "came back": ("↺", "$text-warning"),
    "solved": ("✓", "$text-success"),
}
"""Glyph and colour of each."""

_WHY: Final = {
    "low score": f"its answer scored below {FAILURE_BELOW:.0f}",
    "thumbs down": "a person called it bad",
    "lost A/B": "a new version lost an A/B test on its prompt",
}


def mark_of(negative: HardNegative) -> Mark:
    """The one word that says where a hard negative stands: what the versions make of it weighs most."""
    if negative.state == "solved":
        return "solved"
    if negative.state == "reopened":
        return "came back"
    if negative.corrected:
        return "corrected"
    return "failed again" if negative.failed else "open"


def reasons_in_words(reasons: Sequence[str]) -> str:
    """Why it counts as a failure, as a sentence."""
    text = ", and ".join(_WHY.get(reason, reason) for reason in reasons)
    return f"{text[:1].upper()}{text[1:]}."


def why_failed(reasons: Sequence[str], kind: str) -> str:
    """Reasons and kind in short: `low score: missing pk`."""
    told, spaced = ", ".join(reasons), kind.replace("_", " ")
    return told if spaced in reasons else f"{told}: {spaced}"


def waits_for(state: str, waits: str, sibling: int | None) -> str:
    """What has to happen to it next."""
    if state == "solved":
        return "nothing: a version passes it"
    pair = f"; pair with event {sibling}" if sibling is not None else ""
    return f"{waits.removeprefix('waits for ') or 'nothing: ready to train on'}{pair}"


def parts_in_words(parts: HardParts) -> str:
    """The difficulty as the sum it is."""
    summands = (
        (MISSED, "missed", parts.missed),
        (REPEATED, "failed again", parts.repeated),
        (SAID, "called bad", parts.said),
        (REQUEST, "hard request", parts.request),
    )
    return " + ".join(f"{weight:.2f} × {name} {number(value, 2)}" for weight, name, value in summands)
