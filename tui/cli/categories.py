"""`categories`: the kinds of task that are known, what one of them consists of, and which events feed them."""

from __future__ import annotations

import json
import textwrap
from dataclasses import asdict
from typing import Any

import click

from core.capture.domain_events import domain_event, domain_events
from core.categories import category, load_categories
from core.paths import Home
from core.validate.registry import validator_for, validator_names, validator_options
from tui.cli.output import json_option, print_json, table, with_home
from tui.text import plain

_WIDTH = 100
_SHOWN_OPTION = 200
_PART = 27


@click.group(invoke_without_command=True)
@json_option
@click.pass_context
def categories(ctx: click.Context, as_json: bool) -> None:
    """List the categories, show one, or show which domain events make examples of them.

    They come from the shipped presets and from [categories.<name>] in config.toml, where each key can be overridden.
    """
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_categories, as_json=as_json)


@categories.command("list")
@json_option
@with_home
def list_categories(home: Home, as_json: bool) -> None:
    """Every category with its preset, complexity, validator and base model."""
    known = load_categories(home)
    if as_json:
        print_json({"categories": [asdict(one) for one in known.values()]})
        return
    headers = ("category", "preset", "complexity", "validator", "base model", "min tier", "title")
    rows = [
        (one.name, one.preset, f"{one.complexity:g}", one.validator, one.base_model, one.min_tier, one.title)
        for one in known.values()
    ]
    click.echo(table(headers, rows))


@categories.command()
@click.argument("name")
@json_option
@with_home
def show(home: Home, name: str, as_json: bool) -> None:
    """All settings of the category NAME, and the domain events that feed it.

    The validator is made once, so that a fault in its options is named here.
    """
    chosen = category(load_categories(home), name)
    validator_for(chosen)
    fed_by = [event.name for event in domain_events().values() if event.category == chosen.name]
    if as_json:
        print_json({**asdict(chosen), "events": fed_by})
        return
    click.echo(f"{chosen.name}: {plain(chosen.title)} ({chosen.preset})")
    lines = {
        "complexity": f"{chosen.complexity:g}",
        "base model": chosen.base_model,
        "success from": f"{chosen.success_score:g} of 100",
        "trains on tier": f"{chosen.min_tier} and better",
        "validator": chosen.validator,
        **{f"  {key}": _cut(value) for key, value in chosen.validator_options.items()},
        "quality": " + ".join(f"{weight:.2f} {part}" for part, weight in chosen.quality_weights.items()),
        "events": ", ".join(fed_by) or "none",
    }
    for label, text in lines.items():
        click.echo(f"  {label:<15}{plain(text)}")
    for label, text in (("System prompt", chosen.system_prompt or "none is sent"), ("Guidelines", chosen.guidelines)):
        if text:
            click.echo(f"\n{label}")
            for line in plain(text).strip().split("\n"):
                click.echo(textwrap.fill(line, _WIDTH, initial_indent="  ", subsequent_indent="  "))


@categories.command()
@click.argument("name", required=False)
@json_option
def events(name: str | None, as_json: bool) -> None:
    """Which keys of each domain event (or of NAME alone) become what of an example.

    The first alternative that a payload has is taken. A dotted path goes into objects; braces make a template, = a
    constant, # a count. Keys match without regard to case, _ and -.
    """
    chosen = list(domain_events().values()) if name is None else [domain_event(name)]
    if as_json:
        print_json(
            {
                "events": [
                    {"name": one.name, "title": one.title, "category": one.category, "mapping": one.mapping}
                    for one in chosen
                ]
            }
        )
        return
    for number, one in enumerate(chosen):
        click.echo(f"{'' if number == 0 else chr(10)}{one.name} → {one.category}: {one.title}")
        if name is None:
            rows = [("prompt", one.mapping["prompt"])]
            rows += [(part, found) for part, found in one.mapping.items() if part.split(".")[0] == "response"]
        else:
            rows = list(one.mapping.items())
        for part, found in rows:
            click.echo(f"  {part:<{_PART}}{' · '.join(found)}".replace("\n", "⏎"))
    if name is None:
        click.echo("\n`finetune-tui categories events NAME` shows all that is read of one.")


@categories.command("validators")
@json_option
def list_validators(as_json: bool) -> None:
    """The validators that a category can name, with their options.

    Packages bring more under the entry point group finetune_tui.validators.
    """
    options = validator_options()
    others = sorted(validator_names() - set(options))
    if as_json:
        print_json({"validators": options, "from_packages": others})
        return
    for name, text in options.items():
        click.echo(name)
        click.echo(textwrap.fill(" ".join(text.split()), _WIDTH, initial_indent="  ", subsequent_indent="  "))
    for name in others:
        click.echo(f"{name}\n  from an installed package")


def _cut(value: Any) -> str:
    texts = isinstance(value, list) and all(isinstance(each, str) for each in value)
    text = ", ".join(value) if texts else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _SHOWN_OPTION else f"{text[:_SHOWN_OPTION]}…"
