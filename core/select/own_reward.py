"""A reward function of the user's own: found by its name, tried out before it is trusted, watched at every call.

A category names it in `reward`: the name of an entry point of the group `finetune_tui.rewards` that a package brings,
or `module:function`, where the module is `module.py` in the home folder, else one that can be imported. It is called as
`function(event: RewardInput) -> float | None` and tells how good the event is as a lesson, −1 to 1, as though it were
new; None keeps the built-in reward.

It runs in this process with the rights of the user, who wrote or installed it. No fault of it costs any feedback: a
function that cannot be loaded, breaks the rules on a made-up event or is too slow there is not used at all, and where
it fails on one event the built-in reward holds for that one. Either is told as a `Fault`; so is a function that turns
out slow on real events, but it is used to the end, since half a selection by it would be worse than a slow one.
"""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from numbers import Real
from types import MappingProxyType
from typing import Any, Final

from core.categories import Category
from core.paths import Home
from core.select.own_function import Unusable, find_function, stamp_of
from core.select.reward import Reward, reward
from storage.rows import FeedbackType

SLOWEST_CALL: Final = 0.002
"""Seconds that a call may take in the mean: 50,000 events are then rewarded in less than two minutes."""
_ENOUGH_CALLS: Final = 20
_ROUNDS: Final = 3
_HANGS_AFTER: Final = 5.0
_ROUNDING: Final = 1e-9
_SAID: Final = 200


