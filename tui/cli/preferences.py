"""`preferences`: the pairs of a category, where they contradict each other, and how consistent people were."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import click

from core.capture.candidates import infer_siblings
from core.categories import category, load_categories, select_of
from core.config import load_config
from core.paths import Home
from core.select.preference.consistency import Consistency, consistency
from core.select.preference.examination import Examination, Repeat, examine
from storage import comparisons, pairs
from storage.db import open_store
from storage.rows import PairRow
from tui.cli.output import bar, json_option, print_json, table, with_home
from tui.text import plain

_CELL = 60


@click.command()
@click.argument("category_name", metavar="CATEGORY")
@click.option("--infer", is_flag=True, help="First make pairs of answers to the same prompt that are in the store.")
@click.option(
    "--limit", default=10, show_default=True, type=click.IntRange(0), help="Show at most so many of each list."
)
@json_option
@with_home
def preferences(home: Home, category_name: str, infer: bool, limit: int, as_json: bool) -> None:
    """The preference pairs of CATEGORY: where they come from, their margins, repeats and contradictions.

    Of pairs that contradict each other, on one prompt, those hold that a person stated, of these the newest, and of
    inferred ones those with the larger margin. The others stay in the store but are not trained on.
    """
    config = load_config(home)
    own = category(load_categories(home), category_name)
    constants = select_of(own, config)
    with open_store(home.store, create=False) as store:
        inferred = infer_siblings(store, own, config, now=time.time()) if infer else None
        rows = pairs.list_pairs(store, own.name)
        found = examine(rows, asked=pairs.asked(store, own.name), near=constants.near_duplicate)
        said = consistency(comparisons.in_force(store, own.name))
    usable = found.n - len(found.losers)
    if as_json:
        print_json(_as_json(own.name, found, said, usable, inferred))
        return
    if inferred is not None:
        click.echo(f"{inferred:,} pairs inferred from answers to the same prompt")
    click.echo(f"{own.name}: {found.n:,} preference pairs, {usable:,} of them usable")
    if found.n:
        _show_figures(found, rows, constants.min_margin)
    by_id = {row.id: row for row in rows}
    _show_repeats("say the same as another", found.duplicates, limit)
    _show_repeats("nearly repeat another", found.near_duplicates, limit)
    if found.empty:
        click.echo(f"\n{len(found.empty)} with an empty side or two equal ones: {_ids(found.empty[: max(1, limit)])}")
    _show_contradictions(found, by_id, limit)
    _show_consistency(said)


def _as_json(name: str, found: Examination, said: Consistency, usable: int, inferred: int | None) -> Mapping[str, Any]:
    return {
        "category": name,
        "pairs": found.n,
        "usable": usable,
        "inferred": inferred,
        "by_source": found.by_source,
        "shares": {source: round(share, 4) for source, share in found.shares.items()},
        "margins": asdict(found.margins),
        "empty": found.empty,
        "duplicates": [asdict(one) for one in found.duplicates],
        "near_duplicates": [asdict(one) for one in found.near_duplicates],
        "contradictions": [asdict(one) for one in found.contradictions],
        "consistency": asdict(said) | {"agreement": said.agreement, "transitivity": said.transitivity},
    }


def _show_figures(found: Examination, rows: Sequence[PairRow], least: float) -> None:
    lines = []
    for source, count in found.by_source.items():
        margins = [row.margin for row in rows if row.source == source]
        lines.append((source, count, f"{found.shares[source]:.0%}", f"{sum(margins) / count:.2f}"))
    click.echo(table(("source", "pairs", "share", "mean margin"), lines))
    low, middle, high = found.margins.quartiles
    click.echo(
        f"\nmargins: median {middle:.2f}, middle half {low:.2f} to {high:.2f}; scores make a pair above {least:g}"
    )
    most = max(found.margins.histogram)
    for at, count in enumerate(found.margins.histogram):
        if count:
            click.echo(f"  {at / 10:.1f}–{(at + 1) / 10:.1f} {bar(count / most)} {count:,}")


def _show_repeats(what: str, repeats: Sequence[Repeat], limit: int) -> None:
    if not repeats:
        return
    click.echo(f"\n{sum(len(one.repeats) for one in repeats):,} pairs {what}")
    for one in repeats[:limit]:
        click.echo(f"  pair {one.holds} holds, not {_ids(one.repeats)}")


def _show_contradictions(found: Examination, by_id: Mapping[int, PairRow], limit: int) -> None:
    if not found.contradictions:
        return
    click.echo(f"\n{len(found.contradictions):,} pairs contradict stronger ones")
    for one in found.contradictions[:limit]:
        row = by_id[one.loses]
        against = "pair" if len(one.holds) == 1 else "the circle of pairs"
        prompt = " ".join(row.prompt.split())
        click.echo(f"  pair {row.id} ({row.source}) loses to {against} {_ids(one.holds)}: {one.why}")
        click.echo(f"    {_cut(prompt)}")


def _show_consistency(said: Consistency) -> None:
    if not said.n:
        return
    click.echo(f"\n{said.n:,} comparisons")
    if said.agreement is not None:
        low, high = said.interval
        click.echo(
            f"  agreement with oneself {said.agreement:.0%} ({low:.0%} to {high:.0%}), {said.repeats:,} asked twice"
        )
    if said.transitivity is not None:
        click.echo(f"  {said.transitivity:.0%} of {said.triads:,} triads of answers are in order, the others circular")
    if said.zeta is not None:
        click.echo(f"  coefficient of consistence {said.zeta:.2f} where all were compared with each other")


def _ids(ids: Sequence[int]) -> str:
    return ", ".join(map(str, ids))


def _cut(text: str) -> str:
    return plain(text if len(text) <= _CELL else text[: _CELL - 1] + "…")
