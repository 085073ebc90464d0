"""`config`: every setting with its value and where that comes from, and changing one without an editor."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable
from typing import Any

import click

from core.config import read_toml
from core.errors import ConfigError, FinetuneError
from core.paths import Home
from core.settings_check import faults
from core.settings_docs import CATEGORIES, sections
from core.settings_file import SettingsFile
from core.settings_values import Held, described, find, held_of_category, held_settings, parsed
from tui.cli.output import json_option, print_json, with_home
from tui.text import plain

ORIGIN_MARKS = {"config.toml": "●", "shipped": "◆", "preset": "◆", "section": "·", "default": "·"}


@click.group(invoke_without_command=True)
@click.option("--changed", is_flag=True, help="Only what config.toml says.")
@click.option("--category", "category_name", help="The settings of one category instead.")
@json_option
@click.pass_context
def config(ctx: click.Context, changed: bool, category_name: str | None, as_json: bool) -> None:
    """List every setting with its value and where that comes from; or show, set and check single ones."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_settings, changed=changed, category_name=category_name, as_json=as_json)


@config.command("list")
@click.option("--changed", is_flag=True, help="Only what config.toml says.")
@click.option("--category", "category_name", help="The settings of one category instead.")
@json_option
@with_home
def list_settings(home: Home, changed: bool, category_name: str | None, as_json: bool) -> None:
    """Every setting, section by section. ● stands in config.toml, ◆ comes with a preset, · is the default."""
    tables = read_toml(home.config)
    if category_name is not None:
        from core.categories import categories_from, category

        listed = held_of_category(
            tables, home.config, category(categories_from(tables, home.config), category_name).name
        )
    else:
        listed = held_settings(tables, home.config)
        for name in tables.get(CATEGORIES, {}):
            listed += tuple(one for one in held_of_category(tables, home.config, name) if one.changed)
    listed = tuple(one for one in listed if one.changed or not changed)
    if as_json:
        print_json({"file": str(home.config), "settings": [as_object(one) for one in listed]})
        return
    if not listed:
        click.echo("config.toml changes nothing: every setting has its default.")
    titles = sections()
    for section in dict.fromkeys(one.setting.section for one in listed):
        about = titles.get(section, "Categories")
        click.echo(click.style(f"[{section}]", bold=True) + f" {about}")
        click.echo(_lines(one for one in listed if one.setting.section == section))
        click.echo()


def _lines(listed: Iterable[Held]) -> str:
    rows = []
    for one in listed:
        key = ".".join(one.setting.path[1:])
        rows.append((f"{ORIGIN_MARKS[one.origin]} {key}", _cut(one.shown), _origin(one), one.setting.help))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    room = shutil.get_terminal_size((100, 24)).columns if sys.stdout.isatty() else 10_000
    return "\n".join(
        plain(f"  {row[0]:<{widths[0]}}  {row[1]:<{widths[1]}}  {row[2]:<{widths[2]}}  {row[3]}").rstrip()[:room]
        for row in rows
    )


def _cut(text: str) -> str:
    line = text.replace("\n", " ")
    return line if len(line) <= 32 else f"{line[:31]}…"


def _origin(one: Held) -> str:
    if one.origin == "section":
        return f"as [{one.setting.path[2]}]"
    return one.origin


def as_object(one: Held) -> dict[str, Any]:
    """A setting for programs; the value of a secret is left out."""
    setting = one.setting
    value = one.shown if setting.secret else one.value
    more: dict[str, Any] = {"range": [setting.low, setting.high]} if setting.kind in ("integer", "number") else {}
    if setting.allowed:
        more["allowed"] = setting.allowed
    return {
        "name": setting.name,
        "value": value,
        "default": one.fallback,
        "origin": one.origin,
        "type": setting.kind,
        **more,
        "help": setting.help,
    }


@config.command()
@click.argument("key")
@json_option
@with_home
def get(home: Home, key: str, as_json: bool) -> None:
    """The value of KEY, for example ab.min_tests or categories.erd.min_tier; a secret is hidden."""
    one = find(read_toml(home.config), home.config, key)
    if as_json:
        print_json(as_object(one))
        return
    click.echo(plain(one.shown, limit=None, line_limit=None))
    click.echo(
        f"  {one.setting.help}\n  {one.setting.allows}; without its line {_fallback(one)} ({_origin(one)})", err=True
    )


