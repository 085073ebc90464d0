"""The first round of the loop, step by step, for somebody who opened an empty store: how far it has come."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final, Literal

from storage import beginnings, ui_state
from storage.db import Store

StepName = Literal["load", "label", "rank", "train", "promote"]
LABELS: Final = 3
_STATE: Final = "guide.since"
_OVER: Final = -1.0
_LATEST: Final = 1e12
_PAST: Final = ("train", "promote")


@dataclass(frozen=True, slots=True)
class Step:
    """One step: `done` of `wanted`; `under_way` while a run works on it, `in_vain` where it cannot be done yet."""

    name: StepName
    done: int
    wanted: int = 1
    under_way: bool = False
    in_vain: bool = False

    @property
    def complete(self) -> bool:
        """Whether nothing is left of it."""
        return self.done >= self.wanted


@dataclass(frozen=True, slots=True)
class FirstSteps:
    """All steps in order."""

    steps: tuple[Step, ...]

    @property
    def current(self) -> Step | None:
        """The next step; None when the loop has gone round once. What was passed over on the way to a version is not
        asked for any more."""
        first = max((at for at, step in enumerate(self.steps) if step.name in _PAST and step.complete), default=-1) + 1
        return next((step for step in self.steps[first:] if not step.complete), None)


def begin(store: Store, *, now: float) -> float | None:
    """Since when the first steps are counted (seconds since the epoch), None where nobody is to be led.

    A store that is empty when this is first asked belongs to a newcomer; one that holds something does not.
    """
    since = _since(store)
    if since is None:
        since = _OVER if beginnings.anything(store) else now
        ui_state.save(store, _STATE, since)
    return None if since < 0 else since


def _since(store: Store) -> float | None:
    """What is kept; None where nothing is, or nothing that `begin` could have kept."""
    found = ui_state.load(store, _STATE)
    known = isinstance(found, int | float) and not isinstance(found, bool) and abs(found) <= _LATEST
    return float(found) if known else None


def end(store: Store) -> None:
    """Lead nobody any more."""
    ui_state.save(store, _STATE, _OVER)


def turn(store: Store) -> None:
    """Lead from here on, where nobody is led; else stop it."""
    since = _since(store)
    led = since is not None and since >= 0
    ui_state.save(store, _STATE, _OVER if led else time.time())


def first_steps(store: Store, since: float) -> FirstSteps:
    """How far the first round has come: only what was done since then counts."""
    done = beginnings.done_since(store, since)
    return FirstSteps(
        (
            Step("load", int(done.events)),
            Step("label", min(done.judgments, LABELS), LABELS),
            Step("rank", done.comparisons),
            Step("train", done.versions, under_way=done.run_at_work),
            Step(
                "promote",
                done.promotions,
                under_way=done.run_at_work,
                in_vain=done.verdict not in ("", "promote"),
            ),
        )
    )
