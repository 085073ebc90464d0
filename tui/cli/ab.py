"""`ab`: is a version better than what serves, by everything that is known of the two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from core.categories import category as known_category
from core.errors import NotFoundError
from core.loop import LearningLoop
from core.paths import Home
from storage.rows import VersionRow
from tui.cli.output import ProgressLine, json_option, print_json, table, with_home
from tui.text import plain
from tui.words import number, percent

_CELL = 60
_MOST_PATTERNS = 9


@click.command()
@click.argument("version", required=False)
@click.option("--against", help="The version to compare with (default: what serves, else the untouched base).")
@click.option("--category", help="Take the newest version of this category, where none is named.")
@click.option(
    "--prompts", type=click.IntRange(1, 10_000), help="How many held-out prompts (default: all, at most 200)."
)
@click.option("--seed", type=int, help="Seed of the sampling; the same for both sides (default: 0).")
@click.option("--again", is_flag=True, help="Answer every prompt anew even if this comparison was made before.")
@json_option
@with_home
def ab(
    home: Home,
    version: str | None,
    against: str | None,
    category: str | None,
    prompts: int | None,
    seed: int | None,
    again: bool,
    as_json: bool,
) -> None:
    """Compare VERSION (default: the newest) with what serves today, on prompts that it was not trained on.

    What the gateway has shadowed and what people have voted (v on the Scoreboard) counts as well, each prompt once; the
    verdict is that of everything together.
    """
    from core import compare

    if version is not None and category is not None:
        raise click.UsageError("Choose one: a VERSION, or --category for its newest.")
    progress = ProgressLine(enabled=not as_json)
    with LearningLoop(home) as loop:
        candidate = _newest(loop, category) if category is not None else loop.find_version(version)
        other = loop.find_version(against) if against else loop.opponent(candidate.id)
        anew = again or prompts is not None or seed is not None
        result = None if anew else loop.latest_test(candidate.id, against=other.id)
        if result is None:
            result = loop.ab(
                candidate.id,
                against=other.id,
                prompts=prompts,
                seed=seed or 0,
                progress=lambda done, total: progress.show(f"answering {done} of {total}"),
            )
        own = known_category(loop.categories, candidate.category)
        report = compare.report(loop.store, loop.config, own, version_a=other.id, version_b=candidate.id)
    progress.clear()
    if as_json:
        print_json({**result, **report})
    else:
        _show(result, report)


def _newest(loop: LearningLoop, category: str) -> VersionRow:
    name = known_category(loop.categories, category).name
    trained = [version for version in loop.versions(name) if version.number > 0]
    if not trained:
        raise NotFoundError(f"{name} has no trained version yet.", hint=f"Train one: finetune-tui train {name}")
    return trained[-1]


def _show(result: Mapping[str, Any], report: Mapping[str, Any]) -> None:
    """The pooled result; it is that of the test where there is nothing else."""
    whole = report["pooled"]
    rows = [
        ("mean score", number(whole["score_a"]), number(whole["score_b"])),
        ("success rate", percent(whole["success_a"], 1), percent(whole["success_b"], 1)),
    ]
    if whole["known_answers"]:
        rows.append(("accuracy", percent(whole["accuracy_a"], 1), percent(whole["accuracy_b"], 1)))
    if whole["confidence_a"] is not None:
        rows.append(("confidence (mean log p)", number(whole["confidence_a"], 3), number(whole["confidence_b"], 3)))
    click.echo(table(("", whole["name_a"], whole["name_b"]), rows))
    low, high = whole["interval"]
    unjudged = f", {whole['not_judged']} not judged" if whole["not_judged"] else ""
    click.echo(f"wins {whole['wins']}, losses {whole['losses']}, ties {whole['ties']} of {whole['n']}{unjudged}")
    click.echo(f"win rate {whole['win_rate']:.1%} ({low:.1%} to {high:.1%})")
    if said := _sources(result, whole):
        click.echo(said)
    _show_parts(report["breakdown"])
    _show_ratings(report)
    click.echo(f"verdict: {whole['verdict']}")
    for reason in whole["reasons"]:
        click.echo(f"  · {plain(reason)}")


def _sources(result: Mapping[str, Any], whole: Mapping[str, Any]) -> str:
    """Where the outcomes are from, where not all are from the scores of the one test."""
    counts, agreement = whole["sources"], whole["agreement"]
    if not counts["votes"] and not counts["shadow"]:
        return ""
    told = (
        f"decided by {counts['votes']} votes, {counts['stored']} stored prompts, {counts['shadow']} shadowed requests"
        f" (the test alone: {result['verdict']})"
    )
    if agreement["n"]:
        told += f"\npeople and scores agree on {agreement['agree']} of {agreement['n']} pairs"
    return told


def _show_parts(parts: Sequence[Mapping[str, Any]]) -> None:
    patterns = [part for part in parts if part["kind"] == "pattern"]
    if not patterns:
        return
    rest = max(0, len(patterns) - _MOST_PATTERNS)
    # The last one stands for what never failed: what the others are compared with.
    shown = [*patterns[: _MOST_PATTERNS - 1], patterns[-1]] if rest else patterns
    headers = ("tests", "win rate", "score", "success", "what used to fail")
    rows = [
        (
            part["n"],
            percent(part["win_rate"]),
            f"{number(part['score_a'])} → {number(part['score_b'])}",
            f"{percent(part['success_a'])} → {percent(part['success_b'])}",
            str(part["name"])[:_CELL],
        )
        for part in shown
    ]
    more = f"{rest} more patterns: --json\n" if rest else ""
    click.echo(f"\n{table(headers, rows)}\n{more}")


def _show_ratings(report: Mapping[str, Any]) -> None:
    """Worth a table from three versions on: of two the win rate says it all."""
    rated = report["ratings"]
    if len(rated) < 3:
        return
    rows = [
        (
            each["name"],
            "not linked" if each["elo"] is None else f"{each['elo']:+.0f}",
            "" if each["low"] is None else f"{each['low']:+.0f} to {each['high']:+.0f}",
            each["games"],
        )
        for each in rated
    ]
    click.echo(f"\n{table(('version', 'rating (Elo)', '95 %', 'tests'), rows)}\n")
    if report["rating_model"]["separated"]:
        click.echo("Some win or lose all of their tests: their ratings are held by a weak prior.")
