"""`build-dataset`: a teacher model writes examples from the user's own documents or code."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from core.capture.building.builder import Builder
from core.capture.building.files import LeftOutError, read_text
from core.capture.building.plan import MAX_CHUNKS, MAX_PER_CHUNK, BuildOptions
from core.capture.building.report import BuildReport
from core.capture.building.teacher import NUM_CTX, Teacher, teacher_file
from core.errors import FinetuneError
from core.loop import LearningLoop
from core.paths import Home
from tui.cli.output import ProgressLine, json_option, print_json, report_error, with_home
from tui.text import plain

_INTERRUPTED = 130
_NAMED = (".md", ".markdown", ".txt", ".rst")


@click.command("build-dataset")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--category", required=True, help="Kind of task that the examples are for, for example api_docs.")
@click.option("--model", help="The teacher: a GGUF file, ollama:NAME, or the name of a version.")
@click.option("--notes", default="", metavar="FILE|TEXT", help="What the examples should be like, in your words.")
@click.option(
    "--max-chunks",
    type=click.IntRange(1, MAX_CHUNKS),
    default=MAX_CHUNKS,
    show_default=True,
    help="Chunks read in this call; the next call goes on behind them.",
)
@click.option(
    "--per-chunk",
    type=click.IntRange(1, MAX_PER_CHUNK),
    default=1,
    show_default=True,
    help="Examples asked for from each chunk.",
)
@click.option("--again", is_flag=True, help="Read files once more that were read already.")
@click.option("--dry-run", is_flag=True, help="Count files and chunks and say what is left out; ask and store nothing.")
@json_option
@with_home
def build_dataset(
    home: Home,
    folder: Path,
    category: str,
    model: str | None,
    notes: str,
    max_chunks: int,
    per_chunk: int,
    again: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Make examples from the documents or code in FOLDER.

    Each text file is cut into chunks along its headings, definitions or paragraphs. A teacher model writes examples
    from each chunk, and those are kept that the validator of the category accepts, that are neither generic nor copied
    from the file, and that repeat nothing in the store. They wait in the review queue like any other output.

    Hidden files, links, binaries, installed packages, virtual environments and what .gitignore names are left out. A
    file that did not change since it was read is skipped, and a call that was broken off (Ctrl-C, a kill) is gone on
    with by the next one. The report says what was read, made, refused and left out, and why.
    """
    with LearningLoop(home) as loop:
        builder = Builder(
            loop.recorder, BuildOptions(category, _notes(notes), max_chunks, per_chunk, again=again, dry_run=dry_run)
        )
        if dry_run:
            report = builder.run(folder, None)
        elif model is None:
            raise FinetuneError(
                "No teacher was named.",
                title="Nothing was built",
                hint="Add --model with a GGUF file, ollama:NAME or the name of a version, or --dry-run to count only.",
            )
        else:
            report = _run(loop, builder, folder, model, quiet=as_json)
    if as_json:
        print_json(report.to_mapping())
    else:
        _show(report)
        if report.failure is not None:
            report_error(report.failure, as_json=False)
    if report.ended in ("failed", "interrupted"):
        sys.exit(1 if report.ended == "failed" else _INTERRUPTED)


def _run(loop: LearningLoop, builder: Builder, folder: Path, model: str, *, quiet: bool) -> BuildReport:
    from core.backends.by_name import ModelsByName

    path, name = teacher_file(loop.store, loop.home, model)
    line = ProgressLine(enabled=not quiet)

    def show(report: BuildReport, at: str, total: int) -> None:
        refused = sum(report.refused.values())
        line.show(f"chunk {report.chunks + 1:,} of {total:,} · {report.made:,} made · {refused:,} refused · {at}")

    try:
        with ModelsByName(num_ctx=max(NUM_CTX, loop.config.publish.num_ctx)) as backend:
            return builder.run(folder, Teacher(backend, path, name), progress=show)
    finally:
        line.clear()


def _notes(given: str) -> str:
    """The text itself, or that of the file it names."""
    try:
        path = Path(given).expanduser()
        named = bool(given) and path.is_file()
    except (OSError, ValueError, RuntimeError):  # far too long for a name, or none at all
        named = False
    if not named:
        if given.lower().endswith(_NAMED) and len(given.split()) == 1:
            raise FinetuneError(
                f"There is no file {given}.", title="The notes cannot be read", hint="Check the path, or give the text."
            )
        return given
    try:
        return read_text(path.resolve())
    except LeftOutError as error:
        raise FinetuneError(
            f"{path} is no text that can be read: {error}.",
            title="The notes cannot be read",
            hint="Save them as UTF-8 text, or give the text itself.",
        ) from error


def _show(report: BuildReport) -> None:
    skipped = sum(report.skipped.values())
    refused = sum(report.refused.values())
    found = f"{plain(report.folder)}: {report.files:,} files found"
    if report.dry_run:
        click.echo(f"{found}, {report.files_left:,} to read in {report.chunks_left:,} chunks, {skipped:,} skipped")
    else:
        click.echo(f"{found}, {report.files_read:,} read, {skipped:,} skipped, {report.files_left:,} left")
        click.echo(
            f"  {report.chunks:,} chunks read ({report.thin_chunks:,} more hold too little text): "
            f"{report.made:,} examples made, {refused:,} refused"
        )
    for reason, number in report.skipped.most_common():
        names = report.skipped_files[reason]
        more = ", …" if number > 3 else ""
        click.echo(f"  skipped, {plain(reason)}: {number:,} ({plain(', '.join(names[:3]))}{more})")
    for kind, number in report.refused.most_common():
        example = next(each for each in report.refusals if each["kind"] == kind)
        click.echo(f"  refused, {kind}: {number:,} (such as {plain(example['file'])}:{example['lines']}: "
                   f"{plain(example['reason'])})")  # fmt: skip
    if report.replaced:
        kinds = ", ".join(f"{number:,} {kind.replace('_', ' ')}" for kind, number in report.replaced.most_common())
        click.echo(f"  replaced: {kinds}")
    if report.made:
        held = "".join(f", {number:,} {kind}" for kind, number in report.held_back.most_common())
        click.echo(f"  {report.passing:,} of {report.made:,} could be trained on at once{held}")
    if report.dry_run:
        click.echo("Nothing was asked or stored.")
    elif report.ended == "interrupted":
        click.echo("Interrupted. What was made is kept; the same command goes on from here.")
    elif report.chunks_left:
        click.echo(f"{report.chunks_left:,} chunks are left; the same command goes on with them.")
