"""`ab`, `models`, `promote`, `rollback` and `undo`: is it better, what is there, and what serves."""

from __future__ import annotations

from dataclasses import asdict

import click

from core.categories import category as known_category
from core.errors import FinetuneError
from core.loop import LearningLoop
from core.paths import Home
from core.prove.forgetting import describe
from storage.rows import AliasChange, VersionRow
from tui.cli.output import ProgressLine, json_option, print_json, table, with_home
from tui.text import plain


@click.command()
@click.argument("version", required=False)
@click.option("--against", help="The version to compare with (default: what serves, else the untouched base).")
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
    prompts: int | None,
    seed: int | None,
    again: bool,
    as_json: bool,
) -> None:
    """Compare VERSION (default: the newest) with what serves today, on prompts that it was not trained on."""
    progress = ProgressLine(enabled=not as_json)
    with LearningLoop(home) as loop:
        candidate = loop.find_version(version)
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
    progress.clear()
    if as_json:
        print_json(result)
        return
    low, high = result["interval"]
    rows = [
        ("mean score", f"{result['score_a']:.1f}", f"{result['score_b']:.1f}"),
        ("success rate", f"{result['success_a']:.1%}", f"{result['success_b']:.1%}"),
    ]
    click.echo(table(("", result["name_a"], result["name_b"]), rows))
    click.echo(f"wins {result['wins']}, losses {result['losses']}, ties {result['ties']} of {result['n']}")
    click.echo(f"win rate {result['win_rate']:.1%} ({low:.1%} to {high:.1%})")
    click.echo(f"verdict: {result['verdict']}")
    for reason in result["reasons"]:
        click.echo(f"  · {plain(reason)}")


@click.command()
@click.argument("name", required=False)
@click.option("--category", help="Only versions of this category.")
@click.option("--bases", is_flag=True, help="List the base models instead: the presets, and what is on this machine.")
@click.option(
    "--download",
    metavar="BASE",
    help="Make a base model ready to train: a preset or an id of the Hugging Face hub is downloaded, ollama:NAME or a "
    "GGUF file taken apart.",
)
@json_option
@with_home
def models(
    home: Home, name: str | None, category: str | None, bases: bool, download: str | None, as_json: bool
) -> None:
    """List the versions, or show NAME with its figures, files and proof."""
    if sum((bases, download is not None, name is not None or category is not None)) > 1:
        raise click.UsageError("Choose one: --bases, --download, or versions by NAME or --category.")
    if download is not None:
        _make_ready(home, download, as_json=as_json)
    elif bases:
        _list_bases(home, as_json=as_json)
    elif name is None:
        _list_versions(home, category, as_json=as_json)
    else:
        _show_version(home, name, as_json=as_json)


def _list_versions(home: Home, category: str | None, *, as_json: bool) -> None:
    with LearningLoop(home) as loop:
        serving = {alias.version_id for alias in loop.aliases()}
        rows = loop.versions(known_category(loop.categories, category).name if category else None)
    if as_json:
        print_json([asdict(row) | {"serving": row.id in serving} for row in rows])
    elif rows:
        headers = ("version", "category", "base", "score", "success", "proved", "serving")
        click.echo(table(headers, [_line(row, serving) for row in rows]))
    else:
        click.echo("No version yet. Train one: finetune-tui train CATEGORY")


def _show_version(home: Home, name: str, *, as_json: bool) -> None:
    with LearningLoop(home) as loop:
        serving = {alias.version_id for alias in loop.aliases()}
        version = loop.find_version(name)
    if as_json:
        print_json(asdict(version) | {"serving": version.id in serving})
        return
    click.echo(f"{version.name}: {version.category} on {version.base_model}{' ★ serving' * (version.id in serving)}")
    for key, value in version.metrics.items():
        click.echo(f"  {key}: {value}")
    if told := describe(version.metrics):
        click.echo(f"  {told}")
    for kind, file in version.gguf.items():
        click.echo(f"  {kind}: {file['path']} ({file['bytes'] / 1e6:.1f} MB)")
    for check in version.proof:
        click.echo(f"  {'✓' if check['passed'] else '✗'} {check['name']}: {plain(str(check['detail']))}")


def _make_ready(home: Home, wanted: str, *, as_json: bool) -> None:
    from core.train.download import download_base
    from core.train.presets import OLLAMA, resolve_base

    progress = ProgressLine(enabled=not as_json)
    local = wanted.lower().startswith(OLLAMA) or wanted.lower().endswith(".gguf")
    home.ensure()
    try:
        if local:
            base = resolve_base(wanted, home, note=lambda text: progress.show(text, force=True))
        else:
            base = download_base(wanted, home)
    finally:
        progress.clear()
    if as_json:
        print_json(asdict(base))
    else:
        click.echo(f"✓ {plain(base.title)} is ready: {base.path}")


def _list_bases(home: Home, *, as_json: bool) -> None:
    from core.config import load_config
    from core.train.bases import list_bases

    rows = list_bases(home, load_config(home))
    if as_json:
        print_json([asdict(row) for row in rows])
        return
    headers = ("base model", "where", "from", "memory")
    click.echo(table(headers, [(row.name, row.place, row.source, row.memory) for row in rows]))


def _line(version: VersionRow, serving: set[int]) -> tuple[object, ...]:
    score, success = version.metrics.get("mean_score"), version.metrics.get("success_rate")
    return (
        version.name,
        version.category,
        version.base_model,
        "" if score is None else f"{score:.1f}",
        "" if success is None else f"{success:.0%}",
        "✓ proved" if version.proved else "✗ not proved",
        "★ serving" if version.id in serving else "",
    )


@click.command()
@click.argument("version")
@click.option("--why", default="", help="A note for the history.")
@json_option
@with_home
def promote(home: Home, version: str, why: str, as_json: bool) -> None:
    """Let VERSION serve its category; refused when its file is not proved, missing or altered."""
    with LearningLoop(home) as loop:
        _report(loop, loop.promote(loop.find_version(version).id, why=why), as_json=as_json)


@click.command()
@click.argument("category")
@click.option("--why", default="", help="A note for the history.")
@json_option
@with_home
def rollback(home: Home, category: str, why: str, as_json: bool) -> None:
    """Let the version that served CATEGORY before serve again."""
    with LearningLoop(home) as loop:
        _report(loop, loop.rollback(category, why=why), as_json=as_json)


@click.command()
@click.argument("category")
@json_option
@with_home
def undo(home: Home, category: str, as_json: bool) -> None:
    """Take back the last promote or rollback of CATEGORY."""
    with LearningLoop(home) as loop:
        change = loop.undo(category)
        if change is None:
            raise FinetuneError(
                f"Nothing was promoted or rolled back for {category}.",
                title="Nothing to undo",
                hint="`finetune-tui models` shows what there is.",
            )
        _report(loop, change, as_json=as_json)


def _report(loop: LearningLoop, change: AliasChange, *, as_json: bool) -> None:
    now = loop.version(change.to_version).name
    before = loop.version(change.from_version).name if change.from_version is not None else None
    if as_json:
        print_json(asdict(change) | {"from": before, "to": now})
    else:
        click.echo(f"✓ {change.alias}: {before or 'nothing'} → {now}")
