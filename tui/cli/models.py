"""`models`: the versions with their figures, files and proof; the base models; room on the disk."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import click

from core.categories import category as known_category
from core.loop import LearningLoop
from core.paths import Home
from core.prove.forgetting import describe
from core.release.retention import clean_up_files, disk_use, needed
from storage.rows import VersionRow
from tui.cli.adapter import adapter_option, write_adapter
from tui.cli.output import ProgressLine, json_option, print_json, table, with_home
from tui.text import plain


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
@click.option("--clean-up", is_flag=True, help="Remove the GGUF files of old versions, which no key leads back to.")
@click.option("--dry-run", is_flag=True, help="With --clean-up: say what would go, and remove nothing.")
@adapter_option
@json_option
@with_home
def models(
    home: Home,
    name: str | None,
    category: str | None,
    bases: bool,
    download: str | None,
    clean_up: bool,
    dry_run: bool,
    adapter: Path | None,
    as_json: bool,
) -> None:
    """List the versions, or show NAME with its figures, files and proof."""
    if sum((bases, download is not None, name is not None or (category is not None and not clean_up), clean_up)) > 1:
        raise click.UsageError("Choose one: --bases, --download, --clean-up, or versions by NAME or --category.")
    if dry_run and not clean_up:
        raise click.UsageError("--dry-run needs --clean-up.")
    if adapter is not None and (name is None or bases or download is not None or clean_up):
        raise click.UsageError("--adapter needs the NAME of a version, and nothing else.")
    if clean_up:
        _clean_up(home, category, dry_run=dry_run, as_json=as_json)
    elif download is not None:
        _make_ready(home, download, as_json=as_json)
    elif bases:
        _list_bases(home, as_json=as_json)
    elif name is None:
        _list_versions(home, category, as_json=as_json)
    elif adapter is not None:
        write_adapter(home, name, adapter, as_json=as_json)
    else:
        _show_version(home, name, as_json=as_json)


def _list_versions(home: Home, category: str | None, *, as_json: bool) -> None:
    with LearningLoop(home) as loop:
        serving = {alias.version_id for alias in loop.aliases()}
        rows = loop.versions(known_category(loop.categories, category).name if category else None)
        sizes, total = disk_use(home, rows)
    if as_json:
        print_json([asdict(row) | {"serving": row.id in serving, "disk_bytes": sizes[row.id]} for row in rows])
    elif rows:
        headers = ("version", "category", "base", "score", "success", "disk", "proved", "serving")
        click.echo(table(headers, [_line(row, serving, sizes) for row in rows]))
        click.echo(f"{_size(total)} on the disk")
    else:
        click.echo("No version yet. Train one: finetune-tui train CATEGORY")


def _show_version(home: Home, name: str, *, as_json: bool) -> None:
    with LearningLoop(home) as loop:
        serving = {alias.version_id for alias in loop.aliases()}
        version = loop.find_version(name)
        kept = needed(loop.store, loop.config, version.category).get(version.id, "")
        sizes, _ = disk_use(home, [version])
    if as_json:
        print_json(
            asdict(version)
            | {"serving": version.id in serving, "disk_bytes": sizes[version.id], "kept_because": kept or None}
        )
        return
    click.echo(f"{version.name}: {version.category} on {version.base_model}{' ★ serving' * (version.id in serving)}")
    for key, value in version.metrics.items():
        click.echo(f"  {key}: {value}")
    if told := describe(version.metrics):
        click.echo(f"  {told}")
    for kind, file in version.gguf.items():
        click.echo(f"  {kind}: {file['path']} ({file['bytes'] / 1e6:.1f} MB)")
    if version.retired_at is not None:
        on = time.strftime("%Y-%m-%d", time.localtime(version.retired_at))
        click.echo(
            f"  its GGUF files were removed on {on} to save space; its adapter is kept, a training can go on from it"
        )
    held = f"; its files stay: {kept}" if version.gguf and kept else ""
    click.echo(f"  on the disk: {_size(sizes[version.id])}{held}")
    for check in version.proof:
        click.echo(f"  {'✓' if check['passed'] else '✗'} {check['name']}: {plain(str(check['detail']))}")


def _make_ready(home: Home, wanted: str, *, as_json: bool) -> None:
    from core.backends.by_name import OLLAMA
    from core.train.download import download_base
    from core.train.presets import resolve_base

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


def _line(version: VersionRow, serving: set[int], sizes: Mapping[int, int]) -> tuple[object, ...]:
    score, success = version.metrics.get("mean_score"), version.metrics.get("success_rate")
    return (
        version.name,
        version.category,
        version.base_model,
        "" if score is None else f"{score:.1f}",
        "" if success is None else f"{success:.0%}",
        _size(sizes[version.id]),
        "– files removed" if version.retired_at is not None else "✓ proved" if version.proved else "✗ not proved",
        "★ serving" if version.id in serving else "",
    )


def _size(count: int) -> str:
    return f"{count / 1e9:,.2f} GB" if count >= 1e9 else f"{count / 1e6:,.1f} MB"


def _clean_up(home: Home, category: str | None, *, dry_run: bool, as_json: bool) -> None:
    with LearningLoop(home) as loop:
        chosen = None if category is None else [known_category(loop.categories, category).name]
        reports = clean_up_files(loop.store, home, loop.config, chosen, now=time.time(), dry_run=dry_run)
        kept = loop.config.publish.keep_versions
        _, left = disk_use(home, loop.versions())
    freed = sum(one.bytes for one in reports)
    if as_json:
        versions = [one.to_json() for one in reports]
        print_json({"dry_run": dry_run, "freed_bytes": freed, "disk_bytes": left, "versions": versions})
        return
    for one in reports:
        click.echo(plain(one.in_words()))
    if not reports:
        rule = f"each category keeps its newest {kept}" if kept else "publish.keep_versions is 0, which keeps all"
        click.echo(f"Nothing to remove: {rule}, and what serves or served before.")
    verb = "would be freed" if dry_run else "freed"
    click.echo(f"{_size(freed)} {verb}; {_size(left)} on the disk" if reports else f"{_size(left)} on the disk")