@dataclass(frozen=True, slots=True)
class RewardInput:
    """What a reward function is told of an event.

    `response` is what the model answered, `target` what would be taught: a person's correction, else the response;
    `score` (0-100 or None) is that of the target. `difficulty` is 0-1. `metadata` cannot be changed. `builtin` is the
    built-in reward as though the event were new and its category small: its `value` and `worth` are alike. Age and
    balance weigh what the function returns afterwards, so it need not look at `age_days`.
    """

    category: str
    prompt: str
    response: str
    target: str
    context: str
    score: float | None
    feedback_type: FeedbackType
    age_days: float
    difficulty: float
    corrected: bool
    metadata: Mapping[str, Any]
    builtin: Reward


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with the reward function of a category, in a sentence."""

    category: str
    message: str


Function = Callable[[RewardInput], object]


class RewardFunction:
    """The own reward of one category, for one pass over its events; it counts what goes wrong in it."""

    def __init__(
        self, category: Category, function: Function | None, clock: Callable[[], float], refused: str = ""
    ) -> None:
        self._category = category
        self._function = function
        self._clock = clock
        self._refused = refused
        self._calls = 0
        self._took = 0.0
        self._failed: Counter[str] = Counter()

    def __call__(self, event: RewardInput) -> float | None:
        """What the function says of an event, −1 to 1; None where the built-in reward holds."""
        if self._function is None:
            return None
        self._calls += 1
        started = self._clock()
        try:
            return checked(self._function(event))
        except (Exception, SystemExit) as error:  # noqa: BLE001 - foreign code; it must not end the selection
            self._failed[_told(error)] += 1
            return None
        finally:
            self._took += self._clock() - started

    @property
    def faults(self) -> tuple[Fault, ...]:
        """Why it is not used, or where it has failed since this object was made; empty when all is well."""
        name = f"the reward function `{self._category.reward}`"
        if self._function is None:
            return (Fault(self._category.name, f"{name} is not used, the built-in reward is: {self._refused}"),)
        messages: list[str] = []
        if self._failed:
            failed, (most, _) = self._failed.total(), self._failed.most_common(1)[0]
            messages.append(f"failed on {failed:,} of {self._calls:,} events, which kept the built-in reward: {most}")
        if self._calls >= _ENOUGH_CALLS and self._took > SLOWEST_CALL * self._calls:
            messages.append(f"took {1000 * self._took / self._calls:.1f} ms a call on {self._calls:,} events")
        return tuple(Fault(self._category.name, f"{name} {message}") for message in messages)


def reward_function(
    category: Category, home: Home, *, clock: Callable[[], float] = time.perf_counter
) -> RewardFunction | None:
    """The own reward of a category, tried out; None when it names none. Raises nothing: see `RewardFunction.faults`."""
    if not category.reward.strip():
        return None
    try:
        return RewardFunction(category, _tried(category.reward, home, stamp_of(category.reward, home), clock), clock)
    except Unusable as error:
        return RewardFunction(category, None, clock, str(error))


def frozen(value: Any) -> Any:
    """A JSON value that nobody can change: mappings are read-only, lists are tuples."""
    if isinstance(value, Mapping):
        return MappingProxyType({key: frozen(each) for key, each in value.items()})
    return tuple(frozen(each) for each in value) if isinstance(value, list | tuple) else value


def checked(result: object) -> float | None:
    """The result as a number of −1 to 1 or None. Raises TypeError or ValueError."""
    if result is None:
        return None
    if isinstance(result, bool) or not isinstance(result, Real):
        raise TypeError(f"it returned {type(result).__name__}, not a number")
    value = float(result)
    if not math.isfinite(value) or abs(value) > 1.0 + _ROUNDING:
        raise ValueError(f"it returned {value:g}, which does not lie from -1 to 1")
    return max(-1.0, min(1.0, value))


@lru_cache(maxsize=32)
def _tried(name: str, home: Home, stamp: int, clock: Callable[[], float]) -> Function:
    """The function, loaded and tried out. Kept until its file changes (`stamp`); what is unusable is tried anew."""
    function = find_function(name, home)
    ended: list[Unusable | None] = []
    # In a thread, so that a function which never returns cannot hold the program.
    trial = threading.Thread(target=lambda: ended.append(_trial(function, clock)), name="reward-trial", daemon=True)
    trial.start()
    trial.join(_HANGS_AFTER)
    if not ended:
        raise Unusable(f"it did not return within {_HANGS_AFTER:g} s")
    if ended[0] is not None:
        raise ended[0]
    return function


def _trial(function: Function, clock: Callable[[], float]) -> Unusable | None:
    """What is wrong with it on made-up events. Of three rounds with fresh events the fastest counts: the first may load
    a word list, and another program may be at work."""
    fastest = math.inf
    for round_number in range(_ROUNDS):
        made_up = _made_up(round_number)
        took = 0.0
        for what, event in made_up.items():
            started = clock()
            try:
                result = function(event)
            except (Exception, SystemExit) as error:  # noqa: BLE001 - foreign code
                return Unusable(f"on {what} it failed: {_told(error)}")
            took += clock() - started
            try:
                checked(result)
            except (TypeError, ValueError) as error:
                return Unusable(f"on {what} {error}")
        fastest = min(fastest, took / len(made_up))
        if fastest <= SLOWEST_CALL:
            return None
    return Unusable(f"a call takes {1000 * fastest:.1f} ms, and {1000 * SLOWEST_CALL:g} ms is the most allowed")


def _made_up(round_number: int) -> dict[str, RewardInput]:
    """Events at the edges of what there is, by what they are."""
    text = f"customer orders product {round_number} " * 50
    kinds: dict[str, tuple[float | None, FeedbackType, str, str]] = {
        "an ordinary success": (92.0, "success", text, text),
        "a failure": (12.5, "validation_failure", text, "x"),
        "an answer without a score": (None, "explicit_positive", text, text),
        "a correction": (100.0, "user_correction", text, text),
        "an empty answer to an empty prompt": (0.0, "explicit_negative", "", ""),
    }
    return {
        what: RewardInput(
            category="category",
            prompt=prompt,
            response=response,
            target=response,
            context="",
            score=score,
            feedback_type=kind,
            age_days=float(round_number),
            difficulty=0.3,
            corrected=kind == "user_correction",
            metadata=MappingProxyType({}),
            builtin=reward(score, kind, age_days=0.0, difficulty=0.3, recent=0),
        )
        for what, (score, kind, prompt, response) in kinds.items()
    }


def _told(error: BaseException) -> str:
    told = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return told if len(told) <= _SAID else f"{told[:_SAID]}…"