def _fallback(one: Held) -> str:
    from core.settings_values import shown

    return f"`{_cut(plain(shown(one.setting, one.fallback)))}`"


@config.command("set")
@click.argument("key")
@click.argument("value")
@json_option
@with_home
def set_value(home: Home, key: str, value: str, as_json: bool) -> None:
    """Write VALUE for KEY into config.toml; comments and everything else in it stay as they are.

    VALUE `-` is read from standard input, so that a secret stays out of the shell's history. Lists are written as a, b.
    """
    file = SettingsFile(home)
    setting = described(file.tables, home.config, key)
    text = sys.stdin.read().rstrip("\n") if value == "-" else value
    was = _now(file, key)
    file.set(setting.path, parsed(setting, text))
    _tell(key, was, _now(file, key), as_json=as_json)


@config.command()
@click.argument("key")
@json_option
@with_home
def unset(home: Home, key: str, as_json: bool) -> None:
    """Remove KEY from config.toml, so that its default holds again; also a key that is no setting."""
    file = SettingsFile(home)
    was = _now(file, key)
    if not file.unset(key.split(".")):
        described(file.tables, home.config, key)  # names what is alike where there is no such setting
    _tell(key, was, _now(file, key), as_json=as_json)


def _now(file: SettingsFile, key: str) -> Held | None:
    """The setting; None while the file has a fault, or when there is none of that name."""
    try:
        return find(file.tables, file.path, key)
    except FinetuneError:
        return None


def _tell(key: str, before: Held | None, after: Held | None, *, as_json: bool) -> None:
    if as_json:
        was = None if before is None else before.shown if before.setting.secret else before.value
        print_json({**({"name": key} if after is None else as_object(after)), "before": was})
        return
    if after is None:
        click.echo(f"✓ {plain(key)} is written; `finetune-tui config check` tells what is left to correct")
        return
    same = before is not None and before.shown == after.shown and before.origin == after.origin
    was = "unchanged" if same else f"was {_cut(plain(before.shown)) or 'empty'}" if before is not None else "was wrong"
    click.echo(f"✓ {after.setting.name} = {_cut(plain(after.shown)) or 'empty'} ({was}; {_origin(after)})")


@config.command()
@with_home
def path(home: Home) -> None:
    """Where config.toml lies; it may be missing."""
    click.echo(str(home.config))


@config.command()
@json_option
@with_home
def check(home: Home, as_json: bool) -> None:
    """Check config.toml with its categories and hooks, keymap.toml and themes; exit code 1 with every problem."""
    found = _all_faults(home)
    if as_json:
        listed = [{"title": one.title, "message": one.message, "hint": one.hint} for one in found]
        print_json({"ok": not found, "problems": listed})
    else:
        for one in found:
            click.echo(f"✗ {plain(one.message)}")
            if one.hint:
                click.echo(f"  → {plain(one.hint)}")
        if not found:
            click.echo(f"✓ {home.config} {'is right' if home.config.exists() else 'is not there: defaults hold'}")
    if found:
        sys.exit(1)


def _all_faults(home: Home) -> list[FinetuneError]:
    from textual.theme import BUILTIN_THEMES

    from tui.keymap import problems
    from tui.themes import DARK, LIGHT, of_user

    found: list[FinetuneError] = []
    try:
        found += faults(read_toml(home.config), home.config)
    except FinetuneError as error:
        found.append(error)
    keymap = home.root / "keymap.toml"
    if keymap.exists():
        told = f"Correct it in {keymap}."
        found += [ConfigError(f"{keymap.name}: {problem}.", hint=told) for problem in problems(keymap)]
    for file in of_user(home.root / "themes", {*BUILTIN_THEMES, DARK, LIGHT}):
        found += [ConfigError(f"themes: {problem}.", hint=f"Correct it in {file.path}.") for problem in file.problems]
    return found
