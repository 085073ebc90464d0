"""`serve`: the gateway that applications call in place of Ollama."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import click

from core.categories import category as known_category
from core.categories import load_categories
from core.config import Serve, load_config
from core.paths import Home
from core.serve.server import Serving, run
from tui.cli.output import json_option, print_json, with_home
from tui.text import plain


@click.command()
@click.option("--host", metavar="ADDRESS", help="Where to listen (default: serve.host, 127.0.0.1).")
@click.option("--port", metavar="N", type=click.IntRange(0, 65_535), help="Port (default: serve.port, 11435; 0: any).")
@click.option(
    "--backend",
    type=click.Choice(["auto", "ollama", "embedded"]),
    help="What answers: Ollama, the llama.cpp inside this program, or Ollama where it runs (auto).",
)
@click.option("--ollama", metavar="URL", help="Where Ollama is (default: serve.ollama, else OLLAMA_HOST).")
@click.option("--category", metavar="NAME", help="Category of requests that nothing else assigns to one.")
@click.option("--no-record", is_flag=True, help="Pass requests on and record nothing.")
@click.option("--access-log", is_flag=True, help="Print one line for each request.")
@json_option
@with_home
def serve(home: Home, no_record: bool, access_log: bool, as_json: bool, **given: Any) -> None:
    """Serve Ollama's API and the OpenAI-compatible one on this machine, and record what is answered.

    Applications that call Ollama call this instead: at http://127.0.0.1:11435 (OLLAMA_HOST for the ollama client,
    .../v1 as base URL for OpenAI's). The alias of a category, ft-erd, is answered by the version that was promoted
    last; other models are passed on. Every answer of a category becomes feedback: the header X-Finetune-Response-Id of
    an answer names it in POST /feedback, for 90 days. ctrl+c ends it once the answers that have begun are through.
    """
    settings = {name: value for name, value in given.items() if value is not None}
    if no_record:
        settings["record"] = False

    serve_config = replace(load_config(home).serve, **settings)
    if serve_config.category:
        known_category(load_categories(home), serve_config.category)

    def ready(serving: Serving) -> None:
        if as_json:
            print_json({**asdict(serving), "aliases": list(serving.aliases)})
        else:
            _greet(serving, serve_config)

    recorded = run(
        home, ready=ready, say=lambda line: click.echo(plain(line), err=True), access_log=access_log, **settings
    )
    if not as_json:
        kept = "nothing was to be recorded" if no_record else "every answer is recorded"
        click.echo(f"Stopped; {kept}." if recorded else "Stopped.", err=True)


def _greet(serving: Serving, wanted: Serve) -> None:
    if wanted.backend == "auto" and wanted.ollama and not serving.upstream:
        click.echo(f"! No Ollama answers at {plain(wanted.ollama)}; the gateway does without it.", err=True)
    behind = f"Ollama at {serving.upstream}" if serving.upstream else "the embedded llama.cpp"
    click.echo(f"▶ {serving.url} answers with {behind}")
    click.echo(f"  {'Answers are' if serving.recording else 'Nothing is'} recorded.")
    if serving.aliases:
        model = serving.aliases[0]
        click.echo(f"  Models of this store: {', '.join(serving.aliases)}")
        click.echo(
            f"  Try: curl {serving.url}/api/chat -d "
            f'\'{{"model": "{model}", "messages": [{{"role": "user", "content": "…"}}]}}\''
        )
    else:
        rest = "what Ollama holds is passed on by its name" if serving.upstream else "finetune-tui train makes one"
        click.echo(f"  No version was promoted yet: {rest}.")
    click.echo("  ctrl+c ends it.")
