"""The live figures of a run: what each is called and how it is written, alike on screens and on the command line."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple

from storage.rows import RunRow
from tui.widgets.curves import nice_number
from tui.words import celsius, mebibytes, number, percent, rate, speed


class Figure(NamedTuple):
    """How a figure is called and written. `group` says what it stands beside, `name` is for where there is room."""

    label: str
    group: str
    form: Callable[[object], str]
    name: str = ""


def _plain(value: object) -> str:
    return nice_number(value) if isinstance(value, (int, float)) and math.isfinite(value) else "–"


FIGURES: Final[Mapping[str, Figure]] = {
    "loss": Figure("loss", "quality", lambda value: number(value, 3)),
    "eval_loss": Figure("eval loss", "quality", lambda value: number(value, 3)),
    "eval_score": Figure("eval score", "quality", number),
    "score": Figure("test score", "quality", number),
    "reward_margin": Figure("margin", "preference", lambda value: number(value, 2), "reward margin"),
    "accuracy": Figure("accuracy", "preference", percent),
    "reward_chosen": Figure("chosen", "", lambda value: number(value, 2), "reward of chosen"),
    "reward_rejected": Figure("rejected", "", lambda value: number(value, 2), "reward of rejected"),
    "learning_rate": Figure("rate", "steps", rate, "learning rate"),
    "gradient_norm": Figure("grad", "steps", _plain, "gradient norm"),
    "tokens_per_second": Figure("speed", "steps", speed),
    "memory_mb": Figure("mem", "hardware", mebibytes, "memory"),
    "gpu_memory_mb": Figure("GPU memory", "", mebibytes, "GPU memory in use"),
    "gpu_percent": Figure("GPU", "hardware", lambda value: f"{number(value, 0)} %"),
    "temperature": Figure("temp", "hardware", celsius, "temperature"),
}
GROUPS: Final = ("quality", "preference", "steps", "hardware")
_BRIEF: Final = (
    "loss", "tokens_per_second", "temperature", "eval_loss", "eval_score", "accuracy", "gpu_percent", "memory_mb",
)  # fmt: skip
_UNIT_SAYS: Final = frozenset({"tokens_per_second", "temperature", "memory_mb"})
_OF_NOW: Final = frozenset({"gpu_percent", "temperature"})


def grouped(latest: Mapping[str, float], *, at_work: bool = True) -> list[list[tuple[str, str]]]:
    """Label and text of the known figures, by group; a group of which nothing is known is not there.

    How hot and busy the card was at last says nothing once the run is not `at_work` any more, and is left out.
    """
    groups = [
        [
            (figure.label, figure.form(latest[name]))
            for name, figure in FIGURES.items()
            if figure.group == group and name in latest and (at_work or name not in _OF_NOW)
        ]
        for group in GROUPS
    ]
    return [group for group in groups if group]


def listed(latest: Mapping[str, float]) -> Iterator[tuple[str, str]]:
    """Name and text of every figure, those without a form of their own at the end as they are stored."""
    for name, figure in FIGURES.items():
        if name in latest:
            yield figure.name or figure.label, figure.form(latest[name])
    for name, value in latest.items():
        if name not in FIGURES and name != "eta_seconds":
            yield name.replace("_", " "), _plain(value)


def brief(latest: Mapping[str, float]) -> list[str]:
    """The figures that one line has room for, the most telling first: `loss 1.234`, `1.2k tok/s`, `71 °C` …"""
    texts: list[str] = []
    for name in _BRIEF:
        if name in latest:
            text = FIGURES[name].form(latest[name])
            texts.append(text if name in _UNIT_SAYS else f"{FIGURES[name].label} {text}")
    return texts


def told_left(run: RunRow, latest: Mapping[str, float]) -> float | None:
    """Seconds to the last training step as the run itself has estimated them; None where it has not."""
    at_work = run.status == "running" and run.stage == "training"
    return latest.get("eta_seconds") if at_work else None
