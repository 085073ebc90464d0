"""`export`: datasets for other tools, and bundles for another store."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click
from click.core import ParameterSource

from core.categories import load_categories
from core.config import load_config
from core.errors import FinetuneError
from core.paths import Home
from core.share.bundle import write_bundle
from core.share.choose import Choice
from core.share.export import ExportReport, export
from core.share.formats import FORMATS
from core.validate.quality import TIERS
from storage.db import open_store
from tui.cli.output import ProgressLine, json_option, print_json, table, with_home
from tui.text import plain


@click.command("export")
@click.argument("target", required=False, type=click.Path(path_type=Path))
@click.option("--format", "format_name", default="trl-sft", show_default=True, help="`--formats` lists them.")
@click.option("--formats", "list_formats", is_flag=True, help="List the formats and end.")
@click.option("--category", "categories", multiple=True, help="Only this kind of task; may be given several times.")
@click.option("--min-tier", type=click.Choice(TIERS), help="Only this tier and better ones.")
@click.option("--min-quality", type=click.FloatRange(0, 1), help="Only events of this quality and above.")
@click.option("--model", help="Only what this model answered.")
@click.option("--since", help="Only events from this day on (2026-01-31) or moment (2026-01-31T12:00).")
@click.option("--until", help="Only events before this day or moment.")
@click.option("--limit", type=click.IntRange(1), help="At most so many, the best by quality.")
@click.option("--balanced", is_flag=True, help="As many good as bad outcomes, drawn at random from the larger side.")
@click.option("--seed", default=0, show_default=True, help="Of that draw.")
@click.option(
    "--split",
    type=click.Choice(["train", "test", "all"]),
    help="Prompts for training, those kept for testing, or all. Default: train for what trains elsewhere, else all.",
)
@click.option(
    "--bundle",
    type=click.Path(path_type=Path),
    metavar="FILE.zip",
    help="Write feedback, judgments and versions for another store instead; `import` takes them in.",
)
@click.option("--no-models", is_flag=True, help="With --bundle: leave the versions' files out.")
@json_option
@with_home
@click.pass_context
def export_dataset(
    ctx: click.Context,
    home: Home,
    target: Path | None,
    format_name: str,
    list_formats: bool,
    categories: Sequence[str],
    min_tier: str | None,
    min_quality: float | None,
    model: str | None,
    since: str | None,
    until: str | None,
    limit: int | None,
    balanced: bool,
    seed: int,
    split: str | None,
    bundle: Path | None,
    no_models: bool,
    as_json: bool,
) -> None:
    """Write a dataset to TARGET, with statistics beside it; or with --bundle all that another store can take in.

    What trains elsewhere holds no prompt that is kept for testing here, unless --split says otherwise.
    """
    if list_formats:
        if as_json:
            print_json([{"name": one.name, "title": one.title, "holds": one.kind} for one in FORMATS.values()])
        else:
            click.echo(table(("format", "holds", ""), ((one.name, one.kind, one.title) for one in FORMATS.values())))
        return
    if bundle is not None:
        _check_bundle_options(ctx)
        _write_bundle(home, bundle, categories, models=not no_models, as_json=as_json)
        return
    if no_models:
        raise _wrong("--no-models belongs to --bundle.", "Try: finetune-tui export --bundle FILE.zip --no-models")
    if target is None:
        raise FinetuneError(
            "No file to write to was named.",
            title="Wrong usage",
            hint="Try: finetune-tui export --format trl-sft out.jsonl",
        )
    choice = Choice(
        categories=tuple(categories),
        min_tier=min_tier,  # type: ignore[arg-type]  # click has checked it
        min_quality=min_quality,
        model=model,
        since=_moment(since),
        until=_moment(until),
        limit=limit,
        balanced=balanced,
        split=split,  # type: ignore[arg-type]
        seed=seed,
    )
    line = ProgressLine(enabled=not as_json)
    with open_store(home.store, create=False) as store:
        report = export(
            store,
            load_config(home),
            load_categories(home),
            target,
            format_name=format_name,
            choice=choice,
            progress=lambda rows: line.show(f"{rows:,} rows"),
        )
    line.clear()
    if as_json:
        print_json(report.to_mapping())
    else:
        _show(report)


_WITH_BUNDLE = frozenset({"bundle", "no_models", "categories", "as_json"})


def _check_bundle_options(ctx: click.Context) -> None:
    """A bundle carries all that is known of what it carries; filters of datasets mean nothing to it."""
    given = ParameterSource.COMMANDLINE
    for parameter in ctx.command.params:
        name = parameter.name or ""
        if name not in _WITH_BUNDLE and ctx.get_parameter_source(name) == given:
            shown = parameter.opts[0] if parameter.opts[0].startswith("-") else name.upper()
            raise _wrong(f"{shown} does not go with --bundle.", "A bundle can be narrowed by --category alone.")


def _wrong(message: str, hint: str) -> FinetuneError:
    return FinetuneError(message, title="Wrong usage", hint=hint)


def _write_bundle(home: Home, target: Path, categories: Sequence[str], *, models: bool, as_json: bool) -> None:
    line = ProgressLine(enabled=not as_json)
    with open_store(home.store, create=False) as store:
        try:
            summary = write_bundle(
                store, home, load_categories(home), target, chosen=categories, models=models, progress=line.show
            )
        finally:
            line.clear()
    if as_json:
        print_json(summary.to_mapping())
        return
    click.echo(
        f"{plain(str(summary.path))}: {summary.events:,} outputs with {summary.judgments:,} judgments, "
        f"{summary.pairs:,} preference pairs, {len(summary.versions):,} versions; {summary.bytes / 1e6:.1f} MB"
    )
    for name, reason in summary.left_out.items():
        click.echo(f"  left out: {plain(name)}: {plain(reason)}")


def _moment(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
        return (at if at.tzinfo else at.astimezone()).astimezone(UTC).timestamp()
    except (ValueError, OverflowError) as error:
        raise FinetuneError(
            f"{text!r} is no date.", title="Wrong usage", hint="Write 2026-01-31 or 2026-01-31T12:00."
        ) from error


def _show(report: ExportReport) -> None:
    click.echo(f"{report.path}: {report.rows:,} rows, {FORMATS[report.format].title}")
    for reason, number in report.left_out.items():
        if number:
            click.echo(f"  left out: {number:,} {reason}")
    click.echo(f"  statistics: {report.stats_file}")
