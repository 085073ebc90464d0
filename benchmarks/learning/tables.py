"""The tables that the benchmark prints, and the same figures as JSON values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from statistics import fmean
from typing import Any, Final

from benchmarks.learning import arms, measure
from benchmarks.learning.report import Estimate, estimate, needed, paired, relative

TARGET_SCORE: Final = 80.0
FIGURES: Final = {
    "score": ("mean score", False, "+21 %"),
    "success": ("success rate (score ≥ 70), %", True, "+42 %"),
    "hard_success": ("success on hard cases, %", True, "+75 %"),
    "generic": ("generic answers, %", True, "≤ 3 %"),
    "hard_share": ("hard examples in the batch, %", True, "≈ 35 %"),
}
"""Figure → its title, whether it is a share, and what is aimed at."""
BUDGETS: Final = (
    (measure.STEPS, arms.FIRST.name, arms.FULL.name),
    (arms.LONG, arms.LONG_FIRST, arms.LONG_FULL),
)
"""Steps, and the arms of both generations with that many."""
COMPARED: Final = ("score", "success", "hard_success")

Results = Mapping[str, Mapping[int, Mapping[str, Any]]]
"""Arm → seed → figures."""


def values(results: Results, arm: str, figure: str) -> dict[int, float]:
    """One figure of an arm by seed."""
    return {seed: row[figure] for seed, row in results.get(arm, {}).items() if figure in row}


def headline(results: Results) -> Iterator[str]:
    """The first generation against the full loop."""
    yield f"{'':44}{'untouched base':>15}  {'first generation':<24}{'full loop':<24}{'change':<28}aimed at"
    for steps, first, full in BUDGETS:
        for figure, (title, share, aim) in FIGURES.items():
            untouched = list(values(results, arms.BASE.name, figure).values())
            base = f"{fmean(untouched) * (100 if share else 1):.1f}" if untouched else ""
            cells = ""
            for arm in (first, full):
                own = list(values(results, arm, figure).values())
                cells += f"{estimate(own).show(percent=share) if own else '–':<24}"
            change = relative(values(results, first, figure), values(results, full, figure))
            shown = f"{change.show(0, signed=True, percent=True)} %" if change and figure in COMPARED else ""
            yield f"{f'{title}, {steps} steps':<44}{base:>15}  {cells}{shown:<28}{aim}"
    for title, found, aim in (
        (f"examples to a score of {TARGET_SCORE:g}", examples_saved(results), "≤ −30 %"),
        ("training seconds to first generation's score", time_saved(results, "train_seconds"), "≤ −40 %"),
        ("training steps to first generation's score", time_saved(results, "steps"), ""),
    ):
        if found is not None:
            before, after, saved, bound = found
            shown = f"{bound}{saved.show(0, signed=True, percent=True)} %"
            yield f"{title:<61}{before:<24}{after:<24}{shown:<28}{aim}"


def components(results: Results) -> Iterator[str]:
    """The effect of each component by itself: points of mean score, and percentage points of both success rates.

    On the first generation the curriculum is only an order; in the full loop it also says which stages a batch is from.
    """
    by_default = {each.name: "on" if each.default_on else "off" for each in arms.COMPONENTS}
    yield f"{'component':<18}{'default':<9}{'where':<10}{'mean score':<24}{'success':<24}{'hard success':<24}verdict"
    for name, where, effects in component_effects(results):
        cells = "".join(
            f"{effects[figure].show(signed=True, percent=FIGURES[figure][1]):<24}"
            for figure in COMPARED
            if figure in effects
        )
        yield f"{name:<18}{by_default.get(name, ''):<9}{where:<10}{cells}{effects['score'].verdict}"


def component_effects(results: Results) -> Iterator[tuple[str, str, dict[str, Estimate]]]:
    """Component, where it was measured ("on first" in 20 steps, "in full" in 12), and its effect on each figure."""
    for each in arms.COMPONENTS:
        yield from _effects(results, each.name, "on first", arms.FIRST.name, arms.laid_on(each))
        full, other = arms.SHORT_FULL, arms.turned(each)
        pair = (other, full) if each.default_on else (full, other)
        yield from _effects(results, each.name, "in full", *pair)
    for name in results:
        if name.startswith("control: "):
            yield from _effects(results, name.removeprefix("control: "), "control", arms.FIRST.name, name)


def _effects(
    results: Results, name: str, where: str, without: str, having: str
) -> Iterator[tuple[str, str, dict[str, Estimate]]]:
    found = {
        figure: effect
        for figure in COMPARED
        if (effect := paired(values(results, without, figure), values(results, having, figure)))
    }
    if found:
        yield name, where, found


def examples_saved(results: Results) -> tuple[str, str, Estimate, str] | None:
    """Examples that each generation needs to a score of 80, and the change; a bound where a curve does not cross it."""
    sizes = {
        arms.FIRST.name: {f"first, {size} examples": size for size in arms.FIRST_SIZES} | {arms.FIRST.name: arms.LIMIT},
        arms.FULL.name: {f"full, {size} examples": size for size in arms.FULL_SIZES} | {arms.FULL.name: arms.LIMIT},
    }
    found: dict[str, dict[int, tuple[float, str]]] = {}
    for generation, named in sizes.items():
        for seed in results.get(generation, {}):
            rows = [(size, results.get(name, {}).get(seed)) for name, size in named.items()]
            curve = sorted((float(size), row["score"]) for size, row in rows if row)
            if len(curve) == len(named):
                found.setdefault(generation, {})[seed] = _crossing(curve)
    if len(found) < 2:
        return None
    first, full = found[arms.FIRST.name], found[arms.FULL.name]
    change = relative({seed: x for seed, (x, _) in first.items()}, {seed: x for seed, (x, _) in full.items()})
    if change is None:
        return None
    bounded = any(sign for each in (first, full) for _, sign in each.values())
    return _middle(first), _middle(full), change, "at least " if bounded else ""


def time_saved(results: Results, figure: str) -> tuple[str, str, Estimate, str] | None:
    """What the full loop spends (of `figure`) until it has the score with which the first generation ends."""
    before: dict[int, float] = {}
    after: dict[int, float] = {}
    for seed, first in results.get(arms.FIRST.name, {}).items():
        names = [f"full, {steps} steps" for steps in arms.SHORTER] + [arms.FULL.name]
        rows = [results[name][seed] for name in names if seed in results.get(name, {})]
        if len(rows) < len(names):
            continue
        crossed = needed(sorted((row[figure], row["score"]) for row in rows), first["score"])
        if crossed is not None:
            before[seed], after[seed] = first[figure], crossed
    change = relative(before, after)
    if change is None:
        return None
    return f"{fmean(before.values()):.1f}", f"{fmean(after.values()):.1f}", change, ""


def as_json(results: Results) -> dict[str, Any]:
    """Everything that is printed, with each arm's figures by seed."""
    return {
        "change_full_against_first": {
            str(steps): {
                figure: asdict(change)
                for figure in FIGURES
                if (change := relative(values(results, first, figure), values(results, full, figure)))
            }
            for steps, first, full in BUDGETS
        },
        "components": [
            {"component": name, "where": where, "verdict": effects["score"].verdict}
            | {figure: asdict(effect) for figure, effect in effects.items()}
            for name, where, effects in component_effects(results)
        ],
        "examples_to_80": _plain(examples_saved(results)),
        "seconds_to_same_score": _plain(time_saved(results, "train_seconds")),
        "steps_to_same_score": _plain(time_saved(results, "steps")),
        "arms": {
            arm: {str(seed): {key: row[key] for key in FIGURES if key in row} for seed, row in sorted(rows.items())}
            for arm, rows in results.items()
        },
    }


def _crossing(curve: list[tuple[float, float]]) -> tuple[float, str]:
    crossed = needed(curve, TARGET_SCORE)
    if crossed is None:
        return curve[-1][0], ">"
    return crossed, "≤" if crossed == curve[0][0] else ""


def _middle(found: Mapping[int, tuple[float, str]]) -> str:
    signs = {sign for _, sign in found.values() if sign}
    return f"{' '.join(sorted(signs))} {fmean(x for x, _ in found.values()):.0f}".strip()


def _plain(found: tuple[str, str, Estimate, str] | None) -> dict[str, Any] | None:
    if found is None:
        return None
    before, after, change, bound = found
    return {"first": before, "full": after, "change": asdict(change), "bound": bound.strip()}
