"""`models NAME --adapter FILE`: a version's adapter as a GGUF file of its own."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from core.loop import LearningLoop
from core.paths import Home
from tui.cli.output import ProgressLine, print_json
from tui.text import plain

adapter_option = click.option(
    "--adapter",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the adapter of NAME as a GGUF file of its own, for llama.cpp to put on the base model.",
)


def write_adapter(home: Home, name: str, target: Path, *, as_json: bool) -> None:
    """Write and prove it, and say where it is and what it belongs on."""
    from core.backends.llamacpp import LlamaCppBackend
    from core.release.adapter_export import export_version_adapter

    progress = ProgressLine(enabled=not as_json)
    try:
        with LearningLoop(home) as loop, LlamaCppBackend(num_ctx=loop.config.publish.num_ctx) as backend:
            version = loop.find_version(name)
            made = export_version_adapter(
                loop.store,
                home,
                version,
                target,
                config=loop.config,
                categories=loop.categories,
                backend=backend,
                progress=lambda done, total: progress.show(f"proving, {done} of {total} answers"),
            )
    finally:
        progress.clear()
    if as_json:
        print_json(asdict(made))
        return
    click.echo(f"✓ {plain(str(target))}: {made.file.bytes / 1e6:.1f} MB, for {plain(str(made.base_file))}")
    for check in made.checks:
        click.echo(f"  ✓ {check.name}: {plain(check.detail)}")
    click.echo(f"  → llama-server -m {plain(str(made.base_file))} --lora {plain(str(target))}")
