"""The page itself: what was gathered, put into words and pictures and into the template."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

from markupsafe import Markup

from assets import ASSETS
from core.report import drawing
from core.report.contents import REWARD_BINS, Change, Contents, RunFigures, VersionFigures
from storage.periods import Slice

TIERS: Final = ("gold", "silver", "bronze", "rejected")
_FOLDER: Final = ASSETS / "report"
_GLYPHS: Final[Mapping[str, tuple[str, str]]] = {
    "promote": ("✓", "promote"), "keep": ("✗", "keep"), "need more data": ("…", "need"),
}  # fmt: skip
_WORDS: Final = {3_600: "hour", 21_600: "six hours", 86_400: "day", 604_800: "week", 2_592_000: "month",
                 7_862_400: "quarter", 31_536_000: "year"}  # fmt: skip
_VERDICTS: Final = {"good": "good", "bad": "bad", "correct": "corrected", "reject": "rejected", "skip": "skipped"}
_PASS: Final = {True: "✓", False: "✗", None: "–"}


def page(found: Contents, *, code_version: str) -> str:
    """The whole HTML document: no script, nothing loaded from elsewhere, every text escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html").render(
        style=Markup((_FOLDER / "style.css").read_text(encoding="utf-8")),
        code_version=code_version,
        **_words(found),
    )


def _words(found: Contents) -> dict[str, Any]:
    asked, day = found.asked, partial(_moment, seconds=found.period.seconds)
    subject = asked.version or asked.category or "all categories"
    return {
        "title": f"{subject}: what was learned",
        "span": f"{_date(found.period.since)} to {_date(found.period.until)}, {found.total:,} events",
        "made": time.strftime("%Y-%m-%d %H:%M", time.localtime(found.made_at)),
        "next_steps": found.next_steps,
        "tiles": _tiles(found),
        "slice_word": _WORDS[int(found.period.seconds)],
        "trend": _trend(found, day),
        "slice_rows": [_slice_row(one, found, day) for one in found.slices],
        "tiers": _tier_columns(found, day),
        "rewards": _rewards(found),
        "level": "95 %",
        "tests": [_test(one, found.min_win_rate) for one in found.tests],
        "runs": [_run(one) for one in found.runs],
        "versions": [_version(one) for one in found.versions],
        "versions_in_full": [_in_full(one) for one in found.versions] if asked.version else [],
        "changes": [_change(one) for one in found.changes],
        "findings": _bars([(name.replace("_", " "), count) for name, count in found.findings]),
        "judged": _bars([(_VERDICTS.get(name, name), count) for name, count in found.judged.by_verdict.items()]),
        "judged_note": _judged_note(found),
    }


def _tiles(found: Contents) -> list[dict[str, str]]:
    best = max((test["win_rate"] for test in found.tests), default=None)
    serving = [one.version.name for one in found.versions if one.serves]
    told = [
        ("events", f"{found.total:,}"),
        ("mean score", _number(found.mean_score)),
        ("gold", f"{found.of_tier('gold'):,}"),
        ("judged by people", f"{found.judged.total:,}"),
        ("corrected", f"{found.judged.by_verdict.get('correct', 0):,}"),
        ("runs", f"{len(found.runs):,}"),
        ("best win rate", "–" if best is None else f"{best:.0%}"),
        ("versions that serve", f"{len(serving):,}"),
    ]
    return [{"label": label, "value": value} for label, value in told]


def _trend(found: Contents, day: Any) -> dict[str, Any] | None:
    scored = [one for one in found.slices if one.mean_score is not None]
    if not scored:
        return None
    places = [((one.number + 0.5) / found.period.count, one.mean_score or 0.0) for one in scored]
    titles = [f"{day(found, one.number)}: {_number(one.mean_score)}, {one.total:,} events" for one in scored]
    picture = drawing.line(places, low=0.0, high=100.0, titles=titles, area=True)
    return {"picture": picture, "first": _date(found.period.since), "last": _date(found.period.until)}


def _tier_columns(found: Contents, day: Any) -> dict[str, Any] | None:
    if not found.total:
        return None
    by_number = {one.number: one for one in found.slices}
    most = max(one.total for one in found.slices)
    stacks, titles = [], []
    for number in range(found.period.count):
        one = by_number.get(number)
        stacks.append([(tier, float(getattr(one, tier))) for tier in TIERS] if one else [])
        counted = ", ".join(f"{getattr(one, tier):,} {tier}" for tier in TIERS) if one else "nothing"
        titles.append(f"{day(found, number)}: {counted}")
    return {
        "picture": drawing.columns(stacks, high=float(most), titles=titles),
        "top": f"{most:,}",
        "first": _date(found.period.since),
        "last": _date(found.period.until),
        "counts": [(tier, f"{found.of_tier(tier):,}") for tier in TIERS],
    }


def _rewards(found: Contents) -> dict[str, Any] | None:
    told = found.rewards
    if not told.of:
        return None
    width = 2.0 / REWARD_BINS
    edges = [-1.0 + number * width for number in range(REWARD_BINS)]
    stacks = [[("below" if low < -1e-9 else "above", float(n))] for low, n in zip(edges, told.counts, strict=True)]
    titles = [f"{low:+.1f} to {low + width:+.1f}: {n:,}" for low, n in zip(edges, told.counts, strict=True)]
    most = max(told.counts)
    picture = drawing.columns(stacks, high=float(most), titles=titles)
    return {"picture": picture, "top": f"{most:,}", "of": f"{told.of:,}", "mean": f"{told.mean or 0.0:+.2f}"}


