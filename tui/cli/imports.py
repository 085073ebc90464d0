"""`import`: chats, ratings and datasets of other programs, with an account of every row."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from core.capture.formats.detect import FORMATS
from core.capture.import_rows import Counts, ImportOptions
from core.capture.importing import Importer, ImportReport
from core.capture.preview import Preview, preview
from core.capture.retention import clean_up
from core.errors import FinetuneError
from core.loop import LearningLoop
from core.paths import Home
from core.share.unbundle import BundleReport, is_bundle, look_into
from tui.cli.bundles import show_look, show_versions, take_in, version_totals
from tui.cli.output import ProgressLine, bar, json_option, print_json, table, with_home
from tui.text import plain

_SUMMED = ("read", "accepted", "merged", "rejected", "events", "judged", "pairs", "parts", "near_duplicates")
_CELL = 48


@click.command("import")
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@click.option("--category", default="", help="Kind of task of rows that name none, for example erd.")
@click.option("--model", default="", help="Model of rows that name none.")
@click.option("--format", "format_name", help="Name of the format; else it is detected. `--formats` lists them.")
@click.option(
    "--map",
    "mapped",
    multiple=True,
    metavar="FIELD=COLUMN",
    help="For a table of your own: which column is the prompt, the response, the score, …",
)
@click.option("--formats", "list_formats", is_flag=True, help="List the formats that are read and end.")
@click.option("--dry-run", is_flag=True, help="Show format, mapping and ten samples; store nothing.")
@click.option("--keep-pii", is_flag=True, help="Store e-mail addresses, keys and the like as they are.")
@json_option
@with_home
def import_files(
    home: Home,
    files: Sequence[Path],
    category: str,
    model: str,
    format_name: str | None,
    mapped: Sequence[str],
    list_formats: bool,
    dry_run: bool,
    keep_pii: bool,
    as_json: bool,
) -> None:
    """Import FILES: JSON, JSONL, CSV, Parquet, SQLite, gzip, zip, or folders of them.

    The format is detected. Every row is accounted for: read = accepted + merged + rejected; what was refused goes to a
    file with its line and the reason. Doing it again adds nothing; an import that was broken off goes on where it was.
    """
    if list_formats:
        _show_formats(as_json=as_json)
        return
    if not files:
        raise FinetuneError("No file was named.", title="Wrong usage", hint="Try: finetune-tui import FILE --dry-run")
    options = ImportOptions(category, model, format_name, _mapping(mapped), keep_pii)
    with LearningLoop(home) as loop:
        if dry_run:
            bundles = [look_into(path) for path in files if is_bundle(path)]
            looks = [preview(loop.recorder, path, options) for path in files if not is_bundle(path)]
            if as_json:
                print_json({"files": [*(look.to_mapping() for look in looks), *bundles]})
            else:
                for look in looks:
                    _show_preview(look)
                for bundle in bundles:
                    show_look(bundle)
            return
        reports = [_run(loop, path, options, quiet=as_json) for path in files]
        retired = clean_up(loop.store, loop.config, now=time.time())
    if as_json:
        print_json(_summed(reports))
        return
    for report in reports:
        _show(report)
    for one in retired:
        if gone := one.before - one.remaining:
            click.echo(
                f"  {one.category}: {gone:,} old events of low tier removed, {one.limit:,} are kept (capture.retention)"
            )


def _show_formats(*, as_json: bool) -> None:
    rows = [(one.name, one.title) for one in sorted(FORMATS, key=lambda each: each.name)]
    if as_json:
        print_json([{"name": name, "title": title} for name, title in rows])
    else:
        click.echo(table(("format", ""), rows))


def _mapping(mapped: Sequence[str]) -> dict[str, str] | None:
    pairs = [each.partition("=") for each in mapped]
    if wrong := [field for field, sign, column in pairs if not (field and sign and column)]:
        raise FinetuneError(
            f"--map {wrong[0]} does not say which column.",
            title="Wrong usage",
            hint="Write for example --map prompt=question --map response=answer.",
        )
    return {field: column for field, _, column in pairs} or None


def _run(loop: LearningLoop, path: Path, options: ImportOptions, *, quiet: bool) -> ImportReport:
    importer, line = Importer(loop.recorder), ProgressLine(enabled=not quiet)
    started = time.monotonic()
    already: list[int] = []

    def show(counts: Counts, source: str) -> None:
        if not already:
            already.append(counts.read)
        pace = (counts.read - already[0]) / max(0.001, time.monotonic() - started)
        done = "" if importer.share is None else f"{bar(importer.share)} {importer.share:.0%} · "
        line.show(f"{done}{source}: {counts.read:,} rows · {counts.rejected:,} rejected · {pace:,.0f}/s")

    try:
        if is_bundle(path):
            return take_in(loop, path, options, show)
        return importer.run(path, options, progress=show)
    except KeyboardInterrupt:
        line.clear()
        click.echo(f"Stopped; what was read of {plain(str(path))} is kept. The same command goes on there.", err=True)
        raise
    finally:
        line.clear()


def _summed(reports: Sequence[ImportReport]) -> dict[str, Any]:
    each = [report.to_mapping() for report in reports]
    replaced: Counter[str] = sum((Counter(one["replaced"]) for one in each), Counter())
    rejects = [one["rejects_file"] for one in each if one["rejects_file"]]
    total: dict[str, Any] = {key: sum(one[key] for one in each) for key in _SUMMED}
    total |= {"replaced": dict(replaced), "rejects_file": rejects[0] if rejects else None}
    return total | version_totals(reports) | {"files": each}


def _show(report: ImportReport) -> None:
    counts = report.counts
    read = f"{counts.read:,} rows read"
    click.echo(f"{plain(str(report.path))}: {read} = {counts.accepted:,} accepted + {counts.merged:,} merged + "
               f"{counts.rejected:,} rejected")  # fmt: skip
    if report.resumed:
        click.echo("  went on where an earlier import was broken off")
    for format_name, number in Counter(report.formats.values()).most_common():
        click.echo(f"  read as {format_name}" + (f": {number:,} files" if len(report.formats) > 1 else ""))
    click.echo(
        f"  {counts.events:,} new outputs ({counts.near_duplicates:,} near-duplicates of others), "
        f"{counts.judged:,} judgments, {counts.pairs:,} preference pairs"
    )
    if counts.replaced:
        kinds = ", ".join(f"{number:,} {kind.replace('_', ' ')}" for kind, number in counts.replaced.most_common())
        click.echo(f"  replaced: {kinds}")
    if report.rejects_file is not None:
        parts = f" and {counts.parts:,} parts of other rows" if counts.parts else ""
        click.echo(f"  {counts.rejected:,} rows{parts} left out, with line and reason: {report.rejects_file}")
    for name, reason in report.left_out.items():
        click.echo(f"  not read: {plain(reason if name in reason else f'{name}: {reason}')}")
    if isinstance(report, BundleReport):
        show_versions(report)


def _show_preview(look: Preview) -> None:
    for source in look.sources:
        click.secho(f"{plain(source.name)}: {source.title} ({source.format})", bold=True)
        click.echo(table(("its key", "becomes"), source.mapping.items()))
        click.echo(f"\n{source.rows:,} rows looked at, {source.refused:,} would be rejected")
        for reason, number in source.reasons.items():
            click.echo(f"  {number:,} × {plain(reason)}")
        rows = [
            (
                one.line,
                one.category,
                _short(one.prompt),
                _short((one.problem and f"refused: {one.problem}") or one.response),
                "" if one.score is None else f"{one.score:.0f}",
                one.tier,
                one.verdict or "",
                sum((one.replaced or {}).values()) or "",
            )
            for one in source.samples
        ]
        click.echo(table(("line", "category", "prompt", "response", "score", "tier", "verdict", "replaced"), rows))
        click.echo()
    for name, reason in look.left_out.items():
        click.echo(f"not read: {plain(name)}: {plain(reason)}")
    click.echo("Nothing was stored.")


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _CELL else line[: _CELL - 1] + "…"
