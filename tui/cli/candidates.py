"""`candidates`: several answers of a model to the prompts that teach most, scored and made into pairs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import click

from core.backends.by_name import ModelsByName, in_ollama
from core.capture.candidates import LEAST_TEMPERATURE, Candidates, candidate_prompts, generate
from core.capture.record import Recorder
from core.categories import Category, category, load_categories
from core.config import Config, load_config
from core.errors import FinetuneError
from core.paths import Home
from core.prove.evaluate import sampling_of
from core.release.answering import answering
from core.release.files import file_problem, gguf_path, serving_kind
from core.release.registry import find
from storage.db import Store, open_store
from tui.cli.output import ProgressLine, json_option, print_json, with_home

_TITLE = "No answers were generated"


class _Model(NamedTuple):
    model: str
    name: str


@click.command()
@click.argument("category_name", metavar="CATEGORY")
@click.option(
    "--model",
    help="A GGUF file, ollama:NAME, or a version by its name (default: what serves, else the newest, else the base).",
)
@click.option("--n", type=click.IntRange(2, 5), help="Answers to each prompt (default: select.candidates).")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 10_000), help="At most so many prompts.")
@click.option(
    "--temperature",
    default=LEAST_TEMPERATURE,
    show_default=True,
    type=click.FloatRange(LEAST_TEMPERATURE, 5.0),
    help="How freely the answers are drawn.",
)
@click.option("--seed", default=0, show_default=True, type=int, help="Another seed gives other answers.")
@json_option
@with_home
def candidates(
    home: Home,
    category_name: str,
    model: str | None,
    n: int | None,
    limit: int,
    temperature: float,
    seed: int,
    as_json: bool,
) -> None:
    """Let a model answer prompts of CATEGORY several times; the scores of the answers make preference pairs.

    The prompts are the open hard negatives, then the most informative ones that nobody judged; never one that is kept
    for testing. Every answer is recorded and scored like any other. What was broken off is gone on with by the same
    command.
    """
    config = load_config(home)
    categories = load_categories(home)
    own = category(categories, category_name)
    progress = ProgressLine(enabled=not as_json)
    with open_store(home.store, create=False) as store:
        chosen = _model(store, home, config, own, model)
        prompts = candidate_prompts(store, config, own, limit)
        recorder = Recorder(store, home, config, categories)
        with ModelsByName(num_ctx=config.publish.num_ctx) as backend:
            done = generate(
                recorder,
                backend,
                chosen.model,
                prompts,
                name=chosen.name,
                n=n,
                sampling=replace(sampling_of(config.publish), temperature=temperature),
                seed=seed,
                progress=lambda at, total: progress.show(f"answered {at} of {total} prompts"),
            )
    progress.clear()
    if as_json:
        print_json({"category": own.name, "model": chosen.name, **done.to_mapping()})
        return
    _show(own.name, chosen.name, done)


def _model(store: Store, home: Home, config: Config, own: Category, named: str | None) -> _Model:
    if named is not None and (held := in_ollama(named)) is not None:
        return _Model(named, held)
    if named is not None and (named.endswith(".gguf") or Path(named).is_file()):
        path = Path(named)
        if not path.is_file():
            raise FinetuneError(
                f"There is no file {path}.", title=_TITLE, hint="Give a GGUF file, or the name of a version."
            )
        return _Model(str(path.absolute()), path.stem)
    if named is None:
        answers = answering(store, home, config, own)
        return _Model(answers.model, answers.name)
    version = find(store, named)
    kind = serving_kind(version)
    problem = file_problem(home, version, kind, thorough=False)
    if problem is not None:
        raise FinetuneError(f"{problem}.", title=_TITLE, hint="Choose another version: finetune-tui models")
    return _Model(str(gguf_path(home, version, kind)), version.name)


def _show(category_name: str, model: str, done: Candidates) -> None:
    if not done.prompts:
        click.echo(f"{category_name} has no open hard negatives and nothing that waits for a judgment.")
        return
    click.echo(f"{model} answered {done.answered:,} of {done.prompts:,} prompts of {category_name}")
    if done.known:
        click.echo(f"  {done.known:,} were answered before (another --seed gives other answers)")
    if done.held_out:
        click.echo(f"  {done.held_out:,} are kept for testing and were not asked")
    if done.failed:
        click.echo(f"  {done.failed:,} got no usable answer")
    mean = "" if done.mean_score is None else f", mean score {done.mean_score:.1f}"
    click.echo(
        f"  {done.generated:,} answers, {done.repeated:,} of them copies, {done.empty:,} empty; "
        f"{done.recorded:,} recorded{mean}"
    )
    click.echo(f"  {done.pairs:,} preference pairs; {done.without_pair:,} prompts gave none")
