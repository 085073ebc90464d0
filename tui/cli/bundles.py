"""What `import` does and says when a file is a bundle of another store."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from core.capture.import_rows import ImportOptions
from core.capture.importing import ImportReport
from core.errors import FinetuneError
from core.loop import LearningLoop
from core.share.unbundle import BundleReport, Progress, import_bundle
from tui.text import plain


def take_in(loop: LearningLoop, path: Path, options: ImportOptions, progress: Progress) -> BundleReport:
    """Imports a bundle. Raises FinetuneError for options that say of rows what a bundle says itself."""
    said = {
        "--category": options.category,
        "--model": options.model,
        "--format": options.format,
        "--map": options.mapping,
    }
    if given := [name for name, value in said.items() if value]:
        raise FinetuneError(
            f"{path.name} is a bundle, which says itself what {given[0]} would say.",
            title="Wrong usage",
            hint=f"Import it without {given[0]}, on its own.",
        )
    return import_bundle(loop.recorder, path, keep_pii=options.keep_pii, progress=progress)


def show_versions(report: BundleReport) -> None:
    """What became of the versions, and how the sender defines the categories that are missing here."""
    for one in report.versions:
        if not one.added:
            click.echo(f"  version {plain(one.sent_as)}: known here as {one.name}")
        elif one.name == one.sent_as:
            click.echo(f"  version {one.name}: added")
        else:
            click.echo(f"  version {plain(one.sent_as)}: added as {one.name}")
    for name, text in report.definitions.items():
        click.echo(f"  {plain(name)} is no category here. The sender defines it so; read it before you add it to")
        click.echo("  config.toml, then import the bundle again:")
        for line in text.splitlines():
            click.echo(f"    {plain(line)}")


def show_look(look: dict[str, Any]) -> None:
    """What a bundle holds, for a dry run."""
    click.secho(f"{plain(look['file'])}: a bundle", bold=True)
    figures = ", ".join(f"{look.get(key, 0):,} {key}" for key in ("events", "judgments", "pairs"))
    click.echo(f"{figures}; {look['bytes'] / 1e6:.1f} MB")
    for name in look["versions"]:
        click.echo(f"  version {plain(name)}")


def version_totals(reports: Sequence[ImportReport]) -> dict[str, int]:
    """How many versions were added and merged, over all bundles; empty when no file was one."""
    each = [report.to_mapping() for report in reports if isinstance(report, BundleReport)]
    return {key: sum(one[key] for one in each) for key in ("versions_added", "versions_merged")} if each else {}
