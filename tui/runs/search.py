"""A search for hyper-parameters as the app sees it: read by a child process, since what keeps searches is slow to load.

The child is `finetune-tui search CATEGORY --status --json`, so that both show the same.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from core.errors import FinetuneError, NotFoundError, StoreError
from core.paths import Home
from core.search.places import FILE
from core.search.study import Trial
from core.train.launch import child_environment
from core.train.search_space import USUAL

_LOOK_SECONDS: Final = 0.3
OBJECTIVE: Final = "objective"
EFFECTIVE: Final = "effective_batch"


@dataclass(frozen=True, slots=True)
class SearchView:
    """A search as it stands. `best` is a trial's number, `importances` shares by parameter (sum 1, empty while
    unknown); `applied` are the settings that were made the category's defaults."""

    category: str
    base: str
    trials: tuple[Trial, ...]
    best: int | None
    importances: Mapping[str, float]
    applied: Mapping[str, Any]

    @property
    def open(self) -> bool:
        """Whether a trial is being tried."""
        return any(trial.state == "running" for trial in self.trials)

    @property
    def waits(self) -> bool:
        """Whether a trial was begun, or is known, that nobody tries now."""
        return not self.open and any(trial.state == "waiting" for trial in self.trials)

    @property
    def best_is_applied(self) -> bool:
        """Whether the best trial's settings are the category's defaults."""
        found = next((trial for trial in self.trials if trial.number == self.best), None)
        return found is not None and dict(self.applied) == dict(found.settings)

    @property
    def done(self) -> int:
        """Trials that have told something."""
        return sum(trial.state in ("complete", "pruned") for trial in self.trials)


@dataclass(frozen=True, slots=True)
class Axis:
    """One column of the paths: its name, its ends in the figures' own unit, and whether its logarithm is drawn."""

    name: str
    low: float
    high: float
    log: bool

    def place(self, value: float) -> float:
        """Where a value lies, 0-1 from the lower end; the middle where all are the same."""
        low, high, here = (math.log(one) if self.log else one for one in (self.low, self.high, value))
        return (here - low) / (high - low) if high > low else 0.5


def command(home: Home, category: str, base: str, *what: str) -> list[str]:
    """The arguments of `finetune-tui` that tell how the newest search stands, or do `what` with it; an empty base is
    the category's own."""
    return ["--home", str(home.root), "search", category, *of_base(base), *(what or ("--status",)), "--json"]


def of_base(base: str) -> list[str]:
    """The arguments that name a base model; none for the category's own."""
    return ["--base", base] if base else []


def read_search(home: Home, category: str, base: str, check_stop: Callable[[], None] = lambda: None) -> SearchView:
    """Read the newest search of a category on a base model; takes seconds, `check_stop` is called meanwhile.

    Raises NotFoundError where there is none, and FinetuneError with what the child says.
    """
    return view_of(told_by(command(home, category, base), check_stop))


def told_by(arguments: Sequence[str], check_stop: Callable[[], None] = lambda: None) -> dict[str, Any]:
    """What `finetune-tui` prints as JSON with these arguments. Raises FinetuneError with what it says."""
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "tui", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=child_environment(),
        start_new_session=True,
    ) as child:
        try:
            out, complaint = _output(child, check_stop)
        finally:
            child.kill()  # one that has ended is left alone
    try:
        told: dict[str, Any] = json.loads(out)
    except ValueError as fault:
        last = complaint.decode("utf-8", "replace").strip().splitlines()[-1:] or ["it said nothing"]
        raise StoreError(
            f"`finetune-tui {' '.join(arguments[2:])}` gave no answer: {last[0]}", hint="Run `finetune-tui doctor`."
        ) from fault
    if error := told.get("error"):
        kind = NotFoundError if error["title"] == NotFoundError.default_title else FinetuneError
        raise kind(error["message"], title=error["title"], hint=error["hint"])
    return told


def _output(child: subprocess.Popen[bytes], check_stop: Callable[[], None]) -> tuple[bytes, bytes]:
    while True:
        check_stop()
        try:
            return child.communicate(timeout=_LOOK_SECONDS)
        except subprocess.TimeoutExpired:
            continue


def view_of(told: Mapping[str, Any]) -> SearchView:
    """A search from what the command prints as JSON."""
    best = told["best"]
    return SearchView(
        told["spec"]["category"],
        told["spec"]["base"],
        tuple(Trial(**trial) for trial in told["trials"]),
        best["number"] if best else None,
        told["importances"],
        told["applied"],
    )


def broken_off(trial: Trial) -> bool:
    """Whether a trial was ended in its midst; its settings wait to be tried as another trial."""
    return trial.state == "failed" and not trial.note


def stamp(home: Home) -> tuple[tuple[int, int], ...]:
    """What changes when the home folder's own searches change; cheap enough to ask every few seconds."""
    found = []
    for name in (FILE, f"{FILE}-wal"):
        try:
            told = (home.root / name).stat()
            found.append((told.st_mtime_ns, told.st_size))
        except OSError:
            found.append((0, 0))
    return tuple(found)


def parameters(trial: Trial) -> dict[str, float]:
    """What a trial varied, by the names that the search draws, and its objective where it has one."""
    settings = trial.settings
    if not settings:
        return {}
    found: dict[str, float] = {name: float(settings[name]) for name in USUAL if name in settings}
    if {"batch_size", "accumulation"} <= settings.keys():
        found[EFFECTIVE] = float(settings["batch_size"] * settings["accumulation"])
    if trial.value is not None:
        found[OBJECTIVE] = trial.value
    return {name: found[name] for name in (*USUAL, OBJECTIVE) if name in found}


def axes_of(trials: Sequence[Trial]) -> list[Axis]:
    """A column for each parameter that any trial has, and the objective last, each as wide as the values found."""
    found: dict[str, list[float]] = {}
    for trial in trials:
        for name, value in parameters(trial).items():
            found.setdefault(name, []).append(value)
    log = {name for name, among in USUAL.items() if among.log}
    return [
        Axis(name, min(values), max(values), name in log and min(values) > 0)
        for name in (*USUAL, OBJECTIVE)
        if (values := found.get(name))
    ]