def _test(test: Mapping[str, Any], asked: float) -> dict[str, Any]:
    low, high = test["interval"]
    glyph, css = _GLYPHS.get(test["verdict"], ("", ""))
    marks = [(0.5, "chance", "chance"), (asked, "asked", f"asked for: {asked:.0%}")]
    return {
        "candidate": test["name_b"], "baseline": test["name_a"], "glyph": glyph, "css": css,
        "verdict": test["verdict"], "summary": test["summary"], "reasons": test["reasons"],
        "rate": f"{test['win_rate']:.0%} ({low:.0%} to {high:.0%}) of {test['n']:,}",
        "picture": drawing.interval(low, test["win_rate"], high, marks=marks, name=css),
    }  # fmt: skip


def _run(one: RunFigures) -> dict[str, Any]:
    run = one.run
    took = None if run.started_at is None or run.finished_at is None else run.finished_at - run.started_at
    name = f" → {one.version.name}" if one.version is not None else f": {run.error}" if run.error else ""
    return {
        "id": run.id, "at": _date(run.created_at), "status": f"{run.method} {run.status}{name}",
        "steps": f"{run.step:,}", "picture": _curve(one)["picture"] if one.loss else "",
        "loss": f"{one.loss[-1][1]:.3f}" if one.loss else "–", "took": _duration(took),
        "score": _number(one.version.metrics.get("mean_score")) if one.version is not None else "–",
    }  # fmt: skip


def _curve(one: RunFigures) -> dict[str, Any]:
    steps, values = [step for step, _ in one.loss], [value for _, value in one.loss]
    first, last, low, high = steps[0], steps[-1], min(values), max(values)
    places = [((step - first) / max(1, last - first), value) for step, value in one.loss]
    picture = drawing.line(places, low=low, high=high)
    return {"picture": picture, "top": f"{high:.2f}", "bottom": f"{low:.2f}", "first": f"step {first}",
            "last": f"step {last:,}"}  # fmt: skip


def _version(one: VersionFigures) -> dict[str, Any]:
    version = one.version
    passed = sum(check.get("passed") is True for check in version.proof)
    word = f"{'✓' if version.proved else '✗'} {passed} of {len(version.proof)}" if version.proof else "not proved"
    return {
        "name": version.name, "serves": one.serves, "parent": one.parent or "–",
        "score": _number(version.metrics.get("mean_score")), "success": _share(version.metrics.get("success_rate")),
        "proof_word": word, "proved": version.proved,
    }  # fmt: skip


def _in_full(one: VersionFigures) -> dict[str, Any]:
    version, data = one.version, one.dataset
    story = [f"Version {version.number} of {version.category}, from {version.base_model}"]
    if one.parent:
        story.append(f"after {one.parent}")
    if data is not None:
        counts = ", ".join(f"{value:,} {name}" for name, value in data.counts.items() if isinstance(value, int))
        story.append(f"dataset {data.id} ({counts}), seed {data.seed}, {data.hash}")
    return {
        **_version(one),
        "story": ", ".join(story) + ".",
        "curve": _curve(one.run) if one.run is not None and one.run.loss else None,
        "settings": [(name.replace("_", " "), _setting(value)) for name, value in sorted(version.settings.items())],
        "proof": [_check(check) for check in version.proof],
    }


def _setting(value: object) -> str:
    return ", ".join(str(each) for each in value) or "–" if isinstance(value, list | tuple) else str(value)


def _check(check: Mapping[str, Any]) -> dict[str, str]:
    return {
        "name": str(check.get("name", "")).replace("_", " "),
        "mark": _PASS.get(check.get("passed"), "–"),
        "value": _figure(check.get("figure")),
        "bound": _figure(check.get("bound")),
        "detail": str(check.get("detail", "")),
    }


def _change(one: Change) -> dict[str, str]:
    change = one.change
    return {
        "at": time.strftime("%Y-%m-%d %H:%M", time.localtime(change.at)),
        "what": f"{change.action}: {one.before} → {one.after}",
        "why": change.why,
    }


def _slice_row(one: Slice, found: Contents, day: Any) -> dict[str, str]:
    counts = {tier: f"{getattr(one, tier):,}" for tier in TIERS}
    return {"at": day(found, one.number), "total": f"{one.total:,}", "score": _number(one.mean_score), **counts}


def _bars(counts: Sequence[tuple[str, int]]) -> list[dict[str, Any]]:
    most = max((count for _, count in counts), default=1)
    return [{"name": name, "count": f"{count:,}", "width": f"{100 * count / most:.1f}"} for name, count in counts]


def _judged_note(found: Contents) -> str:
    seconds = found.judged.median_seconds
    return "" if seconds is None else f"Half of the decisions took less than {seconds:.1f} s."


def _moment(found: Contents, number: int, *, seconds: float) -> str:
    at = found.period.since + number * found.period.seconds
    return time.strftime("%Y-%m-%d %H:%M" if seconds < 86_400 else "%Y-%m-%d", time.localtime(at))


def _date(at: float) -> str:
    return time.strftime("%Y-%m-%d", time.localtime(at))


def _number(value: object) -> str:
    return f"{value:.1f}" if isinstance(value, int | float) else "–"


def _figure(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, int | float) and not isinstance(value, bool) else ""


def _share(value: object) -> str:
    return f"{value:.0%}" if isinstance(value, int | float) else "–"


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    whole = round(seconds)
    return f"{whole} s" if whole < 120 else f"{whole // 60} min" if whole < 7_200 else f"{whole / 3_600:.1f} h"
